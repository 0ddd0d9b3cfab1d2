//! A session of AMQP against a scripted broker: its deadlines, and its questions for queues.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use manada::clock;
use manada::plan::broker::{SessionPlan, SubscribeOptions};
use manada::plan::operation::Operation;
use manada::protocol::Protocol;
use manada::stats::FailureKind;
use manada::wire::broker::amqp::declare::begin_session;
use manada::wire::broker::command::BrokerCommand;
use manada::wire::message_stream::{StreamEnd, StreamProtocol, StreamSettings};

use super::client::{Client, SETTINGS, run};
use super::server::read_to_end;
use super::session;

const SESSION: StreamSettings = StreamSettings { protocol: StreamProtocol::Amqp, ..SETTINGS };

/// A heartbeat.
const BEAT: [u8; 8] = [8, 0, 0, 0, 0, 0, 0, 0xce];

/// A method with its arguments.
fn method(channel: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[1, 0, channel, 0, 0, 0, length], payload, &[0xce]].concat()
}

/// Starts a broker that logs one client in with this interval of heartbeats, s, begins its session,
/// and hands the connection to `script`.
fn broker<T: Send + 'static>(
    heartbeat: u8,
    script: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let tune = [&b"\0\x0a\0\x1e\0\0\0\0\0\0\0"[..], &[heartbeat]].concat();
        for reply in [
            method(0, b"\0\x0a\0\x0a\0\x09\0\0\0\0\0\0\0\x05PLAIN\0\0\0\x05en_US"),
            method(0, &tune),
            method(0, b"\0\x0a\0\x29\0"),
            method(1, b"\0\x14\0\x0b\0\0\0\0"),
            method(1, b"\0\x55\0\x0b"),
        ] {
            assert!(stream.read(&mut [0; 4_096]).unwrap() > 0);
            stream.write_all(&reply).unwrap();
        }
        script(stream)
    });
    (address, thread)
}

/// Opens a session.
async fn open(address: SocketAddr) -> Client {
    let mut bytes = Vec::new();
    begin_session(&mut bytes);
    let operation = Operation::Session(SessionPlan::Amqp);
    session::open((Protocol::Amqp, address), &operation, &bytes, &SESSION).await
}

#[test]
fn a_silent_broker_gets_heartbeats_and_has_a_deadline() {
    let (address, server) = broker(1, |stream| read_to_end(&stream));
    let (end, took) = run(async {
        let mut client = open(address).await;
        let begun = clock::now();
        (client.drain().await.0, clock::now() - begun)
    });
    let failure = Some(FailureKind::NoPong);
    assert_eq!(end, StreamEnd { is_ours: true, code: None, failure });
    // The connection was read last when the session began: two intervals before.
    assert!(took > Duration::from_millis(1_900) && took < Duration::from_secs(9), "{took:?}");
    let read = server.join().unwrap();
    assert!(read.len() >= 2 * BEAT.len() && read.len() <= 4 * BEAT.len(), "{read:?}");
    assert!(read.chunks(BEAT.len()).all(|beat| beat == BEAT), "{read:?}");
}

#[test]
fn heartbeats_of_a_broker_keep_a_session_alive() {
    let (address, server) = broker(1, |mut stream| {
        // Three intervals, each begun when the client has sent two heartbeats.
        for _ in 0..3 {
            let mut beats = [0; 2 * BEAT.len()];
            stream.read_exact(&mut beats).unwrap();
            assert!(beats.chunks(BEAT.len()).all(|beat| beat == BEAT));
            stream.write_all(&BEAT).unwrap();
        }
        stream.write_all(&method(0, b"\0\x0a\0\x32\x01\x40\x03bye\0\0\0\0")).unwrap();
        read_to_end(&stream)
    });
    let (end, took) = run(async {
        let mut client = open(address).await;
        let begun = clock::now();
        (client.drain().await.0, clock::now() - begun)
    });
    // CONNECTION_FORCED.
    assert_eq!(end, StreamEnd { is_ours: false, code: Some(1_606), failure: None });
    assert!(took > Duration::from_millis(2_500), "{took:?}");
    assert_eq!(server.join().unwrap(), method(0, b"\0\x0a\0\x33"));
}

#[test]
fn a_close_is_answered_or_has_a_deadline() {
    let close = method(0, b"\0\x0a\0\x32\0\xc8\x03bye\0\0\0\0");
    for answers in [true, false] {
        let length = close.len();
        let (address, server) = broker(0, move |mut stream| {
            let mut read = vec![0; length];
            stream.read_exact(&mut read).unwrap();
            if answers {
                stream.write_all(&method(0, b"\0\x0a\0\x33")).unwrap();
            }
            read.extend(read_to_end(&stream));
            read
        });
        let (end, took) = run(async {
            let mut client = open(address).await;
            let begun = clock::now();
            client.stream.close(0, "bye");
            (client.drain().await.0, clock::now() - begun)
        });
        let failure = (!answers).then_some(FailureKind::NoClose);
        assert_eq!(end, StreamEnd { is_ours: true, code: None, failure });
        assert_eq!(took >= SESSION.close, !answers, "{took:?}");
        assert_eq!(server.join().unwrap(), close);
    }
}

/// Reads these bytes.
fn expect(stream: &mut TcpStream, wanted: &[u8]) {
    let mut read = vec![0; wanted.len()];
    stream.read_exact(&mut read).unwrap();
    assert_eq!(read, wanted);
}

/// The question for a queue, on a channel of its own.
fn question(queue: &str) -> Vec<u8> {
    let name = [&[queue.len() as u8], queue.as_bytes()].concat();
    method(2, &[&b"\0\x32\0\x0a\0\0"[..], &name, b"\x01\0\0\0\0"].concat())
}

#[test]
fn a_refused_question_for_a_queue_leaves_its_consumers() {
    let (address, server) = broker(0, |mut stream| {
        for tag in [b'1', b'2'] {
            let source: &[u8] = if tag == b'1' { b"\x04gone" } else { b"\x04kept" };
            let tag = [&b"\x08manada-"[..], &[tag]].concat();
            let consume = [&b"\0\x3c\0\x14\0\0"[..], source, &tag, b"\0\0\0\0\0"].concat();
            expect(&mut stream, &method(1, &consume));
        }
        for tag in [&b"\x08manada-1"[..], b"\x08manada-2"] {
            stream.write_all(&method(1, &[&b"\0\x3c\0\x15"[..], tag].concat())).unwrap();
        }
        expect(&mut stream, &method(2, b"\0\x14\0\x0a\0"));
        stream.write_all(&method(2, b"\0\x14\0\x0b\0\0\0\0")).unwrap();
        // 404: the channel is closed, and opened again for the other queue.
        expect(&mut stream, &question("gone"));
        stream.write_all(&method(2, b"\0\x14\0\x28\x01\x94\0\0\x32\0\x0a")).unwrap();
        expect(&mut stream, &method(2, b"\0\x14\0\x29"));
        expect(&mut stream, &method(2, b"\0\x14\0\x0a\0"));
        stream.write_all(&method(2, b"\0\x14\0\x0b\0\0\0\0")).unwrap();
        for messages in [7, 9] {
            expect(&mut stream, &question("kept"));
            let depth = [&b"\0\x32\0\x0b\x04kept\0\0\0"[..], &[messages], b"\0\0\0\x01"];
            stream.write_all(&method(2, &depth.concat())).unwrap();
        }
        // Both consumers are there.
        for tag in [b'1', b'2'] {
            let deliver =
                [&b"\0\x3c\0\x3c\x08manada-"[..], &[tag], b"\0\0\0\0\0\0\0", &[tag], b"\0\0\x01k"];
            stream.write_all(&method(1, &deliver.concat())).unwrap();
            let header = b"\x02\0\x01\0\0\0\x0e\0\x3c\0\0\0\0\0\0\0\0\0\0\0\0\xce";
            stream.write_all(header).unwrap();
        }
        stream.write_all(&method(0, b"\0\x0a\0\x32\x01\x40\x03bye\0\0\0\0")).unwrap();
        drop(read_to_end(&stream));
    });
    let (subscriptions, depths) = run(async {
        let mut client = open(address).await;
        let options = SubscribeOptions::default();
        for (subscription, source) in [(1, "gone"), (2, "kept")] {
            let command =
                BrokerCommand::Subscribe { source, options: &options, subscription, group: None };
            client.stream.command(u64::from(subscription), command).unwrap();
        }
        let (mut subscriptions, mut depths) = (Vec::new(), Vec::new());
        poll_fn(|cx| {
            let Client { wire, stream, .. } = &mut client;
            let polled = wire.poll_stream(stream.as_mut(), cx, &mut |_, message| {
                subscriptions.push(message.delivery.unwrap().subscription);
            });
            depths.extend(stream.behind(2));
            assert_eq!(stream.behind(1), None);
            polled.map(drop)
        })
        .await;
        (subscriptions, depths)
    });
    server.join().unwrap();
    assert_eq!(subscriptions, [Some(1), Some(2)]);
    assert!(depths.contains(&9), "{depths:?}");
}

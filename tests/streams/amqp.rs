//! A session of AMQP against a scripted broker: its deadlines.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use manada::clock;
use manada::plan::broker::SessionPlan;
use manada::plan::operation::Operation;
use manada::protocol::Protocol;
use manada::stats::FailureKind;
use manada::wire::broker::amqp::declare::begin_session;
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

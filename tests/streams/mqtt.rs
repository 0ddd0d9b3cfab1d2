//! A session of MQTT against a scripted broker: pings, deadlines, and packets that break the rules.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use manada::clock;
use manada::plan::broker::{MqttConnect, MqttSettings, SessionPlan};
use manada::plan::operation::Operation;
use manada::protocol::{Protocol, status};
use manada::stats::FailureKind;
use manada::wire::broker::mqtt::connect::{ConnectParts, connect};
use manada::wire::message_stream::{StreamEnd, StreamProtocol, StreamSettings};

use super::client::{Client, SETTINGS, run};
use super::server::read_to_end;
use super::session;

const PING: [u8; 2] = [0xc0, 0];
const PONG: [u8; 2] = [0xd0, 0];
const DISCONNECT: [u8; 2] = [0xe0, 0];

/// Starts a broker that accepts one client, and hands the connection to `script`.
fn broker<T: Send + 'static>(
    script: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        assert!(stream.read(&mut [0; 4_096]).unwrap() > 0);
        stream.write_all(b"\x20\x03\0\0\0").unwrap();
        script(stream)
    });
    (address, thread)
}

/// Opens a session that is to say something every second, or need not.
async fn open(address: SocketAddr, keep_alive: u64) -> Client {
    let settings =
        MqttSettings { keep_alive: Duration::from_secs(keep_alive), ..MqttSettings::default() };
    let mut bytes = Vec::new();
    connect(&mut bytes, &settings, &ConnectParts::default()).unwrap();
    let (client_id, user, password, will) = (None, None, None, None);
    let plan = MqttConnect { settings, client_id, user, password, will };
    let operation = Operation::Session(SessionPlan::Mqtt(Box::new(plan)));
    let stream = StreamSettings { protocol: StreamProtocol::Mqtt(settings), ..SETTINGS };
    session::open((Protocol::Mqtt, address), &operation, &bytes, &stream).await
}

#[test]
fn pings_keep_a_session_alive_until_one_is_not_answered() {
    let (address, server) = broker(|mut stream| {
        for _ in 0..2 {
            let mut ping = [0; 2];
            stream.read_exact(&mut ping).unwrap();
            assert_eq!(ping, PING);
            stream.write_all(&PONG).unwrap();
        }
        read_to_end(&stream)
    });
    let (end, took) = run(async {
        let mut client = open(address, 1).await;
        let begun = clock::now();
        (client.drain().await.0, clock::now() - begun)
    });
    let failure = Some(FailureKind::NoPong);
    assert_eq!(end, StreamEnd { is_ours: true, code: None, failure });
    // Three pings after 0.75 s each, and as long for the last answer.
    assert!(took > Duration::from_millis(2_900) && took < Duration::from_secs(15), "{took:?}");
    assert_eq!(server.join().unwrap(), PING);
}

#[test]
fn a_close_says_so_and_waits_no_longer_than_its_limit() {
    for closes in [true, false] {
        let (address, server) = broker(move |mut stream| {
            let mut read = vec![0; 2];
            stream.read_exact(&mut read).unwrap();
            if !closes {
                read.extend(read_to_end(&stream));
            }
            read
        });
        let end = run(async {
            let mut client = open(address, 0).await;
            client.stream.close(0, "");
            client.drain().await.0
        });
        assert_eq!(end, StreamEnd { is_ours: true, code: None, failure: None });
        assert_eq!(server.join().unwrap(), DISCONNECT);
    }
}

#[test]
fn the_end_of_a_session_has_its_reason() {
    let taken_over = status::of_word(Protocol::Mqtt, "SESSION_TAKEN_OVER");
    let broken = |kind| StreamEnd { is_ours: true, code: None, failure: Some(kind) };
    let ended = |code, failure| StreamEnd { is_ours: false, code, failure };
    for (sent, expected, said) in [
        (&b"\xe0\x01\x8e"[..], ended(taken_over, None), &b""[..]),
        (b"", ended(None, Some(FailureKind::AbnormalClose)), b""),
        // The answer to a command that does not exist, and a packet that only clients send.
        (b"\x40\x02\0\x09", broken(FailureKind::BadReply), b"\xe0\x01\x82"),
        (b"\xc0\x00", broken(FailureKind::BadReply), b"\xe0\x01\x82"),
        (b"\x30\xff\xff\xff\x7f", broken(FailureKind::MessageTooLarge), b"\xe0\x01\x95"),
    ] {
        let (address, server) = broker(move |mut stream| {
            stream.write_all(sent).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            read_to_end(&stream)
        });
        let end = run(async { open(address, 0).await.drain().await.0 });
        assert_eq!(end, expected, "{sent:x?}");
        assert_eq!(server.join().unwrap(), said, "{sent:x?}");
    }
}

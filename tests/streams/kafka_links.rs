//! The connections of a session of Kafka against a scripted broker: several addresses of a cluster,
//! further connections, and the waits that a broker asks for.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use manada::clock::{self, Time};
use manada::plan::transport::TransportConfig;

use super::client::run;
use super::kafka::{answers, open, open_with, plain, publish, subscribe, words};
use super::kafka_broker::{
    API_VERSIONS, Answer, FETCH, LIST_OFFSETS, METADATA, PRODUCE, broker, fetched, int, metadata,
    offsets, produced, versions,
};

/// How long a broker asks to wait.
const THROTTLE: Duration = Duration::from_secs(2);

/// An address that refuses connections.
fn dead() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// A broker that throttles the first request of this kind. Returns its address, and when each such
/// request came.
fn throttling(kind: i16) -> (SocketAddr, Arc<Mutex<Vec<Time>>>) {
    let came = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&came);
    let address = broker(move |address, request| {
        let mut body = match request.key {
            API_VERSIONS => versions(),
            METADATA => metadata("127.0.0.1", address.port(), "t", 0),
            LIST_OFFSETS => offsets(9),
            FETCH => fetched(0, &[]),
            _ => produced("t", 0),
        };
        if request.key == kind {
            let mut seen = seen.lock().unwrap();
            seen.push(clock::now());
            let wait = int(if seen.len() == 1 { THROTTLE.as_millis() as i32 } else { 0 });
            // The response to `Produce` has it at its end.
            let from = if kind == PRODUCE { body.len() - 4 } else { 0 };
            body[from..from + 4].copy_from_slice(&wait);
        }
        Answer::Body(body)
    });
    (address, came)
}

#[test]
fn a_dead_address_of_a_cluster_is_passed_by() {
    let (address, _) = throttling(-1);
    let further = |ports: &[u16]| TransportConfig {
        bootstrap: ports.iter().map(|port| ("127.0.0.1".to_owned(), *port)).collect(),
        ..TransportConfig::default()
    };
    for ports in [&[address.port()][..], &[dead().port(), address.port()]] {
        let found = run(async {
            let mut client = open_with(dead(), plain(), &further(ports)).await;
            publish(&mut client, 1, b"x").unwrap();
            let (found, end) = answers(&mut client, 1).await;
            assert_eq!(end, None);
            // The connection is known to be that of the leader: there is no other one.
            assert!(client.stream.take_connection().is_none());
            words(&found)
        });
        assert_eq!(found, ["1 OK"]);
    }
}

#[test]
fn a_producer_that_is_throttled_waits() {
    let (address, came) = throttling(PRODUCE);
    run(async {
        let mut client = open(address, plain()).await;
        publish(&mut client, 1, b"x").unwrap();
        assert_eq!(words(&answers(&mut client, 1).await.0), ["1 OK"]);
        assert!(!client.stream.is_held_back(), "nothing waits");
        publish(&mut client, 2, b"x").unwrap();
        assert!(client.stream.is_held_back());
        assert_eq!(words(&answers(&mut client, 1).await.0), ["2 OK"]);
        assert!(!client.stream.is_held_back());
    });
    let came = came.lock().unwrap();
    assert_eq!(came.len(), 2);
    assert!(came[1] - came[0] >= THROTTLE, "{:?}", came[1] - came[0]);
}

#[test]
fn a_consumer_that_is_throttled_waits_and_has_a_connection_of_its_own() {
    let (address, came) = throttling(FETCH);
    let opened = run(async {
        let mut client = open(address, plain()).await;
        subscribe(&mut client);
        assert_eq!(words(&answers(&mut client, 1).await.0), ["1 OK"]);
        let enough = std::future::poll_fn(|cx| {
            let polled = client.wire.poll_stream(client.stream.as_mut(), cx, &mut |_, _| {});
            assert!(polled.is_pending(), "{polled:?}");
            if came.lock().unwrap().len() >= 2 {
                return std::task::Poll::Ready(());
            }
            std::task::Poll::Pending
        });
        client.deadline.wait(enough).await.expect("it fetches again");
        let mut opened = Vec::new();
        while let Some(timings) = client.stream.take_connection() {
            opened.push(timings.open);
        }
        opened
    });
    assert_eq!(opened, [true]);
    let came = came.lock().unwrap();
    assert!(came[1] - came[0] >= THROTTLE, "{:?}", came[1] - came[0]);
}

//! A session of Kafka against a scripted broker: what is sent again, what is refused, and what a
//! broker may not do.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use manada::clock;
use manada::plan::broker::{PublishOptions, SessionPlan, SubscribeOptions};
use manada::plan::kafka::{KafkaSettings, OffsetStart};
use manada::plan::operation::Operation;
use manada::plan::transport::TransportConfig;
use manada::protocol::{Protocol, status};
use manada::stats::FailureKind;
use manada::wire::broker::command::{BrokerCommand, CommandAnswer, PublishCommand};
use manada::wire::broker::kafka::requests::api_versions;
use manada::wire::message_stream::{StreamEnd, StreamProtocol, StreamSettings};

use super::client::{Client, SETTINGS, run};
use super::kafka_broker::{
    API_VERSIONS, Answer, FETCH, LIST_OFFSETS, METADATA, PRODUCE, Request, broker, fetched, int,
    metadata, offsets, produced, versions,
};
use super::session;

/// Settings of a producer that is not idempotent.
pub(crate) fn plain() -> KafkaSettings {
    KafkaSettings { is_idempotent: false, ..KafkaSettings::default() }
}

pub(crate) async fn open(address: SocketAddr, settings: KafkaSettings) -> Client {
    open_with(address, settings, &TransportConfig::default()).await
}

pub(crate) async fn open_with(
    address: SocketAddr,
    settings: KafkaSettings,
    transport: &TransportConfig,
) -> Client {
    let mut bytes = Vec::new();
    api_versions(&mut bytes);
    let operation = Operation::Session(SessionPlan::Kafka);
    let stream = StreamSettings { protocol: StreamProtocol::Kafka(settings), ..SETTINGS };
    session::open_with((Protocol::Kafka, address), &operation, &bytes, &stream, transport).await
}

pub(crate) fn publish(client: &mut Client, number: u64, payload: &[u8]) -> Result<(), FailureKind> {
    let options = PublishOptions { is_confirmed: true, ..PublishOptions::default() };
    let (destination, headers, key) = ("t", &[][..], None);
    let command =
        PublishCommand { destination, payload, headers, key, partition: None, options: &options };
    client.stream.command(number, BrokerCommand::Publish(command))
}

pub(crate) fn subscribe(client: &mut Client) {
    let options = SubscribeOptions { start: OffsetStart::Earliest, ..SubscribeOptions::default() };
    let command =
        BrokerCommand::Subscribe { source: "t", options: &options, subscription: 1, group: None };
    client.stream.command(1, command).unwrap();
}

/// Waits until so many answers came, or the session ended.
pub(crate) async fn answers(
    client: &mut Client,
    count: usize,
) -> (Vec<CommandAnswer>, Option<StreamEnd>) {
    let Client { wire, stream, deadline } = client;
    let mut found = Vec::new();
    let all = std::future::poll_fn(|cx| {
        let polled = wire.poll_stream(stream.as_mut(), cx, &mut |_, _| {});
        while let Some(answer) = stream.take_answer() {
            found.push(answer);
        }
        match polled {
            std::task::Poll::Ready(end) => std::task::Poll::Ready(Some(end)),
            _ if found.len() >= count => std::task::Poll::Ready(None),
            std::task::Poll::Pending => std::task::Poll::Pending,
        }
    });
    let end = deadline.wait(all).await.expect("the session hangs");
    (found, end)
}

pub(crate) fn words(answers: &[CommandAnswer]) -> Vec<String> {
    let shown =
        answers.iter().map(|answer| format!("{} {}", answer.number, status::word(answer.status)));
    shown.collect()
}

#[test]
fn a_batch_whose_leader_moved_is_sent_again() {
    let tries = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&tries);
    let address = broker(move |address, request| {
        Answer::Body(match request.key {
            API_VERSIONS => versions(),
            METADATA => metadata("127.0.0.1", address.port(), "t", 0),
            // NOT_LEADER_OR_FOLLOWER twice.
            PRODUCE if seen.fetch_add(1, Ordering::SeqCst) < 2 => produced("t", 6),
            _ => produced("t", 0),
        })
    });
    let (found, resent) = run(async {
        let mut client = open(address, plain()).await;
        for number in 1..=3 {
            publish(&mut client, number, b"x").unwrap();
        }
        let (found, end) = answers(&mut client, 3).await;
        assert_eq!(end, None);
        (words(&found), client.stream.take_resent())
    });
    assert_eq!(found, ["1 OK", "2 OK", "3 OK"]);
    assert_eq!((tries.load(Ordering::SeqCst), resent), (3, 6), "three messages, twice");
}

#[test]
fn errors_that_do_not_pass_are_answers() {
    for (topic, produce, wanted) in [
        (0, 10, "MESSAGE_TOO_LARGE"),
        (0, 29, "TOPIC_AUTHORIZATION_FAILED"),
        (0, 999, "other"),
        (29, 0, "TOPIC_AUTHORIZATION_FAILED"),
        (17, 0, "INVALID_TOPIC_EXCEPTION"),
        (3, 0, "UNKNOWN_TOPIC_OR_PARTITION"),
    ] {
        let address = broker(move |address, request| {
            Answer::Body(match request.key {
                API_VERSIONS => versions(),
                METADATA => metadata("127.0.0.1", address.port(), "t", topic),
                _ => produced("t", produce),
            })
        });
        let found = run(async {
            let mut client = open(address, plain()).await;
            publish(&mut client, 7, b"x").unwrap();
            let (found, end) = answers(&mut client, 1).await;
            assert_eq!(end, None, "the session goes on");
            words(&found)
        });
        assert_eq!(found, [format!("7 {wanted}")]);
    }
}

#[test]
fn a_message_that_is_not_stored_in_time_is_answered() {
    let address = broker(|address, request| {
        Answer::Body(match request.key {
            API_VERSIONS => versions(),
            METADATA => metadata("127.0.0.1", address.port(), "t", 0),
            // NOT_ENOUGH_REPLICAS, always.
            _ => produced("t", 19),
        })
    });
    let settings = KafkaSettings { delivery_timeout: Duration::from_millis(350), ..plain() };
    let found = run(async {
        let mut client = open(address, settings).await;
        publish(&mut client, 1, b"x").unwrap();
        words(&answers(&mut client, 1).await.0)
    });
    assert!(
        found == ["1 NOT_ENOUGH_REPLICAS"] || found == ["1 REQUEST_TIMED_OUT"],
        "the last error, or the end of its time: {found:?}"
    );
}

#[test]
fn messages_linger_together_and_leave_with_the_close() {
    let batches = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&batches);
    let address = broker(move |address, request| {
        Answer::Body(match request.key {
            API_VERSIONS => versions(),
            METADATA => metadata("127.0.0.1", address.port(), "t", 0),
            _ => {
                // The number of records stands before them: 61 bytes of a batch.
                let batch = 2 + 2 + 4 + 4 + 3 + 4 + 4 + 4;
                let count = request.body[batch + 57..batch + 61].try_into().unwrap();
                seen.lock().unwrap().push(i32::from_be_bytes(count));
                produced("t", 0)
            }
        })
    });
    let settings = KafkaSettings { linger: Duration::from_mins(1), ..plain() };
    let (found, end) = run(async {
        let mut client = open(address, settings).await;
        for number in 1..=50 {
            publish(&mut client, number, b"lingers").unwrap();
        }
        client.stream.close(0, "");
        answers(&mut client, usize::MAX).await
    });
    assert_eq!(found.len(), 50);
    assert!(found.iter().all(|answer| answer.written.is_some_and(|at| at <= answer.at)));
    assert_eq!(end, Some(StreamEnd { is_ours: true, code: None, failure: None }));
    assert_eq!(*batches.lock().unwrap(), [50], "one batch");
}

#[test]
fn without_acknowledgements_nothing_is_waited_for() {
    let produced = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&produced);
    let address = broker(move |address, request| match request.key {
        API_VERSIONS => Answer::Body(versions()),
        METADATA => Answer::Body(metadata("127.0.0.1", address.port(), "t", 0)),
        _ => {
            seen.fetch_add(1, Ordering::SeqCst);
            Answer::Raw(Vec::new())
        }
    });
    let end = run(async {
        let mut client = open(address, KafkaSettings { acks: 0, ..plain() }).await;
        publish(&mut client, 1, b"x").unwrap();
        client.stream.close(0, "");
        client.drain().await.0
    });
    assert_eq!(end, StreamEnd { is_ours: true, code: None, failure: None });
    // The session does not know when the broker has read it.
    let begun = clock::now();
    while produced.load(Ordering::SeqCst) == 0 && clock::now() - begun < Duration::from_secs(20) {
        std::thread::yield_now();
    }
    assert_eq!(produced.load(Ordering::SeqCst), 1);
}

#[test]
fn what_a_broker_may_not_do_ends_the_session() {
    type Breach = fn(SocketAddr, &Request) -> Option<Answer>;
    let cases: [(&str, Breach, FailureKind); 6] = [
        (
            "a response to no request",
            |_, request| {
                let other = [&int(12)[..], &int(4_711), &[0; 8]].concat();
                (request.key == METADATA).then_some(Answer::Raw(other))
            },
            FailureKind::BadReply,
        ),
        (
            "a frame of 2 GiB",
            |_, request| (request.key == METADATA).then_some(Answer::Raw(int(i32::MAX).to_vec())),
            FailureKind::MessageTooLarge,
        ),
        (
            "more topics than its bytes",
            |_, request| {
                let body = [&int(0)[..], &int(0), &[0xff, 0xff], &int(1), &int(i32::MAX)].concat();
                (request.key == METADATA).then_some(Answer::Body(body))
            },
            FailureKind::BadReply,
        ),
        (
            "no answer for a batch",
            |_, request| (request.key == PRODUCE).then(|| Answer::Body(int(0).to_vec())),
            FailureKind::BadReply,
        ),
        (
            "a connection that ends while a request waits",
            |_, request| (request.key == PRODUCE).then_some(Answer::Close),
            FailureKind::AbnormalClose,
        ),
        (
            "a broker at a port where nothing listens",
            |_, request| {
                let body = metadata("127.0.0.1", 1, "t", 0);
                (request.key == METADATA).then_some(Answer::Body(body))
            },
            FailureKind::Refused,
        ),
    ];
    for (what, breach, wanted) in cases {
        let address = broker(move |address, request| {
            breach(address, request).unwrap_or_else(|| {
                Answer::Body(match request.key {
                    API_VERSIONS => versions(),
                    METADATA => metadata("127.0.0.1", address.port(), "t", 0),
                    _ => produced("t", 0),
                })
            })
        });
        let end = run(async {
            let mut client = open(address, plain()).await;
            publish(&mut client, 1, b"x").unwrap();
            client.drain().await.0
        });
        assert_eq!(end, StreamEnd { is_ours: false, code: None, failure: Some(wanted) }, "{what}");
    }
}

#[test]
fn a_damaged_batch_ends_the_session_and_a_lost_offset_is_found_again() {
    let damaged = [&[0; 8][..], &int(60), &[0; 4], &[2], &[7; 60 - 5]].concat();
    let fetches = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&fetches);
    let address = broker(move |address, request| {
        Answer::Body(match request.key {
            API_VERSIONS => versions(),
            METADATA => metadata("127.0.0.1", address.port(), "t", 0),
            LIST_OFFSETS => offsets(3),
            // OFFSET_OUT_OF_RANGE first.
            FETCH if seen.fetch_add(1, Ordering::SeqCst) == 0 => fetched(1, &[]),
            _ => fetched(0, &damaged),
        })
    });
    let (found, end, behind) = run(async {
        let mut client = open(address, KafkaSettings::default()).await;
        subscribe(&mut client);
        let (found, end) = answers(&mut client, usize::MAX).await;
        (words(&found), end, client.stream.behind(1))
    });
    assert_eq!(found, ["1 OK", "0 OFFSET_OUT_OF_RANGE"]);
    let failure = Some(FailureKind::CorruptMessage);
    assert_eq!(end, Some(StreamEnd { is_ours: false, code: None, failure }));
    assert_eq!(behind, Some(6), "nine records, and the position 3");
    assert_eq!(fetches.load(Ordering::SeqCst), 2);
}

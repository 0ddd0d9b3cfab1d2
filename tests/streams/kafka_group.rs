//! A member of a consumer group against a scripted coordinator: what it joins with, stores and
//! leaves, and what it does after each error.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use manada::plan::broker::SubscribeOptions;
use manada::plan::kafka::{KafkaSettings, OffsetStart};
use manada::protocol::status;
use manada::wire::broker::command::{BrokerCommand, DeliverySettlement, DeliveryVerdict};
use manada::wire::message_stream::{MessageStream, StreamEnd};

use super::client::{Client, run};
use super::kafka::open;
use super::kafka_broker::{
    API_VERSIONS, Answer, FETCH, LIST_OFFSETS, METADATA, Request, broker, fetched, int, metadata,
    offsets, text, versions,
};

const COMMIT: i16 = 8;
const FETCH_OFFSETS: i16 = 9;
const FIND_COORDINATOR: i16 = 10;
const JOIN: i16 = 11;
const HEARTBEAT: i16 = 12;
const LEAVE: i16 = 13;
const SYNC: i16 = 14;

/// A batch of three records with the offsets 5, 6 and 7.
const BATCH: &[u8] = include_bytes!("kafka_batch.bin");

/// What the coordinator was asked, in words, and the errors that it still answers with.
#[derive(Default)]
struct Coordinator {
    seen: Mutex<Vec<String>>,
    changed: Condvar,
    errors: Mutex<Vec<(i16, i16)>>,
    /// The offsets that are stored, each at one question; then none is.
    stored: Mutex<VecDeque<i64>>,
    /// Whether the next fetch is answered late, with a batch from offset 8 on.
    holds_fetch: AtomicBool,
}

impl Coordinator {
    /// The error with which a request of this key is answered: each once, in order.
    fn error(&self, key: i16) -> i16 {
        let mut errors = self.errors.lock().unwrap();
        let place = errors.iter().position(|(of, _)| *of == key);
        place.map_or(0, |place| errors.remove(place).1)
    }

    fn note(&self, words: String) {
        self.seen.lock().unwrap().push(words);
        self.changed.notify_all();
    }

    /// Waits until the member has joined a second time and has all positions.
    fn await_second_membership(&self) {
        let is_first = |seen: &mut Vec<String>| {
            let asked = seen.iter().enumerate().filter(|(_, one)| *one == "fetch offsets 0");
            let second = asked.map(|(place, _)| place).nth(1);
            !second.is_some_and(|place| seen[place..].iter().any(|one| one == "heartbeat 0"))
        };
        drop(self.changed.wait_while(self.seen.lock().unwrap(), is_first).unwrap());
    }

    fn answer(&self, address: SocketAddr, request: &Request) -> Answer {
        let error = self.error(request.key);
        let code = error.to_be_bytes();
        Answer::Body(match request.key {
            API_VERSIONS => versions(),
            METADATA => metadata("127.0.0.1", address.port(), "t", 0),
            LIST_OFFSETS => offsets(5),
            FETCH if self.holds_fetch.swap(false, Relaxed) => {
                self.await_second_membership();
                // The checksum does not cover the offset.
                fetched(0, &[&8_i64.to_be_bytes()[..], &BATCH[8..]].concat())
            }
            FETCH => fetched(0, BATCH),
            FIND_COORDINATOR => {
                self.note(format!("find {error}"));
                let node = [&int(1)[..], &text("127.0.0.1"), &int(address.port().into())].concat();
                [&int(0)[..], &code, &text(""), &node].concat()
            }
            JOIN => {
                // Group, two time-outs, member.
                let member = short_text(&request.body[2 + 1 + 4 + 4..]);
                self.note(format!("join as `{member}` {error}"));
                let metadata = [&[0, 0][..], &int(1), &text("t"), &int(0)].concat();
                let length = int(metadata.len() as i32);
                let members = [&int(1)[..], &text("m-1"), &length, &metadata].concat();
                let begin = [&int(0)[..], &code, &int(4), &text("range")].concat();
                [&begin[..], &text("m-1"), &text("m-1"), &members].concat()
            }
            SYNC => {
                self.note(format!("sync {error}"));
                let part = [&[0, 0][..], &int(1), &text("t"), &int(1), &int(0), &int(0)].concat();
                [&int(0)[..], &code, &int(part.len() as i32), &part].concat()
            }
            FETCH_OFFSETS => {
                self.note(format!("fetch offsets {error}"));
                let offset = self.stored.lock().unwrap().pop_front().unwrap_or(-1);
                let stored = [&int(0)[..], &offset.to_be_bytes(), &text(""), &[0, 0]].concat();
                [&int(0)[..], &int(1), &text("t"), &int(1), &stored, &code].concat()
            }
            COMMIT => {
                let offset = &request.body[request.body.len() - 10..request.body.len() - 2];
                let offset = i64::from_be_bytes(offset.try_into().unwrap());
                self.note(format!("commit {offset} {error}"));
                [&int(0)[..], &int(1), &text("t"), &int(1), &int(0), &code].concat()
            }
            key => {
                let word = if key == LEAVE { "leave" } else { "heartbeat" };
                self.note(format!("{word} {error}"));
                [&int(0)[..], &code].concat()
            }
        })
    }
}

fn short_text(bytes: &[u8]) -> String {
    let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    String::from_utf8(bytes[2..2 + length].to_vec()).unwrap()
}

/// A coordinator that answers with these errors, and the settings of its member.
fn start(errors: &[(i16, i16)]) -> (Arc<Coordinator>, SocketAddr, KafkaSettings) {
    let coordinator = Arc::new(Coordinator::default());
    coordinator.errors.lock().unwrap().extend(errors);
    let asked = Arc::clone(&coordinator);
    let address = broker(move |address, request| asked.answer(address, request));
    let heartbeat = Duration::from_millis(50);
    (coordinator, address, KafkaSettings { heartbeat, ..KafkaSettings::default() })
}

/// Joins, receives three messages, settles the first two, and closes when `is_over` holds. Returns
/// the answer's status, what arrived, and the end.
async fn member(
    (address, settings): (SocketAddr, KafkaSettings),
    is_over: impl Fn(&mut dyn MessageStream, usize) -> bool,
) -> (String, Vec<String>, StreamEnd) {
    let mut client = open(address, settings).await;
    let options = SubscribeOptions {
        start: OffsetStart::Earliest,
        prefetch: 3,
        ..SubscribeOptions::default()
    };
    let (subscription, group) = (1, Some("g"));
    let command = BrokerCommand::Subscribe { source: "t", options: &options, subscription, group };
    client.stream.command(9, command).unwrap();
    let (mut answer, mut found, mut closes) = (String::new(), Vec::new(), false);
    let Client { wire, stream, deadline } = &mut client;
    let end = poll_fn(|cx| {
        let before = found.len();
        let polled = wire.poll_stream(stream.as_mut(), cx, &mut |_, message| {
            let delivery = message.delivery.unwrap();
            assert_eq!((delivery.subscription, delivery.topic), (Some(1), "t"));
            let value = String::from_utf8_lossy(message.payload);
            let lines = String::from_utf8_lossy(delivery.headers);
            found.push(format!("{} {value} {}", delivery.delivery, lines.replace("\r\n", ";")));
        });
        while let Some(one) = stream.take_answer() {
            answer = format!("{} {}", one.number, status::word(one.status));
        }
        if before == 0 && found.len() >= 3 {
            let verdict = DeliveryVerdict::Accepted;
            let settlement = DeliverySettlement { delivery: 2, is_multiple: true, verdict };
            stream.command(0, BrokerCommand::Settle(settlement)).unwrap();
            cx.waker().wake_by_ref();
        }
        if polled.is_pending() && !closes && is_over(stream.as_mut(), found.len()) {
            closes = true;
            stream.close(0, "");
            cx.waker().wake_by_ref();
        }
        polled
    });
    let end = deadline.wait(end).await.expect("the session hangs");
    (answer, found, end)
}

const REGULAR: StreamEnd = StreamEnd { is_ours: true, code: None, failure: None };

#[test]
fn a_member_joins_reads_stores_and_leaves() {
    // MEMBER_ID_REQUIRED first.
    let (coordinator, address, settings) = start(&[(JOIN, 79)]);
    let asked = Arc::clone(&coordinator);
    let (answer, found, end) = run(member((address, settings), move |_, _| {
        asked.seen.lock().unwrap().iter().any(|words| words.starts_with("commit"))
    }));
    assert_eq!(answer, "9 OK");
    assert_eq!(
        found,
        [
            "1 one kafka-partition: 0;kafka-offset: 5;kafka-key: k;trace: a;",
            "2 two kafka-partition: 0;kafka-offset: 6;",
            "3 three kafka-partition: 0;kafka-offset: 7;",
        ],
        "no more is fetched while three wait"
    );
    assert_eq!(end, REGULAR);
    let seen = coordinator.seen.lock().unwrap();
    let seen: Vec<&str> =
        seen.iter().map(String::as_str).filter(|one| *one != "heartbeat 0").collect();
    assert_eq!(
        seen,
        [
            "find 0",
            "join as `` 79",
            "join as `m-1` 0",
            "sync 0",
            "fetch offsets 0",
            "commit 7 0",
            "leave 0",
        ]
    );
}

#[test]
fn a_member_joins_again_after_each_error_that_asks_for_it() {
    for (key, error, again) in [
        // REBALANCE_IN_PROGRESS: it keeps its name.
        (HEARTBEAT, 27, "join as `m-1` 0"),
        // UNKNOWN_MEMBER_ID and ILLEGAL_GENERATION: it has none any more.
        (HEARTBEAT, 25, "join as `` 0"),
        (HEARTBEAT, 22, "join as `` 0"),
        // NOT_COORDINATOR: another broker is.
        (HEARTBEAT, 16, "find 0"),
    ] {
        let (coordinator, address, settings) = start(&[(key, error)]);
        let rebalanced = Arc::new(Mutex::new(Vec::new()));
        let counted = Arc::clone(&rebalanced);
        let (answer, found, end) = run(member((address, settings), move |stream, found| {
            let mut counted = counted.lock().unwrap();
            while let Some((subscription, took)) = stream.take_rebalance() {
                counted.push((subscription, took));
            }
            !counted.is_empty() && found >= 6
        }));
        assert_eq!((answer.as_str(), end), ("9 OK", REGULAR), "{error}");
        assert!(found.len() >= 6, "{error}: the same messages again: {found:?}");
        let seen = coordinator.seen.lock().unwrap();
        let place = seen.iter().position(|one| *one == format!("heartbeat {error}")).unwrap();
        let after = seen[place..].iter().any(|one| one == again);
        assert!(after, "{error}: {seen:?}");
        let rebalanced = rebalanced.lock().unwrap();
        assert_eq!(rebalanced.len(), 1, "{error}: {rebalanced:?}");
        assert_eq!(rebalanced[0].0, 1);
        assert!(rebalanced[0].1 > 0);
    }
}

#[test]
fn a_fetch_for_an_earlier_assignment_is_dropped() {
    // REBALANCE_IN_PROGRESS, while a fetch from offset 8 on waits.
    let (coordinator, address, settings) = start(&[(HEARTBEAT, 27)]);
    coordinator.stored.lock().unwrap().extend([8, 5]);
    coordinator.holds_fetch.store(true, Relaxed);
    let (answer, found, end) = run(member((address, settings), |_, found| found >= 3));
    assert_eq!((answer.as_str(), end), ("9 OK", REGULAR));
    assert!(found[0].starts_with("1 one kafka-partition: 0;kafka-offset: 5;"), "{found:?}");
}

#[test]
fn offsets_that_could_not_be_stored_are_stored_again() {
    // REQUEST_TIMED_OUT passes.
    let (coordinator, address, settings) = start(&[(COMMIT, 7)]);
    let asked = Arc::clone(&coordinator);
    let settings = KafkaSettings { commit_interval: Duration::from_millis(50), ..settings };
    let (_, _, end) = run(member((address, settings), move |_, _| {
        asked.seen.lock().unwrap().iter().any(|words| words == "commit 7 0")
    }));
    assert_eq!(end, REGULAR);
    let seen = coordinator.seen.lock().unwrap();
    assert!(seen.iter().any(|words| words == "commit 7 7"), "{seen:?}");
}

#[test]
fn a_membership_that_ends_is_a_second_answer() {
    // GROUP_AUTHORIZATION_FAILED.
    let (_, address, settings) = start(&[(HEARTBEAT, 30)]);
    let found = run(async {
        let mut client = open(address, settings).await;
        let options = SubscribeOptions::default();
        let (subscription, group) = (1, Some("g"));
        let command =
            BrokerCommand::Subscribe { source: "t", options: &options, subscription, group };
        client.stream.command(9, command).unwrap();
        super::kafka::words(&super::kafka::answers(&mut client, 2).await.0)
    });
    assert_eq!(found, ["9 OK", "9 GROUP_AUTHORIZATION_FAILED"]);
}

#[test]
fn an_error_that_does_not_pass_is_the_answer() {
    for (key, error, word) in [
        // GROUP_AUTHORIZATION_FAILED and INCONSISTENT_GROUP_PROTOCOL.
        (FIND_COORDINATOR, 30, "GROUP_AUTHORIZATION_FAILED"),
        (JOIN, 23, "INCONSISTENT_GROUP_PROTOCOL"),
    ] {
        let (_, address, settings) = start(&[(key, error), (key, error)]);
        let (answer, found, end) = run(async {
            let mut client = open(address, settings).await;
            let options = SubscribeOptions::default();
            let (subscription, group) = (1, Some("g"));
            let command =
                BrokerCommand::Subscribe { source: "t", options: &options, subscription, group };
            client.stream.command(9, command).unwrap();
            let (answers, end) = super::kafka::answers(&mut client, 1).await;
            assert_eq!(end, None);
            client.stream.close(0, "");
            let (end, found) = client.drain().await;
            (super::kafka::words(&answers), found.len(), end)
        });
        assert_eq!(answer, [format!("9 {word}")]);
        assert_eq!((found, end), (0, REGULAR));
    }
}

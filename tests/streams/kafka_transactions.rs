//! Transactions of Kafka against a scripted broker: their requests in order, what is aborted, what
//! is asked again, and records of aborted ones.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use manada::plan::broker::PublishOptions;
use manada::plan::kafka::KafkaSettings;
use manada::stats::FailureKind;
use manada::wire::broker::command::{BrokerCommand, PublishCommand};

use super::client::{Client, run};
use super::kafka::{answers, open, publish, words};
use super::kafka_broker::{
    API_VERSIONS, Answer, METADATA, PRODUCE, broker, int, metadata, produced, text, versions,
};

const FIND: i16 = 10;
const INIT: i16 = 22;
const ADD: i16 = 24;
const END: i16 = 26;

/// The requests that a broker got, but those for its versions and its topics, as words.
type Seen = Arc<Mutex<Vec<String>>>;

/// A broker that answers requests of these keys with these codes, in turn, and else with 0.
fn coordinator(codes: &[(i16, i16)]) -> (SocketAddr, Seen) {
    let (seen, codes) = (Seen::default(), Mutex::new(VecDeque::from(codes.to_vec())));
    let noted = Arc::clone(&seen);
    let address = broker(move |address, request| {
        let mut codes = codes.lock().unwrap();
        let code = match codes.front() {
            Some((key, code)) if *key == request.key => {
                let code = *code;
                codes.pop_front();
                code
            }
            _ => 0,
        };
        let error = code.to_be_bytes();
        let (word, body) = match request.key {
            API_VERSIONS => return Answer::Body(versions()),
            METADATA => return Answer::Body(metadata("127.0.0.1", address.port(), "t", 0)),
            FIND => {
                let place = [&int(1)[..], &text("127.0.0.1"), &int(address.port().into())].concat();
                ("find".to_owned(), [&int(0)[..], &error, &[0xff, 0xff], &place].concat())
            }
            INIT => {
                let mut all = noted.lock().unwrap();
                let epoch = all.iter().filter(|word| word.starts_with("init")).count() as i16;
                let has_id = request.body[1..].starts_with(b"\x03tx");
                all.push(format!("init {has_id} {code}"));
                let identity = [&7_i64.to_be_bytes()[..], &epoch.to_be_bytes()].concat();
                return Answer::Body([&[0][..], &int(0), &error, &identity, &[0]].concat());
            }
            ADD => {
                assert!(request.body.starts_with(&text("tx")), "{request:?}");
                let partition = [&int(0)[..], &error].concat();
                let body = [&int(0)[..], &int(1), &text("t"), &int(1), &partition].concat();
                (format!("add {code}"), body)
            }
            END => {
                let commits = request.body.last() == Some(&1);
                (format!("end {commits} {code}"), [&int(0)[..], &error].concat())
            }
            PRODUCE => {
                assert!(request.body.starts_with(&text("tx")), "the transactional id");
                // Behind the identifier, acknowledgements, time-out, topic, partition and length
                // stand 21 bytes of the batch, and its attributes.
                assert_eq!(request.body[50..52], [0, 0x10], "a batch of a transaction");
                (format!("produce {code}"), produced("t", code))
            }
            key => panic!("request {key}"),
        };
        noted.lock().unwrap().push(word);
        Answer::Body(body)
    });
    (address, seen)
}

fn begin(client: &mut Client, number: u64) {
    client.stream.command(number, BrokerCommand::BeginTransaction { id: "tx" }).unwrap();
}

fn commit(client: &mut Client, number: u64) {
    client.stream.command(number, BrokerCommand::CommitTransaction).unwrap();
}

async fn next(client: &mut Client, count: usize) -> Vec<String> {
    let (found, end) = answers(client, count).await;
    assert_eq!(end, None, "{found:?}");
    words(&found)
}

fn seen(seen: &Seen) -> Vec<String> {
    seen.lock().unwrap().clone()
}

#[test]
fn records_are_sent_between_the_partition_and_the_commit() {
    let (address, requests) = coordinator(&[]);
    run(async {
        let mut client = open(address, KafkaSettings::default()).await;
        for round in 0..2 {
            begin(&mut client, 10 * round + 1);
            assert_eq!(next(&mut client, 1).await, [format!("{} OK", 10 * round + 1)]);
            publish(&mut client, 10 * round + 2, b"x").unwrap();
            publish(&mut client, 10 * round + 3, b"y").unwrap();
            commit(&mut client, 10 * round + 4);
            let wanted = [2, 3, 4].map(|number| format!("{} OK", 10 * round + number));
            assert_eq!(next(&mut client, 3).await, wanted, "the commit is answered last");
        }
        // Nothing was sent: there is nothing to commit.
        begin(&mut client, 31);
        assert_eq!(next(&mut client, 1).await, ["31 OK"]);
        commit(&mut client, 32);
        assert_eq!(next(&mut client, 1).await, ["32 OK"]);
    });
    let one = ["add 0", "produce 0", "end true 0"];
    assert_eq!(seen(&requests), [&["find", "init true 0"][..], &one, &one].concat());
}

#[test]
fn a_refused_record_makes_the_commit_an_abort() {
    // MESSAGE_TOO_LARGE.
    let (address, requests) = coordinator(&[(PRODUCE, 10)]);
    run(async {
        let mut client = open(address, KafkaSettings::default()).await;
        begin(&mut client, 1);
        assert_eq!(next(&mut client, 1).await, ["1 OK"]);
        publish(&mut client, 2, b"x").unwrap();
        assert_eq!(next(&mut client, 1).await, ["2 MESSAGE_TOO_LARGE"]);
        publish(&mut client, 3, b"y").unwrap();
        assert_eq!(next(&mut client, 1).await, ["3 MESSAGE_TOO_LARGE"], "it cannot be committed");
        commit(&mut client, 4);
        assert_eq!(next(&mut client, 1).await, ["4 MESSAGE_TOO_LARGE"]);
        // The next one has another epoch, so that its records begin at number 0.
        begin(&mut client, 5);
        assert_eq!(next(&mut client, 1).await, ["5 OK"]);
        publish(&mut client, 6, b"z").unwrap();
        commit(&mut client, 7);
        assert_eq!(next(&mut client, 2).await, ["6 OK", "7 OK"]);
    });
    let first = ["find", "init true 0", "add 0", "produce 10", "end false 0"];
    let then = ["init true 0", "add 0", "produce 0", "end true 0"];
    assert_eq!(seen(&requests), [&first[..], &then].concat());
}

#[test]
fn what_passes_is_asked_again() {
    // The coordinator loads, has not ended the last transaction, has moved, is slow.
    let codes = [(FIND, 15), (INIT, 51), (INIT, 14), (ADD, 51), (ADD, 16), (END, 51), (END, 7)];
    let (address, requests) = coordinator(&codes);
    run(async {
        let mut client = open(address, KafkaSettings::default()).await;
        begin(&mut client, 1);
        assert_eq!(next(&mut client, 1).await, ["1 OK"]);
        publish(&mut client, 2, b"x").unwrap();
        commit(&mut client, 3);
        assert_eq!(next(&mut client, 2).await, ["2 OK", "3 OK"]);
    });
    let begun = ["find", "find", "init true 51", "init true 14", "find", "init true 0"];
    let added = ["add 51", "add 16", "find", "add 0", "produce 0"];
    let ended = ["end true 51", "end true 7", "end true 0"];
    assert_eq!(seen(&requests), [&begun[..], &added, &ended].concat());
}

#[test]
fn a_transaction_that_is_left_open_is_aborted() {
    let (address, requests) = coordinator(&[]);
    run(async {
        let mut client = open(address, KafkaSettings::default()).await;
        begin(&mut client, 1);
        assert_eq!(next(&mut client, 1).await, ["1 OK"]);
        publish(&mut client, 2, b"x").unwrap();
        assert_eq!(next(&mut client, 1).await, ["2 OK"]);
        // The iteration ended; the next one begins.
        begin(&mut client, 3);
        assert_eq!(next(&mut client, 1).await, ["3 OK"]);
        publish(&mut client, 4, b"y").unwrap();
        client.stream.close(1_000, "");
        let (found, end) = answers(&mut client, 9).await;
        assert_eq!((words(&found), end.unwrap().failure), (vec!["4 OK".to_owned()], None));
    });
    let first = ["find", "init true 0", "add 0", "produce 0", "end false 0"];
    assert_eq!(seen(&requests), [&first[..], &["add 0", "produce 0", "end false 0"]].concat());
}

#[test]
fn a_begin_takes_the_place_of_a_command_whose_step_timed_out() {
    let (address, requests) = coordinator(&[]);
    run(async {
        let mut client = open(address, KafkaSettings::default()).await;
        begin(&mut client, 1);
        begin(&mut client, 2);
        assert_eq!(next(&mut client, 1).await, ["2 OK"]);
        publish(&mut client, 3, b"x").unwrap();
        assert_eq!(next(&mut client, 1).await, ["3 OK"]);
        commit(&mut client, 4);
        begin(&mut client, 5);
        assert_eq!(next(&mut client, 1).await, ["5 OK"]);
    });
    let all = ["find", "init true 0", "add 0", "produce 0", "end false 0"];
    assert_eq!(seen(&requests), all, "what was not committed in time is aborted");
}

#[test]
fn a_message_of_a_transaction_that_another_session_began_is_refused() {
    let (address, requests) = coordinator(&[]);
    run(async {
        let mut client = open(address, KafkaSettings::default()).await;
        let options =
            PublishOptions { is_confirmed: true, is_transacted: true, ..PublishOptions::default() };
        let command = PublishCommand {
            destination: "t",
            payload: b"x",
            headers: &[],
            key: None,
            partition: None,
            options: &options,
        };
        client.stream.command(1, BrokerCommand::Publish(command)).unwrap();
        commit(&mut client, 2);
        let wanted = ["1 INVALID_TXN_STATE", "2 INVALID_TXN_STATE"];
        assert_eq!(next(&mut client, 2).await, wanted);
    });
    assert!(seen(&requests).is_empty());
}

#[test]
fn a_fenced_producer_says_so_and_begins_anew() {
    // PRODUCER_FENCED, and a coordinator that refuses the partition.
    let (address, requests) = coordinator(&[(END, 90), (ADD, 29)]);
    run(async {
        let mut client = open(address, KafkaSettings::default()).await;
        begin(&mut client, 1);
        assert_eq!(next(&mut client, 1).await, ["1 OK"]);
        publish(&mut client, 2, b"x").unwrap();
        commit(&mut client, 3);
        assert_eq!(next(&mut client, 2).await, ["2 OK", "3 PRODUCER_FENCED"]);
        begin(&mut client, 4);
        assert_eq!(next(&mut client, 1).await, ["4 OK"]);
        publish(&mut client, 5, b"y").unwrap();
        assert_eq!(next(&mut client, 1).await, ["5 TOPIC_AUTHORIZATION_FAILED"]);
        commit(&mut client, 6);
        assert_eq!(next(&mut client, 1).await, ["6 TOPIC_AUTHORIZATION_FAILED"]);
    });
    let first = ["find", "init true 0", "add 0", "produce 0", "end true 90"];
    assert_eq!(seen(&requests), [&first[..], &["init true 0", "add 29"]].concat());
}

#[test]
fn a_transaction_that_may_not_begin_is_answered() {
    // TRANSACTIONAL_ID_AUTHORIZATION_FAILED.
    let (address, requests) = coordinator(&[(FIND, 53), (INIT, 53)]);
    run(async {
        let mut client = open(address, KafkaSettings::default()).await;
        for number in [1, 2] {
            begin(&mut client, number);
            let wanted = format!("{number} TRANSACTIONAL_ID_AUTHORIZATION_FAILED");
            assert_eq!(next(&mut client, 1).await, [wanted]);
        }
        // None is open.
        publish(&mut client, 3, b"x").unwrap();
        assert_eq!(next(&mut client, 1).await, ["3 INVALID_TXN_STATE"]);
        commit(&mut client, 4);
        assert_eq!(next(&mut client, 1).await, ["4 INVALID_TXN_STATE"]);
        assert_eq!(publish(&mut client, 5, &vec![0; 2 << 20]), Err(FailureKind::MessageTooLarge));
    });
    assert_eq!(seen(&requests), ["find", "find", "init true 53"]);
}

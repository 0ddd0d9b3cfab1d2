//! Tests of the dialects with bytes as servers send them, split at every byte.

use super::command_queue::{ChannelSubscription, CommandQueue};
use super::dialect::PubSubDialect;
use super::postgres::PostgresDialect;
use super::redis::RedisDialect;
use crate::clock::Time;
use crate::plan::broker::PublishOptions;
use crate::protocol::{Protocol, status};
use crate::stats::FailureKind;
use crate::wire::broker::command::PublishCommand;

/// What a dialect made of bytes.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    /// Subscription, channel and payload of each message.
    messages: Vec<(Option<u32>, String, String)>,
    /// Number and status of each answer.
    answers: Vec<(u64, u16)>,
    end: Option<u16>,
}

fn feed(
    mut dialect: impl PubSubDialect,
    waiting: &[bool],
    bytes: &[u8],
    size: usize,
) -> Result<Seen, FailureKind> {
    let mut commands = CommandQueue::default();
    for (number, publishes) in waiting.iter().enumerate() {
        commands.add(number as u64 + 1, *publishes);
    }
    let named = |number, source: &str| ChannelSubscription { number, source: source.into() };
    commands.subscriptions = vec![named(1, "news"), named(2, "n*")];
    let mut seen = Seen::default();
    for piece in bytes.chunks(size) {
        let mut receive = |_: Time, message: crate::wire::message_stream::Message<'_>| {
            let delivery = message.delivery.unwrap();
            let payload = String::from_utf8_lossy(message.payload).into_owned();
            seen.messages.push((delivery.subscription, delivery.topic.to_owned(), payload));
        };
        let end = dialect.feed(piece, Time(1), &mut commands, &mut receive)?;
        seen.end = seen.end.or(end);
    }
    seen.answers = commands.answers.iter().map(|one| (one.number, one.status)).collect();
    Ok(seen)
}

fn text(words: [&str; 2]) -> (Option<u32>, String, String) {
    (Some(1), words[0].to_owned(), words[1].to_owned())
}

#[test]
fn messages_and_replies_of_redis_interleave() {
    let bytes = b">3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n\
        >3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n:3\r\n\
        >4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$0\r\n\r\n-NOPERM no\r\n";
    let status = |word| status::of_word(Protocol::Redis, word).unwrap();
    for size in [1, 2, 3, 7, bytes.len()] {
        let seen = feed(RedisDialect::new(10), &[false, true, true], bytes, size).unwrap();
        let by_pattern = (Some(2), "news".to_owned(), String::new());
        assert_eq!(seen.messages, [text(["news", "hi"]), by_pattern]);
        let answers = [(1, status("OK")), (2, status("OK")), (3, status("NOPERM"))];
        assert_eq!(seen.answers, answers, "{size}");
    }
    // A reply that nothing waits for, the answer to another command, and no RESP.
    for bytes in [&b":1\r\n"[..], b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", b"x\r\n"] {
        assert_eq!(feed(RedisDialect::new(10), &[], bytes, 9), Err(FailureKind::BadReply));
    }
    let large = b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$99999999\r\n";
    let end = feed(RedisDialect::new(10), &[], large, 9);
    assert_eq!(end, Err(FailureKind::MessageTooLarge));
}

fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32 + 4;
    [&[kind][..], &length.to_be_bytes(), payload].concat()
}

#[test]
fn notifications_of_postgresql_come_between_answers() {
    let error = message(b'E', b"SERROR\0VERROR\0C22023\0Mpayload string too long\0\0");
    let bytes = [
        message(b'C', b"LISTEN\0"),
        message(b'Z', b"I"),
        message(b'A', b"\0\0\0\x07news\0hi\0"),
        error.clone(),
        message(b'Z', b"I"),
        message(b'A', b"\0\0\0\x07other\0\0"),
        message(b'E', b"SFATAL\0VFATAL\0C57P01\0Mterminating\0\0"),
    ]
    .concat();
    for size in [1, 2, 5, bytes.len()] {
        let seen = feed(PostgresDialect::default(), &[false, true], &bytes, size).unwrap();
        assert_eq!(seen.messages, [text(["news", "hi"]), (None, "other".into(), String::new())]);
        let statuses = [b"00000", b"22023"].map(|code| status::of_sqlstate(code));
        let ok = status::of_code(Protocol::Postgres, 0);
        assert_eq!(seen.answers, [(1, ok), (2, statuses[1])], "{size}");
        assert_eq!(seen.end, Some(status::of_sqlstate(b"57P01")));
    }
    let early = message(b'Z', b"I");
    assert_eq!(feed(PostgresDialect::default(), &[], &early, 9), Err(FailureKind::BadReply));
}

#[test]
fn commands_are_what_the_servers_expect() {
    let options = PublishOptions::default();
    let publish = PublishCommand {
        destination: "news",
        payload: b"a\r\nb",
        headers: &[],
        key: None,
        partition: None,
        options: &options,
    };
    let (mut redis, mut out) = (RedisDialect::new(10), Vec::new());
    redis.subscribe("news", &mut out).unwrap();
    redis.subscribe("n[ew]*", &mut out).unwrap();
    redis.publish(&publish, &mut out).unwrap();
    let expected = "*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nnews\r\n*2\r\n$10\r\nPSUBSCRIBE\r\n\
                    $6\r\nn[ew]*\r\n*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$4\r\na\r\nb\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let mut out = Vec::new();
    PostgresDialect::default().subscribe("a\"b", &mut out).unwrap();
    assert_eq!(out, message(b'Q', b"listen \"a\"\"b\"\0"));
    assert!(PostgresDialect::default().subscribe("a\0b", &mut Vec::new()).is_err());
}

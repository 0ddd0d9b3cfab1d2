//! Channels, whole and at every split.

use std::rc::Rc;

use super::tests::{close, frame, header_with, long, server_method, short};
use crate::clock::Time;
use crate::plan::broker::{PublishOptions, SubscribeOptions};
use crate::protocol::status;
use crate::stats::FailureKind;
use crate::wire::broker::amqp::channel::{ChannelPhase, ChannelState};
use crate::wire::broker::amqp::fault::AmqpFault;
use crate::wire::broker::amqp::frames::{AmqpFrames, BODY, HEADER, METHOD};
use crate::wire::broker::amqp::limits::AmqpLimits;
use crate::wire::broker::command::{DeliverySettlement, DeliveryVerdict, PublishCommand};
use crate::wire::link::out_queue::OutQueue;

/// The longest message accepted.
const MAX_MESSAGE: u64 = 100;

/// A channel, and what it has brought.
pub(super) struct Driven {
    state: ChannelState,
    queue: OutQueue,
    frames: AmqpFrames,
    /// Subscription, delivery tag, whether redelivered, topic, headers, payload.
    messages: Vec<(Option<u32>, u64, bool, String, String, String)>,
}

/// A message without headers.
fn plain<'a>(
    destination: &'a str,
    payload: &'a [u8],
    options: &'a PublishOptions,
) -> PublishCommand<'a> {
    PublishCommand { destination, payload, headers: &[], key: None, partition: None, options }
}

impl Driven {
    pub(super) fn new() -> Self {
        let limits = AmqpLimits::agreed(1, 4_096, 0);
        Self {
            state: ChannelState::new(limits, MAX_MESSAGE, Rc::default()),
            queue: OutQueue::default(),
            frames: AmqpFrames::new(limits.frame_max),
            messages: Vec::new(),
        }
    }

    pub(super) fn publish(&mut self, number: u64, destination: &str, options: &PublishOptions) {
        let payload = number.to_be_bytes();
        let command = plain(destination, &payload, options);
        self.state.publish(number, &command, &mut self.queue).unwrap();
    }

    fn subscribe(&mut self, number: u64, subscription: u32, options: &SubscribeOptions) {
        let command = (number, subscription);
        self.state.subscribe(command, "q", options, &mut self.queue).unwrap();
    }

    /// Reads select-ok and `bytes` in pieces. Returns the answers, and the end.
    pub(super) fn read(&mut self, bytes: &[u8], size: usize) -> (Vec<String>, Option<String>) {
        let bytes = [&server_method(1, (85, 11), &[]), bytes].concat();
        self.queue.clear();
        for piece in bytes.chunks(size) {
            let Self { state, queue, frames, messages } = self;
            let fed = frames.feed(piece, &mut |frame| {
                state.take(Time(7), &frame, queue, &mut |at, message| {
                    assert_eq!(at, Time(7));
                    let delivery = message.delivery.unwrap();
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    messages.push((
                        delivery.subscription,
                        delivery.delivery,
                        delivery.is_redelivered,
                        delivery.topic.to_owned(),
                        text(delivery.headers),
                        text(message.payload),
                    ));
                })
            });
            if let Err(fault) = fed {
                self.state.fail(fault, &mut self.queue);
                break;
            }
        }
        let answers = self.state.answers.drain(..).map(|answer| {
            assert_eq!(answer.at, Time(7));
            let word = status::word(answer.status);
            format!("{} {word} {}", answer.number, answer.reason).trim_end().to_owned()
        });
        let answers = answers.collect();
        let ChannelPhase::Ended(end) = self.state.phase else { return (answers, None) };
        let side = if end.is_ours { "us" } else { "target" };
        let end = match (end.failure, end.code) {
            (Some(kind), _) => format!("{} by {side}", kind.name()),
            (None, code) => format!("{} by {side}", code.map_or("none".into(), status::word)),
        };
        (answers, Some(end))
    }
}

pub(super) fn ack(tag: u64, is_multiple: bool) -> Vec<u8> {
    server_method(1, (60, 80), &[&tag.to_be_bytes(), &[u8::from(is_multiple)]])
}

/// basic.deliver.
fn deliver(consumer: &str, tag: u64, key: &str) -> Vec<u8> {
    let tag = tag.to_be_bytes();
    server_method(1, (60, 60), &[&short(consumer), &tag, &[1], &short("ex"), &short(key)])
}

/// Of a message that is confirmed, or returned.
pub(super) const CONFIRMED: PublishOptions = PublishOptions {
    qos: 0,
    is_retained: false,
    exchange: String::new(),
    is_persistent: false,
    is_mandatory: true,
    priority: None,
    expiration: None,
    content_type: None,
    is_transacted: false,
    is_confirmed: true,
};

#[test]
fn deliveries_are_joined_however_they_are_split() {
    let consume_ok = |tag: &str| server_method(1, (60, 21), &[&short(tag)]);
    let table = [&b"\x01aS"[..], &long(b"b")].concat();
    let bytes = [
        consume_ok("manada-4"),
        consume_ok("manada-5"),
        deliver("manada-4", 1, "key"),
        frame(HEADER, 1, &header_with(6, &table)),
        frame(BODY, 1, b"abcd"),
        frame(8, 0, &[]),
        frame(BODY, 1, b""),
        frame(BODY, 1, b"ef"),
        deliver("manada-5", 2, "key"),
        frame(HEADER, 1, &header_with(0, b"")),
        deliver("other", 3, "key\u{e9}"),
        frame(HEADER, 1, &header_with(1, b"")),
        frame(BODY, 1, b"x"),
    ]
    .concat();
    let manual = SubscribeOptions { prefetch: 10, ..SubscribeOptions::default() };
    let automatic = SubscribeOptions { is_automatic: true, is_exclusive: true, ..manual.clone() };
    for size in 1..=bytes.len() {
        let mut driven = Driven::new();
        driven.subscribe(8, 4, &manual);
        driven.subscribe(9, 5, &automatic);
        let qos = server_method(1, (60, 10), &[&[0, 0, 0, 0, 0, 10, 0]]);
        let consume = |tag: &str, bits: u8| {
            server_method(1, (60, 20), &[&[0, 0], &short("q"), &short(tag), &[bits, 0, 0, 0, 0]])
        };
        let sent = [qos, consume("manada-4", 0), consume("manada-5", 0b110)].concat();
        assert_eq!(driven.queue.bytes, sent);
        let answers = ["8 OK", "9 OK"].map(str::to_owned).to_vec();
        assert_eq!(driven.read(&bytes, size), (answers, None), "by {size}");
        let message = |from: Option<u32>, tag: u64, topic: &str, headers: &str, payload: &str| {
            let [topic, headers, payload] = [topic, headers, payload].map(str::to_owned);
            (from, tag, true, topic, headers, payload)
        };
        let plain = "exchange: ex\r\n";
        let wanted = [
            message(Some(4), 1, "key", "exchange: ex\r\na: b\r\n", "abcdef"),
            message(Some(5), 0, "key", plain, ""),
            message(None, 3, "key\u{e9}", plain, "x"),
        ];
        assert_eq!(driven.messages, wanted, "by {size}");
    }
}

#[test]
fn messages_beyond_the_bound_end_the_session() {
    for (length, wanted) in [
        (MAX_MESSAGE, None),
        (MAX_MESSAGE + 1, Some("message_too_large by us".to_owned())),
        (u64::MAX, Some("message_too_large by us".to_owned())),
    ] {
        let bytes = [deliver("x", 1, "k"), frame(HEADER, 1, &header_with(length, b""))].concat();
        let mut driven = Driven::new();
        assert_eq!(driven.read(&bytes, bytes.len()).1, wanted, "{length}");
        let close = server_method(0, (10, 50), &[&311_u16.to_be_bytes(), &[0; 5]]);
        assert_eq!(driven.queue.bytes.ends_with(&close), wanted.is_some());
    }
    // Of a message that was returned only the beginning is kept.
    let mut driven = Driven::new();
    let payload = vec![7; 3_000];
    let options = CONFIRMED;
    let command = plain("k", &payload, &options);
    driven.state.publish(1, &command, &mut driven.queue).unwrap();
    let arguments: [&[u8]; 4] = [&[1, 56], &short(""), &short(""), &short("k")];
    let bytes = [
        server_method(1, (60, 50), &arguments),
        frame(HEADER, 1, &header_with(3_000, b"")),
        frame(BODY, 1, &payload[..100]),
        frame(BODY, 1, &payload[100..]),
        ack(1, false),
    ]
    .concat();
    assert_eq!(driven.read(&bytes, 1_000), (vec!["1 NO_ROUTE".to_owned()], None));
}

#[test]
fn what_breaks_the_rules_closes_the_connection_with_a_code() {
    let begun = [deliver("x", 1, "k"), frame(HEADER, 1, &header_with(4, b""))].concat();
    let header = frame(HEADER, 1, &header_with(1, b""));
    let wrong_class = frame(HEADER, 1, &[0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
    for (bytes, code) in [
        (frame(BODY, 1, b"x"), 505),
        (header.clone(), 505),
        ([&begun[..], &frame(BODY, 1, b"12345")].concat(), 505),
        ([&begun[..], &header].concat(), 505),
        ([&begun[..], &ack(1, true)].concat(), 505),
        ([deliver("x", 1, "k"), frame(BODY, 1, b"x")].concat(), 505),
        ([deliver("x", 1, "k"), wrong_class].concat(), 505),
        (server_method(1, (85, 11), &[]), 505),
        (server_method(1, (60, 21), &[&short("manada-9")]), 505),
        (server_method(1, (99, 1), &[]), 505),
        (server_method(0, (60, 80), &[&[0; 9]]), 505),
        (server_method(0, (10, 51), &[]), 505),
        (frame(8, 1, &[]), 505),
        (server_method(2, (60, 80), &[&[0; 9]]), 504),
        (frame(METHOD, 1, &[0, 60, 0]), 502),
        (server_method(1, (60, 80), &[&[0; 8]]), 502),
        (server_method(1, (60, 60), &[&[200, 1]]), 502),
        (b"\x01\0\x01\0\0\0\x01x\0".to_vec(), 501),
        (b"\x09".to_vec(), 501),
        (frame(BODY, 1, &[0; 5_000]), 501),
    ] {
        for size in [1, 2, 7, 100, bytes.len() + 12] {
            let mut driven = Driven::new();
            let (answers, end) = driven.read(&bytes, size);
            assert_eq!(end.as_deref(), Some("bad_reply by us"), "{code}: {bytes:?} by {size}");
            assert!(answers.is_empty());
            let code: [u8; 2] = u16::to_be_bytes(code);
            let close = server_method(0, (10, 50), &[&code, &[0; 5]]);
            assert_eq!(driven.queue.bytes, close, "{bytes:?}");
        }
    }
    // A session has to begin with select-ok.
    let mut driven = Driven::new();
    let taken = driven.frames.feed(&ack(1, true), &mut |frame| {
        driven.state.take(Time(7), &frame, &mut driven.queue, &mut |_, _| {})
    });
    assert_eq!(taken, Err(AmqpFault::Unexpected));
}

#[test]
fn a_broker_can_pause_cancel_and_close() {
    let flow = |is_active: u8| server_method(1, (20, 20), &[&[is_active]]);
    let flow_ok = |is_active: u8| server_method(1, (20, 21), &[&[is_active]]);
    let blocked = server_method(0, (10, 60), &[&short("low on memory")]);
    let unblocked = server_method(0, (10, 61), &[]);
    let cancel = |no_wait: u8| server_method(1, (60, 30), &[&short("manada-4"), &[no_wait]]);
    let cancelled = vec!["8 CONSUMER_CANCELLED".to_owned()];
    let text = "NOT_FOUND - no queue 'q' in vhost '/'";
    let channel_closed = [
        server_method(1, (20, 41), &[]),
        server_method(0, (10, 50), &[&[0, 200], &short("the channel was closed"), &[0; 4]]),
    ]
    .concat();
    let end = |text: &str| Some(text.to_owned());
    for (bytes, answers, ended, sent, is_held_back) in [
        (blocked.clone(), vec![], None, vec![], true),
        ([&blocked[..], &unblocked].concat(), vec![], None, vec![], false),
        (flow(0), vec![], None, flow_ok(0), true),
        ([flow(0), flow(1)].concat(), vec![], None, [flow_ok(0), flow_ok(1)].concat(), false),
        (cancel(1), cancelled.clone(), None, vec![], false),
        (cancel(0), cancelled, None, server_method(1, (60, 31), &[&short("manada-4")]), false),
        (
            close(1, 404, text, [0, 60, 0, 20]),
            vec![format!("8 NOT_FOUND {text}")],
            end("NOT_FOUND by target"),
            channel_closed.clone(),
            false,
        ),
        (
            close(1, 406, "unknown delivery tag 7", [0, 60, 0, 80]),
            vec![],
            end("PRECONDITION_FAILED by target"),
            channel_closed,
            false,
        ),
        (
            close(0, 320, "shutdown", [0; 4]),
            vec![],
            end("CONNECTION_FORCED by target"),
            server_method(0, (10, 51), &[]),
            false,
        ),
    ] {
        for size in 1..=bytes.len() {
            let mut driven = Driven::new();
            driven.subscribe(8, 4, &SubscribeOptions::default());
            assert_eq!(driven.read(&bytes, size), (answers.clone(), ended.clone()), "by {size}");
            assert_eq!(driven.queue.bytes, sent);
            assert_eq!(driven.state.is_held_back(), is_held_back);
        }
    }
}

#[test]
fn a_close_of_ours_ends_with_its_answer_or_a_failure() {
    let closing = || {
        let mut driven = Driven::new();
        driven.publish(1, "k", &CONFIRMED);
        driven.state.phase = ChannelPhase::Closing(Time(1));
        driven
    };
    let bytes = [ack(1, false), server_method(0, (10, 51), &[])].concat();
    let found = closing().read(&bytes, bytes.len());
    assert_eq!(found, (vec!["1 OK".to_owned()], Some("none by us".to_owned())));
    for (kind, wanted) in [
        (FailureKind::AbnormalClose, "none by us"),
        (FailureKind::Reset, "none by us"),
        (FailureKind::NoClose, "no_close by us"),
    ] {
        let mut driven = closing();
        driven.state.end_for(kind);
        assert_eq!(driven.read(b"", 1).1.as_deref(), Some(wanted));
    }
    let mut driven = Driven::new();
    driven.state.end_for(FailureKind::NoPong);
    driven.state.end_for(FailureKind::Reset);
    assert_eq!(driven.read(b"", 1).1.as_deref(), Some("no_pong by us"));
}

#[test]
fn a_broker_that_does_not_read_gets_a_bounded_number_of_answers() {
    let flood = server_method(1, (20, 20), &[&[1]]).repeat(30_000);
    let mut driven = Driven::new();
    let (_, end) = driven.read(&flood, 60_000);
    assert_eq!(end.as_deref(), Some("no_room_for_message by us"));
    assert!(driven.queue.waiting() < 300_000);
}

#[test]
fn settlements_are_ack_reject_and_nack() {
    let sent = |tag: u64, number: u16, bits: u8| {
        server_method(1, (60, number), &[&tag.to_be_bytes(), &[bits]])
    };
    let (accepted, rejected, requeued) =
        (DeliveryVerdict::Accepted, DeliveryVerdict::Rejected, DeliveryVerdict::Requeued);
    for (verdict, is_multiple, wanted) in [
        (accepted, false, sent(9, 80, 0)),
        (accepted, true, sent(9, 80, 1)),
        (rejected, false, sent(9, 90, 0)),
        (requeued, false, sent(9, 90, 1)),
        (rejected, true, sent(9, 120, 1)),
        (requeued, true, sent(9, 120, 3)),
    ] {
        let (mut driven, mut queue) = (Driven::new(), OutQueue::default());
        let settlement = DeliverySettlement { delivery: 9, is_multiple, verdict };
        driven.state.settle(&DeliverySettlement { delivery: 0, ..settlement }, &mut queue);
        assert!(queue.bytes.is_empty());
        driven.state.settle(&settlement, &mut queue);
        assert_eq!(queue.bytes, wanted);
    }
    // Deliveries of two consumers are counted together, and settled apart.
    for is_second in [false, true] {
        let mut driven = Driven::new();
        driven.subscribe(1, 1, &SubscribeOptions::default());
        if is_second {
            driven.subscribe(2, 2, &SubscribeOptions::default());
        }
        let empty = frame(HEADER, 1, &header_with(0, b""));
        let to = |subscription: u32, tag: u64| {
            [deliver(&format!("manada-{subscription}"), tag, "k"), empty.clone()].concat()
        };
        let other = if is_second { 2 } else { 1 };
        let bytes = [to(1, 1), to(other, 2), to(1, 3), to(1, 4)].concat();
        assert_eq!(driven.read(&bytes, 50).1, None);
        let mut settle = |delivery: u64, is_multiple: bool| {
            let settlement = DeliverySettlement { delivery, is_multiple, verdict: accepted };
            driven.state.settle(&settlement, &mut driven.queue);
            std::mem::take(&mut driven.queue).bytes
        };
        if is_second {
            assert_eq!(settle(3, true), [sent(1, 80, 0), sent(3, 80, 0)].concat());
            assert_eq!(settle(2, false), sent(2, 80, 0));
        } else {
            assert_eq!(settle(3, true), sent(3, 80, 1));
        }
        assert_eq!(settle(4, true), sent(4, 80, u8::from(!is_second)));
    }
}

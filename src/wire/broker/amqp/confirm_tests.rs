//! Confirmations and returns, whole and at every split.

use super::frames::{BODY, HEADER};
use super::session_tests::{CONFIRMED, Driven, ack};
use super::tests::{frame, server_method, short};
use crate::plan::broker::PublishOptions;

fn nack(tag: u64, is_multiple: bool) -> Vec<u8> {
    server_method(1, (60, 120), &[&tag.to_be_bytes(), &[u8::from(is_multiple)]])
}

/// basic.return of a message of `publish`, with header and body.
fn returned(code: u16, number: u64, key: &str) -> Vec<u8> {
    let code = code.to_be_bytes();
    let arguments: [&[u8]; 4] = [&code, &short("NO_ROUTE"), &short(""), &short(key)];
    let body = number.to_be_bytes();
    [
        server_method(1, (60, 50), &arguments),
        frame(HEADER, 1, &[&b"\0\x3c\0\0"[..], &8_u64.to_be_bytes(), &[0, 0]].concat()),
        frame(BODY, 1, &body[..3]),
        frame(BODY, 1, &body[3..]),
    ]
    .concat()
}

#[test]
fn each_publish_has_its_answer_however_confirmations_are_joined_and_split() {
    let ok = |numbers: &[u64]| numbers.iter().map(|n| format!("{n} OK")).collect::<Vec<_>>();
    let failed = Some("bad_reply by us".to_owned());
    for (bytes, answers, end) in [
        (ack(1, false), ok(&[10]), None),
        (ack(3, true), ok(&[10, 11, 12]), None),
        (ack(0, true), ok(&[10, 11, 12, 13, 14]), None),
        ([ack(2, false), ack(2, true)].concat(), ok(&[11, 10]), None),
        (
            [ack(2, true), ack(4, false), nack(5, true)].concat(),
            ["10 OK", "11 OK", "13 OK", "12 NACK", "14 NACK"].map(str::to_owned).to_vec(),
            None,
        ),
        ([ack(3, true), ack(2, true)].concat(), ok(&[10, 11, 12]), None),
        (
            [nack(1, false), ack(5, true)].concat(),
            { ["10 NACK", "11 OK", "12 OK", "13 OK", "14 OK"].map(str::to_owned).to_vec() },
            None,
        ),
        (
            [returned(312, 12, "k"), returned(313, 10, "k"), ack(5, true)].concat(),
            ["10 NO_CONSUMERS", "11 OK", "12 NO_ROUTE", "13 OK", "14 OK"]
                .map(str::to_owned)
                .to_vec(),
            None,
        ),
        // One that was not sent harms nothing.
        ([returned(312, 99, "k"), returned(312, 10, "x"), ack(1, false)].concat(), ok(&[10]), None),
        ([returned(312, 10, "k"), nack(1, false)].concat(), vec!["10 NACK".to_owned()], None),
        // Confirmed twice, never sent, or 0.
        ([ack(2, false), ack(2, false)].concat(), ok(&[11]), failed.clone()),
        ([ack(1, false), ack(1, false)].concat(), ok(&[10]), failed.clone()),
        (ack(6, false), ok(&[]), failed.clone()),
        (ack(6, true), ok(&[]), failed.clone()),
        (ack(u64::MAX, true), ok(&[]), failed.clone()),
        (ack(0, false), ok(&[]), failed.clone()),
    ] {
        for size in 1..=bytes.len() {
            let mut driven = Driven::new();
            (10..15).for_each(|number| driven.publish(number, "k", &CONFIRMED));
            assert_eq!(driven.read(&bytes, size), (answers.clone(), end.clone()), "by {size}");
        }
    }
}

#[test]
fn publishes_without_confirmation_count_and_have_no_answer() {
    let mut driven = Driven::new();
    driven.publish(1, "k", &PublishOptions::default());
    driven.publish(2, "k", &CONFIRMED);
    let acks = ack(2, true);
    assert_eq!(driven.read(&acks, acks.len()), (vec!["2 OK".to_owned()], None));
}

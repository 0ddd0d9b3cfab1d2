//! Packets of MQTT as data: what is sent, and what is read from hostile bytes.

use std::time::Duration;

use super::connack::{Connack, ConnackReader};
use super::connect::{ConnectParts, WillParts, connect};
use super::packet::{MqttPacket, PacketReader};
use super::publish::DeliveredPublish;
use super::{encode, reason};
use crate::clock::Time;
use crate::hex::hex;
use crate::plan::broker::{MqttSettings, MqttVersion, PublishOptions};
use crate::protocol::status;
use crate::stats::FailureKind;
use crate::wire::ResponseCapture;
use crate::wire::broker::command::PublishCommand;
use crate::wire::response_reader::ReadsResponse;

fn settings(version: MqttVersion) -> MqttSettings {
    MqttSettings { version, ..MqttSettings::default() }
}

/// All packets in bytes that arrive in pieces of this length.
fn packets(bytes: &[u8], piece: usize, max: u64) -> Result<Vec<(u8, Vec<u8>)>, FailureKind> {
    let (mut reader, mut found) = (PacketReader::new(max), Vec::new());
    for piece in bytes.chunks(piece) {
        reader.feed(piece, &mut |packet: MqttPacket<'_>| {
            found.push((packet.first, packet.body.to_vec()));
            Ok(())
        })?;
    }
    Ok(found)
}

#[test]
fn packets_are_the_same_however_they_are_split() {
    let long = [&[0x30, 0xc8, 0x01][..], &[7; 200]].concat();
    let all = [&[0xd0, 0][..], &long, &[0x40, 2, 0, 9], &[0xd0, 0]].concat();
    let whole = packets(&all, all.len(), 1_000).unwrap();
    assert_eq!(whole.len(), 4);
    assert_eq!((whole[1].0, whole[1].1.len()), (0x30, 200));
    assert_eq!(whole[2], (0x40, vec![0, 9]));
    for piece in 1..all.len() {
        assert_eq!(packets(&all, piece, 1_000).unwrap(), whole, "pieces of {piece}");
    }
}

#[test]
fn lengths_beyond_bounds_are_errors_at_once() {
    for piece in [1, 2, 6] {
        let huge = [0x30, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(packets(&huge, piece, 1 << 20), Err(FailureKind::MessageTooLarge));
        let endless = [0x30, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(packets(&endless, piece, 1 << 20), Err(FailureKind::BadReply));
    }
    assert_eq!(packets(&[0x30, 3, 0, 1, b'a'], 9, 5).unwrap().len(), 1);
    assert_eq!(packets(&[0x30, 4, 0, 1, b'a', 0], 9, 5), Err(FailureKind::MessageTooLarge));
}

#[test]
fn connect_has_the_bytes_of_the_standard() {
    let mut out = Vec::new();
    let parts = ConnectParts { client_id: b"d7", ..ConnectParts::default() };
    connect(&mut out, &settings(MqttVersion::V311), &parts).unwrap();
    assert_eq!(hex(&out), "100e00044d5154540402003c00026437");
    let will = WillParts { topic: b"gone", payload: b"bye", qos: 1, is_retained: true };
    let parts =
        ConnectParts { client_id: b"", user: Some(b"u"), password: Some(b"p"), will: Some(will) };
    let settings = MqttSettings {
        session_expiry: Duration::from_secs(9),
        clean: false,
        max_packet: 4_096,
        ..settings(MqttVersion::V5)
    };
    out.clear();
    connect(&mut out, &settings, &parts).unwrap();
    // Flags: user, password, retained will of quality 1, no clean start.
    let expected = "102900044d51545405ec003c0a1100000009270000100000\
                    00000004676f6e650003627965000175000170";
    assert_eq!(hex(&out), expected);
    let long = vec![b'x'; 65_536];
    let parts = ConnectParts { client_id: &long, ..ConnectParts::default() };
    assert!(connect(&mut Vec::new(), &settings, &parts).is_err());
}

/// The bytes of a published message.
fn published(version: MqttVersion, options: &PublishOptions) -> Vec<u8> {
    let headers = [("a".to_owned(), "b".to_owned())];
    let command = PublishCommand {
        destination: "t/1",
        payload: b"hi",
        headers: &headers,
        key: None,
        partition: None,
        options,
    };
    let mut out = Vec::new();
    encode::publish(&mut out, version, 10, &command).unwrap();
    out
}

#[test]
fn a_message_is_read_as_it_was_published() {
    let options = PublishOptions {
        qos: 1,
        is_retained: true,
        content_type: Some("text/plain".to_owned()),
        expiration: Some(Duration::from_secs(5)),
        is_confirmed: true,
        ..PublishOptions::default()
    };
    for (version, headers) in [
        (MqttVersion::V311, "retain: 1\r\n"),
        (MqttVersion::V5, "content-type: text/plain\r\na: b\r\nretain: 1\r\n"),
    ] {
        let bytes = published(version, &options);
        let (first, body) = packets(&bytes, 3, 100).unwrap().remove(0);
        let packet = MqttPacket { first, body: &body };
        let read = DeliveredPublish::read(&packet, version).unwrap();
        assert_eq!((read.topic, read.qos, read.id, read.payload), ("t/1", 1, 10, &b"hi"[..]));
        assert_eq!(String::from_utf8_lossy(&read.headers), headers);
        assert!(!read.is_redelivered);
    }
    let plain = published(MqttVersion::V311, &PublishOptions::default());
    assert_eq!(hex(&plain), "30070003742f316869");
}

#[test]
fn deliveries_that_break_the_rules_are_errors() {
    let read = |first, body: &[u8]| {
        DeliveredPublish::read(&MqttPacket { first, body }, MqttVersion::V5).map(|_| ())
    };
    assert_eq!(read(0x30, b"\0\x01a\0"), Ok(()));
    for (first, body) in [
        (0x36, &b"\0\x01a\0\x01\0"[..]),        // quality 3
        (0x30, b"\0\x02a"),                     // a topic that is cut
        (0x30, b"\0\x01+\0"),                   // a wildcard
        (0x32, b"\0\x01a\0\0\0"),               // identifier 0
        (0x32, b"\0\x01a\0"),                   // no identifier
        (0x30, b"\0\x01a\x02\x7f\x00"),         // an unknown property
        (0x30, b"\0\x01a\xff\xff\xff\xff\xff"), // a length without an end
        (0x30, b"\0\x01a\x09\x26\0\x01x"),      // properties that are cut
    ] {
        assert_eq!(read(first, body), Err(FailureKind::BadReply), "{first:x} {body:?}");
    }
    assert_eq!(read(0x30, b"\0\x01\xff\0"), Err(FailureKind::InvalidUtf8));
    // Line breaks of a header do not make another one.
    let sneaky = b"\0\x01a\x0b\x26\0\x01x\0\x05y\r\nz:";
    let packet = MqttPacket { first: 0x30, body: sneaky };
    let read = DeliveredPublish::read(&packet, MqttVersion::V5).unwrap();
    assert_eq!(read.headers, b"x: y  z:\r\n");
}

#[test]
fn every_reason_has_its_word() {
    for (code, word) in [
        (0x00, "OK"),
        (0x01, "OK"),
        (0x10, "NO_MATCHING_SUBSCRIBERS"),
        (0x80, "UNSPECIFIED_ERROR"),
        (0x86, "BAD_USER_NAME_OR_PASSWORD"),
        (0x87, "NOT_AUTHORIZED"),
        (0x8e, "SESSION_TAKEN_OVER"),
        (0x97, "QUOTA_EXCEEDED"),
        (0xa2, "WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED"),
        (0xfe, "other"),
    ] {
        assert_eq!(status::word(reason::status_of(code)), word, "{code:x}");
        assert_eq!(status::is_error(reason::status_of(code)), code >= 0x80, "{code:x}");
    }
    let codes = [0, 1, 2, 3, 4, 5, 9].map(reason::of_return_code);
    assert_eq!(codes, [0, 0x84, 0x85, 0x88, 0x86, 0x87, 0x80]);
}

#[test]
fn a_session_begins_with_a_connack_however_it_is_split() {
    let accepted = b"\x20\x0b\0\0\x08\x21\0\x05\x27\0\0\x10\0\x30\x04\0\x01a\0";
    for piece in 1..=accepted.len() {
        let mut capture = ResponseCapture::default();
        let mut reader = ConnackReader::new(&settings(MqttVersion::V5));
        let mut is_whole = false;
        let mut fed = 0;
        for piece in accepted.chunks(piece) {
            reader.read_at(Time(7));
            fed += piece.len();
            is_whole = reader.feed(piece, &mut capture).unwrap();
            if is_whole {
                break;
            }
        }
        assert!(is_whole && reader.is_taken_over() && fed >= 13, "pieces of {piece}");
        assert_eq!(status::name(reader.status()), "mqtt OK");
        let taken = capture.take_over().unwrap();
        assert_eq!(taken.early.bytes, accepted[..fed], "the session reads it again");
    }
    let packet = MqttPacket { first: 0x20, body: &accepted[2..13] };
    let limits = Connack::read(&packet, MqttVersion::V5).unwrap().limits;
    assert_eq!((limits.receive_maximum, limits.max_packet), (5, 4_096));
}

#[test]
fn refusals_and_other_protocols_begin_no_session() {
    for (version, bytes, name) in [
        (MqttVersion::V311, &b"\x20\x02\0\x05"[..], "mqtt NOT_AUTHORIZED"),
        (MqttVersion::V5, b"\x20\x03\0\x87\0", "mqtt NOT_AUTHORIZED"),
        (MqttVersion::V5, b"\x20\x02\0\x01", "mqtt UNSUPPORTED_PROTOCOL_VERSION"),
        (MqttVersion::V5, b"\x20\x0c\0\x88\x09\x1f\0\x06closed", "mqtt SERVER_UNAVAILABLE"),
    ] {
        let mut capture = ResponseCapture::default();
        let mut reader = ConnackReader::new(&settings(version));
        assert!(reader.feed(bytes, &mut capture).unwrap(), "{name}");
        assert_eq!(status::name(reader.status()), name);
        assert!(!reader.is_taken_over() && !reader.may_reuse());
    }
    for bytes in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\x30\x03\0\x01a", b"-ERR x\r\n"] {
        let mut reader = ConnackReader::new(&settings(MqttVersion::V5));
        let fed = reader.feed(bytes, &mut ResponseCapture::default());
        assert!(fed != Ok(true), "{bytes:?}");
    }
}

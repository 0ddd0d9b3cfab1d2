//! Frames, methods, sessions and replies of AMQP, whole and at every split.

use super::declare::{ArgumentValue, DeclareParts, declare, names};
use super::encode::{self, CHANNEL, method};
use super::fault::AmqpFault;
use super::frames::{AmqpFrames, BODY, FRAME_END, HEADER, METHOD};
use super::reply::AmqpReplyReader;
use super::table::{put_long, put_short, put_table};
use super::{content_header, publish};
use crate::plan::broker::{DeclareKind, PublishOptions};
use crate::protocol::status;
use crate::template::Template;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::broker::command::PublishCommand;
use crate::wire::response_reader::ReadsResponse;

/// A frame with this payload.
pub(super) fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let start = encode::begin_frame(&mut out, kind, channel);
    out.extend_from_slice(payload);
    encode::end_frame(&mut out, start).unwrap();
    out
}

/// A method with these arguments.
pub(super) fn server_method(channel: u16, method_id: (u16, u16), arguments: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    method(&mut out, channel, method_id, |out| {
        arguments.iter().for_each(|part| out.extend_from_slice(part));
        Ok(())
    })
    .unwrap();
    out
}

pub(super) fn short(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_short(&mut out, text.as_bytes()).unwrap();
    out
}

pub(super) fn long(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_long(&mut out, text).unwrap();
    out
}

/// connection.close or channel.close.
pub(super) fn close(channel: u16, code: u16, text: &str, cause: [u8; 4]) -> Vec<u8> {
    let id = if channel == 0 { (10, 50) } else { (20, 40) };
    server_method(channel, id, &[&code.to_be_bytes(), &short(text), &cause])
}

/// Frames as (type, channel, payload), fed in pieces.
fn read_frames(
    bytes: &[u8],
    size: usize,
    max: usize,
) -> Result<Vec<(u8, u16, Vec<u8>)>, AmqpFault> {
    let (mut frames, mut found) = (AmqpFrames::new(max), Vec::new());
    for piece in bytes.chunks(size) {
        frames.feed(piece, &mut |frame| {
            found.push((frame.kind, frame.channel, frame.payload.to_vec()));
            Ok(())
        })?;
    }
    Ok(found)
}

#[test]
fn frames_are_alike_however_they_are_split() {
    let wanted: Vec<(u8, u16, Vec<u8>)> = vec![
        (8, 0, vec![]),
        (METHOD, 1, vec![0, 60, 0, 80, FRAME_END, 1]),
        (BODY, 0x0102, vec![FRAME_END; 20]),
        (HEADER, 1, vec![7]),
    ];
    let bytes: Vec<u8> =
        wanted.iter().flat_map(|(kind, channel, load)| frame(*kind, *channel, load)).collect();
    for size in 1..=bytes.len() {
        assert_eq!(read_frames(&bytes, size, 28).as_ref(), Ok(&wanted), "by {size}");
    }
}

#[test]
fn bytes_that_are_no_frames_are_refused_however_they_are_split() {
    for bytes in [
        b"AMQP\0\0\x09\x01".to_vec(),
        b"HTTP/1.1 400 Bad Request\r\n".to_vec(),
        b"\0".to_vec(),
        // Longer than agreed, by one byte.
        frame(BODY, 1, &[0; 21]),
        vec![METHOD, 0, 1, 0xff, 0xff, 0xff, 0xff],
        // Without its end.
        vec![METHOD, 0, 1, 0, 0, 0, 1, 5, 0xcd],
        [frame(8, 0, &[]), vec![4]].concat(),
    ] {
        for size in 1..=bytes.len() {
            let found = read_frames(&bytes, size, 28);
            assert_eq!(found, Err(AmqpFault::Frame), "{bytes:?} by {size}");
        }
    }
}

#[test]
fn a_message_is_split_at_the_longest_frame_and_has_its_properties() {
    let options = PublishOptions {
        exchange: "ex".to_owned(),
        is_persistent: true,
        is_mandatory: true,
        priority: Some(7),
        expiration: Some(std::time::Duration::from_millis(1_500)),
        content_type: Some("text/plain".to_owned()),
        ..PublishOptions::default()
    };
    let headers = [("trace".to_owned(), "a".to_owned())];
    let payload: Vec<u8> = (0..10_000_u32).map(|at| at as u8).collect();
    let mut command = PublishCommand {
        destination: "key",
        payload: &payload,
        headers: &headers,
        key: None,
        partition: None,
        options: &options,
    };
    let mut out = b"before".to_vec();
    publish::publish(&mut out, 4_096, &command).unwrap();
    let found = read_frames(&out[6..], 1_000, 4_096).unwrap();
    assert_eq!(found[0], (METHOD, 1, b"\0\x3c\0\x28\0\0\x02ex\x03key\x01".to_vec()));
    let properties = [
        &b"\0\x3c\0\0\0\0\0\0\0\0\x27\x10\xb9\0\x0atext/plain"[..],
        b"\0\0\0\x0c\x05traceS\0\0\0\x01a\x02\x07\x041500",
    ]
    .concat();
    assert_eq!(found[1], (HEADER, 1, properties));
    let bodies: Vec<&[u8]> = found[2..].iter().map(|(_, _, part)| &**part).collect();
    assert_eq!(bodies.iter().map(|part| part.len()).collect::<Vec<_>>(), [4_088, 4_088, 1_824]);
    assert_eq!(bodies.concat(), payload);

    let mut lines = Vec::new();
    assert_eq!(content_header::read(&found[1].2, &mut lines), Ok(10_000));
    assert_eq!(String::from_utf8_lossy(&lines), "content-type: text/plain\r\ntrace: a\r\n");

    let (long, many) = ("k".repeat(256), vec![("n".to_owned(), "v".repeat(5_000))]);
    for is_key in [true, false] {
        if is_key {
            command.destination = &long;
        } else {
            (command.destination, command.headers) = ("key", &many);
        }
        let before = out.len();
        assert_eq!(publish::publish(&mut out, 4_096, &command), Err(()));
        assert_eq!(out.len(), before);
    }
}

/// A content header of a message of this length with a table of headers.
pub(super) fn header_with(length: u64, table: &[u8]) -> Vec<u8> {
    [&b"\0\x3c\0\0"[..], &length.to_be_bytes(), &[0x20, 0], &long(table)].concat()
}

/// The header lines of a table.
fn lines_of(table: &[u8]) -> Result<String, AmqpFault> {
    let mut lines = Vec::new();
    let length = content_header::read(&header_with(0, table), &mut lines)?;
    assert_eq!(length, 0);
    Ok(String::from_utf8_lossy(&lines).into_owned())
}

#[test]
fn each_type_of_a_table_is_shown_or_skipped() {
    let entry = |value: &[u8]| [b"\x01n", value].concat();
    let of = |value: &[u8]| lines_of(&entry(value));
    for (value, wanted) in [
        (&b"t\x01"[..], "n: true\r\n"),
        (b"t\0", "n: false\r\n"),
        (b"b\xff", "n: -1\r\n"),
        (b"B\xff", "n: 255\r\n"),
        (b"s\xff\xfe", "n: -2\r\n"),
        (b"u\xff\xfe", "n: 65534\r\n"),
        (b"I\xff\xff\xff\xfd", "n: -3\r\n"),
        (b"i\xff\xff\xff\xfd", "n: 4294967293\r\n"),
        (b"l\xff\xff\xff\xff\xff\xff\xff\xfc", "n: -4\r\n"),
        (b"L\xff\xff\xff\xff\xff\xff\xff\xfc", "n: 18446744073709551612\r\n"),
        (b"T\0\0\0\0\0\0\0\x05", "n: 5\r\n"),
        (b"f\x3f\xc0\0\0", "n: 1.5\r\n"),
        (b"d\x3f\xf8\0\0\0\0\0\0", "n: 1.5\r\n"),
        (b"D\x02\0\0\0\x07", ""),
        (b"S\0\0\0\x03a\r\n", "n: a  \r\n"),
        (b"x\0\0\0\x01\x07", "n:  \r\n"),
        (b"A\0\0\0\x02t\x01", ""),
        (b"F\0\0\0\x04\x01aVx", ""),
        (b"V", ""),
    ] {
        assert_eq!(of(value).as_deref(), Ok(wanted), "{value:?}");
    }
    for value in [&b"Z"[..], b"S\0\0\0\x05abc", b"l\0", b"F\xff\xff\xff\xff", b""] {
        assert_eq!(of(value), Err(AmqpFault::Syntax), "{value:?}");
    }
    assert_eq!(lines_of(b"\x05ab"), Err(AmqpFault::Syntax));
}

#[test]
fn tables_in_tables_cost_nothing_but_their_bytes() {
    let mut table = Vec::new();
    for _ in 0..5_000 {
        let inner = std::mem::take(&mut table);
        table = [&b"\x01aF"[..], &long(&inner)].concat();
    }
    assert_eq!(lines_of(&table).as_deref(), Ok(""));
    let mut list = Vec::new();
    for _ in 0..5_000 {
        let inner = std::mem::take(&mut list);
        list = [&b"A"[..], &long(&inner)].concat();
    }
    let deaths = [&b"\x07x-death"[..], &list].concat();
    assert_eq!(lines_of(&deaths).as_deref(), Ok("x-death-count: 0\r\n"));
}

#[test]
fn dead_letters_have_the_count_of_all_their_deaths() {
    let mut list = Vec::new();
    for count in [2_u8, 3] {
        list.push(b'F');
        put_table(&mut list, |out| {
            out.extend_from_slice(b"\x05queueS\0\0\0\x01q\x05countl\0\0\0\0\0\0\0");
            out.push(count);
            Ok(())
        })
        .unwrap();
    }
    let table = [&b"\x07x-deathA"[..], &long(&list), b"\x01zS\0\0\0\x01y"].concat();
    assert_eq!(lines_of(&table).as_deref(), Ok("z: y\r\nx-death-count: 5\r\n"));
}

/// What a reply was read as: status, body, whether the connection can be used again, whether a
/// stream takes it over.
fn reply(
    declared: Option<&DeclareKind>,
    bytes: &[u8],
    size: usize,
) -> Result<Option<(String, String, bool, bool)>, String> {
    let mut reader = match declared {
        None => AmqpReplyReader::session(),
        Some(kind) => AmqpReplyReader::declaration(kind, true),
    };
    let mut capture = ResponseCapture::default();
    for piece in bytes.chunks(size) {
        if reader.feed(piece, &mut capture).map_err(|outcome| outcome.to_string())? {
            let status = status::word(reader.status()).into_owned();
            let body = String::from_utf8_lossy(&capture.body).into_owned();
            let early = capture.take_over().map(|taken| taken.early.bytes);
            assert_eq!(early.is_some(), reader.is_taken_over());
            assert!(early.is_none_or(|early| bytes.starts_with(&early)));
            return Ok(Some((status, body, reader.may_reuse(), reader.is_taken_over())));
        }
    }
    assert!(!reader.end());
    Ok(None)
}

#[test]
fn replies_are_statuses_with_bodies_however_they_are_split() {
    let binding =
        DeclareKind::Binding { exchange: Template::literal("ex"), key: Template::literal("key") };
    let exchange = DeclareKind::Exchange("topic".to_owned());
    let text = "NOT_FOUND - no queue 'q' in vhost '/'";
    let beat = frame(8, 0, &[]);
    let ok = |body: &str| Ok(Some(("OK".to_owned(), body.to_owned(), true, false)));
    let failed =
        |status: &str, body: &str| Ok(Some((status.to_owned(), body.to_owned(), false, false)));
    for (declared, bytes, wanted) in [
        (
            None,
            [&beat[..], &server_method(1, (85, 11), &[])].concat(),
            Ok(Some(("OK".to_owned(), String::new(), false, true))),
        ),
        (None, close(1, 540, "no", [0; 4]), failed("NOT_IMPLEMENTED", "no")),
        (
            Some(&DeclareKind::Queue),
            server_method(1, (50, 11), &[&short("a\"b"), &[0, 0, 0, 3, 0, 0, 0, 1]]),
            ok(r#"{"queue":"a\"b","messages":3,"consumers":1}"#),
        ),
        (Some(&exchange), server_method(1, (40, 11), &[]), ok("{}")),
        (Some(&binding), server_method(1, (50, 21), &[]), ok("{}")),
        (
            Some(&DeclareKind::DeleteQueue),
            server_method(1, (50, 41), &[&[0, 0, 0, 9]]),
            ok(r#"{"messages":9}"#),
        ),
        (Some(&DeclareKind::DeleteExchange), server_method(1, (40, 21), &[]), ok("{}")),
        (
            Some(&DeclareKind::Purge),
            server_method(1, (50, 31), &[&[0, 0, 1, 0]]),
            ok(r#"{"messages":256}"#),
        ),
        (Some(&DeclareKind::Purge), close(1, 404, text, [0; 4]), failed("NOT_FOUND", text)),
        (
            Some(&DeclareKind::Queue),
            close(1, 406, "inequivalent arg", [0; 4]),
            failed("PRECONDITION_FAILED", "inequivalent arg"),
        ),
        (
            Some(&DeclareKind::Queue),
            close(0, 320, "bye", [0; 4]),
            failed("CONNECTION_FORCED", "bye"),
        ),
        (Some(&DeclareKind::Queue), close(1, 999, "", [0; 4]), failed("other", "")),
        (Some(&DeclareKind::Queue), beat.clone(), Ok(None)),
    ] {
        for size in 1..=bytes.len() {
            assert_eq!(reply(declared, &bytes, size), wanted, "{declared:?} by {size}");
        }
    }
}

#[test]
fn replies_to_other_methods_and_bytes_that_are_none_are_refused() {
    let kind = DeclareKind::Queue;
    for bytes in [
        b"HTTP/1.1 400\r\n\r\n".to_vec(),
        server_method(1, (50, 21), &[]),
        server_method(1, (85, 11), &[]),
        server_method(1, (50, 11), &[&short("q")]),
        server_method(2, (50, 11), &[&short("q"), &[0; 8]]),
        frame(BODY, 1, b"x"),
        frame(METHOD, 1, &[0]),
    ] {
        for size in 1..=bytes.len() {
            let found = reply(Some(&kind), &bytes, size).unwrap_err();
            assert!(found.starts_with("bad_reply"), "{found}: {bytes:?} by {size}");
        }
    }
    let beats = frame(8, 0, &[]).repeat(40_000);
    assert!(reply(None, &beats, 1_000).is_err());
    let twice = server_method(1, (50, 21), &[]).repeat(2);
    let binding =
        DeclareKind::Binding { exchange: Template::literal("e"), key: Template::literal("k") };
    let found = reply(Some(&binding), &twice, twice.len());
    assert_eq!(found, Ok(Some(("OK".to_owned(), "{}".to_owned(), false, false))));
}

#[test]
fn declarations_have_their_names_and_arguments() {
    let binding =
        DeclareKind::Binding { exchange: Template::literal("e"), key: Template::literal("k") };
    let arguments = [
        ("x-queue-type", ArgumentValue::Text(b"quorum"[..].into())),
        ("x-max-length", ArgumentValue::Number(5)),
        ("x-flag", ArgumentValue::Truth(true)),
    ];
    let table = [
        &b"\0\0\0\x37\x0cx-queue-typeS\0\0\0\x06quorum"[..],
        b"\x0cx-max-lengthl\0\0\0\0\0\0\0\x05\x06x-flagt\x01",
    ]
    .concat();
    let exchange = DeclareKind::Exchange("topic".to_owned());
    for (kind, wanted, is_binding) in [
        (&DeclareKind::Queue, [&b"\0\x32\0\x0a\0\0\x01q\x02"[..], &table].concat(), false),
        (&exchange, [&b"\0\x28\0\x0a\0\0\x01q\x05topic\x02"[..], &table].concat(), false),
        (&binding, [&b"\0\x32\0\x14\0\0\x01q\x01e\x01k\0"[..], &table].concat(), true),
        (&DeclareKind::DeleteQueue, b"\0\x32\0\x28\0\0\x01q\0".to_vec(), false),
        (&DeclareKind::DeleteExchange, b"\0\x28\0\x14\0\0\x01q\0".to_vec(), false),
        (&DeclareKind::Purge, b"\0\x32\0\x1e\0\0\x01q\0".to_vec(), false),
    ] {
        let binding: (&[u8], &[u8]) = if is_binding { (b"e", b"k") } else { (b"", b"") };
        let parts =
            DeclareParts { kind, name: b"q", binding, is_durable: true, arguments: &arguments };
        let mut out = Vec::new();
        declare(&mut out, &parts).unwrap();
        assert_eq!(out, frame(METHOD, CHANNEL, &wanted), "{kind:?}");
        assert_eq!(names(&out), Some([b"q", binding.0, binding.1]), "{kind:?}");
        let long = "q".repeat(256);
        let parts = DeclareParts { name: long.as_bytes(), ..parts };
        assert!(declare(&mut Vec::new(), &parts).is_err());
    }
    assert_eq!(names(b"short"), None);
}

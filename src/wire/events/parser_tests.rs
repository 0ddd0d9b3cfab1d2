//! Tests of the parser of events: the standard's examples, any split, and a second opinion.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::Stream;
use proptest::prelude::*;

use super::parser::EventParser;
use crate::stats::FailureKind;

/// Name, data and last id of an event.
type ParsedEvent = (Option<String>, String, Option<String>);

fn parse_pieces<'a>(
    parser: &mut EventParser,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<ParsedEvent>, FailureKind> {
    let mut events = Vec::new();
    for piece in pieces {
        parser.feed(piece, &mut |event| {
            let data = String::from_utf8(event.data.to_vec()).unwrap();
            events.push((event.event.map(str::to_owned), data, event.id.map(str::to_owned)));
        })?;
    }
    Ok(events)
}

fn parse(body: &[u8], size: usize) -> Result<Vec<ParsedEvent>, FailureKind> {
    parse_pieces(&mut EventParser::new(1_000), body.chunks(size))
}

fn check(body: &[u8], expected: &[(Option<&str>, &str, Option<&str>)]) {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let expected: Vec<ParsedEvent> = expected
        .iter()
        .map(|(event, data, id)| (owned(*event), (*data).to_owned(), owned(*id)))
        .collect();
    for size in 1..=body.len() {
        let got = parse(body, size);
        let body = body.escape_ascii();
        assert_eq!(got.as_ref(), Ok(&expected), "{body} in pieces of {size}");
    }
}

#[test]
fn examples_of_the_standard_are_read() {
    check(b"data: YHOO\ndata: +2\ndata: 10\n\n", &[(None, "YHOO\n+2\n10", None)]);
    check(
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third\n\n",
        &[
            (None, "first event", Some("1")),
            (None, "second event", Some("")),
            (None, " third", Some("")),
        ],
    );
    check(b"data\n\ndata\ndata\n\ndata:", &[(None, "", None), (None, "\n", None)]);
    check(b"data:test\n\ndata: test\n\n", &[(None, "test", None), (None, "test", None)]);
}

#[test]
fn line_ends_marks_and_odd_fields_are_read_as_the_standard_says() {
    let crlf = "\u{feff}event: a\r\ndata: \u{20ac}1\r\n\r\ndata: 2\r\rdata: 3\n\r\n";
    let expected = [(Some("a"), "\u{20ac}1", None), (None, "2", None), (None, "3", None)];
    check(crlf.as_bytes(), &expected);
    // A second mark is part of a field's name, and so is a space before it.
    check("\u{feff}\u{feff}data: 1\n\n data: 2\n\n".as_bytes(), &[]);
    check(b"\xef\xbbdata: 1\n\ndata: 2\n\n", &[(None, "2", None)]);
    // An event without data is none, and its name does not stay.
    check(b"event: a\n\ndata: 1\n\n", &[(None, "1", None)]);
    // An id with NUL is ignored; the last one stays for later events.
    check(
        b"id: 7\n\nid: 8\0\ndata: 1\n\ndata: 2\n\nunknown: x\ndata: cut off",
        &[(None, "1", Some("7")), (None, "2", Some("7"))],
    );
    // What is no UTF-8 is replaced.
    check(b"data: a\xffb\n\n", &[(None, "a\u{fffd}b", None)]);
}

#[test]
fn the_delay_before_connecting_again_has_digits_alone() {
    let mut parser = EventParser::new(100);
    for (line, delay) in [
        ("retry: 100\n", Some(100)),
        ("retry: 1s\n", Some(100)),
        ("retry: -1\n", Some(100)),
        ("retry:\n", Some(100)),
        ("retry: 99999999999999999999999\n", Some(100)),
        ("retry:0\n", Some(0)),
    ] {
        parse_pieces(&mut parser, std::iter::once(line.as_bytes())).unwrap();
        assert_eq!(parser.retry_ms(), delay, "{line}");
    }
}

#[test]
fn events_names_and_lines_without_end_have_a_limit() {
    let too_large = Err(FailureKind::EventTooLarge);
    let line = [&b"data: "[..], &[b'x'; 1_001], b"\n\n"].concat();
    let lines = b"data: 0123456789\n".repeat(101);
    let name = [&b"event: "[..], &[b'x'; 5_000], b"\n\n"].concat();
    for size in [7, 100, 10_000] {
        assert_eq!(parse(&line, size), too_large, "{size}");
        assert_eq!(parse(&lines, size), too_large, "{size}");
        assert_eq!(parse(&name, size), too_large, "{size}");
    }
    let mut parser = EventParser::new(1 << 20);
    let piece = vec![b'x'; 1 << 16];
    assert_eq!(parse_pieces(&mut parser, (0..17).map(|_| &piece[..])), too_large);
}

/// The events of a body as sse-stream reads them, ids handed on to later events.
fn second_opinion(body: &[u8], size: usize) -> Vec<ParsedEvent> {
    let pieces: Vec<Result<Bytes, Infallible>> =
        body.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let mut stream = sse_stream::SseByteStream::new(futures_util::stream::iter(pieces));
    let (mut events, mut id) = (Vec::new(), None);
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(Ok(event))) = Pin::new(&mut stream).poll_next(&mut cx) {
        id = event.id.or(id);
        if let Some(data) = event.data {
            events.push((event.event.filter(|name| !name.is_empty()), data, id.clone()));
        }
    }
    events
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let line = proptest::sample::select(vec![
        "",
        "",
        "",
        "data: a",
        "data:\u{20ac}",
        "data",
        "data:  b: c",
        "event: e",
        "event:",
        "id: 1",
        "id",
        ": comment",
        ":",
        "retry: 5",
        "other: x",
        "dat: y",
    ]);
    let end = proptest::sample::select(vec!["\n", "\n", "\r\n", "\r"]);
    proptest::collection::vec((line, end), 0..20)
        .prop_map(|lines| lines.iter().flat_map(|(line, end)| [*line, *end]).collect::<String>())
        .prop_map(String::into_bytes)
}

proptest! {
    #[test]
    fn another_parser_reads_the_same(body in body(), size in 1usize..30) {
        prop_assert_eq!(parse(&body, size), Ok(second_opinion(&body, body.len().max(1))));
    }

    #[test]
    fn any_split_of_any_bytes_gives_the_same_events(
        bytes in proptest::collection::vec(
            prop_oneof![
                any::<u8>().prop_map(|byte| vec![byte]),
                proptest::sample::select(vec!["data:", "\n\n", "\r", "id:", "\u{feff}"])
                    .prop_map(|text| text.as_bytes().to_vec()),
            ], 0..30),
        size in 1usize..9,
    ) {
        let bytes = bytes.concat();
        prop_assert_eq!(parse(&bytes, size), parse(&bytes, bytes.len().max(1)));
    }
}

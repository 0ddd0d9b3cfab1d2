//! Responses of PostgreSQL, whole and at every split, and what a connection remembers.

use crate::plan::operation::{Operation, SqlMode, SqlStatement};
use crate::protocol::Protocol;
use crate::stats::AttemptPhase;
use crate::template::Template;
use crate::wire::CaptureRequest;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::framed::sql_encode;
use crate::wire::framed::sql_reader::SqlReader;
use crate::wire::framed::sql_session::SqlSession;
use crate::wire::framed::tests::{feed, read};
use crate::wire::response_reader::ReadsResponse;

fn statement(text: &str, mode: SqlMode) -> Operation {
    Operation::Sql(SqlStatement::new(Template::literal(text), Vec::new(), mode))
}

/// A message of this kind.
fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 4).unwrap().to_be_bytes();
    [&[kind][..], &length, payload].concat()
}

/// The description of columns: name and id of the type.
fn description(columns: &[(&str, u32)]) -> Vec<u8> {
    let mut payload = u16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
    for (name, kind) in columns {
        payload.extend_from_slice(name.as_bytes());
        payload.extend_from_slice(&[0; 7]);
        payload.extend_from_slice(&kind.to_be_bytes());
        payload.extend_from_slice(&[0; 8]);
    }
    message(b'T', &payload)
}

fn row(values: &[Option<&str>]) -> Vec<u8> {
    let mut payload = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        sql_encode::parameter(&mut payload, value.map(str::as_bytes)).unwrap();
    }
    message(b'D', &payload)
}

fn error(severity: &str, code: &str, rest: &str) -> Vec<u8> {
    let fields = format!("SANY\0V{severity}\0C{code}\0M{rest}\0Dthe detail\0P7\0\0");
    message(b'E', fields.as_bytes())
}

fn ready(state: &str) -> Vec<u8> {
    message(b'Z', state.as_bytes())
}

fn tag(text: &str) -> Vec<u8> {
    message(b'C', &[text.as_bytes(), &[0]].concat())
}

const FAILED: &str = "ERROR 23505: duplicate key; detail: the detail; position: 7";

#[test]
fn rows_are_json_and_errors_are_statuses_however_they_are_split() {
    let columns =
        description(&[("id", 23), ("n\"m", 25), ("price", 1700), ("big", 701), ("ok", 16)]);
    let rows = [
        row(&[Some("-7"), Some("a\"b\n"), Some("1.50"), Some("1e+20"), Some("t")]),
        row(&[None, Some(""), Some("NaN"), Some("-Infinity"), Some("f")]),
    ];
    let listed = "[{\"id\":-7,\"n\\\"m\":\"a\\\"b\\n\",\"price\":1.50,\"big\":1e+20,\"ok\":true},\
                  {\"id\":null,\"n\\\"m\":\"\",\"price\":\"NaN\",\
                  \"big\":\"-Infinity\",\"ok\":false}]";
    let parsed = [message(b'1', b""), message(b'2', b"")].concat();
    let notice = message(b'N', b"SNOTICE\0\0");
    let parameter = message(b'S', b"TimeZone\0UTC\0");
    let of = |parts: &[&[u8]]| parts.concat();
    let fatal = "FATAL 57P01: shutdown; detail: the detail; position: 7";
    for (reply, wanted) in [
        (
            of(&[&parsed, &notice, &columns, &rows[0], &rows[1], &tag("SELECT 2"), &ready("I")]),
            read("OK", listed, "list", true),
        ),
        (of(&[&parsed, &message(b'n', b""), &tag("INSERT 0 3"), &ready("T")]), {
            read("OK", "[]", "list", true)
        }),
        (of(&[&message(b'I', b""), &parameter, &ready("I")]), read("OK", "[]", "list", true)),
        (
            of(&[&columns, &rows[0], &error("ERROR", "23505", "duplicate key"), &ready("E")]),
            read("23505", FAILED, "error", true),
        ),
        (of(&[&error("FATAL", "57P01", "shutdown")]), read("57P01", fatal, "error", false)),
        (of(&[&error("ERROR", "57P01", "shutdown")]), Ok(None)),
        (of(&[&parsed, &tag("BEGIN")]), Ok(None)),
        (
            of(&[
                &message(b'H', &[0; 3]),
                &message(b'd', b"1\n"),
                &message(b'c', b""),
                &tag("COPY 1"),
                &ready("I"),
            ]),
            read("OK", "[]", "list", true),
        ),
        (Vec::new(), Ok(None)),
    ] {
        let operation = statement("select 1", SqlMode::Prepared);
        for size in 1..=reply.len().max(1) {
            let found = feed(&operation, (Protocol::Postgres, b""), reply.chunks(size));
            assert_eq!(found, wanted, "{:?} by {size}", String::from_utf8_lossy(&reply));
        }
    }
}

#[test]
fn the_first_byte_is_that_of_a_row_or_of_the_end_of_a_result_without_rows() {
    let before = [
        message(b'N', b"SNOTICE\0\0"),
        message(b'S', b"TimeZone\0UTC\0"),
        message(b'1', b""),
        message(b'2', b""),
        description(&[("a", 25)]),
    ]
    .concat();
    for result in [
        row(&[Some("x")]),
        tag("SELECT 0"),
        error("ERROR", "23505", "duplicate key"),
        message(b'I', b""),
        message(b'd', b"1\n"),
        ready("I"),
    ] {
        let wanted = CaptureRequest { max_body: 1_000, ..CaptureRequest::NOTHING };
        let mut reader = SqlReader::new(wanted, false);
        let mut capture = ResponseCapture::default();
        assert_eq!(reader.feed(&before[..7], &mut capture), Ok(false));
        assert!(reader.has_begun() && !reader.has_first_byte());
        assert_eq!(reader.feed(&before[7..], &mut capture), Ok(false));
        assert_eq!((reader.has_first_byte(), reader.phase()), (false, AttemptPhase::FirstByte));
        assert_eq!(reader.feed(&result[..1], &mut capture), Ok(false));
        assert_eq!((reader.has_first_byte(), reader.phase()), (true, AttemptPhase::Body));
    }
}

#[test]
fn bytes_that_are_no_messages_are_refused_however_they_are_split() {
    let columns = description(&[("a", 25)]);
    let cut = message(b'D', &[0, 1, 0, 0, 0, 9, b'x']);
    let negative = message(b'D', &[0, 1, 0xff, 0xff, 0xff, 0xfe]);
    for bytes in [
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        b"-ERR unknown command\r\n".to_vec(),
        b"+PONG\r\n".to_vec(),
        b"Z\0\0\0\x03I".to_vec(),
        b"D\xff\xff\xff\xff".to_vec(),
        b"D\x7f\xff\xff\xff".to_vec(),
        message(b'Z', b"X"),
        message(b'Z', b"II"),
        message(b'T', b"\0\x02a\0"),
        message(b'C', b"SELECT 1"),
        message(b'G', &[0, 0, 0]),
        message(b'R', &[0, 0, 0, 0]),
        [&columns[..], &cut].concat(),
        [&columns[..], &negative].concat(),
        [&columns[..], &row(&[Some("a"), Some("b")])].concat(),
        row(&[Some("without a description")]),
    ] {
        let operation = statement("select 1", SqlMode::Prepared);
        for size in 1..=bytes.len() {
            let found = feed(&operation, (Protocol::Postgres, b""), bytes.chunks(size));
            let found = found.unwrap_err();
            assert!(found.starts_with("bad_reply"), "{found}: {bytes:?} by {size}");
        }
    }
}

#[test]
fn a_response_is_bounded_and_bytes_behind_it_close_its_connection() {
    let operation = statement("select 1", SqlMode::Prepared);
    let large = [description(&[("a", 25)]), row(&[Some(&"x".repeat(1_000))])].concat();
    for size in [1, 100, large.len()] {
        let found = feed(&operation, (Protocol::Postgres, b""), large.chunks(size));
        assert_eq!(found, Err("body_too_large (body)".to_owned()), "by {size}");
    }
    let more = [ready("I"), message(b'N', b"SNOTICE\0\0")].concat();
    let found = feed(&operation, (Protocol::Postgres, b""), std::iter::once(&*more));
    assert_eq!(found, read("OK", "[]", "list", false));
}

/// The head of a response, and the reader that has read it, without keeping rows.
fn headed(reply: &[u8]) -> (String, SqlReader) {
    let capture = CaptureRequest { max_body: 10_000, ..CaptureRequest::NOTHING };
    let (mut reader, mut kept) = (SqlReader::new(capture, false), ResponseCapture::default());
    reader.feed(reply, &mut kept).unwrap();
    assert!(reader.status() != 1_200 || kept.body.is_empty());
    (String::from_utf8_lossy(&kept.head).into_owned(), reader)
}

#[test]
fn the_head_counts_rows_that_were_returned_or_changed() {
    for (tags, rows) in [
        (&["SELECT 3"][..], 3),
        (&["INSERT 0 2"], 2),
        (&["BEGIN"], 0),
        (&["UPDATE 5", "DELETE 1", "COMMIT"], 6),
    ] {
        let mut reply: Vec<u8> = tags.iter().flat_map(|text| tag(text)).collect();
        reply.extend(ready("I"));
        let last = tags[tags.len() - 1];
        let wanted = format!("type: list\r\ncommand: {last}\r\nrows: {rows}\r\n");
        assert_eq!(headed(&reply).0, wanted, "{tags:?}");
    }
}

#[test]
fn a_statement_is_parsed_once_per_connection_unless_the_server_forgets_it() {
    let one = statement("select $1", SqlMode::Prepared);
    let (mut request, name) = (Vec::new(), "manada_00");
    sql_encode::parse(&mut request, name, b"select $1").unwrap();
    let parse = request.len();
    let start = sql_encode::begin_bind(&mut request, name, 2);
    sql_encode::parameter(&mut request, Some(b"7")).unwrap();
    sql_encode::parameter(&mut request, None).unwrap();
    sql_encode::end_execution(&mut request, start).unwrap();
    let bound = b"B\0\0\0\x1e\0manada_00\0\0\0\0\x02\0\0\0\x017\xff\xff\xff\xff\0\0\
                  D\0\0\0\x06P\0E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04";
    assert_eq!(request[parse..], bound[..]);

    let parsed = headed(&[message(b'1', b""), tag("SELECT 1"), ready("I")].concat()).1;
    let failed = headed(&[error("ERROR", "42P01", "no table"), ready("E")].concat()).1;
    let unknown = headed(&[error("ERROR", "26000", "no statement"), ready("I")].concat()).1;
    let discarded = headed(&[tag("DISCARD ALL"), ready("I")].concat()).1;
    let sent = |session: &SqlSession, operation: &Operation| {
        SqlSession::request(Some(session), operation, &request).len()
    };
    let whole = request.len();
    assert_eq!(SqlSession::request(None, &one, &request).len(), whole);
    let mut session = SqlSession::default();
    session.note(&one, failed.session_changes());
    assert_eq!((sent(&session, &one), session.is_in_transaction), (whole, true));
    session.note(&one, parsed.session_changes());
    assert_eq!((sent(&session, &one), session.is_in_transaction), (whole - parse, false));
    // An error of an execution leaves the statement prepared.
    session.note(&one, failed.session_changes());
    assert_eq!(sent(&session, &one), whole - parse);
    assert_eq!(sent(&session, &statement("select 2", SqlMode::Prepared)), whole);
    assert_eq!(sent(&session, &statement("select $1", SqlMode::Extended)), whole);
    for forgets in [unknown, discarded] {
        session.note(&one, parsed.session_changes());
        session.note(&one, forgets.session_changes());
        assert_eq!(sent(&session, &one), whole);
    }
}

#[test]
fn texts_that_no_message_can_hold_are_refused() {
    let mut out = Vec::new();
    assert_eq!(sql_encode::query(&mut out, b"a\0b"), Err(sql_encode::ZERO_BYTE));
    assert_eq!(sql_encode::parse(&mut out, "s", b"a\0"), Err(sql_encode::ZERO_BYTE));
}

//! Responses of each protocol, whole and at every split.

use crate::plan::operation::{
    BatchForm, DnsQuestion, Operation, RecordType, RedisBatch, RedisCommand, ResponseEnd,
};
use crate::protocol::{Protocol, status};
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::template::Template;
use crate::wire::CaptureRequest;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::encode;
use crate::wire::framed::reader::FrameReader;
use crate::wire::response_reader::ReadsResponse;

/// What a response was read as: status, body, the type in its head, whether its connection can be
/// used again.
#[derive(Debug, PartialEq)]
pub(super) struct Read {
    pub(super) status: String,
    pub(super) body: String,
    pub(super) kind: String,
    pub(super) may_reuse: bool,
}

#[expect(clippy::unnecessary_wraps, reason = "it stands beside errors in tables")]
pub(super) fn read(
    status: &str,
    body: &str,
    kind: &str,
    may_reuse: bool,
) -> Result<Option<Read>, String> {
    let [status, body, kind] = [status, body, kind].map(str::to_owned);
    Ok(Some(Read { status, body, kind, may_reuse }))
}

/// Reads `pieces` and then the end of the connection. `Ok(None)`: the response is not complete.
pub(super) fn feed<'a>(
    operation: &Operation,
    (protocol, request): (Protocol, &[u8]),
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<Read>, String> {
    let wanted = CaptureRequest { max_body: 1_000, keep_body: true, ..CaptureRequest::NOTHING };
    let mut reader = FrameReader::new(operation, protocol, (request, wanted));
    let mut capture = ResponseCapture::default();
    let mut is_complete = false;
    for piece in pieces {
        is_complete = reader.feed(piece, &mut capture).map_err(|outcome| outcome.to_string())?;
        if is_complete {
            break;
        }
    }
    if !is_complete && !reader.end() {
        return Ok(None);
    }
    Ok(Some(Read {
        status: status::word(reader.status()).into_owned(),
        body: String::from_utf8_lossy(&capture.body).into_owned(),
        kind: String::from_utf8_lossy(capture.header("type").unwrap_or_default()).into_owned(),
        may_reuse: reader.may_reuse(),
    }))
}

fn batch(form: BatchForm, commands: usize) -> Operation {
    let command = RedisCommand { words: vec![Template::literal("GET")] };
    Operation::Redis(RedisBatch { commands: vec![command; commands], form })
}

#[test]
fn replies_of_redis_are_texts_or_json() {
    let single = batch(BatchForm::Single, 1);
    let pipeline = batch(BatchForm::Pipeline, 2);
    let transaction = batch(BatchForm::Transaction, 1);
    for (operation, reply, wanted) in [
        (&single, "+PONG\r\n", read("OK", "PONG", "string", true)),
        (&single, "$3\r\na\"b\r\n", read("OK", "a\"b", "string", true)),
        (&single, ":-7\r\n", read("OK", "-7", "number", true)),
        (&single, "$-1\r\n", read("OK", "null", "null", true)),
        (&single, "*2\r\n$1\r\na\r\n*1\r\n:1\r\n", read("OK", "[\"a\",[1]]", "list", true)),
        (&single, "*0\r\n", read("OK", "[]", "list", true)),
        (&single, "%2\r\n+a\r\n:1\r\n:2\r\n_\r\n", read("OK", "{\"a\":1,\"2\":null}", "map", true)),
        (&single, ">2\r\n+a\r\n+b\r\n:1\r\n", read("OK", "1", "number", true)),
        (&single, "|1\r\n+a\r\n+b\r\n#f\r\n", read("OK", "false", "boolean", true)),
        (&single, "-WRONGTYPE no list\r\n", read("WRONGTYPE", "WRONGTYPE no list", "error", true)),
        (&single, "-Whatever\r\n", read("other", "Whatever", "error", true)),
        (&single, "-OK\r\n", read("other", "OK", "error", true)),
        (&single, "+a", Ok(None)),
        (&single, "", Ok(None)),
        (&single, "HTTP/1.1 400\r\n", Err("bad_reply (first_byte)".to_owned())),
        (&single, "*1\r\nx\r\n", Err("bad_reply (first_byte)".to_owned())),
        (&pipeline, "+a\r\n:1\r\n", read("OK", "[\"a\",1]", "list", true)),
        (&pipeline, "-ERR x\r\n-OOM y\r\n", read("ERR", "ERR x", "error", true)),
        (&pipeline, ":1\r\n-OOM y\r\n", read("OOM", "OOM y", "error", true)),
        (&pipeline, ":1\r\n", Ok(None)),
        (&transaction, "+OK\r\n+QUEUED\r\n*1\r\n+v\r\n", read("OK", "[\"v\"]", "list", true)),
        (&transaction, "+OK\r\n+QUEUED\r\n*-1\r\n", read("nil", "", "", true)),
        (&transaction, "+OK\r\n-ERR x\r\n-EXECABORT y\r\n", read("ERR", "ERR x", "error", true)),
        (&transaction, "+OK\r\n+QUEUED\r\n*1\r\n-OOM\r\n", read("OOM", "OOM", "error", true)),
    ] {
        let whole = std::iter::once(reply.as_bytes()).filter(|all| !all.is_empty());
        let found = feed(operation, (Protocol::Redis, b""), whole);
        assert_eq!(found, wanted, "{reply:?}");
        for size in 1..reply.len() {
            let found = feed(operation, (Protocol::Redis, b""), reply.as_bytes().chunks(size));
            // An error in the first bytes has another phase than one in later ones.
            assert_eq!(found.is_ok(), wanted.is_ok(), "{reply:?} by {size}");
            if let Ok(found) = found {
                assert_eq!(Ok(found), wanted, "{reply:?} by {size}");
            }
        }
    }
    let more = feed(&single, (Protocol::Redis, b""), std::iter::once(&b":1\r\n:2\r\n"[..]));
    assert_eq!(more, read("OK", "1", "number", false));
    let large = format!("$1001\r\n{}\r\n", "x".repeat(1_001));
    let found = feed(&single, (Protocol::Redis, b""), std::iter::once(large.as_bytes()));
    assert_eq!(found, Err("body_too_large (body)".to_owned()));
}

#[test]
fn bytes_end_where_the_step_says() {
    let delimiter = |text: &str| ResponseEnd::Delimiter(text.as_bytes().to_vec());
    for (end, bytes, wanted) in [
        (delimiter("\n"), "PONG\r\n", read("OK", "PONG\r\n", "", true)),
        (delimiter("\n"), "a\nb", read("OK", "a\n", "", false)),
        (delimiter("aab"), "aaab", read("OK", "aaab", "", true)),
        (delimiter("abab"), "abaabab", read("OK", "abaabab", "", true)),
        (delimiter("\r\n.\r\n"), "x\r\n..\r\n.\r\n", read("OK", "x\r\n..\r\n.\r\n", "", true)),
        (delimiter("end"), "en", Ok(None)),
        (ResponseEnd::Length(4), "abcd", read("OK", "abcd", "", true)),
        (ResponseEnd::Length(4), "abc", Ok(None)),
        (ResponseEnd::Close, "abc", read("OK", "abc", "", false)),
        (ResponseEnd::Close, "", read("OK", "", "", false)),
    ] {
        for size in 1..=bytes.len().max(1) {
            let operation = Operation::Bytes(end.clone());
            let mut found = feed(&operation, (Protocol::Tcp, b""), bytes.as_bytes().chunks(size));
            // The rest of a split read is read by nothing, and ends the connection later.
            if let (Ok(Some(found)), Ok(Some(wanted))) = (&mut found, &wanted)
                && size < bytes.len()
            {
                found.may_reuse = wanted.may_reuse;
            }
            assert_eq!(found, wanted, "{end:?} {bytes:?} by {size}");
        }
    }
    let datagram = Operation::Bytes(ResponseEnd::Datagram);
    for (bytes, body) in [(&b"pong"[..], "pong"), (b"", "")] {
        let pieces = std::iter::once(bytes).filter(|bytes| !bytes.is_empty());
        let found = feed(&datagram, (Protocol::Udp, b""), pieces);
        assert_eq!(found, read("OK", body, "", true));
    }
    let long = vec![b'x'; 1_001];
    let operation = Operation::Bytes(ResponseEnd::Close);
    let found = feed(&operation, (Protocol::Tcp, b""), long.chunks(100));
    assert_eq!(found, Err("body_too_large (body)".to_owned()));
}

/// The question for a name, and its response: a header with this code, then `records`.
fn dns(code: u8, answers: u8, records: &[u8]) -> (Operation, Vec<u8>, Vec<u8>) {
    let name = Template::literal("Shop.example");
    let record = RecordType(1);
    let mut query = Vec::new();
    encode::dns_query(&mut query, 0x1234, (b"Shop.example", record), true, false).unwrap();
    let mut response = vec![0x12, 0x34, 0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0];
    response.extend_from_slice(b"\x04shop\x07example\x00\x00\x01\x00\x01");
    response.extend_from_slice(records);
    let question = DnsQuestion { name, record, recursion: true };
    (Operation::Dns(question), query, response)
}

#[test]
fn responses_of_dns_have_their_records() {
    let a = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x02";
    let mx = b"\xc0\x0c\x00\x0f\x00\x01\x00\x00\x00\x01\x00\x07\x00\x0a\x02mx\xc0\x0c";
    let txt = b"\x00\x00\x10\x00\x01\x00\x00\x00\x01\x00\x05\x01a\x02b\"";
    let unknown = b"\xc0\x0c\x01\x00\x00\x01\x00\x00\x00\x01\x00\x02\xab\xcd";
    let records = [&a[..], mx, txt, unknown].concat();
    let (operation, query, response) = dns(0, 4, &records);
    let found = feed(&operation, (Protocol::Dns, &query), std::iter::once(&*response));
    let found = found.unwrap().unwrap();
    let body: serde_json::Value = serde_json::from_str(&found.body).unwrap();
    assert_eq!((found.status.as_str(), found.kind.as_str()), ("NOERROR", "map"));
    let name = "shop.example";
    assert_eq!(
        body["answers"],
        serde_json::json!([
            { "name": name, "type": "A", "ttl": 60, "data": "127.0.0.2" },
            { "name": name, "type": "MX", "ttl": 1, "data": format!("10 mx.{name}") },
            { "name": ".", "type": "TXT", "ttl": 1, "data": "ab\"" },
            { "name": name, "type": "TYPE256", "ttl": 1, "data": "abcd" },
        ])
    );
    assert_eq!(body["recursion_available"], true);
    assert_eq!(body["truncated"], false);
}

#[test]
fn a_message_of_dns_that_is_no_response_is_passed_by() {
    let (operation, query, response) = dns(3, 0, b"");
    let at = |protocol, pieces: &[&[u8]]| {
        feed(&operation, (protocol, &query), pieces.iter().copied())
            .map(|read| read.map(|read| (read.status, read.may_reuse)))
    };
    let nxdomain = Ok(Some(("NXDOMAIN".to_owned(), true)));
    let mut other_id = response.clone();
    other_id[0] = 0;
    let mut other_name = response.clone();
    other_name[13] = b'S';
    assert_eq!(at(Protocol::Dns, &[&other_name]), nxdomain, "names have no case");
    other_name[13] = b'x';
    let mut question = response.clone();
    question[2] = 1;
    for foreign in [&other_id, &other_name, &question] {
        assert_eq!(at(Protocol::Dns, &[foreign]), Ok(None));
        assert_eq!(at(Protocol::Dns, &[foreign, &response]), nxdomain);
    }
    let bad = AttemptOutcome::Failed(AttemptPhase::Body, FailureKind::BadReply).to_string();
    assert_eq!(at(Protocol::Dns, &[b"short"]), Err(bad.clone()));
    // A name that refers to itself, a record beyond the message.
    for records in
        [&b"\xc0\x1e\x00\x01"[..], b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\xff\xff\x7f"]
    {
        let (operation, query, response) = dns(0, 1, records);
        let found = feed(&operation, (Protocol::Dns, &query), std::iter::once(&*response));
        assert_eq!(found, Err(bad.clone()), "{records:?}");
    }
}

#[test]
fn over_tcp_a_message_of_dns_has_its_length_before_it() {
    let (operation, _, response) = dns(0, 0, b"");
    let mut query = Vec::new();
    let question = (&b"shop.example"[..], RecordType(1));
    encode::dns_query(&mut query, 0x1234, question, true, true).unwrap();
    assert_eq!(usize::from(u16::from_be_bytes([query[0], query[1]])), query.len() - 2);
    let length = u16::try_from(response.len()).unwrap().to_be_bytes();
    let framed = [&length[..], &response].concat();
    for size in 1..=framed.len() {
        let found = feed(&operation, (Protocol::DnsTcp, &query), framed.chunks(size));
        let found = found.unwrap().unwrap();
        assert_eq!((found.status.as_str(), found.may_reuse), ("NOERROR", true), "{size}");
    }
}

#[test]
fn names_that_dns_cannot_have_are_refused() {
    let long = "a".repeat(64);
    let longest = [&"a".repeat(63); 4].map(String::as_str).join(".");
    for (name, why) in [
        ("a..b", Some("has an empty label")),
        (&*long, Some("has a label of more than 63 bytes")),
        (&*longest, Some("is longer than 253 bytes")),
        ("", None),
        (".", None),
        ("a.b.", None),
        ("_sip._tcp.a", None),
    ] {
        let question = (name.as_bytes(), RecordType(1));
        let encoded = encode::dns_query(&mut Vec::new(), 0, question, true, false);
        assert_eq!(encoded.err(), why, "{name}");
    }
}

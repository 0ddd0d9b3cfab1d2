//! Raw responses, valid and hostile: what our reader must make of each, and whether hyper agrees.
//!
//! `framing` feeds them to both; the connection ends after the last byte.
//! Invariant: a row where we differ from hyper says why.

use manada::stats::{AttemptPhase, FailureKind};

/// The result of our reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A complete response: status, body length, and whether the connection may be reused.
    Whole(u16, usize, bool),
    /// The connection ended before the response.
    Cut,
    /// The response is malformed.
    Broken(AttemptPhase, FailureKind),
}

/// The result of hyper (through reqwest).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hyper {
    /// The same status and length, or an error as well.
    Agrees,
    /// Another result, intentionally.
    Differs(&'static str),
}

/// A raw response with its expected results.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) head_request: bool,
    pub(crate) bytes: Vec<u8>,
    pub(crate) read: Read,
    pub(crate) hyper: Hyper,
}

const fn whole(status: u16, length: usize) -> Read {
    Read::Whole(status, length, true)
}

const fn once(status: u16, length: usize) -> Read {
    Read::Whole(status, length, false)
}

const BAD_HEAD: Read = Read::Broken(AttemptPhase::FirstByte, FailureKind::Malformed);
const NO_HTTP: Read = Read::Broken(AttemptPhase::FirstByte, FailureKind::NotHttp);
const MANY_INTERIM: Read = Read::Broken(AttemptPhase::FirstByte, FailureKind::TooManyInterim);
const MANY_HEADERS: Read = Read::Broken(AttemptPhase::FirstByte, FailureKind::TooManyHeaders);
const LONG_EXTRAS: Read = Read::Broken(AttemptPhase::Body, FailureKind::ChunkExtrasTooLarge);
const BAD_BODY: Read = Read::Broken(AttemptPhase::Body, FailureKind::Malformed);
const LONG_HEAD: Read = Read::Broken(AttemptPhase::FirstByte, FailureKind::HeadTooLarge);
const LONG_BODY: Read = Read::Broken(AttemptPhase::Body, FailureKind::BodyTooLarge);

const FOLDS: &str = "a user agent takes a fold as spaces (RFC 9112 §5.2); hyper refuses it";

/// Maximum body for the rows, bytes.
pub(crate) const MAX_BODY: u64 = 1 << 20;

/// Returns all rows.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = lengths();
    rows.extend(chunks());
    rows.extend(chunk_sizes());
    rows.extend(folds());
    rows.extend(heads());
    rows.extend(sizes());
    for name in ["HEAD with a length", "HEAD with chunks"] {
        let framing = if name.ends_with("length") {
            "Content-Length: 99"
        } else {
            "Transfer-Encoding: chunked"
        };
        let bytes = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n").into_bytes();
        let read = whole(200, 0);
        rows.push(Row { name, head_request: true, bytes, read, hyper: Hyper::Agrees });
    }
    rows
}

/// A `200 OK` with these header lines and this body.
fn ok(name: &'static str, lines: &str, body: &str, read: Read) -> Row {
    let lines = lines.replace('|', "\r\n");
    raw(name, format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n{body}").as_bytes(), read)
}

fn chunked(name: &'static str, body: &str, read: Read) -> Row {
    ok(name, "Transfer-Encoding: chunked", body, read)
}

fn raw(name: &'static str, bytes: &[u8], read: Read) -> Row {
    Row { name, head_request: false, bytes: bytes.to_vec(), read, hyper: Hyper::Agrees }
}

impl Row {
    fn differs(self, why: &'static str) -> Self {
        Self { hyper: Hyper::Differs(why), ..self }
    }
}

fn lengths() -> Vec<Row> {
    let both = "Content-Length: 3|Transfer-Encoding: chunked";
    vec![
        ok("a length", "Content-Length: 5", "hello", whole(200, 5)),
        ok("a length of zero", "Content-Length: 0", "", whole(200, 0)),
        ok("a length with room about it", "Content-Length:   5  ", "hello", whole(200, 5)),
        ok("a length with zeros before it", "Content-Length: 0005", "hello", whole(200, 5)),
        ok(
            "a length with many zeros before it",
            "Content-Length: 0000000000000000000000005",
            "hello",
            whole(200, 5),
        ),
        ok("64 bits", "Content-Length: 18446744073709551615", "hello", LONG_BODY),
        ok("a list that ends empty", "Content-Length: 5,", "hello", BAD_HEAD),
        ok("a folded length", "Content-Length:|  5", "hello", whole(200, 5)).differs(FOLDS),
        ok("a length within a fold", "A: b| Content-Length: 2", "hello", once(200, 5))
            .differs(FOLDS),
        ok("a length in capitals", "CONTENT-LENGTH: 5", "hello", whole(200, 5)),
        ok("a length too long", "Content-Length: 50", "hello", Read::Cut),
        ok("a length too short", "Content-Length: 2", "hello", once(200, 2)),
        ok("no length", "Server: x", "hello", once(200, 5)),
        ok("no length, no body", "Server: x", "", once(200, 0)),
        ok("twice the same", "Content-Length: 5|Content-Length: 5", "hello", whole(200, 5)),
        ok("twice another", "Content-Length: 5|Content-Length: 4", "hello", BAD_HEAD),
        ok("a list of the same", "Content-Length: 5, 5", "hello", whole(200, 5)),
        ok("a list of others", "Content-Length: 5, 4", "hello", BAD_HEAD),
        ok("below zero", "Content-Length: -5", "hello", BAD_HEAD),
        ok("with a plus", "Content-Length: +5", "hello", BAD_HEAD),
        ok("in hex", "Content-Length: 0x5", "hello", BAD_HEAD),
        ok("a fraction", "Content-Length: 5.0", "hello", BAD_HEAD),
        ok("a word", "Content-Length: five", "hello", BAD_HEAD),
        ok("an empty length", "Content-Length:", "hello", BAD_HEAD),
        ok("over 64 bits", "Content-Length: 18446744073709551616", "hello", BAD_HEAD),
        ok("over the bound", "Content-Length: 1048577", "hello", LONG_BODY),
        ok("a length beside chunks", both, "5\r\nhello\r\n0\r\n\r\n", once(200, 5)),
        raw("204 with a length", b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", whole(204, 0)),
        raw("304 with a length", b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", whole(304, 0)),
        raw(
            "204 with chunks",
            b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
            whole(204, 0),
        ),
        raw("204 and a body", b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", once(204, 0)),
        raw("404", b"HTTP/1.1 404 None\r\nContent-Length: 2\r\n\r\nno", whole(404, 2)),
    ]
}

fn chunks() -> Vec<Row> {
    let end = "0\r\n\r\n";
    let long = "x".repeat(5_000);
    let with_end = |start: &str| format!("{start}{end}");
    vec![
        chunked("chunks", &with_end("5\r\nhello\r\n6\r\n world\r\n"), whole(200, 11)),
        chunked("no chunk but the last", end, whole(200, 0)),
        chunked(
            "hex of both cases",
            &with_end(&format!(
                "1388\r\n{long}\r\nA\r\n0123456789\r\n\
            a\r\n0123456789\r\n"
            )),
            whole(200, 5_020),
        ),
        chunked("an extension", &with_end("5;name=value\r\nhello\r\n"), whole(200, 5)),
        chunked("an extension in quotes", &with_end("5;n=\"a;b\"\r\nhello\r\n"), whole(200, 5)),
        chunked("a trailer", "5\r\nhello\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n", whole(200, 5)),
        chunked(
            "more after the end",
            "5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            once(200, 5),
        ),
        chunked("a line feed alone", &with_end("5\nhello\r\n"), BAD_BODY),
        chunked("a line feed in an extension", &with_end("5;a\nb\r\nhello\r\n"), BAD_BODY),
        chunked("more than the size", &with_end("5\r\nhello!\r\n"), BAD_BODY),
        chunked("no end of data", &with_end("5\r\nhelloX"), BAD_BODY),
        chunked("cut in the data", "5\r\nhel", Read::Cut),
        chunked("cut between", "5\r\nhello\r\n", Read::Cut),
        chunked("cut before the very end", "5\r\nhello\r\n0\r\n", Read::Cut),
        ok("chunked in capitals", "TRANSFER-ENCODING: ChunKed", &with_end(""), whole(200, 0)),
        ok("chunked and an empty element", "Transfer-Encoding: chunked,", end, whole(200, 0))
            .differs("empty elements count for nothing (RFC 9110 §5.6.1)"),
        ok("chunked among empty elements", "Transfer-Encoding: , ,chunked , ,", end, whole(200, 0))
            .differs("empty elements count for nothing (RFC 9110 §5.6.1)"),
        ok(
            "chunked, and an empty line",
            "Transfer-Encoding: chunked|Transfer-Encoding:",
            end,
            whole(200, 0),
        )
        .differs("two lines are one list, whose empty elements count for nothing"),
        ok(
            "an empty Transfer-Encoding",
            "Transfer-Encoding:|Content-Length: 5",
            "hello",
            once(200, 5),
        ),
        ok("gzip, then chunked", "Transfer-Encoding: gzip, chunked", end, whole(200, 0)),
        ok("a coding that is not chunked", "Transfer-Encoding: gzip", "hello", once(200, 5)),
        raw(
            "chunks from 1.0",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            BAD_HEAD,
        ),
    ]
}

/// The end of a head, and a body.
const HELLO: &str = "Content-Length: 5\r\n\r\nhello";

/// A response that begins with these lines.
fn line(name: &'static str, line: &str, read: Read) -> Row {
    raw(name, format!("{line}\r\n{HELLO}").as_bytes(), read)
}

fn chunk_sizes() -> Vec<Row> {
    let with_end = |start: &str| format!("{start}0\r\n\r\n");
    vec![
        chunked("no size", &with_end("\r\nhello\r\n"), BAD_BODY),
        chunked("a size below zero", &with_end("-5\r\nhello\r\n"), BAD_BODY),
        chunked("a size with 0x", &with_end("0x5\r\nhello\r\n"), BAD_BODY),
        chunked("a size that is no number", &with_end("five\r\nhello\r\n"), BAD_BODY),
        chunked("a size over 64 bits", &with_end("10000000000000000\r\nhello\r\n"), BAD_BODY),
        chunked("a size over the bound", "fffffffffffffff\r\nhello\r\n", Read::Cut),
        chunked(
            "a size after 18 zeros",
            &with_end("0000000000000000005\r\nhello\r\n"),
            whole(200, 5),
        ),
        chunked(
            "a size after a flood of zeros",
            &format!("{}5\r\nhello\r\n", "0".repeat(20_000)),
            LONG_EXTRAS,
        ),
        chunked("a size of 64 bits", "FFFFFFFFFFFFFFFF\r\nhello\r\n", Read::Cut),
        chunked("room within the size", &with_end("5 5\r\nhello\r\n"), BAD_BODY),
        chunked("junk after the size", &with_end("5 x\r\nhello\r\n"), BAD_BODY),
        chunked("room before an extension", &with_end("5 \t;a=b\r\nhello\r\n"), whole(200, 5)),
        chunked("room after the size", &with_end("5  \r\nhello\r\n"), whole(200, 5)),
        chunked("zeros before the size", &with_end("0005\r\nhello\r\n"), whole(200, 5)),
    ]
}

fn folds() -> Vec<Row> {
    vec![
        line("a folded line", "HTTP/1.1 200 OK\r\nA: b\r\n c", whole(200, 5)).differs(FOLDS),
        line("a fold of blanks", "HTTP/1.1 200 OK\r\nA: b\r\n  ", whole(200, 5)).differs(FOLDS),
        line("a fold before all headers", "HTTP/1.1 200 OK\r\n c", BAD_HEAD),
        line("a folded Connection", "HTTP/1.1 200 OK\r\nConnection: x,\r\n\tclose", once(200, 5))
            .differs(FOLDS),
        raw(
            "line feeds alone, and a fold",
            b"HTTP/1.1 200 OK\nA: b\n c\nContent-Length: 5\n\nhello",
            whole(200, 5),
        )
        .differs(FOLDS),
        raw(
            "a folded Transfer-Encoding",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            whole(200, 0),
        )
        .differs(FOLDS),
        chunked("a folded trailer", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n 2\r\n\r\n", whole(200, 5))
            .differs(FOLDS),
    ]
}

fn heads() -> Vec<Row> {
    let blank = |bytes: usize| {
        let lines = "\r\n".repeat(bytes / 2);
        format!("{lines}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").into_bytes()
    };
    let interim = |name, count: usize, code: &str, read| {
        let early = format!("HTTP/1.1 {code}\r\nLink: </a.css>\r\n\r\n").repeat(count);
        raw(name, format!("{early}HTTP/1.1 200 OK\r\n{HELLO}").as_bytes(), read)
    };
    vec![
        ok("close", "Connection: close|Content-Length: 5", "hello", once(200, 5)),
        ok("close among others", "Connection: x, Close|Content-Length: 0", "", once(200, 0)),
        line("no reason", "HTTP/1.1 200", whole(200, 5)),
        line("an empty reason", "HTTP/1.1 200 ", whole(200, 5)),
        line("1.0", "HTTP/1.0 200 OK", once(200, 5)),
        line("1.0 kept alive", "HTTP/1.0 200 OK\r\nConnection: keep-alive", whole(200, 5)),
        line("an unassigned status", "HTTP/1.1 799 Odd", whole(799, 5)),
        line("a status below 100", "HTTP/1.1 099 Odd", BAD_HEAD),
        line("a status of zero", "HTTP/1.1 000 Odd", BAD_HEAD),
        line("a status of four digits", "HTTP/1.1 2000 OK", BAD_HEAD),
        line("a status in words", "HTTP/1.1 OK", BAD_HEAD),
        line("2.0", "HTTP/2.0 200 OK", BAD_HEAD),
        line("1.2", "HTTP/1.2 200 OK", whole(200, 5))
            .differs("a higher minor version is read as 1.1 (RFC 9110 §2.5)"),
        line("1.10", "HTTP/1.10 200 OK", BAD_HEAD),
        line("no HTTP", "ICY 200 OK", NO_HTTP),
        line("HTTP in small letters", "http/1.1 200 OK", NO_HTTP),
        line("room before the colon", "HTTP/1.1 200 OK\r\nA : b", BAD_HEAD),
        line("no colon", "HTTP/1.1 200 OK\r\nwhatever", BAD_HEAD),
        line("NUL in a value", "HTTP/1.1 200 OK\r\nA: b\0c", BAD_HEAD),
        line("NUL in a name", "HTTP/1.1 200 OK\r\nA\0: b", BAD_HEAD),
        line("no name", "HTTP/1.1 200 OK\r\n: b", BAD_HEAD),
        line("bytes above ASCII", "HTTP/1.1 200 OK\r\nA: caf\u{e9}", whole(200, 5)),
        raw("line feeds alone", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", whole(200, 5)),
        raw(
            "an empty line before",
            b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            whole(200, 0),
        ),
        raw("many empty lines before", &blank(60), whole(200, 0)),
        raw("a flood of empty lines before", &blank(66), NO_HTTP)
            .differs("each would be looked at again with every byte that comes"),
        raw("HTTP/0.9", b"<html>hello</html>", NO_HTTP),
        raw("a TLS alert", b"\x15\x03\x03\x00\x02\x02\x46", NO_HTTP),
        raw("HTTP/2 frames", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", NO_HTTP),
        raw("nothing", b"", Read::Cut),
        raw("a cut head", b"HTTP/1.1 200 OK\r\nContent-Le", Read::Cut),
        interim("one interim", 1, "100 Continue", whole(200, 5)),
        interim("two interim", 2, "103 Early Hints", whole(200, 5)),
        interim("16 interim", 16, "102 Processing", whole(200, 5)),
        interim("17 interim", 17, "102 Processing", MANY_INTERIM)
            .differs("a flood of 1xx is bounded"),
        interim("an upgrade", 1, "101 Switching Protocols", BAD_HEAD)
            .differs("nobody asked for another protocol; hyper hands the connection over"),
        raw("no HTTP after an interim one", b"HTTP/1.1 100 Continue\r\n\r\nhello", BAD_HEAD),
        raw("only interim", b"HTTP/1.1 100 Continue\r\n\r\n", Read::Cut),
    ]
}

fn sizes() -> Vec<Row> {
    let headers = |count: usize| {
        let lines = "x: y\r\n".repeat(count);
        format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n").into_bytes()
    };
    let one = |length: usize| {
        let value = "v".repeat(length);
        format!("HTTP/1.1 200 OK\r\nA: {value}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    };
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "e".repeat(20_000));
    let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(5_000));
    vec![
        raw("90 headers", &headers(90), whole(200, 0)),
        raw("255 headers", &headers(255), whole(200, 0)).differs("hyper stops at 100, we at 256"),
        raw("256 and one", &headers(256), MANY_HEADERS),
        raw("100000 headers", &headers(100_000), MANY_HEADERS),
        raw("a header of 60 kB", &one(60_000), whole(200, 0)),
        raw("a header of 70 kB", &one(70_000), LONG_HEAD).differs("64 KiB of head are enough"),
        raw("a header of 1 MB", &one(1 << 20), LONG_HEAD),
        raw("a head that never ends", &one(200_000)[..150_000], LONG_HEAD),
        chunked("a long extension", &extension, LONG_EXTRAS),
        chunked("5000 trailers", &trailers, LONG_EXTRAS),
    ]
}

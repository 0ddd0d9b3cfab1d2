//! Tests of response framing: our reader, with whole and split input, and hyper's over a real
//! socket.

use std::future::Future;
use std::process::Command;
use std::time::Duration;

use manada::wire::ResponseCapture;
use manada::wire::http1::framing::{FramingError, ResponseReader};
use manada::wire::{CaptureRequest, TakesOver};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::runtime::Builder;

use crate::peer::{Server, Then};
use crate::raw_responses::{self, Hyper, MAX_BODY, Read, Row};

fn wanted(head_request: bool, max_body: u64) -> CaptureRequest {
    CaptureRequest {
        head_request,
        max_body,
        keep_head: true,
        keep_body: true,
        cookies: true,
        location: true,
        retry_after: true,
        takes_over: TakesOver::Nothing,
        observes: None,
    }
}

/// Feeds the pieces, also those after the end, then ends the connection.
fn read<'a>(
    wanted: CaptureRequest,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Read, ResponseCapture) {
    let mut reader = ResponseReader::new(wanted);
    let mut kept = ResponseCapture::default();
    for piece in pieces {
        if let Err(broken) = reader.feed(piece, &mut kept) {
            let FramingError::Response(phase, kind) = broken else { panic!("{broken:?}") };
            return (Read::Broken(phase, kind), kept);
        }
    }
    let reuse = reader.may_reuse();
    let read =
        if reader.end() { Read::Whole(reader.status(), kept.body.len(), reuse) } else { Read::Cut };
    (read, kept)
}

/// Splits bytes at these places.
fn split<'a>(bytes: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|at| at % (bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

#[test]
fn each_answer_reads_as_it_must_whole_and_byte_by_byte() {
    let mut wrong = Vec::new();
    for row in raw_responses::rows() {
        let wanted = wanted(row.head_request, MAX_BODY);
        let (whole, kept) = read(wanted, [row.bytes.as_slice()]);
        if whole != row.read {
            wrong.push(format!("{}: {whole:?}, not {:?}", row.name, row.read));
        }
        let (bytewise, other) = read(wanted, row.bytes.chunks(1));
        if bytewise != whole || other.body != kept.body || other.head != kept.head {
            wrong.push(format!("{}: {bytewise:?} byte by byte, {whole:?} at once", row.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_split_in_two_reads_the_same() {
    for row in raw_responses::rows().iter().filter(|row| row.bytes.len() < 2_000) {
        let wanted = wanted(row.head_request, MAX_BODY);
        for at in 0..=row.bytes.len() {
            let (left, right) = row.bytes.split_at(at);
            assert_eq!(read(wanted, [left, right]).0, row.read, "{} at {at}", row.name);
        }
    }
}

/// Returns hyper's result: status and body length, or nothing.
async fn with_hyper(client: &reqwest::Client, row: &Row) -> Option<(u16, usize)> {
    let server = Server::answering(row.bytes.clone(), Then::Close);
    let method = if row.head_request { reqwest::Method::HEAD } else { reqwest::Method::GET };
    let response = client.request(method, server.url()).send().await.ok()?;
    let status = response.status().as_u16();
    Some((status, response.bytes().await.ok()?.len()))
}

fn block_on<F: Future>(future: F) -> F::Output {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn hyper_agrees_or_we_say_why_not() {
    // The client asks for one, although nothing here is encrypted.
    drop(rustls::crypto::ring::default_provider().install_default());
    block_on(async {
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        let mut wrong = Vec::new();
        for row in raw_responses::rows() {
            let ours = match row.read {
                Read::Whole(status, length, _) => Some((status, length)),
                Read::Cut | Read::Broken(..) => None,
            };
            let theirs = with_hyper(&client, &row).await;
            if (ours == theirs) != (row.hyper == Hyper::Agrees) {
                wrong.push(format!("{}: ours {ours:?}, hyper's {theirs:?}", row.name));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}

/// Where curl reads a response differently, and why our result stands.
const CURL_DIFFERS: [(&str, &str); 28] = [
    (
        "a list that ends empty",
        "curl takes the first of several lengths; an empty one is no length",
    ),
    ("a folded length", "curl does not unfold (RFC 9112 §5.2 asks for it)"),
    ("twice another", "curl takes the last of two lengths that differ (RFC 9112 §6.3 refuses)"),
    ("a list of others", "the same in a list"),
    ("with a plus", "curl reads a number with a sign as a length"),
    ("in hex", "curl reads a length up to what is no digit"),
    ("a fraction", "the same"),
    ("a line feed alone", "curl ends lines of a head with a line feed alone"),
    (
        "a coding that is not chunked",
        "curl knows no such coding; the body lasts to the end (RFC 9112 §6.3)",
    ),
    ("chunks from 1.0", "curl reads chunks of HTTP/1.0, whose framing is faulty (RFC 9112 §6.1)"),
    ("a size after 18 zeros", "curl takes at most 16 digits"),
    ("room within the size", "curl reads a size up to what is no digit"),
    ("junk after the size", "the same"),
    ("a folded Transfer-Encoding", "curl does not unfold: it takes the chunks for the body"),
    ("2.0", "curl reads any version of one digit"),
    ("1.2", "curl does not know it; a higher minor version is read as 1.1 (RFC 9110 §2.5)"),
    (
        "HTTP in small letters",
        "curl takes any case of the name, which is sensitive to it (RFC 9112 §2.3)",
    ),
    ("room before the colon", "curl takes it (RFC 9112 §5.1 has proxies remove it)"),
    ("no name", "curl takes a header without a name"),
    ("an empty line before", "curl takes the response for HTTP/0.9"),
    ("many empty lines before", "the same"),
    ("a cut head", "curl takes a head that the end of the connection cuts for a whole one"),
    ("17 interim", "curl has no limit of them"),
    ("an upgrade", "curl takes an upgrade that was not asked for"),
    ("256 and one", "curl has no limit of headers"),
    ("a header of 70 kB", "curl's limit of a head is 300 kB"),
    ("a long extension", "curl has no limit of extensions"),
    ("5000 trailers", "curl has no limit of trailers"),
];

/// Returns curl's result: status and body length, or nothing.
fn with_curl(row: &Row) -> Option<(u16, usize)> {
    let server = Server::answering(row.bytes.clone(), Then::Close);
    let mut curl = Command::new("curl");
    curl.args(["-s", "--http1.1", "--max-time", "10", "--max-filesize", &MAX_BODY.to_string()]);
    curl.args(["-w", "\n%{http_code}", "-o", "-", "--noproxy", "*"]);
    if row.head_request {
        curl.args(["--head", "-o", "/dev/null"]);
    }
    let done = curl.arg(server.url()).output().unwrap();
    let text = done.stdout;
    let (body, status) = text.split_at(text.len().checked_sub(4)?);
    let status = std::str::from_utf8(&status[1..]).ok()?.parse().ok()?;
    let length = if row.head_request { 0 } else { body.len() };
    done.status.success().then_some((status, length))
}

#[test]
fn curl_agrees_or_we_say_why_not() {
    // curl is an additional reference beside hyper: the differences are those of this version.
    let version = Command::new("curl").arg("--version").output();
    if !version.is_ok_and(|version| version.stdout.starts_with(b"curl 7.88.")) {
        return;
    }
    let mut wrong = Vec::new();
    for row in raw_responses::rows() {
        let ours = match row.read {
            Read::Whole(status, length, _) => Some((status, length)),
            Read::Cut | Read::Broken(..) => None,
        };
        let theirs = with_curl(&row);
        let differs = CURL_DIFFERS.iter().any(|(name, _)| *name == row.name);
        if (ours == theirs) == differs {
            wrong.push(format!("{}: ours {ours:?}, curl's {theirs:?}", row.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_flood_of_empty_lines_is_bounded() {
    for flood in ["\r\n", "\n"] {
        let bytes = flood.repeat(200_000);
        let (read, kept) = read(wanted(false, MAX_BODY), bytes.as_bytes().chunks(1_000));
        assert!(matches!(read, Read::Broken(..)), "{read:?}");
        assert!(kept.head.is_empty() && kept.body.is_empty());
    }
}

/// Generates pieces of responses, so that arbitrary bytes reach deep into the reader.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 404 X\r\n",
        "HTTP/1.1 100 C\r\n\r\n",
        "HTTP/1.1 204 N\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 700\r\n",
        "Content-Length: 18446744073709551615\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Connection: close\r\n",
        "a: b\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "5\r\nhello\r\n",
        "5;x=y\r\n",
        "0\r\n",
        "0\r\n\r\n",
        "fffffffffffffff\r\n",
        "hello",
    ];
    let known = known.map(|text| text.as_bytes().to_vec()).to_vec();
    let piece = prop_oneof![
        8 => proptest::sample::select(known),
        1 => vec(any::<u8>(), 0..40),
        1 => (any::<u8>(), 0..150_usize).prop_map(|(byte, count)| vec![byte; count]),
    ];
    // Half of them begin like a valid response.
    (any::<bool>(), vec(piece, 0..24)).prop_map(|(proper, pieces)| {
        let start = if proper { &b"HTTP/1.1 200 OK\r\n"[..] } else { b"" };
        [start, &pieces.concat()].concat()
    })
}

/// Many cases, because each is cheap. A failure prints its input and leaves no file.
fn many() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn splits_never_change_what_is_read(
        bytes in hostile(),
        places in vec(any::<usize>(), 0..30),
        head_request in any::<bool>(),
        max_body in 0..1_000_u64,
    ) {
        let wanted = wanted(head_request, max_body);
        let (whole, kept) = read(wanted, [bytes.as_slice()]);
        let (pieces, other) = read(wanted, split(&bytes, &places));
        prop_assert_eq!(whole, pieces);
        prop_assert!(kept.body.len() as u64 <= max_body);
        prop_assert!(other.body.len() as u64 <= max_body);
        if let Read::Whole(status, ..) = whole {
            prop_assert!((100..1_000).contains(&status));
            prop_assert_eq!(&kept.body, &other.body);
            prop_assert_eq!(&kept.head, &other.head);
        }
    }

    // In heads of up to 4 KiB: longer ones are judged line by line, not piece by piece.
    #[test]
    fn any_bytes_at_all_are_read_or_refused(
        bytes in vec(any::<u8>(), 0..4_000),
        places in vec(any::<usize>(), 0..30),
    ) {
        let wanted = wanted(false, 100);
        prop_assert_eq!(read(wanted, [bytes.as_slice()]).0, read(wanted, split(&bytes, &places)).0);
    }
}

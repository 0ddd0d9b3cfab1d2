//! Where an answer ends: our reader, whole and in pieces, and hyper's over a real socket.

use std::future::Future;
use std::time::Duration;

use manada::wire::Kept;
use manada::wire::Wanted;
use manada::wire::framing::{Broken, Reader};
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::runtime::Builder;

use crate::answers::{self, Hyper, MAX_BODY, Read, Row};
use crate::peer::{Server, Then};

fn wanted(head_request: bool, max_body: u64) -> Wanted {
    Wanted {
        head_request,
        max_body,
        keep_head: true,
        keep_body: true,
        cookies: true,
        location: true,
        retry_after: true,
    }
}

/// Feeds the pieces, also those after the end, then ends the connection.
fn read<'a>(wanted: Wanted, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Read, Kept) {
    let mut reader = Reader::new(wanted);
    let mut kept = Kept::default();
    for piece in pieces {
        if let Err(broken) = reader.feed(piece, &mut kept) {
            let Broken::Response(phase, kind) = broken else { panic!("{broken:?}") };
            return (Read::Broken(phase, kind), kept);
        }
    }
    let reuse = reader.may_reuse();
    let read =
        if reader.end() { Read::Whole(reader.status(), kept.body.len(), reuse) } else { Read::Cut };
    (read, kept)
}

/// The pieces between these places.
fn split<'a>(bytes: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|at| at % (bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

#[test]
fn each_answer_reads_as_it_must_whole_and_byte_by_byte() {
    let mut wrong = Vec::new();
    for row in answers::rows() {
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
    for row in answers::rows().iter().filter(|row| row.bytes.len() < 2_000) {
        let wanted = wanted(row.head_request, MAX_BODY);
        for at in 0..=row.bytes.len() {
            let (left, right) = row.bytes.split_at(at);
            assert_eq!(read(wanted, [left, right]).0, row.read, "{} at {at}", row.name);
        }
    }
}

/// What hyper makes of it: status and length of the body, or nothing.
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
    block_on(async {
        let client = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(10))
            .build()
            .unwrap();
        let mut wrong = Vec::new();
        for row in answers::rows() {
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

#[test]
fn a_flood_of_empty_lines_is_bounded() {
    for flood in ["\r\n", "\n"] {
        let bytes = flood.repeat(200_000);
        let (read, kept) = read(wanted(false, MAX_BODY), bytes.as_bytes().chunks(1_000));
        assert!(matches!(read, Read::Broken(..)), "{read:?}");
        assert!(kept.head.is_empty() && kept.body.is_empty());
    }
}

/// Pieces of answers, so that arbitrary bytes reach deep into the reader.
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
    // Half of them begin as an answer should.
    (any::<bool>(), vec(piece, 0..24)).prop_map(|(proper, pieces)| {
        let start = if proper { &b"HTTP/1.1 200 OK\r\n"[..] } else { b"" };
        [start, &pieces.concat()].concat()
    })
}

/// Many cases: each is cheap. A failure prints its input, and leaves no file.
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

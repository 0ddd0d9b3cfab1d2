//! Ordinary calls whose response is observed as it comes.

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use manada::clock::{self, RunOffset};
use manada::ids::ServiceId;
use manada::plan::transport::HttpVersion;
use manada::stats::{AttemptOutcome, FailureKind};
use manada::wire::tokens::streamed::{StreamedFormat, StreamedResponse};
use manada::wire::{CallDeadline, CaptureRequest, Outgoing, ResponseCapture};

use crate::client::{exchange, run, wire_to};
use crate::server::RawServer;

/// Makes a call at a server that sends `pieces`, 20 ms apart, and closes.
fn call(pieces: &'static [&'static str]) -> (AttemptOutcome, Vec<u8>, Option<StreamedResponse>) {
    let server = RawServer::start(move |mut stream, _| {
        for piece in pieces {
            stream.write_all(piece.as_bytes()).unwrap();
            clock::block_on(clock::sleep_until(clock::now() + Duration::from_millis(20))).unwrap();
        }
    });
    let observed = run(async {
        let wire = wire_to(server.address, HttpVersion::Http1, false);
        let outgoing = Outgoing {
            service: ServiceId::new(0),
            bytes: b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            capture: &CaptureRequest {
                max_body: 1 << 20,
                keep_body: true,
                observes: Some(StreamedFormat::OpenAi),
                ..CaptureRequest::NOTHING
            },
            operation: None,
            idempotent: false,
            user: 0,
            link: None,
            number: 0,
            intended: RunOffset::from_ns(0),
        };
        let deadline = CallDeadline::new(Rc::new(Cell::new(false)));
        deadline.begin(clock::now() + Duration::from_secs(10));
        let (mut slot, mut capture) = (wire.new_slot(), ResponseCapture::default());
        let exchange = exchange(&wire, &mut slot, (&outgoing, &deadline), &mut capture).await;
        let is_whole = matches!(exchange.outcome, AttemptOutcome::Responded(_));
        (exchange.outcome, capture.body.to_vec(), capture.end_observing(is_whole).cloned())
    });
    server.join();
    observed
}

#[test]
fn tokens_are_timed_at_their_reads_and_the_body_is_kept_beside() {
    let (outcome, body, seen) = call(&[
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\ndata: [DONE]\n\n",
    ]);
    let seen = seen.unwrap();
    assert_eq!((outcome, seen.failure()), (AttemptOutcome::Responded(200), None));
    assert!(body.ends_with(b"data: [DONE]\n\n"));
    assert_eq!((seen.events, seen.content_chunks, seen.tokens), (4, 2, None));
    assert_eq!(seen.gaps, [seen.last.since(seen.first)]);
    assert!(seen.gaps[0] >= 10_000_000, "{seen:?}");
}

#[test]
fn other_statuses_are_not_observed_and_a_missing_end_is_a_failure() {
    let (outcome, body, seen) =
        call(&["HTTP/1.1 429 Slow\r\nContent-Length: 12\r\n\r\n", "{\"error\":{}}"]);
    assert_eq!((outcome, body), (AttemptOutcome::Responded(429), b"{\"error\":{}}".to_vec()));
    assert!(seen.is_none());
    let (outcome, _, seen) = call(&[
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "2f\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\r\n0\r\n\r\n",
    ]);
    assert_eq!(outcome, AttemptOutcome::Responded(200));
    let seen = seen.unwrap();
    assert_eq!(seen.failure(), Some(FailureKind::IncompleteStream));
    assert_eq!(seen.content_chunks, 1);
}

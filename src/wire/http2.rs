//! HTTP/2 through the h2 crate: one connection per line, one exchange on it at a time.
//!
//! `Wire::exchange` comes here, boxed, for services that speak it or may.
//! Invariant: every way an exchange can end is an Outcome, named as HTTP/1.1 would; what a target
//! sends is bounded by windows and by what the step accepts.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::Reason;
use h2::client::{self, SendRequest};
use http::uri::Scheme;
use tokio::task::JoinHandle;

use super::connection::{OpenConnection, gave_up};
use super::deadline::CallDeadline;
use super::framing::{MAX_HEAD, MAX_INTERIM};
use super::http1::{Http1, STALE_NS, never_sent};
use super::reason::{FailureContext, StreamFailure};
use super::response_capture::{ExchangeProgress, ResponseCapture};
use super::traffic::{ConnectionTraffic, CountedIo};
use super::{ConnectionSlot, Outgoing, Resend, ServiceEndpoint, message};
use crate::clock::{self, Time};
use crate::plan::transport::HttpVersion;
use crate::stats::sample::{ConnectTimings, Exchange};
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind, GeneratorError};

/// What h2 decodes of a head before it gives up. More than is accepted, so that a head over
/// [`MAX_HEAD`] is told from nonsense, which h2 reports with the same code.
const MAX_DECODED_HEAD: u32 = 4 * MAX_HEAD as u32;

/// What a target may send before we have read it, on a stream and on a connection.
const WINDOW: u32 = 256 << 10;

/// An open connection that speaks HTTP/2. A task of its own drives it, so that pings are answered
/// and its end is seen while its user thinks.
#[derive(Debug)]
pub(super) struct Http2 {
    sender: SendRequest<Bytes>,
    driver: JoinHandle<()>,
    traffic: Rc<ConnectionTraffic>,
    scheme: Scheme,
    /// When its last exchange ended; `NEVER` before the first.
    idle_since: Time,
}

/// How far an exchange has come.
struct StreamProgress {
    phase: AttemptPhase,
    first_byte: Time,
    status: u16,
}

/// Why no complete response came.
enum StreamError {
    /// Found here.
    Here(AttemptOutcome),
    /// Found by h2, or told by the target.
    Protocol(h2::Error),
}

impl From<AttemptOutcome> for StreamError {
    fn from(outcome: AttemptOutcome) -> Self {
        Self::Here(outcome)
    }
}

impl From<h2::Error> for StreamError {
    fn from(error: h2::Error) -> Self {
        Self::Protocol(error)
    }
}

/// [`exchange`], boxed: users of HTTP/1.1 do not carry room for it.
#[cold]
pub(super) fn boxed<'a>(
    http1: &'a Http1,
    endpoint: &'a ServiceEndpoint,
    line: &'a mut ConnectionSlot,
    outgoing: &'a Outgoing<'a>,
    now: Time,
    patience: &'a CallDeadline,
    kept: &'a mut ResponseCapture,
) -> Pin<Box<dyn Future<Output = (Exchange, Resend)> + 'a>> {
    Box::pin(exchange(http1, endpoint, line, outgoing, now, patience, kept))
}

/// One exchange on a service that may speak HTTP/2. What it means is what `http1` means.
async fn exchange(
    http1: &Http1,
    endpoint: &ServiceEndpoint,
    line: &mut ConnectionSlot,
    outgoing: &Outgoing<'_>,
    now: Time,
    patience: &CallDeadline,
    kept: &mut ResponseCapture,
) -> (Exchange, Resend) {
    if line.connection.is_some() {
        http1.drop_if_dead(line).await;
    }
    if line.h2.as_mut().is_some_and(|two| !two.is_fresh()) {
        line.close();
    }
    let mut opening = None;
    kept.progress = ExchangeProgress::default();
    if line.connection.is_none() && line.h2.is_none() {
        kept.progress.connecting = Some(false);
        let times = opening.insert(ConnectTimings::default());
        if let Err(outcome) = open(endpoint, line, outgoing, patience, times).await {
            return (never_sent(now, outcome, opening), Resend::No);
        }
        kept.progress.connecting = Some(true);
    }
    if line.h2.is_some() {
        line.carry();
    }
    let reuses = opening.is_none() && line.requests > 1;
    let Some(two) = &mut line.h2 else {
        let spoken = http1.exchange(endpoint, line, outgoing, now, patience, kept).await;
        return (Exchange { connect: opening.or(spoken.0.connect), ..spoken.0 }, spoken.1);
    };
    let idle_ns = now.since(two.idle_since);
    let mut progress =
        StreamProgress { phase: AttemptPhase::Send, first_byte: Time::NEVER, status: 0 };
    let before = two.traffic.sent.get();
    let spoken = two.converse(outgoing, patience, kept, &mut progress).await;
    let done = clock::now();
    two.idle_since = done;
    let body = message::body_of(outgoing.bytes).len() as u64;
    let sent = two.traffic.sent.get() > before + body;
    let (bytes_sent, bytes_received) = two.traffic.take();
    let exchange = Exchange {
        outcome: spoken
            .map_or(AttemptOutcome::Responded(progress.status), |failure| failure.outcome),
        dispatched: now,
        first_byte: progress.first_byte,
        done,
        connect: opening,
        reuses,
        sent,
        bytes_sent,
        bytes_received,
    };
    let is_old = opening.is_none() && idle_ns >= STALE_NS;
    let resend = match exchange.outcome {
        _ if spoken.is_some_and(|failure| failure.is_unprocessed) => Resend::Unprocessed,
        AttemptOutcome::Failed(
            AttemptPhase::Send | AttemptPhase::FirstByte,
            FailureKind::Closed | FailureKind::Reset,
        ) if outgoing.idempotent && is_old => Resend::Stale,
        _ => Resend::No,
    };
    if is_doubtful(exchange.outcome) || !two.is_fresh() {
        line.close();
    }
    (exchange, resend)
}

/// Whether a connection is not used again after an exchange that ended so. A response that broke a
/// rule or a limit of ours leaves it as it was. After silence, or a target that gave the stream up,
/// it is as doubtful as one of HTTP/1.1: a way that is dead would else time out for ever.
fn is_doubtful(outcome: AttemptOutcome) -> bool {
    match outcome {
        AttemptOutcome::Timeout(_) | AttemptOutcome::Unfinished(_) => true,
        AttemptOutcome::Failed(AttemptPhase::Send | AttemptPhase::FirstByte, kind) => {
            !matches!(kind, FailureKind::Malformed | FailureKind::HeadTooLarge)
        }
        _ => false,
    }
}

/// Opens a connection, and finds out what is spoken on it.
pub(super) async fn open(
    endpoint: &ServiceEndpoint,
    line: &mut ConnectionSlot,
    outgoing: &Outgoing<'_>,
    patience: &CallDeadline,
    times: &mut ConnectTimings,
) -> Result<(), AttemptOutcome> {
    let connection = OpenConnection::open(endpoint, outgoing, patience, times).await?;
    let two = match connection.picked() {
        Some(picked) => picked == b"h2",
        None => endpoint.tls.is_none(),
    };
    if two {
        line.open_h2(Http2::over(connection, endpoint, patience).await?);
    } else if endpoint.version == HttpVersion::Http2 {
        times.open = false;
        return Err(AttemptOutcome::Failed(AttemptPhase::Tls, FailureKind::NoHttp2));
    } else {
        line.open(connection);
    }
    Ok(())
}

impl Http2 {
    async fn over(
        connection: OpenConnection,
        endpoint: &ServiceEndpoint,
        patience: &CallDeadline,
    ) -> Result<Box<Self>, AttemptOutcome> {
        let scheme = if endpoint.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let traffic = Rc::<ConnectionTraffic>::default();
        let io = CountedIo { connection, traffic: Rc::clone(&traffic), broken: None };
        let handshake = client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(MAX_DECODED_HEAD)
            .enable_push(false)
            .handshake(io);
        match patience.wait(handshake).await {
            Ok(Ok((sender, connection))) => {
                // How it ended, its exchanges are told one by one.
                let driver = tokio::task::spawn_local(async move { drop(connection.await) });
                Ok(Box::new(Self { sender, driver, traffic, scheme, idle_since: Time::NEVER }))
            }
            Ok(Err(error)) => Err(StreamFailure::of(&error, FailureContext::OPENING).outcome),
            Err(why) => Err(gave_up(why, AttemptPhase::Send)),
        }
    }

    /// Whether it can carry another request: it has neither ended nor been told to go away.
    pub(super) fn is_fresh(&mut self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        !self.driver.is_finished()
            && !matches!(self.sender.poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Sends the request and reads the answer; `Some` when there is no complete one.
    async fn converse(
        &mut self,
        outgoing: &Outgoing<'_>,
        patience: &CallDeadline,
        kept: &mut ResponseCapture,
        progress: &mut StreamProgress,
    ) -> Option<StreamFailure> {
        let (is_first, before) = (self.idle_since == Time::NEVER, self.traffic.received.get());
        match patience.wait(self.speak(outgoing, kept, progress)).await {
            Ok(Ok(())) => None,
            Ok(Err(StreamError::Here(outcome))) => Some(outcome.into()),
            Ok(Err(StreamError::Protocol(error))) => {
                let (phase, go_away) = (progress.phase, self.go_away());
                let received = self.traffic.received.get() - before;
                let tls = self.traffic.fault.take();
                let circumstances = FailureContext { phase, is_first, go_away, received, tls };
                Some(StreamFailure::of(&error, circumstances))
            }
            Err(why) => Some(gave_up(why, progress.phase).into()),
        }
    }

    /// The reason of the GOAWAY that the target has sent, if it has.
    fn go_away(&mut self) -> Option<Reason> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match self.sender.poll_ready(&mut cx) {
            Poll::Ready(Err(error)) if error.is_remote() => error.reason(),
            _ => None,
        }
    }

    async fn speak(
        &mut self,
        outgoing: &Outgoing<'_>,
        kept: &mut ResponseCapture,
        progress: &mut StreamProgress,
    ) -> Result<(), StreamError> {
        let Some((request, body)) = message::request(outgoing.bytes, self.scheme.clone()) else {
            return Err(AttemptOutcome::Failed(AttemptPhase::Send, FailureKind::Other).into());
        };
        poll_fn(|cx| self.sender.poll_ready(cx)).await?;
        let (mut answer, mut stream) = self.sender.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            // It waits inside for the target's window; an early answer need not wait for it.
            stream.send_data(body, true)?;
        }
        // As far as anybody can tell who gives it up from here on.
        kept.progress.sent = true;
        progress.phase = AttemptPhase::FirstByte;
        let mut interim = 0;
        let answer = poll_fn(|cx| {
            // What comes before the real answer is counted, as on HTTP/1.1.
            while let Poll::Ready(Some(Ok(_))) = answer.poll_informational(cx) {
                interim += 1;
                if interim > MAX_INTERIM {
                    let many = AttemptOutcome::Failed(
                        AttemptPhase::FirstByte,
                        FailureKind::TooManyInterim,
                    );
                    return Poll::Ready(Err(many.into()));
                }
            }
            Pin::new(&mut answer).poll(cx).map_err(StreamError::from)
        })
        .await?;
        progress.first_byte = clock::now();
        progress.status = answer.status().as_u16();
        progress.phase = AttemptPhase::Body;
        let (head, mut data) = answer.into_parts();
        if message::head_length(&head.headers) > MAX_HEAD {
            return Err(
                AttemptOutcome::Failed(AttemptPhase::FirstByte, FailureKind::HeadTooLarge).into()
            );
        }
        message::keep_head(&head.headers, progress.status, &outgoing.capture, kept);
        let mut length = 0;
        while let Some(piece) = poll_fn(|cx| data.poll_data(cx)).await {
            let piece = match piece {
                Ok(piece) => piece,
                // It wants no more of our body and has said all it had to say (RFC 9113 §8.1).
                Err(error) if error.is_reset() && error.reason() == Some(Reason::NO_ERROR) => {
                    let whole = message::length_of(&head.headers).is_none_or(|all| all == length);
                    return if whole { Ok(()) } else { Err(error.into()) };
                }
                Err(error) => return Err(error.into()),
            };
            length += piece.len() as u64;
            if length > outgoing.capture.max_body {
                return Err(
                    AttemptOutcome::Failed(AttemptPhase::Body, FailureKind::BodyTooLarge).into()
                );
            }
            if outgoing.capture.keep_body {
                let no_room =
                    |_| StreamError::Here(AttemptOutcome::Own(GeneratorError::KeptBodies));
                kept.body.push(&piece).map_err(no_room)?;
            }
            let _ = data.flow_control().release_capacity(piece.len());
        }
        Ok(())
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

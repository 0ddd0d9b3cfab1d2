//! An HTTP/2 connection through the h2 crate, with one exchange on it at a time.
//!
//! `http2` opens it and runs exchanges on it.
//! Invariant: what a target sends is bounded by flow-control windows and by the request's limits.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::Reason;
use h2::client::{self, SendRequest};
use http::uri::Scheme;
use tokio::task::JoinHandle;

use crate::clock::{self, Time};
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind, GeneratorError};
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::connect::connection::OpenConnection;
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::deadline::CallDeadline;
use crate::wire::http1::framing::{MAX_HEAD, MAX_INTERIM};
use crate::wire::http2::message;
use crate::wire::http2::reason::{FailureContext, StreamFailure};
use crate::wire::http2::traffic::{ConnectionTraffic, CountedIo};
use crate::wire::outgoing::Outgoing;

/// How much of a head h2 decodes before it fails. More than is accepted, so that a head over
/// [`MAX_HEAD`] can be told from malformed input, which h2 reports with the same code.
const MAX_DECODED_HEAD: u32 = 4 * MAX_HEAD as u32;

/// Receive window of a stream and of a connection, bytes.
const WINDOW: u32 = 256 << 10;

/// An open HTTP/2 connection. A separate task drives it, so that pings are answered and its end is
/// noticed while its user thinks.
#[derive(Debug)]
pub(in crate::wire) struct Http2 {
    sender: SendRequest<Bytes>,
    driver: JoinHandle<()>,
    pub(in crate::wire) traffic: Rc<ConnectionTraffic>,
    scheme: Scheme,
    /// When the last exchange on the connection ended; `NEVER` before the first.
    pub(in crate::wire) idle_since: Time,
}

/// Progress of an exchange on its stream.
pub(in crate::wire) struct StreamProgress {
    pub(in crate::wire) phase: AttemptPhase,
    pub(in crate::wire) first_byte: Time,
    pub(in crate::wire) status: u16,
}

/// Why no complete response came.
enum StreamError {
    /// Found in this module.
    Local(AttemptOutcome),
    /// Found by h2, or reported by the target.
    Protocol(h2::Error),
}

impl From<AttemptOutcome> for StreamError {
    fn from(outcome: AttemptOutcome) -> Self {
        Self::Local(outcome)
    }
}

impl From<h2::Error> for StreamError {
    fn from(error: h2::Error) -> Self {
        Self::Protocol(error)
    }
}

impl Http2 {
    pub(in crate::wire) async fn from_connection(
        connection: OpenConnection,
        endpoint: &ServiceEndpoint,
        deadline: &CallDeadline,
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
        match deadline.wait(handshake).await {
            Ok(Ok((sender, connection))) => {
                // The driver's result is not needed: each exchange gets the connection's error
                // itself.
                let driver = tokio::task::spawn_local(async move { drop(connection.await) });
                Ok(Box::new(Self { sender, driver, traffic, scheme, idle_since: Time::NEVER }))
            }
            Ok(Err(error)) => Err(StreamFailure::from_h2(&error, FailureContext::OPENING).outcome),
            Err(why) => Err(why.outcome(AttemptPhase::Send)),
        }
    }

    /// Whether the connection can carry another request: it has neither ended nor received a
    /// GOAWAY.
    pub(in crate::wire) fn is_fresh(&mut self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        !self.driver.is_finished()
            && !matches!(self.sender.poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Sends the request and reads the response; `Some` if there is no complete one.
    pub(in crate::wire) async fn converse(
        &mut self,
        outgoing: &Outgoing<'_>,
        deadline: &CallDeadline,
        capture: &mut ResponseCapture,
        progress: &mut StreamProgress,
    ) -> Option<StreamFailure> {
        let (is_first, before) = (self.idle_since == Time::NEVER, self.traffic.received.get());
        match deadline.wait(self.send_and_receive(outgoing, capture, progress)).await {
            Ok(Ok(())) => None,
            Ok(Err(StreamError::Local(outcome))) => Some(outcome.into()),
            Ok(Err(StreamError::Protocol(error))) => {
                let (phase, go_away) = (progress.phase, self.go_away());
                let received = self.traffic.received.get() - before;
                let tls = self.traffic.fault.take();
                let context = FailureContext { phase, is_first, go_away, received, tls };
                Some(StreamFailure::from_h2(&error, context))
            }
            Err(why) => Some(why.outcome(progress.phase).into()),
        }
    }

    /// Returns the reason of the GOAWAY that the target has sent, if any.
    fn go_away(&mut self) -> Option<Reason> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match self.sender.poll_ready(&mut cx) {
            Poll::Ready(Err(error)) if error.is_remote() => error.reason(),
            _ => None,
        }
    }

    async fn send_and_receive(
        &mut self,
        outgoing: &Outgoing<'_>,
        capture: &mut ResponseCapture,
        progress: &mut StreamProgress,
    ) -> Result<(), StreamError> {
        let Some((request, body)) = message::request(outgoing.bytes, self.scheme.clone()) else {
            return Err(AttemptOutcome::Failed(AttemptPhase::Send, FailureKind::Other).into());
        };
        poll_fn(|cx| self.sender.poll_ready(cx)).await?;
        let (mut response, mut stream) = self.sender.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            // h2 queues the body until the target's window allows it; reading an early response
            // does not wait for that.
            stream.send_data(body, true)?;
        }
        // If the exchange is cancelled from here on, the request counts as sent.
        capture.progress.sent = true;
        progress.phase = AttemptPhase::FirstByte;
        let mut interim = 0;
        let response = poll_fn(|cx| {
            // Interim responses are counted, as on HTTP/1.1.
            while let Poll::Ready(Some(Ok(_))) = response.poll_informational(cx) {
                interim += 1;
                if interim > MAX_INTERIM {
                    let many = AttemptOutcome::Failed(
                        AttemptPhase::FirstByte,
                        FailureKind::TooManyInterim,
                    );
                    return Poll::Ready(Err(many.into()));
                }
            }
            Pin::new(&mut response).poll(cx).map_err(StreamError::from)
        })
        .await?;
        progress.first_byte = clock::now();
        progress.status = response.status().as_u16();
        progress.phase = AttemptPhase::Body;
        let (head, mut data) = response.into_parts();
        if message::head_length(&head.headers) > MAX_HEAD {
            return Err(
                AttemptOutcome::Failed(AttemptPhase::FirstByte, FailureKind::HeadTooLarge).into()
            );
        }
        message::keep_head(&head.headers, progress.status, &outgoing.capture, capture);
        let mut length = 0;
        while let Some(piece) = poll_fn(|cx| data.poll_data(cx)).await {
            let piece = match piece {
                Ok(piece) => piece,
                // The target needs no more of our body, and its response is complete (RFC 9113
                // §8.1).
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
                    |_| StreamError::Local(AttemptOutcome::Own(GeneratorError::KeptBodies));
                capture.body.push(&piece).map_err(no_room)?;
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

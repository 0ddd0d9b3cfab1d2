//! One exchange on an HTTP/2 connection.
//!
//! `client` calls it.
//! Invariant: what a target sends is bounded by flow-control windows and by the request's limits.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};
use http::Response;
use http::header::HeaderMap;

use crate::clock::{self, Time};
use crate::plan::operation::Operation;
use crate::stats::{AttemptOutcome, AttemptPhase, Exchange, FailureKind, GeneratorError};
use crate::wire::body::capture_request::TakesOver;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::deadline::CallDeadline;
use crate::wire::http1::limits::{MAX_HEAD, MAX_INTERIM};
use crate::wire::http2::connection::Http2;
use crate::wire::http2::grpc_call::OpenedCall;
use crate::wire::http2::grpc_response::CallReply;
use crate::wire::http2::message;
use crate::wire::http2::reason::{FailureContext, StreamFailure};
use crate::wire::http2::stream_error::StreamError;
use crate::wire::outgoing::Outgoing;
use crate::wire::taken::{StreamedFraming, TakenResponse};

/// Progress of an exchange on its stream.
pub(in crate::wire) struct StreamProgress {
    pub(in crate::wire) phase: AttemptPhase,
    pub(in crate::wire) status: u16,
}

impl Http2 {
    /// Sends the request and reads the response; `Some` if there is no complete one.
    pub(in crate::wire) async fn converse(
        &mut self,
        outgoing: &Outgoing<'_>,
        deadline: &CallDeadline,
        capture: &mut ResponseCapture,
        (exchange, progress): (&mut Exchange, &mut StreamProgress),
    ) -> Option<StreamFailure> {
        let (is_first, before) = (self.idle_since == Time::NEVER, self.traffic.received.get());
        let received = self.send_and_receive(outgoing, capture, (exchange, progress));
        match deadline.wait(received).await {
            Ok(Ok(())) => None,
            Ok(Err(StreamError::Local(outcome))) => Some(outcome.into()),
            Ok(Err(StreamError::Protocol(error))) => {
                let (phase, go_away) = (progress.phase, self.go_away());
                let received = self.traffic.received.get() - before;
                let tls = self.traffic.fault.get();
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
        (exchange, progress): (&mut Exchange, &mut StreamProgress),
    ) -> Result<(), StreamError> {
        if outgoing.capture.observes.is_some() {
            // What an earlier attempt brought is not part of this one.
            capture.rare().streamed = None;
        }
        let opens_call = outgoing.capture.takes_over == TakesOver::Body;
        let opened = outgoing.operation.and_then(Operation::as_grpc).filter(|_| opens_call);
        let Some((mut request, body)) = message::request(outgoing.bytes, self.scheme.clone())
        else {
            return Err(AttemptOutcome::Failed(AttemptPhase::Send, FailureKind::Other).into());
        };
        poll_fn(|cx| self.sender.poll_ready(cx)).await?;
        if opened.is_some() {
            // Messages follow that are not known yet.
            request.headers_mut().remove(http::header::CONTENT_LENGTH);
        }
        let is_open = opened.is_some_and(|call| call.method.is_client_streaming);
        let before = self.traffic.hand_over(body.len());
        let is_complete = body.is_empty() && !is_open;
        let (mut response, mut stream) = self.sender.send_request(request, is_complete)?;
        if !body.is_empty() {
            // h2 queues the body until the target's window allows it; reading an early response
            // does not wait for that.
            stream.send_data(body, !is_open)?;
        }
        if opened.is_some() {
            let call = Box::new(OpenedCall::new(response, stream));
            return self.leave_call(call, before, exchange, capture).await;
        }
        // If the exchange is cancelled from here on, the request counts as sent.
        exchange.sent = true;
        progress.phase = AttemptPhase::FirstByte;
        let response = head_of(&mut response).await?;
        exchange.first_byte = clock::now();
        progress.status = response.status().as_u16();
        progress.phase = AttemptPhase::Body;
        let (head, mut data) = response.into_parts();
        if message::head_length(&head.headers) > MAX_HEAD {
            return Err(
                AttemptOutcome::Failed(AttemptPhase::FirstByte, FailureKind::HeadTooLarge).into()
            );
        }
        if outgoing.operation.is_some() {
            let response = CallReply {
                head: &head.headers,
                outgoing,
                traffic: &self.traffic,
                first_byte: exchange.first_byte,
            };
            progress.status = response.receive(progress.status, &mut data, capture).await?;
            return Ok(());
        }
        message::keep_head(&head.headers, progress.status, outgoing.capture, capture);
        if outgoing.capture.takes_over == TakesOver::Body && progress.status == 200 {
            let mut taken = TakenResponse::new(StreamedFraming::UntilClose);
            taken.h2_body = Some(data);
            capture.rare().taken = Some(taken);
            return Ok(());
        }
        receive_body(&head.headers, progress.status, &mut data, (outgoing, capture)).await
    }

    /// Leaves a call of gRPC to the stream that takes it over, once the kernel has more than
    /// `before` bytes of the connection.
    async fn leave_call(
        &self,
        mut call: Box<OpenedCall>,
        before: u64,
        exchange: &mut Exchange,
        capture: &mut ResponseCapture,
    ) -> Result<(), StreamError> {
        poll_fn(|cx| call.poll_begun(cx, &self.traffic, before)).await?;
        (exchange.sent, exchange.first_byte) = (true, clock::now());
        let mut taken = TakenResponse::new(StreamedFraming::UntilClose);
        taken.h2_call = Some(call);
        capture.rare().taken = Some(taken);
        Ok(())
    }
}

/// Reads the body of a response with this head, and captures what is requested of it.
async fn receive_body(
    head: &HeaderMap,
    status: u16,
    data: &mut RecvStream,
    (outgoing, capture): (&Outgoing<'_>, &mut ResponseCapture),
) -> Result<(), StreamError> {
    let is_encoded = head.contains_key(http::header::CONTENT_ENCODING);
    capture.begin_observing(outgoing.capture, status, is_encoded);
    let mut length = 0;
    while let Some(piece) = poll_fn(|cx| data.poll_data(cx)).await {
        let piece = match piece {
            Ok(piece) => piece,
            // The target needs no more of our body, and its response is complete (RFC 9113
            // §8.1).
            Err(error) if error.is_reset() && error.reason() == Some(Reason::NO_ERROR) => {
                let whole = message::length_of(head).is_none_or(|all| all == length);
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
        if outgoing.capture.uses_body() {
            let no_room = |_| StreamError::Local(AttemptOutcome::Own(GeneratorError::KeptBodies));
            capture.take_data(outgoing.capture, clock::now(), &piece).map_err(no_room)?;
        }
        let _ = data.flow_control().release_capacity(piece.len());
    }
    Ok(())
}

/// Waits for the head of the response. Interim responses are counted, as on HTTP/1.1.
async fn head_of(response: &mut ResponseFuture) -> Result<Response<RecvStream>, StreamError> {
    let mut interim = 0;
    poll_fn(|cx| {
        while let Poll::Ready(Some(Ok(_))) = response.poll_informational(cx) {
            interim += 1;
            if interim > MAX_INTERIM {
                let many =
                    AttemptOutcome::Failed(AttemptPhase::FirstByte, FailureKind::TooManyInterim);
                return Poll::Ready(Err(many.into()));
            }
        }
        Pin::new(&mut *response).poll(cx).map_err(StreamError::from)
    })
    .await
}

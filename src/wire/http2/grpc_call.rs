//! A call of gRPC whose request has begun: what a stream takes over.
//!
//! `stream_exchange` begins it, `grpc_stream` goes on with it.
//! Invariant: it waits for no response: many servers begin theirs with the first message.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::Response;

use crate::stats::FailureKind;
use crate::wire::http1::limits::MAX_INTERIM;
use crate::wire::http2::stream_error::StreamError;
use crate::wire::http2::traffic::ConnectionTraffic;

/// A call whose request has begun.
#[derive(Debug)]
pub(in crate::wire) struct OpenedCall {
    response: CallResponse,
    pub(super) requests: SendStream<Bytes>,
    /// Interim responses so far.
    interim: u32,
}

#[derive(Debug)]
enum CallResponse {
    Awaited(ResponseFuture),
    Begun(Response<RecvStream>),
    /// Taken, or failed.
    Taken,
}

/// Why a response did not begin.
pub(super) enum ResponseHeadError {
    Protocol(h2::Error),
    TooManyInterim,
}

impl OpenedCall {
    pub(super) const fn new(response: ResponseFuture, requests: SendStream<Bytes>) -> Self {
        Self { response: CallResponse::Awaited(response), requests, interim: 0 }
    }

    /// Ready once the kernel has more than `before` bytes of the connection, or the response has
    /// begun.
    pub(super) fn poll_begun(
        &mut self,
        cx: &mut Context<'_>,
        traffic: &ConnectionTraffic,
        before: u64,
    ) -> Poll<Result<(), StreamError>> {
        if let CallResponse::Awaited(future) = &mut self.response
            && let Poll::Ready(response) = Pin::new(future).poll(cx)
        {
            self.response = CallResponse::Taken;
            self.response = CallResponse::Begun(response?);
            return Poll::Ready(Ok(()));
        }
        traffic.poll_sent(cx, before).map(Ok)
    }

    /// Ready with the response once its head has come. To be called until it is ready.
    pub(super) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<RecvStream>, ResponseHeadError>> {
        let polled = match std::mem::replace(&mut self.response, CallResponse::Taken) {
            CallResponse::Begun(response) => return Poll::Ready(Ok(response)),
            CallResponse::Taken => return Poll::Pending,
            CallResponse::Awaited(mut future) => {
                while let Poll::Ready(Some(Ok(_))) = future.poll_informational(cx) {
                    self.interim += 1;
                    if self.interim > MAX_INTERIM {
                        return Poll::Ready(Err(ResponseHeadError::TooManyInterim));
                    }
                }
                let polled = Pin::new(&mut future).poll(cx);
                if polled.is_pending() {
                    self.response = CallResponse::Awaited(future);
                }
                polled
            }
        };
        Poll::Ready(ready!(polled).map_err(ResponseHeadError::Protocol))
    }
}

impl ResponseHeadError {
    /// Its kind; `of_h2` names the errors of h2.
    pub(super) fn kind(&self, of_h2: impl FnOnce(&h2::Error) -> FailureKind) -> FailureKind {
        match self {
            Self::Protocol(error) => of_h2(error),
            Self::TooManyInterim => FailureKind::TooManyInterim,
        }
    }
}

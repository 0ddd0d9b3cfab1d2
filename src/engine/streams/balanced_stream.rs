//! A stream to one backend of a service with several: it counts as in flight until it is dropped.
//!
//! `handshake` makes it of a stream that it has opened.
//! Invariant: each stream is counted at one backend, once, for as long as its connection is open.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::Time;
use crate::engine::startup::run_shared::RunShared;
use crate::ids::ServiceId;
use crate::wire::message_stream::{Message, MessageStream, StreamEnd, Traffic};

/// A stream, and the backend that it is held at.
#[derive(Debug)]
pub(crate) struct BalancedStream {
    stream: Box<dyn MessageStream>,
    shared: Arc<RunShared>,
    service: ServiceId,
    backend: usize,
}

impl BalancedStream {
    /// Counts a stream at a backend.
    pub(crate) fn new(
        stream: Box<dyn MessageStream>,
        shared: &Arc<RunShared>,
        (service, backend): (ServiceId, usize),
    ) -> Self {
        if let Some(group) = shared.backends.group(service) {
            group.begin(backend);
        }
        Self { stream, shared: Arc::clone(shared), service, backend }
    }
}

impl Drop for BalancedStream {
    fn drop(&mut self) {
        if let Some(group) = self.shared.backends.group(self.service) {
            group.end(self.backend);
        }
    }
}

impl MessageStream for BalancedStream {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Poll<StreamEnd> {
        self.stream.poll_receive(cx, buffer, receive)
    }

    fn send(&mut self, message: Message<'_>) -> bool {
        self.stream.send(message)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamEnd>> {
        self.stream.poll_flush(cx)
    }

    fn queued(&self) -> usize {
        self.stream.queued()
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.stream.close(code, reason);
    }

    fn take_traffic(&mut self) -> Traffic {
        self.stream.take_traffic()
    }

    fn reconnect_delay(&self) -> Option<Duration> {
        self.stream.reconnect_delay()
    }
}

//! The connection of a stream, and the backend of a service with several that it is held at.
//!
//! `handshake` makes it of a stream that it has opened.
//! Invariant: each stream is counted at one backend, once, for as long as its connection is open.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::engine::startup::run_shared::RunShared;
use crate::ids::ServiceId;
use crate::wire::message_stream::MessageStream;

/// An open connection.
#[derive(Debug)]
pub(crate) struct ConnectedStream {
    stream: Box<dyn MessageStream>,
    /// Dropped with the stream; `None` if the service has one address.
    _held_at: Option<HeldBackend>,
}

/// A place at a backend: it counts as in flight until it is dropped.
#[derive(Debug)]
struct HeldBackend {
    shared: Arc<RunShared>,
    service: ServiceId,
    backend: usize,
}

impl ConnectedStream {
    /// Counts a stream at its backend, if its service has several.
    pub(crate) fn new(
        stream: Box<dyn MessageStream>,
        shared: &Arc<RunShared>,
        service: ServiceId,
        backend: Option<usize>,
    ) -> Self {
        let hold = |backend| HeldBackend::new(Arc::clone(shared), service, backend);
        Self { stream, _held_at: backend.map(hold) }
    }
}

impl Deref for ConnectedStream {
    type Target = dyn MessageStream;

    fn deref(&self) -> &Self::Target {
        &*self.stream
    }
}

impl DerefMut for ConnectedStream {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.stream
    }
}

impl HeldBackend {
    fn new(shared: Arc<RunShared>, service: ServiceId, backend: usize) -> Self {
        if let Some(group) = shared.backends.group(service) {
            group.begin(backend);
        }
        Self { shared, service, backend }
    }
}

impl Drop for HeldBackend {
    fn drop(&mut self) {
        if let Some(group) = self.shared.backends.group(self.service) {
            group.end(self.backend);
        }
    }
}

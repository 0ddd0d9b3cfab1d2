//! A shard's count of open connections.
//!
//! `slot` counts the connections of users and pools; what takes one out of its slot, or shares it,
//! holds an [`OpenStreamCount`].
//! Invariant: each open connection is counted once, until it closes.

use std::cell::Cell;
use std::rc::Rc;

/// Connections that a shard has open, now and at most since the last `take_peak`.
#[derive(Debug, Default)]
pub struct OpenCount {
    now: Cell<u64>,
    peak: Cell<u64>,
}

/// Counts a connection that is in no slot, or in several hands, as open until it is dropped.
#[derive(Debug)]
pub(super) struct OpenStreamCount(Rc<OpenCount>);

impl OpenCount {
    /// Takes the most connections that were open at once since the last call.
    pub(super) fn take_peak(&self) -> u64 {
        self.peak.replace(self.now.get())
    }

    /// Connections that are open.
    pub(super) fn now(&self) -> u64 {
        self.now.get()
    }

    /// A connection was opened.
    pub(super) fn add(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        self.peak.set(self.peak.get().max(now));
    }

    /// A connection was closed.
    pub(super) fn remove(&self) {
        self.now.set(self.now.get() - 1);
    }
}

impl OpenStreamCount {
    /// Takes over the count of a connection that `open` has counted.
    pub(super) fn of(open: &Rc<OpenCount>) -> Self {
        Self(Rc::clone(open))
    }
}

impl Drop for OpenStreamCount {
    fn drop(&mut self) {
        self.0.remove();
    }
}

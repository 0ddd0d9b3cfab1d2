//! The entry of a cache that a user fills: its place in a flight, and its lease.
//!
//! `cache_steps` makes it before the steps that capture values and ends it after them; a user keeps
//! it meanwhile.
//! Invariant: whatever becomes of the user, its flight is left and its lease is released.

use std::sync::Arc;

use crate::cache::{CacheSet, EntryKey, FlightTicket, LayerRequest, LeaseOwner, SharedCache};

/// An entry that a user looks for or fills.
#[derive(Debug)]
pub(crate) struct CacheFill {
    caches: Arc<CacheSet>,
    cache: usize,
    pub(crate) key: EntryKey,
    /// The `cached` step.
    pub(crate) step: usize,
    /// Its place in a flight; `None` if it has left, or waits for no other user.
    ticket: Option<FlightTicket>,
    /// The layer that gave it a lease, and its owner.
    lease: Option<(usize, LeaseOwner)>,
    /// Whether one of the steps failed.
    pub(crate) has_failed: bool,
}

impl CacheFill {
    /// A place in a flight, if there is a ticket, of the `cached` step `step`.
    pub(crate) fn new(
        (caches, cache): (&Arc<CacheSet>, usize),
        key: EntryKey,
        ticket: Option<FlightTicket>,
        step: usize,
    ) -> Self {
        let caches = Arc::clone(caches);
        Self { caches, cache, key, step, ticket, lease: None, has_failed: false }
    }

    /// Its cache.
    pub(crate) fn cache(&self) -> Option<&SharedCache> {
        self.caches.get(self.cache)
    }

    /// It has a lease of a layer.
    pub(crate) fn set_lease(&mut self, layer: usize, owner: LeaseOwner) {
        self.lease = Some((layer, owner));
    }

    /// Leaves the flight: the users that wait look for the entry.
    pub(crate) fn set_filled(&mut self) {
        self.leave(true);
    }

    fn leave(&mut self, is_filled: bool) {
        if let (Some(ticket), Some(cache)) = (self.ticket.take(), self.cache()) {
            cache.leave(&self.key, ticket, is_filled);
        }
    }
}

impl Drop for CacheFill {
    fn drop(&mut self) {
        self.leave(false);
        let Some((layer, owner)) = self.lease.take() else { return };
        let Some(cache) = self.cache() else { return };
        if let Some(store) = cache.any_layer(layer) {
            let name = self.key.name(&cache.plan.name);
            // It ends by itself if this is lost.
            drop(store.ask(LayerRequest::Release { name, owner }));
        }
    }
}

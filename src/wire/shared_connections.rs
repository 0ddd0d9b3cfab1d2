//! Connections of HTTP/2 in a pool that carry calls of several users at the same time.
//!
//! `pool` leases places on them. A connection comes here when its first call has ended: by then the
//! target's SETTINGS say how many calls it allows.
//! Invariant: a connection has no more calls than the pool's policy and the target allow, and stays
//! counted until its last call has ended, also when it gets no further one.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::clock::Time;
use crate::ids::ServiceId;
use crate::wire::ConnectionSlot;

/// The connections of a shard's part of a pool.
#[derive(Debug)]
pub(super) struct SharedConnections {
    /// Maximum calls at a time on each.
    streams: u64,
    all: RefCell<Vec<SharedConnection>>,
}

#[derive(Debug)]
struct SharedConnection {
    service: ServiceId,
    slot: ConnectionSlot,
    /// Calls that have a place on it.
    calls: Rc<Cell<u64>>,
    /// Whether it gets no further call.
    is_retired: bool,
    /// When its last call ended.
    idle_since: Time,
}

impl SharedConnections {
    pub(super) fn new(streams: u64) -> Self {
        Self { streams, all: RefCell::default() }
    }

    /// Whether connections are shared at all.
    pub(super) const fn are_shared(&self) -> bool {
        self.streams > 1
    }

    /// The number of connections.
    pub(super) fn count(&self) -> u64 {
        self.all.borrow().len() as u64
    }

    /// The number of connections without a call.
    pub(super) fn idle(&self) -> u64 {
        self.all.borrow().iter().filter(|one| one.calls.get() == 0).count() as u64
    }

    /// A slot with a place on the connection to `service` that has the fewest calls; `None` if no
    /// connection has room. `is_over`: whether a connection gets no further call, by its age and
    /// number of requests.
    pub(super) fn lease(
        &self,
        service: ServiceId,
        now: Time,
        is_over: impl Fn(&ConnectionSlot) -> bool,
    ) -> Option<ConnectionSlot> {
        let mut all = self.all.borrow_mut();
        for one in all.iter_mut() {
            one.is_retired |= !one.slot.is_fresh_h2() || is_over(&one.slot);
        }
        all.retain(|one| !one.is_retired || one.calls.get() > 0);
        let has_room = |one: &&mut SharedConnection| {
            one.service == service
                && !one.is_retired
                && one.slot.has_room_for(one.calls.get(), self.streams)
        };
        let least = all.iter_mut().filter(has_room).min_by_key(|one| one.calls.get())?;
        let calls = least.calls.get();
        let idle_since = if calls > 0 { now } else { least.idle_since };
        let SharedConnection { slot, calls: counted, .. } = least;
        slot.share(idle_since, counted)
    }

    /// Takes over the connection of a slot whose first call has ended.
    pub(super) fn add(&self, service: ServiceId, slot: ConnectionSlot, now: Time) {
        let calls = Rc::default();
        let new = SharedConnection { service, slot, calls, is_retired: false, idle_since: now };
        self.all.borrow_mut().push(new);
    }

    /// Takes back the place of a slot whose call has ended. `is_over`: as of [`Self::lease`].
    pub(super) fn give_back(
        &self,
        mut slot: ConnectionSlot,
        now: Time,
        is_over: impl Fn(&ConnectionSlot) -> bool,
    ) {
        let Some(share) = slot.take_share() else { return };
        let mut all = self.all.borrow_mut();
        let mut found = all.iter_mut().find(|one| share.is_of(&one.calls));
        if let Some(one) = &mut found {
            one.idle_since = now;
            // The call closed its place: it timed out, or was reset. Others go on, unless the
            // target was silent for all of them.
            let was_closed = !slot.is_open();
            let is_silent = was_closed && one.slot.received_h2() == Some(share.received);
            one.is_retired |= is_silent || is_over(&one.slot);
        }
        drop((share, slot));
        all.retain(|one| !one.is_retired || one.calls.get() > 0);
    }

    /// Closes a connection without calls, to make room for another; `false` if there is none.
    pub(super) fn close_unused(&self) -> bool {
        let mut all = self.all.borrow_mut();
        let unused = all.iter().enumerate().filter(|(_, one)| one.calls.get() == 0);
        let oldest = unused.min_by_key(|(_, one)| one.idle_since).map(|(at, _)| at);
        oldest.map(|at| all.remove(at)).is_some()
    }

    /// Closes the connections without calls that match; returns how many.
    pub(super) fn close_where(&self, matches: impl Fn(ServiceId, Time) -> bool) -> usize {
        let mut all = self.all.borrow_mut();
        let before = all.len();
        all.retain(|one| one.calls.get() > 0 || !matches(one.service, one.idle_since));
        before - all.len()
    }
}

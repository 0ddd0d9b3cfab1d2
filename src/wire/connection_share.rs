//! A call's place on a connection that others share.
//!
//! `shared_connections` gives it to the slot of a call.
//! Invariant: a place is counted as long as it is there.

use std::cell::Cell;
use std::rc::Rc;

/// The place; dropping it frees it.
#[derive(Debug)]
pub(super) struct ConnectionShare {
    /// The calls of the connection.
    calls: Rc<Cell<u64>>,
    /// Bytes that the connection had received when the call got the place.
    pub(super) received: u64,
}

impl ConnectionShare {
    /// Takes a place on a connection with these calls.
    pub(super) fn new(calls: &Rc<Cell<u64>>, received: u64) -> Self {
        calls.set(calls.get() + 1);
        Self { calls: Rc::clone(calls), received }
    }

    /// Whether it is a place on the connection with these calls.
    pub(super) fn is_of(&self, calls: &Rc<Cell<u64>>) -> bool {
        Rc::ptr_eq(&self.calls, calls)
    }
}

impl Drop for ConnectionShare {
    fn drop(&mut self) {
        self.calls.set(self.calls.get() - 1);
    }
}

//! Waits of threads that have nothing else to do.
//!
//! `lobby` and `engine_parts` wait by it for what others write to the bus.
//! Invariant: a wait ends at its time.

use std::time::Duration;

use crate::clock;

/// Waits on a thread that has nothing else to do.
pub(super) fn pause(length: Duration) {
    let until = clock::now() + length;
    // Without a runtime there is no pause; what follows has bounds of its own.
    drop(clock::block_on(clock::sleep_until(until)));
}

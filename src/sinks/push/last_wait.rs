//! The wait for receivers at the end of a run.
//!
//! `cli` begins it once the load is over; each receiver waits with it.
//! Invariant: one deadline for all receivers, so that several slow ones do not add up.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::clock::{self, Time};

/// How long the end of a run waits for all receivers together.
const LONGEST: Duration = Duration::from_secs(10);

/// How often a wait looks whether it is over.
const LOOK: Duration = Duration::from_millis(20);

/// A wait that ends after 10 s, or when the user wants the run to end at once.
#[derive(Clone, Copy, Debug)]
pub struct LastWait<'a> {
    until: Time,
    hurry: &'a AtomicBool,
}

impl<'a> LastWait<'a> {
    /// Begins now; `hurry` ends it early.
    pub fn begin(hurry: &'a AtomicBool) -> Self {
        Self { until: clock::now() + LONGEST, hurry }
    }

    /// Waits while `is_under_way`.
    pub(super) fn wait_while(&self, is_under_way: impl Fn() -> bool) {
        while is_under_way() && clock::now() < self.until && !self.hurry.load(Relaxed) {
            std::thread::park_timeout(LOOK);
        }
    }
}

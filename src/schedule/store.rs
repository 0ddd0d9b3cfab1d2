//! Where claims of slots and the history are kept.
//!
//! `local_store` and `redis_store` are stores; `scheduler`, `execution` and `cli` use them.
//! Invariant: a slot is claimed at most once; what a claim writes is refused once another claim of
//! its job followed.

use super::entry::HistoryEntry;
use super::outcome::JobOutcome;
use crate::timetable::TimeSlot;

/// Why a store cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreFailure(pub String);

/// What a claim is about.
#[derive(Debug)]
pub struct SlotClaim<'a> {
    /// The job.
    pub(super) job: &'a str,
    /// The slot; `None`: by hand.
    pub(super) slot: Option<TimeSlot>,
    /// When it is due, ms since the epoch.
    pub(super) due_ms: u64,
    /// The entry of its run, as long as it goes on.
    pub(super) entry: &'a HistoryEntry,
}

/// The answer to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The slot may start.
    Held(Claim),
    /// The lease of the job is held.
    Busy {
        /// By which process.
        by: String,
    },
    /// The slot, or a later one, has been claimed before.
    Taken,
    /// By the clock of the store the slot is not due yet.
    Early {
        /// For so long, ms.
        ms: u64,
    },
}

/// A claim that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The fencing token: higher than that of each former claim of the job.
    pub(super) token: u64,
    /// The last outcome of the job that is a verdict.
    pub(super) former: Option<JobOutcome>,
    /// The run whose scheduler was lost before this claim; the store has noted it.
    pub(super) lost: Option<Box<HistoryEntry>>,
}

/// What follows an entry.
#[derive(Clone, Copy, Debug)]
pub enum AfterEntry<'a> {
    /// The next attempt: the claim goes on.
    Next(&'a HistoryEntry),
    /// The end of the claim.
    Release,
}

/// A store of claims and of the history. One value has at most one claim.
pub trait SlotStore: Send {
    /// The last slot of a job that was claimed or skipped.
    ///
    /// # Errors
    /// If the store cannot be used.
    fn last_slot(&mut self, job: &str) -> Result<Option<TimeSlot>, StoreFailure>;

    /// Claims a slot.
    ///
    /// # Errors
    /// If the store cannot be used; the slot may have been claimed all the same.
    fn acquire(&mut self, claim: &SlotClaim<'_>) -> Result<Acquired, StoreFailure>;

    /// Renews the lease of a claim; returns whether it is still held.
    ///
    /// # Errors
    /// If the store cannot be used.
    fn renew(&mut self, job: &str, token: u64) -> Result<bool, StoreFailure>;

    /// Writes the entry of an attempt that ended; returns whether the claim is still held. If not,
    /// nothing is written.
    ///
    /// # Errors
    /// If the store cannot be used.
    fn record(
        &mut self,
        job: &str,
        token: u64,
        entry: &HistoryEntry,
        then: AfterEntry<'_>,
    ) -> Result<bool, StoreFailure>;

    /// Writes the entry of a skipped slot; returns whether the claim is still held. No machine can
    /// claim slots up to `until` from then on.
    ///
    /// # Errors
    /// If the store cannot be used.
    fn skip(
        &mut self,
        job: &str,
        token: u64,
        until: Option<TimeSlot>,
        entry: &HistoryEntry,
    ) -> Result<bool, StoreFailure>;

    /// The latest entries of a job, newest first; the first one may go on.
    ///
    /// # Errors
    /// If the store cannot be used.
    fn entries(&mut self, job: &str, most: usize) -> Result<Vec<HistoryEntry>, StoreFailure>;
}

//! The closed model: how long users have been paused, and until when.
//!
//! `engine::live_schedule` records pauses here. A user that is paused between two iterations
//! continues afterwards as if no time had passed: everything scheduled after the pause moves later
//! by its length.
//! Invariant: pauses are in order and disjoint; the paused time before a given time never changes.

use crate::clock::WorkloadOffset;

/// The pauses of a workload.
#[derive(Clone, Debug, Default)]
pub struct Pauses(Vec<Pause>);

#[derive(Clone, Copy, Debug)]
struct Pause {
    from: WorkloadOffset,
    /// `NEVER` while the end is unknown.
    to: WorkloadOffset,
    /// The length of all earlier pauses, ns.
    before: u64,
}

impl Pauses {
    /// Begins a pause.
    pub fn begin(&mut self, at: WorkloadOffset) {
        let before = self.paused_ns(at);
        if self.until(at).is_none() {
            self.0.push(Pause { from: at, to: WorkloadOffset::NEVER, before });
        }
    }

    /// Ends the pause.
    pub fn end(&mut self, at: WorkloadOffset) {
        if let Some(last) = self.0.last_mut().filter(|last| last.to == WorkloadOffset::NEVER) {
            last.to = at.max(last.from);
        }
    }

    /// Inserts a pause that is over; one that overlaps a later one is left out.
    pub fn insert(&mut self, from: WorkloadOffset, to: WorkloadOffset) {
        if self.0.last().is_none_or(|last| last.to <= from) && from < to {
            self.begin(from);
            self.end(to);
        }
    }

    /// When the pause of a user that is idle at `at` ends; `None` if there is no pause at that
    /// time.
    #[inline]
    pub fn until(&self, at: WorkloadOffset) -> Option<WorkloadOffset> {
        self.latest(at).map(|pause| pause.to).filter(|to| at < *to)
    }

    /// When the next pause after `at` begins; `NEVER` if none is known.
    pub fn next(&self, at: WorkloadOffset) -> WorkloadOffset {
        let next = self.0.partition_point(|pause| pause.from <= at);
        self.0.get(next).map_or(WorkloadOffset::NEVER, |pause| pause.from)
    }

    /// How long users have been paused up to `at`, ns.
    #[inline]
    pub fn paused_ns(&self, at: WorkloadOffset) -> u64 {
        self.latest(at).map_or(0, |pause| pause.before + at.min(pause.to).since(pause.from))
    }

    /// The last pause that had begun by then.
    fn latest(&self, at: WorkloadOffset) -> Option<&Pause> {
        let next = self.0.partition_point(|pause| pause.from <= at);
        next.checked_sub(1).and_then(|last| self.0.get(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paused_time_adds_up_over_pauses() {
        let at = WorkloadOffset::from_ns;
        let mut pauses = Pauses::default();
        let before = (pauses.paused_ns(at(50)), pauses.until(at(50)), pauses.next(at(0)));
        assert_eq!(before, (0, None, WorkloadOffset::NEVER));
        pauses.begin(at(100));
        pauses.begin(at(120));
        assert_eq!((pauses.until(at(99)), pauses.next(at(99))), (None, at(100)));
        let inside = (pauses.until(at(100)), pauses.paused_ns(at(130)));
        assert_eq!(inside, (Some(WorkloadOffset::NEVER), 30));
        pauses.end(at(150));
        pauses.end(at(170));
        pauses.begin(at(200));
        pauses.end(at(210));
        let held = [100, 140, 150, 199, 205, 900].map(|ns| pauses.paused_ns(at(ns)));
        assert_eq!(held, [0, 40, 50, 50, 55, 60]);
        let until = [149, 150, 200, 209, 210].map(|ns| pauses.until(at(ns)));
        assert_eq!(until, [Some(at(150)), None, Some(at(210)), Some(at(210)), None]);
    }
}

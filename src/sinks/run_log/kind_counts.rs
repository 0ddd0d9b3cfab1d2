//! How many entries of each kind there were, how many were written, left out and lost.
//!
//! The sink counts with it, and decides by it.
//! Invariant: of each kind, `written + left out + lost = entries`; at most `per_second` of a kind
//! are written in a second.

use std::collections::BTreeMap;

/// The counts of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KindCount {
    /// Lines that were written.
    pub(super) written: u64,
    /// Entries beyond the rate, and those that were never kept.
    pub(super) left_out: u64,
    /// Lines that could not be written.
    pub(super) lost: u64,
    /// Entries of this second that were admitted.
    admitted: usize,
    /// Those left out since the last [`KindCounts::end_second`].
    recent: u64,
}

/// The counts of all kinds.
#[derive(Debug)]
pub(super) struct KindCounts {
    per_second: usize,
    kinds: BTreeMap<&'static str, KindCount>,
}

impl KindCounts {
    /// Counts of which none is above zero.
    pub(super) fn new(per_second: usize) -> Self {
        Self { per_second, kinds: BTreeMap::new() }
    }

    /// Maximum entries of a kind per second.
    pub(super) fn per_second(&self) -> usize {
        self.per_second
    }

    fn of(&mut self, kind: &'static str) -> &mut KindCount {
        self.kinds.entry(kind).or_default()
    }

    /// Admits an entry, or counts it as left out.
    pub(super) fn admit(&mut self, kind: &'static str) -> bool {
        let most = self.per_second;
        let count = self.of(kind);
        let is_admitted = count.admitted < most;
        if is_admitted {
            count.admitted += 1;
        } else {
            self.leave_out(kind, 1);
        }
        is_admitted
    }

    /// Counts entries that were left out.
    pub(super) fn leave_out(&mut self, kind: &'static str, entries: u64) {
        let count = self.of(kind);
        count.left_out += entries;
        count.recent += entries;
    }

    /// Counts a line, which was written or lost.
    pub(super) fn add_line(&mut self, kind: &'static str, is_written: bool) {
        let count = self.of(kind);
        count.written += u64::from(is_written);
        count.lost += u64::from(!is_written);
    }

    /// Ends a second: returns how many entries of each kind were left out in it, if any were.
    pub(super) fn end_second(&mut self) -> Vec<(&'static str, u64)> {
        let ended = self.kinds.iter_mut().map(|(kind, count)| {
            count.admitted = 0;
            (*kind, std::mem::take(&mut count.recent))
        });
        ended.filter(|(_, recent)| *recent > 0).collect()
    }

    /// The counts of each kind that had an entry.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, KindCount)> {
        self.kinds.iter().map(|(kind, count)| (*kind, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_rate() {
        let mut counts = KindCounts::new(3);
        for second in 1..=2 {
            let admitted = (0..10).filter(|_| counts.admit("note")).count();
            assert_eq!((admitted, counts.admit("log")), (3, true));
            counts.leave_out("log", 4);
            assert_eq!(counts.end_second(), [("log", 4), ("note", 7)]);
            assert_eq!(counts.end_second(), []);
            (0..3).for_each(|_| counts.add_line("note", true));
            counts.add_line("log", false);
            let all: Vec<_> = counts.iter().map(|(_, c)| [c.written, c.left_out, c.lost]).collect();
            assert_eq!(all, [[0, 4 * second, second], [3 * second, 7 * second, 0]]);
        }
    }
}

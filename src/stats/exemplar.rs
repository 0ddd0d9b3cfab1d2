//! The first failing exchanges of each kind, kept whole: what a person looks at first.
//!
//! The Recorder keeps them, they travel in Deltas, the Tally merges them by when they were wanted.
//! Invariant: of a series and kind the earliest is kept, whatever the order of merging.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The most kinds kept, of a shard between its start and its end, and of a run.
pub const MOST: usize = 64;

/// How a call failed, for dense counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureMode {
    /// No complete answer: `outcome::error_index`.
    Error(usize),
    /// An answer with a status that is not wanted.
    Status(u16),
    /// A check, expect or capture of its series that did not hold.
    Check(usize),
}

/// A failing exchange, in words that can be shown.
#[derive(Clone, Debug)]
pub struct Exemplar {
    /// Its series.
    pub step: usize,
    /// How it failed.
    pub failing: FailureMode,
    /// When the schedule wanted it, ns after the run's start.
    pub intended_ns: u64,
    /// The number of its user.
    pub user: u64,
    /// The request as a line for a shell.
    pub curl: String,
    /// Something of the request had no room in it.
    pub cut: bool,
    /// The status of its answer.
    pub status: Option<u16>,
    /// What it got instead of an answer: `outcome::error_index`.
    pub error: Option<usize>,
    /// What a library said of that error, where it has words of its own.
    pub said: String,
    /// The names of what did not hold.
    pub failed: Vec<String>,
    /// The head of its answer, where it was kept.
    pub head: String,
    /// The beginning of its body, where it was kept.
    pub body: String,
}

/// A series and how its calls failed.
type FailureKey = (usize, FailureMode);

/// Failures by kind.
#[derive(Clone, Debug, Default)]
pub struct FirstFailures {
    pub(crate) counts: BTreeMap<FailureKey, u64>,
    pub(crate) first: BTreeMap<FailureKey, Arc<Exemplar>>,
}

impl FirstFailures {
    /// Counts a failure.
    pub(super) fn count(&mut self, kind: FailureKey) {
        *self.counts.entry(kind).or_default() += 1;
    }

    /// Keeps an exemplar unless an earlier one of its kind is there, or too many earlier ones.
    pub(super) fn keep(&mut self, exemplar: Arc<Exemplar>) {
        let kind = (exemplar.step, exemplar.failing);
        let when = |one: &Exemplar| (one.intended_ns, one.user);
        let earlier = self.first.get(&kind).is_some_and(|mine| when(mine) <= when(&exemplar));
        if earlier {
            return;
        }
        self.first.insert(kind, exemplar);
        if self.first.len() > MOST {
            let last = self.first.iter().max_by_key(|(kind, one)| (when(one), **kind));
            if let Some(kind) = last.map(|(kind, _)| *kind) {
                self.first.remove(&kind);
            }
        }
    }

    /// Takes in what another one counted and kept.
    pub fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.counts {
            *self.counts.entry(*kind).or_default() += count;
        }
        other.first.values().for_each(|one| self.keep(Arc::clone(one)));
    }

    /// What was kept, with how many of its kind there were: the most frequent first.
    pub fn list(&self) -> Vec<(u64, Arc<Exemplar>)> {
        let with = |(kind, one): (&FailureKey, &Arc<Exemplar>)| {
            (self.counts.get(kind).copied().unwrap_or(1), Arc::clone(one))
        };
        let mut list: Vec<_> = self.first.iter().map(with).collect();
        list.sort_by_key(|(count, one)| (std::cmp::Reverse(*count), one.intended_ns));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(step: usize, intended_ns: u64) -> FirstFailures {
        let exemplar = Exemplar {
            step,
            failing: FailureMode::Status(500),
            intended_ns,
            user: 0,
            curl: String::new(),
            cut: false,
            status: Some(500),
            error: None,
            said: String::new(),
            failed: Vec::new(),
            head: String::new(),
            body: String::new(),
        };
        let mut failures = FirstFailures::default();
        failures.count((step, FailureMode::Status(500)));
        failures.keep(Arc::new(exemplar));
        failures
    }

    #[test]
    fn the_earliest_are_kept_in_any_order() {
        let parts: Vec<FirstFailures> =
            (0..300).map(|n| one(n * 7 % 100, (n as u64 * 7_919) % 1_000)).collect();
        let fold = |parts: &mut dyn Iterator<Item = &FirstFailures>| {
            let mut all = FirstFailures::default();
            parts.for_each(|part| all.merge(part));
            let list = all.list();
            list.iter().map(|(count, one)| (*count, one.step, one.intended_ns)).collect::<Vec<_>>()
        };
        let forth = fold(&mut parts.iter());
        let mut back = fold(&mut parts.iter().rev());
        assert_eq!(forth.len(), MOST);
        let mut sorted = forth.clone();
        sorted.sort_unstable();
        back.sort_unstable();
        assert_eq!(sorted, back);
        assert!(forth.iter().all(|(count, ..)| *count == 3));
    }
}

//! The first failing exchanges of each kind, stored whole: what a person looks at first.
//!
//! The Recorder stores them, deltas carry them, the Tally merges them by intended time.
//! Invariant: the earliest of each series and kind is kept, whatever the order of merging.

use crate::clock::RunOffset;
use crate::ids::StepId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Maximum kinds that are kept, of a shard between its start and its end, and of a run.
pub const MOST: usize = 64;

/// How a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureMode {
    /// No complete response: `outcome::error_index`.
    Error(usize),
    /// A response with an unexpected status.
    Status(u16),
    /// A failed check, expect or capture of its series.
    Check(usize),
}

/// A failing exchange, redacted and ready to be shown.
#[derive(Clone, Debug)]
pub struct Exemplar {
    /// Series of the exemplar.
    pub step: StepId,
    /// How the call failed.
    pub failing: FailureMode,
    /// Intended start.
    pub intended: RunOffset,
    /// Number of its user.
    pub user: u64,
    /// The request as a shell command; empty if the step sends none.
    pub curl: String,
    /// Whether part of the request was left out of it.
    pub cut: bool,
    /// Status of the response.
    pub status: Option<u16>,
    /// The error in place of a response: `outcome::error_index`.
    pub error: Option<usize>,
    /// The library's text for that error, if it has one.
    pub error_text: String,
    /// Names of the failed checks.
    pub failed: Vec<String>,
    /// Head of the response, if it was captured.
    pub head: String,
    /// The beginning of the body, if it was captured.
    pub body: String,
}

/// A series and how its calls failed.
type FailureKey = (StepId, FailureMode);

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

    /// Keeps an exemplar unless there is an earlier one of its kind, or [`MOST`] earlier ones.
    pub(super) fn keep(&mut self, exemplar: Arc<Exemplar>) {
        let kind = (exemplar.step, exemplar.failing);
        let when = |one: &Exemplar| (one.intended, one.user);
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

    /// Adds the counts and exemplars of another.
    pub fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.counts {
            *self.counts.entry(*kind).or_default() += count;
        }
        other.first.values().for_each(|one| self.keep(Arc::clone(one)));
    }

    /// The exemplars with the count of their kind, the most frequent first.
    pub fn list(&self) -> Vec<(u64, Arc<Exemplar>)> {
        let with = |(kind, one): (&FailureKey, &Arc<Exemplar>)| {
            (self.counts.get(kind).copied().unwrap_or(1), Arc::clone(one))
        };
        let mut list: Vec<_> = self.first.iter().map(with).collect();
        list.sort_by_key(|(count, one)| (std::cmp::Reverse(*count), one.intended));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(step: StepId, intended: RunOffset) -> FirstFailures {
        let exemplar = Exemplar {
            step,
            failing: FailureMode::Status(500),
            intended,
            user: 0,
            curl: String::new(),
            cut: false,
            status: Some(500),
            error: None,
            error_text: String::new(),
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
    fn earliest_exemplars_are_kept_in_any_order() {
        let parts: Vec<FirstFailures> = (0..300)
            .map(|n| one(StepId::new(n * 7 % 100), RunOffset::from_ns((n as u64 * 7_919) % 1_000)))
            .collect();
        let fold = |parts: &mut dyn Iterator<Item = &FirstFailures>| {
            let mut all = FirstFailures::default();
            parts.for_each(|part| all.merge(part));
            let list = all.list();
            list.iter().map(|(count, one)| (*count, one.step, one.intended)).collect::<Vec<_>>()
        };
        let forward = fold(&mut parts.iter());
        let mut back = fold(&mut parts.iter().rev());
        assert_eq!(forward.len(), MOST);
        let mut sorted = forward.clone();
        sorted.sort_unstable();
        back.sort_unstable();
        assert_eq!(sorted, back);
        assert!(forward.iter().all(|(count, ..)| *count == 3));
    }
}

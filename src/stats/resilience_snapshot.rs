//! The state of deadlines and breakers, and what breakers did in an interval.
//!
//! `engine::resilience` fills it, deltas carry it, `summary.json` and `endpoints.csv` show it.
//! Invariant: counts add up over shards and seconds; a deadline is the longest of any shard, and a
//! breaker's state is the latest one seen, since all shards share the breaker.

use super::state_change::BreakerState;

/// A breaker's part of a delta, and of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerUse {
    /// State of the breaker; `None` if there is no breaker at this place, or no shard has read it
    /// yet.
    pub state: Option<BreakerState>,
    /// How often it opened, also from half-open.
    pub opened: u64,
    /// Attempts that it refused: calls that were never sent, and retries that were not started. An
    /// attempt that several breakers would refuse counts at the one with the widest scope.
    pub refused: u64,
}

/// State and counts of a shard's resilience policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResilienceSnapshot {
    /// By endpoint: the longest deadline of an attempt, derived from recent times, ns; empty if no
    /// deadline is adaptive.
    pub timeouts_ns: Vec<u64>,
    /// By the breaker's place in the plan; empty if there are none.
    pub breakers: Vec<BreakerUse>,
}

impl ResilienceSnapshot {
    /// Adds a later part of the same shard; states are those of `later`.
    pub fn then(&mut self, later: &Self) {
        if !later.timeouts_ns.is_empty() {
            self.timeouts_ns.clone_from(&later.timeouts_ns);
        }
        self.count(later);
    }

    /// Adds another shard's part of the same time, which was read later.
    pub fn add(&mut self, other: &Self) {
        if self.timeouts_ns.len() < other.timeouts_ns.len() {
            self.timeouts_ns.resize(other.timeouts_ns.len(), 0);
        }
        let pairs = self.timeouts_ns.iter_mut().zip(&other.timeouts_ns);
        pairs.for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
        self.count(other);
    }

    /// The states alone, with counts at zero.
    #[must_use]
    pub fn standing(&self) -> Self {
        let still =
            |breaker: &BreakerUse| BreakerUse { state: breaker.state, opened: 0, refused: 0 };
        let breakers = self.breakers.iter().map(still).collect();
        Self { timeouts_ns: self.timeouts_ns.clone(), breakers }
    }

    fn count(&mut self, other: &Self) {
        if self.breakers.len() < other.breakers.len() {
            self.breakers.resize(other.breakers.len(), BreakerUse::default());
        }
        for (mine, theirs) in self.breakers.iter_mut().zip(&other.breakers) {
            mine.state = theirs.state.or(mine.state);
            mine.opened += theirs.opened;
            mine.refused += theirs.refused;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded(
        timeouts_ns: &[u64],
        state: BreakerState,
        opened: u64,
        refused: u64,
    ) -> ResilienceSnapshot {
        let breakers = vec![
            BreakerUse { state: Some(state), opened, refused },
            // A place without a breaker.
            BreakerUse::default(),
        ];
        ResilienceSnapshot { timeouts_ns: timeouts_ns.to_vec(), breakers }
    }

    #[test]
    fn later_state_wins_and_longest_deadline_of_shards() {
        let mut then = guarded(&[5, 9], BreakerState::Closed, 0, 0);
        then.then(&guarded(&[3, 4], BreakerState::Open, 1, 7));
        assert_eq!(then, guarded(&[3, 4], BreakerState::Open, 1, 7));
        let mut sum = ResilienceSnapshot::default();
        sum.add(&guarded(&[5, 1], BreakerState::Open, 1, 2));
        sum.add(&guarded(&[3, 4], BreakerState::HalfOpen, 0, 3));
        assert_eq!(sum, guarded(&[5, 4], BreakerState::HalfOpen, 1, 5));
        assert_eq!(sum.standing(), guarded(&[5, 4], BreakerState::HalfOpen, 0, 0));
    }

    #[test]
    fn empty_snapshot_changes_nothing() {
        let whole = guarded(&[5], BreakerState::Open, 1, 2);
        let (mut then, mut sum) = (whole.clone(), whole.clone());
        then.then(&ResilienceSnapshot::default());
        sum.add(&ResilienceSnapshot::default());
        assert_eq!((&then, &sum), (&whole, &whole));
    }
}

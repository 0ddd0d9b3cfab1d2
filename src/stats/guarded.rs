//! How deadlines and breakers stand, and what breakers did since the last shed.
//!
//! `engine::caution` fills it, deltas carry it, `summary.json` and `endpoints.csv` show it.
//! Invariant: counts add up over shards and seconds; a deadline is the longest of any shard, and a
//! breaker stands as whoever looked last saw it, since all shards share it.

/// What a breaker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    /// Everything goes through.
    Closed,
    /// Nothing does.
    Open,
    /// A few probes do.
    HalfOpen,
}

impl CircuitState {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// A breaker's part of a delta, and of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerUse {
    /// How it stands; none: there is no breaker in this place, or nobody has looked yet.
    pub state: Option<CircuitState>,
    /// How often it opened, also from half-open.
    pub opened: u64,
    /// Attempts that it refused: calls that were never sent, and retries that were not made. What
    /// several would refuse counts at the widest.
    pub refused: u64,
}

/// What guards a shard's endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResilienceSnapshot {
    /// By endpoint: the longest that an attempt may take by its recent times, ns; empty where
    /// deadlines follow nothing.
    pub timeouts_ns: Vec<u64>,
    /// By the place of a breaker in the plan; empty where there is none at all.
    pub breakers: Vec<BreakerUse>,
}

impl ResilienceSnapshot {
    /// Adds what was counted at another time; what stands is that of `later`.
    pub fn then(&mut self, later: &Self) {
        if !later.timeouts_ns.is_empty() {
            self.timeouts_ns.clone_from(&later.timeouts_ns);
        }
        self.count(later);
    }

    /// Adds another shard's part of the same time, which looked later.
    pub fn add(&mut self, other: &Self) {
        if self.timeouts_ns.len() < other.timeouts_ns.len() {
            self.timeouts_ns.resize(other.timeouts_ns.len(), 0);
        }
        let pairs = self.timeouts_ns.iter_mut().zip(&other.timeouts_ns);
        pairs.for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
        self.count(other);
    }

    /// The same without what was counted.
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
        state: CircuitState,
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
    fn time_takes_the_later_and_shards_the_longest() {
        let mut then = guarded(&[5, 9], CircuitState::Closed, 0, 0);
        then.then(&guarded(&[3, 4], CircuitState::Open, 1, 7));
        assert_eq!(then, guarded(&[3, 4], CircuitState::Open, 1, 7));
        let mut sum = ResilienceSnapshot::default();
        sum.add(&guarded(&[5, 1], CircuitState::Open, 1, 2));
        sum.add(&guarded(&[3, 4], CircuitState::HalfOpen, 0, 3));
        assert_eq!(sum, guarded(&[5, 4], CircuitState::HalfOpen, 1, 5));
        assert_eq!(sum.standing(), guarded(&[5, 4], CircuitState::HalfOpen, 0, 0));
    }

    #[test]
    fn who_says_nothing_changes_nothing() {
        let whole = guarded(&[5], CircuitState::Open, 1, 2);
        let (mut then, mut sum) = (whole.clone(), whole.clone());
        then.then(&ResilienceSnapshot::default());
        sum.add(&ResilienceSnapshot::default());
        assert_eq!((&then, &sum), (&whole, &whole));
    }
}

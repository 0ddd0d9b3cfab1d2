//! A budget: so many extra attempts per hundred first ones, and a little reserve.
//!
//! Retries without one turn a slow target into a dead one: each failure becomes several requests
//! just when it can serve fewest. Source: Google, *Site Reliability Engineering*, ch. 21.
//! Invariant: extra attempts ≤ reserve + share × first attempts.

/// Millionths of an attempt.
const ONE: u64 = 1_000_000;

/// What there is to begin with, so that a few failures of a quiet client are tried again.
const RESERVE: u64 = 10;

/// The most that is saved up: a long good time must not pay for a storm.
const MOST: u64 = 100;

/// What may be spent.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    share: u64,
    balance: u64,
}

impl RetryBudget {
    /// `share` extra attempts for each first one.
    pub fn new(share: f64) -> Self {
        Self { share: (share * ONE as f64) as u64, balance: RESERVE * ONE }
    }

    /// A first attempt was made.
    #[inline]
    pub fn earn(&mut self) {
        self.balance = (self.balance + self.share).min(MOST * ONE);
    }

    /// An extra one that was paid for was not made after all.
    pub fn refund(&mut self) {
        self.balance = (self.balance + ONE).min(MOST * ONE);
    }

    /// Whether an extra one may be made; it is spent then.
    pub fn spend(&mut self) -> bool {
        let left = self.balance.checked_sub(ONE);
        self.balance = left.unwrap_or(self.balance);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_the_share(
            walk in prop::collection::vec(any::<bool>(), 0..3_000),
            percent in 0u32..100,
        ) {
            let mut budget = RetryBudget::new(f64::from(percent) / 100.0);
            let (mut first, mut extra) = (0u64, 0u64);
            for spends in walk {
                if spends {
                    extra += u64::from(budget.spend());
                } else {
                    budget.earn();
                    first += 1;
                }
                prop_assert!(extra * 100 <= RESERVE * 100 + first * u64::from(percent));
            }
        }
    }

    #[test]
    fn when_all_fails_a_tenth_is_tried_again() {
        let mut budget = RetryBudget::new(0.1);
        let extra = (0..10_000)
            .filter(|_| {
                budget.earn();
                budget.spend()
            })
            .count();
        assert_eq!(extra, 1_010);
    }

    #[test]
    fn a_long_good_time_pays_for_no_storm() {
        let mut budget = RetryBudget::new(0.1);
        (0..1_000_000).for_each(|_| budget.earn());
        assert_eq!((0..1_000).filter(|_| budget.spend()).count(), 100);
    }
}

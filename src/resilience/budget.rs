//! A retry budget: a share of the first attempts, and a small reserve.
//!
//! `engine::resilience` spends from it before each retry and hedge. Retries without a budget turn a
//! slow target into a dead one: each failure becomes several requests just when the target can
//! serve fewest. Source: Google, *Site Reliability Engineering*, ch. 21.
//! Invariant: extra attempts ≤ reserve + share × first attempts.

/// Millionths of an attempt.
const ONE: u64 = 1_000_000;

/// The initial balance, so that a few failures of a quiet client are retried.
const RESERVE: u64 = 10;

/// The highest balance: a long healthy period must not pay for a storm of retries.
const MOST: u64 = 100;

/// A retry budget.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    share: u64,
    balance: u64,
}

impl RetryBudget {
    /// Creates a budget of `share` extra attempts per first one.
    pub fn new(share: f64) -> Self {
        Self { share: (share * ONE as f64) as u64, balance: RESERVE * ONE }
    }

    /// Credits a first attempt.
    #[inline]
    pub fn earn(&mut self) {
        self.balance = (self.balance + self.share).min(MOST * ONE);
    }

    /// Returns the price of an extra attempt that was not started.
    pub fn refund(&mut self) {
        self.balance = (self.balance + ONE).min(MOST * ONE);
    }

    /// Whether an extra attempt may start; if so, it is paid for.
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
        fn extra_attempts_stay_within_share(
            spends_each in prop::collection::vec(any::<bool>(), 0..3_000),
            percent in 0u32..100,
        ) {
            let mut budget = RetryBudget::new(f64::from(percent) / 100.0);
            let (mut first, mut extra) = (0u64, 0u64);
            for spends in spends_each {
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
    fn tenth_of_failures_is_retried() {
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
    fn balance_is_capped() {
        let mut budget = RetryBudget::new(0.1);
        (0..1_000_000).for_each(|_| budget.earn());
        assert_eq!((0..1_000).filter(|_| budget.spend()).count(), 100);
    }
}

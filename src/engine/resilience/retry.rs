//! Another attempt: after one that failed, or beside one that is slow.
//!
//! `attempt` asks after each attempt, `hedge` while one is under way.
//! Invariant: what a budget does not pay for is not made; what may not be sent twice is not.

use super::ResilienceState;
use crate::engine::attempt::CallAttempts;
use crate::engine::prepared::PreparedCall;
use crate::engine::shard::Shard;
use crate::engine::user::User;
use crate::plan::policy::HedgeAfter;
use crate::resilience::{RetryBudget, backoff};
use crate::stats::AttemptOutcome;
use crate::units::nanos;
use crate::wire::ResponseCapture;

/// Below so many times of an endpoint there is no tail to cut.
const MIN_HEDGE_SAMPLES: usize = 20;

impl ResilienceState {
    /// How long to wait before another attempt, ns; `None`: there is none.
    pub(in crate::engine) fn retry_after(&self, attempts: &CallAttempts<'_>) -> Option<u64> {
        let CallAttempts { shard, prepared, capture: kept, retries, .. } = attempts;
        let (law, budget) = self.retries.as_ref()?;
        let outcome = attempts.last.outcome;
        if *retries >= law.max || !law.when.matches(outcome) {
            return None;
        }
        // It may have had its effect, and must not have it twice. Where it was never sent, or was
        // turned away, it has not; where an answer led on, it has, whatever came of that.
        let turned_away = matches!(outcome, AttemptOutcome::Responded(429 | 503));
        let unprocessed = outcome.is_unprocessed();
        let untouched = !attempts.led_on && (!kept.progress.sent || turned_away || unprocessed);
        let safe = prepared.idempotent || law.unsafe_methods || untouched;
        if !safe {
            return None;
        }
        let mut wait_ns = backoff::wait_ns(&law.backoff, retries + 1, &mut self.rng.borrow_mut());
        if law.retry_after && turned_away {
            let asked = retry_after_ns(kept).unwrap_or(0);
            if asked > nanos(law.max_retry_after) {
                return None;
            }
            wait_ns = wait_ns.max(asked);
        }
        if !budget.borrow_mut().as_mut().is_none_or(RetryBudget::spend) {
            shard.recorder.borrow_mut().deny();
            return None;
        }
        Some(wait_ns)
    }

    /// An attempt that was paid for was not made after all.
    pub(in crate::engine) fn refund_retry(&self) {
        if let Some((_, budget)) = &self.retries
            && let Some(budget) = budget.borrow_mut().as_mut()
        {
            budget.refund();
        }
    }

    /// The same for a hedge.
    pub(in crate::engine) fn refund_hedge(&self) {
        if let Some((_, budget)) = &self.hedging {
            budget.borrow_mut().refund();
        }
    }

    /// A call makes its first attempt: so much may be spent on others.
    #[inline]
    pub(in crate::engine) fn earn(&self) {
        if let Some((_, budget)) = &self.retries
            && let Some(budget) = budget.borrow_mut().as_mut()
        {
            budget.earn();
        }
        if let Some((_, budget)) = &self.hedging {
            budget.borrow_mut().earn();
        }
    }

    /// After how long a second attempt is made beside a slow first one, ns.
    pub(in crate::engine) fn hedge_after_ns(
        &self,
        user: &User,
        prepared: &PreparedCall,
    ) -> Option<u64> {
        let (law, _) =
            self.hedging.as_ref().filter(|_| prepared.idempotent && !user.has_emulated_link())?;
        match law.after {
            HedgeAfter::Time(after) => Some(nanos(after)),
            HedgeAfter::Percentile(percentile) => {
                let times = self.times.borrow();
                let recent = times[prepared.endpoint].recent();
                recent.percentile_ns(percentile).filter(|_| recent.len() >= MIN_HEDGE_SAMPLES)
            }
        }
    }

    /// Whether a second attempt may be made; it is spent then.
    pub(in crate::engine) fn may_hedge(&self, shard: &Shard) -> bool {
        let may = self.hedging.as_ref().is_some_and(|(_, budget)| budget.borrow_mut().spend());
        if !may {
            shard.recorder.borrow_mut().deny();
        }
        may
    }
}

/// How long an answer asks to wait, ns: seconds or a date (RFC 9110 §10.2.3).
fn retry_after_ns(kept: &ResponseCapture) -> Option<u64> {
    let value = std::str::from_utf8(kept.header("retry-after")?).ok()?;
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000_000_000));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(nanos(at.duration_since(crate::clock::wall()).unwrap_or_default()))
}

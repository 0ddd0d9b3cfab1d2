//! Retries and hedges: whether another attempt is made after a failed or beside a slow one.
//!
//! `attempt` asks after each attempt, `hedge` while one is under way.
//! Invariant: no attempt is made beyond its budget, and no request is sent twice that may not be.

use std::num::NonZero;

use super::state::ResilienceState;
use crate::engine::call::attempts::CallAttempts;
use crate::engine::call::context::CallContext;
use crate::engine::call::prepared::PreparedCall;
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::plan::policy::HedgeAfter;
use crate::protocol::status;
use crate::resilience::{RetryBudget, backoff};
use crate::stats::AttemptOutcome;
use crate::units::nanos;
use crate::wire::ResponseCapture;

/// The fewest times of an endpoint from which a percentile is computed for hedging.
const MIN_HEDGE_SAMPLES: usize = 20;

impl ResilienceState {
    /// The wait before the next attempt, ns; `None` if there is to be none.
    pub(crate) fn retry_after(&self, attempts: &CallAttempts<'_>) -> Option<u64> {
        let CallAttempts { context, capture, retries, .. } = attempts;
        let CallContext { shard, prepared, .. } = context;
        let (policy, budget) = self.retries.as_ref()?;
        let outcome = attempts.last.outcome;
        // A transaction is repeated as a whole, not statement by statement.
        let is_part = prepared.call.transaction.is_some();
        if is_part || *retries >= policy.max || !policy.when.matches(outcome) {
            return None;
        }
        // A request that had its effect must not be sent again. It had none if it was never sent or
        // was rejected; it had one if its redirect was followed, whatever became of that.
        let was_rejected = matches!(
            outcome,
            AttemptOutcome::Responded(status) if matches!(status::as_http(status), 429 | 503)
        );
        let was_unprocessed = outcome.is_unprocessed();
        let had_no_effect =
            !attempts.was_redirected && (!attempts.last.sent || was_rejected || was_unprocessed);
        let is_safe = prepared.idempotent || policy.unsafe_methods || had_no_effect;
        if !is_safe {
            return None;
        }
        let mut wait_ns =
            backoff::wait_ns(&policy.backoff, retries + 1, &mut self.rng.borrow_mut());
        if policy.retry_after && was_rejected {
            let requested_ns = retry_after_ns(capture).unwrap_or(0);
            if requested_ns > nanos(policy.max_retry_after) {
                return None;
            }
            wait_ns = wait_ns.max(requested_ns);
        }
        if !budget.borrow_mut().as_mut().is_none_or(RetryBudget::spend) {
            shard.recorder.borrow_mut().record_denied();
            return None;
        }
        Some(wait_ns)
    }

    /// Returns the budget of a retry that was not made after all.
    pub(crate) fn refund_retry(&self) {
        if let Some((_, budget)) = &self.retries
            && let Some(budget) = budget.borrow_mut().as_mut()
        {
            budget.refund();
        }
    }

    /// Returns the budget of a hedge that was not made after all.
    pub(crate) fn refund_hedge(&self) {
        if let Some((_, budget)) = &self.hedging {
            budget.borrow_mut().refund();
        }
    }

    /// Adds to the budgets: a call makes its first attempt.
    #[inline]
    pub(crate) fn earn(&self) {
        if let Some((_, budget)) = &self.retries
            && let Some(budget) = budget.borrow_mut().as_mut()
        {
            budget.earn();
        }
        if let Some((_, budget)) = &self.hedging {
            budget.borrow_mut().earn();
        }
    }

    /// How long the first attempt may take before a hedge is made, ns; `None` if none is to be
    /// made.
    pub(crate) fn hedge_after_ns(
        &self,
        user: &User,
        prepared: &PreparedCall,
    ) -> Option<NonZero<u64>> {
        let (policy, _) =
            self.hedging.as_ref().filter(|_| prepared.idempotent && !user.has_emulated_link())?;
        match policy.after {
            HedgeAfter::Time(after) => NonZero::new(nanos(after).max(1)),
            HedgeAfter::Percentile(percentile) => {
                let times = self.times.borrow();
                let recent = times[prepared.endpoint].recent();
                let has_enough = recent.len() >= MIN_HEDGE_SAMPLES;
                NonZero::new(recent.percentile_ns(percentile)?.max(1)).filter(|_| has_enough)
            }
        }
    }

    /// Takes the budget of a hedge; `false` if there is none left.
    pub(crate) fn may_hedge(&self, shard: &Shard) -> bool {
        let may = self.hedging.as_ref().is_some_and(|(_, budget)| budget.borrow_mut().spend());
        if !may {
            shard.recorder.borrow_mut().record_denied();
        }
        may
    }
}

/// The wait that a Retry-After header asks for, ns: seconds or a date (RFC 9110 §10.2.3).
fn retry_after_ns(capture: &ResponseCapture) -> Option<u64> {
    let value = std::str::from_utf8(capture.header("retry-after")?).ok()?;
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000_000_000));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(nanos(at.duration_since(crate::clock::wall()).unwrap_or_default()))
}

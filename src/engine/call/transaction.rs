//! What a call is counted as within a transaction that may be tried again.
//!
//! `attempt` and `conclude` ask it for each call of a transaction.
//! Invariant: a call that fails while another try is left is not counted yet: its next attempt, or
//! the end of the transaction, ends it.

use super::call_record;
use super::context::CallContext;
use crate::clock::Time;
use crate::engine::users::transaction_state::{OpenCall, TransactionRole, TransactionState};
use crate::engine::users::user::User;
use crate::protocol::{Protocol, status};
use crate::stats::recorder::AttemptReason;
use crate::stats::{AttemptOutcome, CallResult, Exchange, Sample};

/// The errors after which a transaction may be tried again as a whole.
const RETRIED: [&str; 2] = ["40001", "40P01"];

/// The transaction of a call; `None` if it belongs to none.
fn state(user: &mut User) -> Option<&mut TransactionState> {
    user.extras.as_mut()?.transaction.as_deref_mut()
}

/// Begins the call, unless it was begun in an earlier try. Returns how long the event loop had
/// stood still before it, ns.
#[cold]
pub(crate) fn begin_call(context: CallContext<'_>, user: &mut User) -> u64 {
    let (workload, step) = (user.workload, context.step(user));
    let mut recorder = context.shard.recorder.borrow_mut();
    match state(user).map_or(TransactionRole::First, |state| state.role()) {
        TransactionRole::First => {
            recorder.begin_call(workload, step, context.intended(), context.timing.picked_up)
        }
        TransactionRole::Repeated | TransactionRole::Resumed => recorder.stalled_ns(),
    }
}

/// Why the first attempt of the call is made.
#[cold]
pub(crate) fn attempt_reason(user: &mut User) -> AttemptReason {
    match state(user).map_or(TransactionRole::First, |state| state.role()) {
        TransactionRole::First => AttemptReason::First,
        TransactionRole::Repeated | TransactionRole::Resumed => AttemptReason::Retry,
    }
}

/// Whether the transaction is tried again after the last attempt of the call, which is not over
/// then. `sample` is what it would be counted as.
#[cold]
pub(crate) fn keeps_open(
    context: CallContext<'_>,
    user: &mut User,
    exchange: &Exchange,
    sample: Sample,
) -> bool {
    let picked_up = context.timing.picked_up;
    let Some(state) = state(user).filter(|state| !state.is_rolling_back) else { return false };
    if state.retries_left == 0 || !is_retried(exchange.outcome) {
        return false;
    }
    state.is_retry_due = true;
    if state.role() == TransactionRole::First {
        let sample = Sample { result: CallResult::Failed, ..sample };
        state.open_call = Some(OpenCall { sample, picked_up });
    }
    call_record::note_earlier(context.shard, user, exchange);
    let mut recorder = context.shard.recorder.borrow_mut();
    recorder.record_extra_service_time(context.step(user), context.intended(), exchange);
    true
}

/// Whether an outcome says that the transaction would have succeeded by itself.
fn is_retried(outcome: AttemptOutcome) -> bool {
    let AttemptOutcome::Responded(found) = outcome else { return false };
    RETRIED.iter().any(|code| status::of_word(Protocol::Postgres, code) == Some(found))
}

/// Makes the sample of a call that ended that of the whole call; `None` if it was counted in an
/// earlier try. `left`: when the user continues.
#[cold]
pub(crate) fn counted(user: &mut User, sample: Sample, left: Time) -> Option<Sample> {
    let Some(state) = state(user) else { return Some(sample) };
    if !state.is_rolling_back {
        state.outcome = Some(sample.outcome);
    }
    match (state.role(), state.open_call) {
        (TransactionRole::Repeated, _) => None,
        (TransactionRole::Resumed, Some(open)) => {
            let first = open.sample;
            let begun = first.intended;
            Some(Sample {
                intended: begun,
                lag_ns: first.lag_ns,
                blocked_ns: first.blocked_ns + sample.blocked_ns,
                response_ns: sample.response_ns + sample.intended.since(begun),
                in_flight_ns: left.since(open.picked_up),
                stalled_ns: first.stalled_ns,
                ..sample
            })
        }
        _ => Some(sample),
    }
}

//! The transaction that a user has begun and not ended.
//!
//! `engine::iterations::transaction_steps` begins and ends it; `engine::call::transaction` counts
//! its calls.
//! Invariant: each call of a transaction is counted once, however often the transaction is tried.

use crate::clock::Time;
use crate::ids::StepId;
use crate::plan::transaction::TransactionPlan;
use crate::stats::{AttemptOutcome, Sample};

/// A transaction under way.
#[derive(Debug)]
pub(crate) struct TransactionState {
    pub(crate) plan: TransactionPlan,
    /// The place of its first step.
    pub(crate) first: usize,
    pub(crate) retries_left: u32,
    /// The calls that were counted, of all tries.
    counted: u32,
    /// The calls that ended in this try.
    place: u32,
    /// The call that failed in an earlier try, and is counted when it ends in a later one.
    pub(crate) open_call: Option<OpenCall>,
    /// How the last attempt ended.
    pub(crate) outcome: Option<AttemptOutcome>,
    /// Whether another try is due.
    pub(crate) is_retry_due: bool,
    /// Whether it is being rolled back: that call is one of its own.
    pub(crate) is_rolling_back: bool,
    /// Whether the user keeps a connection of a pool for it.
    pub(crate) holds_lease: bool,
}

/// A call that has begun and is not counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenCall {
    /// What it would be counted as, as far as it went.
    pub(crate) sample: Sample,
    /// When the shard turned to it.
    pub(crate) picked_up: Time,
}

/// What a call of a transaction is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransactionRole {
    /// A call.
    First,
    /// An attempt more: its call was counted in an earlier try.
    Repeated,
    /// Another attempt of the call that is still open.
    Resumed,
}

impl TransactionState {
    pub(crate) fn new(plan: TransactionPlan, first: usize) -> Self {
        Self {
            plan,
            first,
            retries_left: plan.retries,
            counted: 0,
            place: 0,
            open_call: None,
            outcome: None,
            is_retry_due: false,
            is_rolling_back: false,
            holds_lease: false,
        }
    }

    /// What the next call is counted as.
    pub(crate) fn role(&self) -> TransactionRole {
        match self.open_call {
            Some(_) if self.is_rolling_back => TransactionRole::First,
            Some(_) if self.place < self.counted => TransactionRole::Repeated,
            Some(_) => TransactionRole::Resumed,
            None => TransactionRole::First,
        }
    }

    /// Whether a call of this step is none that an earlier try would have made: the one that is
    /// open has no further attempt.
    pub(crate) fn is_elsewhere(&self, step: StepId) -> bool {
        let is_resumed = !self.is_rolling_back && self.role() == TransactionRole::Resumed;
        is_resumed && self.open_call.is_some_and(|open| open.sample.step != step)
    }

    /// Notes that a call has ended.
    pub(crate) fn note_ended(&mut self) {
        if self.role() != TransactionRole::Repeated {
            self.counted += 1;
            self.open_call = None;
        }
        self.place += 1;
    }

    /// Begins another try.
    pub(crate) fn restart(&mut self) {
        self.place = 0;
        self.is_retry_due = false;
        self.retries_left -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::WorkloadId;
    use crate::stats::CallResult;

    #[test]
    fn each_call_is_counted_once_however_often_it_is_tried() {
        let plan = TransactionPlan { begin: 0, commit: 3, rollback: 4, retries: 3, to: 9 };
        let mut state = TransactionState::new(plan, 1);
        let open = OpenCall {
            sample: Sample {
                workload: WorkloadId::default(),
                step: StepId::default(),
                intended: crate::clock::RunOffset::from_ns(0),
                lag_ns: 0,
                blocked_ns: 0,
                service_ns: 0,
                response_ns: 0,
                in_flight_ns: 0,
                stalled_ns: 0,
                outcome: AttemptOutcome::Done,
                result: CallResult::Failed,
                backend: None,
            },
            picked_up: Time(0),
        };
        // Begin and a statement; the second statement fails, and its call stays open.
        for _ in 0..2 {
            assert_eq!(state.role(), TransactionRole::First);
            state.note_ended();
        }
        state.open_call = Some(open);
        state.restart();
        assert_eq!(state.role(), TransactionRole::Repeated);
        state.note_ended();
        // The first statement fails this time: the same call stays open.
        state.restart();
        for _ in 0..2 {
            assert_eq!(state.role(), TransactionRole::Repeated);
            state.note_ended();
        }
        assert_eq!(state.role(), TransactionRole::Resumed);
        state.note_ended();
        // Commit.
        assert_eq!(state.role(), TransactionRole::First);
        state.note_ended();
        assert_eq!((state.counted, state.retries_left), (4, 1));
    }
}

//! The calls of a transaction: tried again as a whole after a serialization failure or a deadlock,
//! and rolled back after any other failure.
//!
//! `iteration` runs them, boxed.
//! Invariant: when the steps of a transaction are over, however they ended, no transaction is open
//! on its connection, and every call that was begun is counted.

use crate::engine::attempt;
use crate::engine::call::context::CallContext;
use crate::engine::iterations::iteration::IterationRunner;
use crate::engine::users::transaction_state::TransactionState;
use crate::plan::transaction::TransactionPlan;
use crate::protocol::status;
use crate::stats::sample::IterationEnd;
use crate::stats::{AttemptOutcome, BlockCause};

impl IterationRunner<'_> {
    /// Begins the transaction of the step `at`; returns its first step.
    pub(super) fn begin_transaction(&mut self, plan: TransactionPlan, at: usize) -> usize {
        self.user.extras().transaction = Some(Box::new(TransactionState::new(plan, at + 1)));
        at + 1
    }

    /// Makes a call of the transaction; returns the next step.
    pub(super) async fn transaction_call(
        &mut self,
        index: usize,
        at: usize,
    ) -> Result<usize, IterationEnd> {
        self.end_other_call(index);
        let went = self.make(index).await;
        let Some(state) = self.user.extras().transaction.as_mut() else {
            return went.map(|()| at + 1);
        };
        let plan = state.plan;
        if state.is_retry_due {
            self.roll_back(plan).await?;
            return Ok(self.user.extras().transaction.as_mut().map_or(at + 1, |state| {
                state.restart();
                state.first
            }));
        }
        let is_done = state.outcome.is_some_and(succeeded);
        state.note_ended();
        if is_done && went.is_ok() {
            if index == plan.commit {
                self.user.extras().transaction = None;
            }
            return Ok(at + 1);
        }
        let rolled_back = match went {
            Err(IterationEnd::Interrupted) => Ok(()),
            _ => self.roll_back(plan).await,
        };
        self.abandon_transaction();
        self.abandon_group();
        rolled_back.and(went).map(|()| plan.to)
    }

    async fn make(&mut self, index: usize) -> Result<(), IterationEnd> {
        let (shard, timing) = (self.shard, self.timing);
        let prepared = &self.flow().calls[index];
        let context = CallContext { shard, prepared, timing: &timing };
        let ended = attempt::call(context, self.user).await;
        let think = prepared.call.think.as_ref().or(self.flow().think.as_ref());
        self.mark_fill(ended.result, false);
        self.after(&ended, think)
    }

    /// Rolls back what is open on the connection; a connection that was lost has nothing open.
    async fn roll_back(&mut self, plan: TransactionPlan) -> Result<(), IterationEnd> {
        let service = self.flow().calls[plan.begin].call.service;
        if !self.user.slots[service].has_open_transaction() {
            return Ok(());
        }
        let set = |runner: &mut Self, is_rolling_back| {
            if let Some(state) = &mut runner.user.extras().transaction {
                state.is_rolling_back = is_rolling_back;
            }
        };
        set(self, true);
        let went = self.make(plan.rollback).await;
        set(self, false);
        match went {
            Err(IterationEnd::Interrupted) => Err(IterationEnd::Interrupted),
            _ => Ok(()),
        }
    }

    /// Counts the call that failed in an earlier try if this one goes another way.
    fn end_other_call(&mut self, index: usize) {
        let step = self.user.step(self.flow().calls[index].call.series);
        let state = self.user.extras().transaction.as_mut();
        if state.is_some_and(|state| state.is_elsewhere(step)) {
            self.end_open_call();
        }
    }

    fn end_open_call(&mut self) {
        let state = self.user.extras.as_mut().and_then(|extras| extras.transaction.as_mut());
        let Some(mut open) = state.and_then(|state| state.open_call.take()) else { return };
        let now = crate::clock::now();
        open.sample.in_flight_ns = now.since(open.picked_up);
        self.shard.recorder.borrow_mut().end_call(&open.sample, now);
    }

    /// Ends a transaction whose steps do not come to their end: its connection is closed if it is
    /// still open.
    pub(super) fn abandon_transaction(&mut self) {
        self.end_open_call();
        let extras = self.user.extras.as_mut();
        let Some(state) = extras.and_then(|extras| extras.transaction.take()) else { return };
        let prepared = &self.flow().calls[state.plan.begin];
        let service = prepared.call.service;
        self.user.slots[service].close_open_transaction();
        if state.holds_lease {
            let slot = self.user.return_leased(service, &self.shard.wire);
            self.shard.resilience.give_back_lease(self.shard, prepared, slot);
        }
    }
}

/// Whether the transaction goes on after this outcome: the server refuses all statements after an
/// error. A statement that a command mutes is left out.
fn succeeded(outcome: AttemptOutcome) -> bool {
    match outcome {
        AttemptOutcome::Responded(found) => !status::is_error(found),
        outcome => outcome == AttemptOutcome::Suppressed(BlockCause::Muted),
    }
}

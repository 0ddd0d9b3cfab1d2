//! What the dispatcher does when something happens to a worker.
//!
//! `dispatch` hands it the events.
//! Invariant: what a lost worker leaves is counted by its vacancies, as if its shards had sent it.

use super::dispatch::Dispatch;
use super::losses::moved_change;
use crate::clock::{self, RunOffset};
use crate::event::{RunEvent, ShardCommand, StopCause, WorkerEvent, WorkerLoss};
use crate::plan::slots::ShardRange;
use crate::stats::StateChange;

impl Dispatch<'_> {
    /// Takes what happened to a worker.
    pub(super) fn take_worker(&mut self, event: WorkerEvent) {
        let now = RunOffset::of(clock::now(), self.start);
        match event {
            WorkerEvent::Lost(loss) => self.lost(&loss),
            WorkerEvent::Silent { worker } => {
                let why = format!("no heartbeat of agent {worker} comes through the bus");
                self.io.sinks.publish(&RunEvent::Note(why.clone()));
                if self.aborts_on_loss && self.stopped_at.is_none() {
                    self.stop(&format!("stopping: {why}"), StopCause::Workers(why));
                }
            }
            WorkerEvent::Moved { worker, adoption } => {
                self.losses.move_slots(&adoption);
                let why = "no heartbeat came through the bus in time".to_owned();
                let loss = WorkerLoss { worker, range: ShardRange::whole(1), why, is_agent: true };
                let moved = moved_change(&loss, now, &adoption);
                let is_same = |former: &StateChange| {
                    (&former.subject, &former.change) == (&moved.subject, &moved.change)
                };
                if !self.former_moves.iter().any(is_same) {
                    self.note(moved);
                }
            }
            WorkerEvent::Ended { why } => {
                if self.stopped_at.is_none() {
                    self.stop(&format!("stopping: {why}"), StopCause::Workers(why));
                }
            }
            WorkerEvent::Told(text) => self.io.sinks.publish(&RunEvent::Note(text)),
            WorkerEvent::Settled { loss, until } => {
                let (at, curves) = ((now, self.stopped_at), self.control.curves());
                let outcome = self.losses.settle(&loss, at, until, &curves);
                outcome.deltas.into_iter().for_each(|delta| self.measured(Box::new(delta)));
                outcome.changes.into_iter().for_each(|notice| self.note(notice));
            }
        }
    }

    /// Records a change of a worker, and shows it.
    fn note(&mut self, notice: StateChange) {
        self.io.sinks.publish(&RunEvent::Note(notice.to_string()));
        self.record_change(notice);
    }

    /// Takes the loss of a worker: what it had under way ends, its load goes to others or is
    /// unserved.
    fn lost(&mut self, loss: &WorkerLoss) {
        let now = RunOffset::of(clock::now(), self.start);
        // All shards that are left learn of it, or none.
        let moves = self.stopped_at.is_none() && self.source.has_room(1);
        let adoption = if moves { self.losses.redistribute(loss, now) } else { None };
        if let Some(adoption) = &adoption {
            // First: to count what the worker left may take a while.
            self.source.broadcast(&ShardCommand::Adopt(adoption.clone()));
        }
        let (at, curves) = ((now, self.stopped_at), self.control.curves());
        let outcome = self.losses.lose(loss, at, adoption.as_ref(), &curves);
        outcome.deltas.into_iter().for_each(|delta| self.measured(Box::new(delta)));
        outcome.changes.into_iter().for_each(|notice| self.note(notice));
        let shards = 0..self.under_way.len();
        let is_alone =
            shards.clone().all(|shard| !self.under_way[shard] || self.losses.is_vacant(shard));
        if (is_alone || self.aborts_on_loss) && self.stopped_at.is_none() {
            let why = if is_alone {
                format!("no worker is left: {}", loss.why)
            } else {
                format!("worker {} is lost: {}", loss.worker + 1, loss.why)
            };
            self.stop(&format!("stopping: {why}"), StopCause::Workers(why));
        }
    }

    /// No shard is left that could send: only the load of lost ones is under way.
    pub(super) fn keep_vacant(&mut self) {
        for (shard, under_way) in self.under_way.iter_mut().enumerate() {
            *under_way = self.losses.is_vacant(shard);
        }
    }
}

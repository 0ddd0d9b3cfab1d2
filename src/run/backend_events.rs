//! What changes the backends of a run: health checks, and the steps of a shift.
//!
//! `dispatch` calls it, and `execute` starts the checks.
//! Invariant: each order to the shards has an event that tells why.

use std::sync::Arc;

use super::dispatch::Dispatch;
use super::health::HealthChange;
use super::shift::ShiftOrder;
use crate::clock::{self, RunOffset};
use crate::event::{RunEvent, ShardCommand, StopCause};
use crate::stats::{StateChange, StateChanges};

impl Dispatch<'_> {
    /// Takes a backend out or in again, as its health checks say.
    pub(super) fn health_changed(&mut self, health: HealthChange) {
        let HealthChange { order, subject, change, cause } = health;
        if let Some(shift) = &mut self.shift {
            shift.health_changed(order.as_ref(), &cause);
        }
        if let Some(order) = order {
            self.source.broadcast(&ShardCommand::Order(order));
        }
        let at = RunOffset::of(clock::now(), self.start);
        self.tell_change(StateChange { at, subject, change, cause });
    }

    /// Shows a change on all screens, and records it.
    pub(super) fn tell_change(&mut self, notice: StateChange) {
        let mut changes = StateChanges::default();
        changes.push(notice.clone(), 1);
        self.io.sinks.publish(&RunEvent::StateChanges(Arc::new(changes)));
        self.record_change(notice);
    }

    /// Lets a shift go on by a second.
    pub(super) fn shift_second(&mut self, now: RunOffset) {
        if self.io.aggregator.stopped().is_some() {
            return;
        }
        for order in self.shift.as_mut().map(|shift| shift.second(now)).unwrap_or_default() {
            match order {
                ShiftOrder::Turn(orders, notice) => {
                    for order in orders {
                        self.source.broadcast(&ShardCommand::Order(order));
                    }
                    self.tell_change(*notice);
                }
                ShiftOrder::Stop(why) => {
                    self.stop(&format!("stopping: {why}"), StopCause::Shift(why));
                }
            }
        }
    }
}

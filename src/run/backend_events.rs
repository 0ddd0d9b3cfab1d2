//! What changes the backends of a run: health checks, and the steps of a shift.
//!
//! `dispatch` calls it, and `execute` starts the checks.
//! Invariant: each order to the shards has an event that tells why.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::dispatch::Dispatch;
use super::health::HealthChange;
use super::shift::ShiftOrder;
use crate::clock::{self, RunOffset};
use crate::event::{Interrupt, RunEvent, ShardCommand, StopCause};
use crate::stats::{StateChange, StateChanges};
use crate::units::show_duration;

/// How long `rollback` of a shift may take after the load.
const ROLLBACK: Duration = Duration::from_secs(10);

/// How long a command that was killed is waited for.
const KILLED: Duration = Duration::from_secs(2);

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

    /// Lets a shift go on by a second. One of a load that is being stopped is undone meanwhile.
    pub(super) fn shift_second(&mut self, now: RunOffset) {
        let is_stopped = self.io.aggregator.stopped().is_some();
        let Some(shift) = &mut self.shift else { return };
        let mut orders = if is_stopped { shift.load_over(now) } else { Vec::new() };
        orders.extend(shift.second(now));
        self.carry_out_shift(orders);
    }

    /// Runs `rollback` of a shift whose load is over, for at most [`ROLLBACK`], and waits for the
    /// end of its commands: none outlives the run.
    pub(super) async fn finish_shift(&mut self, interrupts: &mut mpsc::Receiver<Interrupt>) {
        let Some(shift) = &mut self.shift else { return };
        let orders = shift.load_over(RunOffset::of(clock::now(), self.start));
        self.carry_out_shift(orders);
        let mut until = clock::now() + ROLLBACK;
        let mut is_late = false;
        while let Some(shift) = self.shift.as_mut().filter(|shift| shift.has_command()) {
            tokio::select! {
                biased;
                () = shift.command_ended() => {
                    let orders = shift.look(RunOffset::of(clock::now(), self.start));
                    self.carry_out_shift(orders);
                }
                Some(interrupt) = interrupts.recv() => self.interrupted(interrupt),
                () = clock::sleep_until(until) => {
                    // One that the kernel does not end is not waited for.
                    if is_late {
                        return;
                    }
                    (is_late, until) = (true, clock::now() + KILLED);
                    let limit = show_duration(ROLLBACK);
                    self.give_up_shift(&format!("took longer than {limit} after the load"));
                }
            }
        }
    }

    /// Ends the commands of a shift: `rollback` is not run to its end, for this reason.
    pub(super) fn give_up_shift(&mut self, why: &str) {
        let Some(shift) = &mut self.shift else { return };
        let now = RunOffset::of(clock::now(), self.start);
        let orders = shift.give_up(now, why);
        self.carry_out_shift(orders);
    }

    fn carry_out_shift(&mut self, orders: Vec<ShiftOrder>) {
        for order in orders {
            match order {
                ShiftOrder::Turn(orders, notice) => {
                    for order in orders {
                        self.source.broadcast(&ShardCommand::Order(order));
                    }
                    self.tell_change(*notice);
                }
                ShiftOrder::Stop(why) if self.io.aggregator.stopped().is_none() => {
                    self.stop(&format!("stopping: {why}"), StopCause::Shift(why));
                }
                ShiftOrder::Stop(_) => {}
            }
        }
    }
}

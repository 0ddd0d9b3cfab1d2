//! What a coordinator tells its driver: the control record, the members, what is merged.
//!
//! Invariant: it changes nothing.

use super::{Coordinator, CoordinatorStage};
use crate::clock::Time;
use crate::fleet::protocol::control::{ControlRecord, Heartbeat, MAX_COMMANDS};
use crate::fleet::protocol::ledger::Ledger;
use crate::fleet::protocol::outbox::DeltaPayload;

impl<P: DeltaPayload> Coordinator<P> {
    /// The control record as far as this coordinator knows it; `None` before the run exists.
    pub fn control(&self) -> Option<&ControlRecord> {
        self.bus.base.as_ref()
    }

    /// Whether it leads, as far as it knows.
    pub fn is_leading(&self) -> bool {
        matches!(self.stage, CoordinatorStage::Load | CoordinatorStage::Lead)
    }

    /// Whether `commands` more fit into the control record.
    pub fn has_room(&self, commands: usize) -> bool {
        let waiting = self.control().map_or(0, |base| base.commands.len());
        waiting + self.queued.len() + commands <= MAX_COMMANDS
    }

    /// The members by their newest heartbeats, and whether each lives.
    pub fn members(&self) -> impl Iterator<Item = (&Heartbeat, bool)> {
        let is_alive = |beat: &Heartbeat| self.bus.view.is_alive(beat.member, &self.config.times);
        self.bus.view.heartbeats().map(move |beat| (beat, is_alive(beat)))
    }

    /// What is merged of each member.
    pub fn ledger(&self) -> &Ledger<P> {
        &self.ledger
    }

    /// The start of the load on the local clock; `None` before it is set.
    pub fn start(&self) -> Option<Time> {
        self.bus.start()
    }
}

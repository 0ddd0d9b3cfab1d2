//! Drives the agent of the protocol: carries out what it wants, and hands it what happens.
//!
//! `agent` runs it on its main thread.
//! Invariant: after each step the engine has the slots and the lease of that step.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use super::bus_threads::BusThreads;
use super::engine::AgentEngine;
use super::error::AgentError;
use super::inputs::{AgentInput, AgentResult, local_now, machine_time};
use super::journal::AgentJournal;
use super::measured::MeasuredInterval;
use crate::event::Interrupt;
use crate::fleet::payload::ShardDeltas;
use crate::fleet::protocol::{Agent, AgentAction, AgentEnd, AgentEvent};

/// The agent, its engine and its bus.
pub(super) struct AgentDriver<'a> {
    pub(super) agent: Agent<ShardDeltas>,
    pub(super) engine: AgentEngine,
    pub(super) measured: MeasuredInterval,
    pub(super) journal: AgentJournal,
    pub(super) bus: BusThreads,
    pub(super) inputs: SyncSender<AgentInput>,
    pub(super) tell: &'a dyn Fn(String),
    /// The signals that came.
    pub(super) interrupts: u32,
}

impl AgentDriver<'_> {
    pub(super) fn run(
        mut self,
        received: &Receiver<AgentInput>,
    ) -> Result<AgentResult, AgentError> {
        let mut events = VecDeque::from([AgentEvent::Tick]);
        loop {
            let event = match events.pop_front() {
                Some(event) => event,
                None => {
                    let left = self.agent.wake().since(local_now());
                    let left = left.min(self.measured.wait()).clamp(1_000_000, 500_000_000);
                    let input = received.recv_timeout(Duration::from_nanos(left)).ok();
                    self.take(input, &mut events)?
                }
            };
            for action in self.agent.step(local_now(), event) {
                if let Some(end) = self.carry_out(action, &mut events)? {
                    return Ok(self.end(end, received));
                }
            }
            for change in self.engine.follow(&self.agent) {
                self.journal.add_change(change);
            }
            self.take_interval(false, &mut events);
            if let Some(failure) = self.journal.take_failure() {
                (self.tell)(failure);
            }
        }
    }

    /// Takes an input; returns the event of the protocol that it is.
    fn take(
        &mut self,
        input: Option<AgentInput>,
        events: &mut VecDeque<AgentEvent<ShardDeltas>>,
    ) -> Result<AgentEvent<ShardDeltas>, AgentError> {
        Ok(match input {
            None => AgentEvent::Tick,
            Some(AgentInput::Reply(id, reply)) => AgentEvent::Reply { id, reply },
            Some(AgentInput::Hint) => AgentEvent::Hint,
            Some(AgentInput::Told(message)) => {
                (self.tell)(message);
                AgentEvent::Tick
            }
            Some(AgentInput::Prepared(prepared)) => {
                self.engine.prepared((*prepared)?);
                AgentEvent::Prepared
            }
            Some(AgentInput::Delta(delta)) => {
                self.measured.push(*delta);
                AgentEvent::Tick
            }
            Some(AgentInput::EngineEnded) => {
                self.engine.note_end();
                self.take_interval(true, events);
                events.push_back(AgentEvent::Finished);
                AgentEvent::Tick
            }
            Some(AgentInput::Interrupt(interrupt)) => {
                self.interrupts += 1;
                if self.interrupts > 1 || interrupt == Interrupt::Quit {
                    return Err(AgentError::Interrupted(interrupt));
                }
                (self.tell)("leaving the run: other agents get its load (again: stop now)".into());
                self.engine.leave();
                AgentEvent::Leave
            }
        })
    }

    /// Takes an interval that is complete: it is in the journal before it goes to the bus.
    fn take_interval(&mut self, is_last: bool, events: &mut VecDeque<AgentEvent<ShardDeltas>>) {
        let Some((until, payload)) = self.measured.take(is_last) else { return };
        self.journal.add_deltas(&payload.deltas);
        events.push_back(AgentEvent::Health(self.measured.health()));
        events.push_back(AgentEvent::Measured { until, payload });
    }

    fn carry_out(
        &mut self,
        action: AgentAction<ShardDeltas>,
        events: &mut VecDeque<AgentEvent<ShardDeltas>>,
    ) -> Result<Option<AgentEnd>, AgentError> {
        match action {
            AgentAction::Send { id, request } => self.bus.send(id, request),
            AgentAction::Prepare => {
                (self.tell)("all agents joined; preparing the plan".to_owned());
                self.engine.prepare(&self.agent, &self.inputs)?;
            }
            AgentAction::Start { at } => {
                let at = machine_time(at);
                if let Some(range) = self.engine.start(&self.agent, at, &self.inputs)? {
                    self.measured.begin(self.engine.shards());
                    self.journal.begin(self.engine.run_info(range, at), self.agent.member(), range);
                } else {
                    events.push_back(AgentEvent::Finished);
                }
            }
            AgentAction::Command(command) => self.engine.command(&command.command),
            AgentAction::Stop { cancel } => {
                if self.agent.control().is_some_and(|control| control.phase.is_ending()) {
                    self.journal.stop(self.agent.schedule(local_now()));
                }
                if !self.engine.stop(cancel) {
                    events.push_back(AgentEvent::Finished);
                }
            }
            AgentAction::End(end) => return Ok(Some(end)),
        }
        Ok(None)
    }

    /// Ends the agent; what its engine still does is cancelled. The journal has also what does not
    /// reach the bus any more.
    fn end(mut self, end: AgentEnd, received: &Receiver<AgentInput>) -> AgentResult {
        let (measured, mut journal) = (self.measured.count(), self.journal);
        if let Some((_, rest)) = self.measured.take(true) {
            journal.add_deltas(&rest.deltas);
        }
        let failed = self.engine.end(received, |delta| journal.add_deltas([delta]));
        journal.end(failed.clone());
        if let Some(failure) = journal.take_failure() {
            (self.tell)(failure);
        }
        AgentResult { end, measured, failed }
    }
}

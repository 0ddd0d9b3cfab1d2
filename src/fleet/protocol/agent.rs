//! An agent: one process that sends a part of the load.
//!
//! Its driver hands in events with the local time, carries out the actions in order, calls again at
//! [`Agent::wake`], and asks [`Agent::permits`] before each arrival.
//! Invariant: of each kind of request, heartbeats and deltas, at most one is under way; a reply
//! that comes after its timeout is not used.
//!
//! The local clock has to count while the machine sleeps (`CLOCK_BOOTTIME`), so that an agent that
//! comes back from a pause finds its lease over. Its zero has to lie before the start of any run
//! that the process may join: the driver adds a constant, since a machine may be younger than the
//! run.

use super::agent_events::{
    AgentAction, AgentConfig, AgentEnd, AgentEvent, AgentRequest, AgentRequestKind,
};
use super::bus::{BusReply, RequestId};
use super::clock_estimate::ClockEstimate;
use super::control::{ControlRecord, FleetPhase, HeartbeatId, MemberHealth, MemberState};
use super::heartbeats::MemberView;
use super::lease::{Grant, Lease};
use super::member::{Incarnation, Member};
use super::outbox::{DeltaPayload, Outbox};
use super::slot_table::{SlotTable, TableHistory};
use crate::clock::{RunOffset, Time};

/// An agent.
#[derive(Clone, Debug)]
pub struct Agent<P: DeltaPayload> {
    pub(super) config: AgentConfig,
    pub(super) view: MemberView,
    /// What the first heartbeat replaces, once `Look` told it.
    pub(super) join: Option<(Option<HeartbeatId>, RunOffset)>,
    pub(super) has_joined: bool,
    pub(super) previous_horizon: RunOffset,
    pub(super) state: MemberState,
    pub(super) outbox: Outbox<P>,
    pub(super) next_beat: u64,
    pub(super) next_request: u64,
    pub(super) beat_due: Time,
    pub(super) data_due: Time,
    pub(super) beat: Option<AgentRequest>,
    pub(super) data: Option<AgentRequest>,
    pub(super) was_told_to_prepare: bool,
    pub(super) was_started: bool,
    pub(super) was_stopped: bool,
    /// The last command that was carried out.
    pub(super) command: u64,
    pub(super) health: MemberHealth,
    pub(super) end: Option<AgentEnd>,
}

impl<P: DeltaPayload> Agent<P> {
    /// An agent that begins to join at `now`. One whose facts have a reason against the plan only
    /// tells it: it ends once the coordinator has refused it.
    pub fn new(config: AgentConfig, now: Time) -> Self {
        // Its incarnation is chosen when the bus has told its time.
        let member = Member { ordinal: config.ordinal, incarnation: Incarnation(0) };
        let view = MemberView {
            member,
            times: config.times,
            clock: ClockEstimate::default(),
            lease: Lease::default(),
            tables: TableHistory::default(),
            control: None,
            start: None,
            own_end: RunOffset::NEVER,
            led_at: now,
        };
        let is_unable = !config.facts.reason.is_empty();
        let state = if is_unable { MemberState::Unable } else { MemberState::Joined };
        Self {
            config,
            view,
            join: None,
            has_joined: false,
            previous_horizon: RunOffset::ZERO,
            state,
            outbox: Outbox::default(),
            next_beat: 0,
            next_request: 0,
            beat_due: now,
            data_due: now,
            beat: None,
            data: None,
            was_told_to_prepare: is_unable,
            was_started: false,
            was_stopped: is_unable,
            command: 0,
            health: MemberHealth::default(),
            end: None,
        }
    }

    /// Takes an event at the local time `now`, and returns what has to be done.
    pub fn step(&mut self, now: Time, event: AgentEvent<P>) -> Vec<AgentAction<P>> {
        let mut actions = Vec::new();
        if self.end.is_some() {
            return actions;
        }
        match event {
            AgentEvent::Tick => {}
            AgentEvent::Reply { id, reply } => self.take_reply(now, id, reply, &mut actions),
            AgentEvent::Hint => self.beat_due = self.beat_due.min(now),
            AgentEvent::Prepared if self.state == MemberState::Joined => {
                self.state = MemberState::Ready;
                self.beat_due = now;
            }
            AgentEvent::Prepared => {}
            AgentEvent::Measured { until, payload } => {
                self.outbox.push(until, payload);
                self.data_due = self.data_due.min(now);
            }
            AgentEvent::Finished => {
                self.state = MemberState::Finished;
                (self.beat_due, self.data_due) = (now, self.data_due.min(now));
            }
            AgentEvent::Health(health) => self.health = health,
            AgentEvent::Leave => self.leave(now, &mut actions),
        }
        self.advance(now, &mut actions);
        actions
    }

    /// Whether this agent may dispatch an arrival now: the slot table in force at its intended time
    /// gives it the slot, and rule L permits it. An arrival that is refused is counted as unserved
    /// and never sent.
    pub fn permits(&self, now: Time, slot: usize, intended: RunOffset) -> bool {
        self.owns(slot, intended)
            && intended < self.view.own_end
            && self.view.lease.permits(now, intended)
    }

    /// Whether the slot table in force at the intended time gives the arrival to this agent.
    pub fn owns(&self, slot: usize, intended: RunOffset) -> bool {
        self.end.is_none() && self.view.tables.owner(slot, intended) == Some(self.view.member)
    }

    /// When to call [`Agent::step`] again at the latest.
    pub fn wake(&self) -> Time {
        let timeout = |pending: Option<AgentRequest>, due: Time| {
            pending.map_or(due, |pending| pending.issued.after(self.view.times.request_timeout))
        };
        let data = if self.has_data() || self.data.is_some() {
            timeout(self.data, self.data_due)
        } else {
            Time::NEVER
        };
        timeout(self.beat, self.beat_due).min(data)
    }

    /// The process among those of its ordinal.
    pub fn member(&self) -> Member {
        self.view.member
    }

    /// The start of the load on the local clock; `None` before it is set.
    pub fn start(&self) -> Option<Time> {
        self.view.start
    }

    /// Its time of the run.
    pub fn schedule(&self, now: Time) -> RunOffset {
        self.view.schedule(now)
    }

    /// The end of the schedule, or of its part if it leaves.
    pub fn schedule_end(&self) -> RunOffset {
        let end = self.view.control.as_ref().map_or(RunOffset::NEVER, |control| control.end);
        end.min(self.view.own_end)
    }

    /// The tables that it has read, by epoch.
    pub fn tables(&self) -> &[SlotTable] {
        self.view.tables.all()
    }

    /// What the latest heartbeat permits; `None` before the load, and after it.
    pub fn grant(&self) -> Option<Grant> {
        self.view.lease.grant()
    }

    /// From when on it takes no arrivals, because it leaves; `NEVER` if it does not.
    pub fn own_end(&self) -> RunOffset {
        self.view.own_end
    }

    /// The control record that was read last.
    pub fn control(&self) -> Option<&ControlRecord> {
        self.view.control.as_deref()
    }

    /// The error of its estimate of the bus's clock at most, ns; `None` before the first reply.
    pub fn clock_error(&self, now: Time) -> Option<u64> {
        self.view.clock.error(now)
    }

    /// Until when rule L permits load, on the local clock.
    pub fn lease_until(&self) -> Option<Time> {
        self.view.lease.until()
    }

    fn leave(&mut self, now: Time, actions: &mut Vec<AgentAction<P>>) {
        if self.state == MemberState::Finished || self.view.own_end != RunOffset::NEVER {
            return;
        }
        let lead = self.view.times.lead + self.view.times.heartbeat;
        self.view.own_end = self.view.schedule(now).after(lead).min(self.view.horizon(now));
        self.state = MemberState::Leaving;
        self.beat_due = now;
        if !self.was_started {
            self.stop(false, actions);
        }
    }

    fn stop(&mut self, cancel: bool, actions: &mut Vec<AgentAction<P>>) {
        if !self.was_stopped {
            self.was_stopped = true;
            actions.push(AgentAction::Stop { cancel });
        }
    }

    fn end(&mut self, end: AgentEnd, actions: &mut Vec<AgentAction<P>>) {
        self.view.lease.end();
        if end != AgentEnd::Closed {
            self.stop(true, actions);
        }
        self.end = Some(end);
        actions.push(AgentAction::End(end));
    }

    fn take_reply(
        &mut self,
        now: Time,
        id: RequestId,
        reply: BusReply<P>,
        actions: &mut Vec<AgentAction<P>>,
    ) {
        if let Some(pending) = self.beat.take_if(|pending| pending.id == id) {
            self.take_beat(now, pending, reply, actions);
        } else if let Some(pending) = self.data.take_if(|pending| pending.id == id) {
            self.data_due = match (pending.what, reply) {
                (AgentRequestKind::Append { generation, last }, BusReply::Appended) => {
                    self.outbox.confirm(generation, last);
                    now
                }
                // Written again until the coordinator has it: the bus may forget it.
                (AgentRequestKind::WriteFinal, _) => now.after(self.view.times.snapshot),
                _ => now.after(self.view.times.request_timeout / 4),
            };
        }
    }

    fn take_beat(
        &mut self,
        now: Time,
        pending: AgentRequest,
        reply: BusReply<P>,
        actions: &mut Vec<AgentAction<P>>,
    ) {
        self.beat_due = pending.issued.after(self.view.times.heartbeat);
        match (pending.what, reply) {
            (AgentRequestKind::Look, BusReply::Looked { top, clock }) => {
                self.view.clock.observe(pending.issued, now, clock);
                let newest = top.as_ref().map(|top| top.member.incarnation);
                self.view.member.incarnation =
                    Incarnation::choose(clock, self.config.entropy, newest);
                let previous = top.map(|top| (top.id(), top.horizon.max(top.previous_horizon)));
                let bound = previous.map_or(RunOffset::ZERO, |(_, bound)| bound);
                self.join = Some((previous.map(|(id, _)| id), bound));
                self.beat_due = now;
            }
            (
                AgentRequestKind::Join { horizon, .. } | AgentRequestKind::Beat { horizon },
                BusReply::Beat { control, instance, clock },
            ) => {
                self.view.clock.observe(pending.issued, now, clock);
                if let AgentRequestKind::Join { previous_horizon, .. } = pending.what {
                    self.previous_horizon = previous_horizon;
                    self.has_joined = true;
                }
                if self.view.take(now, pending.issued, horizon, control, instance) {
                    self.obey(now, actions);
                }
            }
            // Another process joined between: look again.
            (AgentRequestKind::Join { .. }, BusReply::Superseded { .. }) => self.join = None,
            (AgentRequestKind::Beat { .. }, BusReply::Superseded { by })
                if by > self.view.member.incarnation =>
            {
                self.end(AgentEnd::Superseded, actions);
            }
            // Unknown whether it was written: the next one looks, or has a larger number.
            (AgentRequestKind::Join { .. }, _) => self.join = None,
            _ => {}
        }
    }

    /// Does what the control record says.
    fn obey(&mut self, now: Time, actions: &mut Vec<AgentAction<P>>) {
        let Some(control) = self.view.control.clone() else { return };
        if let Some(why) = control.refusal(self.view.member) {
            return self.end(AgentEnd::Refused(why), actions);
        }
        if let Some(known) = control.acknowledgement(self.view.member) {
            self.outbox.acknowledge(known.generation, known.resend_from, known.saved);
            if known.closed {
                return self.end(AgentEnd::Closed, actions);
            }
        }
        if control.phase == FleetPhase::Done {
            return self.end(AgentEnd::Abandoned, actions);
        }
        // Without a table there was no load, and there is nothing to hand in.
        if control.phase.is_ending() && control.tables.is_empty() && !self.was_started {
            return self.end(AgentEnd::NotStarted, actions);
        }
        self.data_due = self.data_due.min(now.after(self.view.times.heartbeat));
        if control.phase >= FleetPhase::Prepare && !self.was_told_to_prepare {
            self.was_told_to_prepare = true;
            actions.push(AgentAction::Prepare);
        }
        if let Some(at) = self.view.start.filter(|_| !self.was_started && !self.was_stopped) {
            self.was_started = true;
            actions.push(AgentAction::Start { at });
        }
        for command in &control.commands {
            if command.number > self.command {
                self.command = command.number;
                actions.push(AgentAction::Command(command.clone()));
            }
        }
        if control.phase.is_ending() {
            self.stop(control.phase == FleetPhase::Aborting, actions);
        }
    }

    /// Gives up requests that are late, and sends what is due.
    fn advance(&mut self, now: Time, actions: &mut Vec<AgentAction<P>>) {
        if self.end.is_some() {
            return;
        }
        if now.since(self.view.led_at) >= self.view.times.give_up {
            return self.end(AgentEnd::Abandoned, actions);
        }
        let timeout = self.view.times.request_timeout;
        let is_late = |pending: &mut AgentRequest| now.since(pending.issued) >= timeout;
        if let Some(late) = self.beat.take_if(is_late) {
            self.beat_due = now;
            if matches!(late.what, AgentRequestKind::Join { .. }) {
                self.join = None;
            }
        }
        if self.data.take_if(is_late).is_some() {
            self.data_due = now;
        }
        if self.beat.is_none() && self.beat_due <= now {
            let (request, what) = self.next_beat(now);
            self.beat = Some(self.send(now, request, what, actions));
        }
        if self.data.is_none() && self.data_due <= now && self.has_data() {
            if let Some((request, what)) = self.next_data() {
                self.data = Some(self.send(now, request, what, actions));
            } else {
                self.data_due = now.after(self.view.times.heartbeat);
            }
        }
    }
}

//! The coordinator: it steers the fleet through the control record, and merges what agents measure.
//!
//! Its driver hands in events with the local time, carries out the actions in order, and calls
//! again at [`Coordinator::wake`].
//! Invariant: one request at a time is under way, so the replies are in the order of the bus. What
//! the coordinator decides is in the control record, what it has merged is in the snapshot: one
//! that resumes needs nothing else.

mod claim;
pub(super) mod config;
mod draft;
pub(super) mod events;
mod fleet_view;
mod followed;
mod requests;
pub(super) mod restore;
mod status;

use std::collections::VecDeque;
use std::sync::Arc;

use super::bus::{BusReply, BusRequest, PollReply, RequestId};
use super::control::{ControlRecord, FleetCommand, FleetPhase};
use super::ledger::{DeclaredLoss, FleetSnapshot, FrameUse, Ledger, MemberAccount};
use super::member::Member;
use super::outbox::DeltaPayload;
use crate::clock::{RunOffset, Time};
use config::{FleetConfig, LeaderStart};
use draft::DraftInput;
use events::{CoordinatorAction, CoordinatorEnd, CoordinatorEvent, FleetResult};
use followed::FollowedBus;
use requests::{CoordinatorRequest, CoordinatorRequestKind};

/// Ordinals beyond the number of agents whose heartbeats are read, to refuse them.
const SPARE_ORDINALS: u16 = 16;

/// What a coordinator does at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CoordinatorStage {
    /// It looks for the run, and waits for its turn.
    Seek,
    /// It leads, and reads the snapshot of the former leader.
    Load,
    /// It leads.
    Lead,
    Ended,
}

/// A coordinator.
pub struct Coordinator<P: DeltaPayload> {
    config: FleetConfig,
    start: LeaderStart,
    stage: CoordinatorStage,
    bus: FollowedBus,
    ledger: Ledger<P>,
    /// The latest snapshot that the bus has taken.
    saved: Option<Arc<FleetSnapshot<P>>>,
    snapshots: u64,
    /// Whether the bus may have lost that snapshot.
    is_snapshot_lost: bool,
    /// Whether it has read the snapshot of a former leader.
    has_loaded: bool,
    /// Whether members may have measured something of which nothing is known.
    has_unknown_members: bool,
    command: Option<FleetPhase>,
    /// Commands that the record does not have yet.
    queued: VecDeque<FleetCommand>,
    pending: Option<CoordinatorRequest<P>>,
    next_request: u64,
    poll_due: Time,
    snapshot_due: Time,
    /// Whether a poll came since the last write.
    is_fresh: bool,
    trims: Vec<BusRequest<P>>,
}

impl<P: DeltaPayload> Coordinator<P> {
    /// A coordinator that begins at `now`; `leader` is a random number that tells it from others.
    pub fn new(config: FleetConfig, start: LeaderStart, leader: u64, now: Time) -> Self {
        Self {
            start,
            stage: CoordinatorStage::Seek,
            bus: FollowedBus::new(leader, now),
            ledger: Ledger::default(),
            saved: None,
            snapshots: 0,
            is_snapshot_lost: false,
            has_loaded: false,
            has_unknown_members: false,
            command: None,
            queued: VecDeque::new(),
            pending: None,
            next_request: 0,
            poll_due: now,
            snapshot_due: now.after(config.times.snapshot),
            is_fresh: false,
            trims: Vec::new(),
            config,
        }
    }

    /// Takes an event at the local time `now`, and returns what has to be done.
    pub fn step(&mut self, now: Time, event: CoordinatorEvent<P>) -> Vec<CoordinatorAction<P>> {
        let mut actions = Vec::new();
        match event {
            _ if self.stage == CoordinatorStage::Ended => return actions,
            CoordinatorEvent::Tick => {}
            CoordinatorEvent::Drain => {
                self.command = self.command.max(Some(FleetPhase::Draining));
            }
            CoordinatorEvent::Abort => self.command = Some(FleetPhase::Aborting),
            CoordinatorEvent::Command(command) => {
                let last = self.queued.back().map(|queued| queued.number);
                let number =
                    last.max(self.control().map(|base| base.last_command)).unwrap_or(0) + 1;
                self.queued.push_back(FleetCommand { number, command });
            }
            CoordinatorEvent::Reply { id, reply } => {
                if let Some(pending) = self.pending.take_if(|pending| pending.id == id) {
                    self.take_reply(now, &pending, reply, &mut actions);
                }
            }
        }
        self.advance(now, &mut actions);
        actions
    }

    /// When to call [`Coordinator::step`] again at the latest.
    pub fn wake(&self) -> Time {
        let timeout = |pending: &CoordinatorRequest<P>| {
            pending.issued.after(self.config.times.request_timeout)
        };
        self.pending.as_ref().map_or(self.poll_due, timeout)
    }

    fn end(&mut self, end: CoordinatorEnd<P>, actions: &mut Vec<CoordinatorAction<P>>) {
        self.stage = CoordinatorStage::Ended;
        actions.push(CoordinatorAction::End(Box::new(end)));
    }

    /// Ends a leader if the record says that the run is over.
    fn end_if_done(&mut self, actions: &mut Vec<CoordinatorAction<P>>) {
        let is_done = self.bus.base.as_ref().is_some_and(|base| base.phase == FleetPhase::Done);
        if is_done && self.stage == CoordinatorStage::Lead {
            let result = self.result();
            self.end(CoordinatorEnd::Done(result), actions);
        }
    }

    fn result(&self) -> FleetResult<P> {
        let until = self.bus.base.as_ref().map_or(RunOffset::NEVER, |base| base.granted_until);
        let mut losses = self.ledger.losses(until);
        if self.has_unknown_members {
            losses.push(DeclaredLoss { member: None, since: RunOffset::ZERO, until });
        }
        FleetResult { ledger: self.ledger.clone(), losses }
    }

    fn take_reply(
        &mut self,
        now: Time,
        pending: &CoordinatorRequest<P>,
        reply: BusReply<P>,
        actions: &mut Vec<CoordinatorAction<P>>,
    ) {
        match (&pending.what, reply) {
            (CoordinatorRequestKind::Poll, BusReply::Polled(poll)) => {
                self.poll_due = pending.issued.after(self.config.times.poll);
                self.take_poll(now, pending.issued, &poll, actions);
            }
            (CoordinatorRequestKind::WriteControl(record), BusReply::Written) => {
                self.bus.confirm(now, record);
                if self.stage == CoordinatorStage::Seek {
                    self.begin_to_lead(now);
                }
                self.end_if_done(actions);
            }
            (CoordinatorRequestKind::WriteSnapshot(snapshot), BusReply::Written) => {
                self.save(snapshot);
            }
            (CoordinatorRequestKind::ReadSnapshot, BusReply::Snapshot(snapshot)) => {
                self.load(snapshot);
                self.end_if_done(actions);
            }
            // Refused: a poll tells why.
            (
                CoordinatorRequestKind::WriteControl(_) | CoordinatorRequestKind::WriteSnapshot(_),
                BusReply::Refused,
            ) => {
                self.poll_due = now;
            }
            _ => self.poll_due = now.after(self.config.times.poll / 2),
        }
    }

    /// Takes what the bus has. A leader merges it; others only learn whether there is one.
    fn take_poll(
        &mut self,
        now: Time,
        issued: Time,
        poll: &PollReply<P>,
        actions: &mut Vec<CoordinatorAction<P>>,
    ) {
        let is_leading = self.is_leading();
        let news = self.bus.observe(now, issued, poll, is_leading, &self.config.times);
        if is_leading && news.is_fenced {
            return self.end(CoordinatorEnd::Fenced, actions);
        }
        self.is_fresh = true;
        self.is_snapshot_lost |= news.has_lost_history;
        self.end_if_done(actions);
        if self.stage != CoordinatorStage::Lead {
            return;
        }
        for heartbeat in &poll.heartbeats {
            let account = self.ledger.open(heartbeat.member);
            account.kept_from = account.kept_from.max(heartbeat.kept_from);
            if heartbeat.generation > account.generation {
                account.generation = heartbeat.generation;
                self.ledger.request_resend(heartbeat.member);
            }
        }
        for (stream, frame) in &poll.frames {
            if self.ledger.absorb(*stream, frame) == FrameUse::Merged {
                let (member, frame) = (stream.member, frame.clone());
                actions.push(CoordinatorAction::Merge { member, frame });
            }
        }
        for heartbeat in &poll.heartbeats {
            // The poll is one step: what the member had appended before this heartbeat, and is not
            // there, is lost. So are intervals before a gap.
            let Some(account) = self.ledger.account(heartbeat.member) else { continue };
            let is_same = heartbeat.generation == account.generation;
            if is_same && !account.is_closed() && heartbeat.appended > account.merged {
                self.ledger.request_resend(heartbeat.member);
            }
        }
        for (member, state) in &poll.finals {
            self.ledger.close(*member, state, false);
        }
        if self.is_over() {
            for (member, state) in &poll.finals {
                self.ledger.close(*member, state, true);
            }
        }
    }

    /// Whether all members that ever owned slots have handed in everything.
    fn is_closed(&self) -> bool {
        let tables = self.control().into_iter().flat_map(|base| &base.tables);
        let mut owners = tables.flat_map(|table| table.counts().into_keys()).peekable();
        owners.peek().is_some()
            && owners.all(|owner| self.ledger.account(owner).is_some_and(MemberAccount::is_closed))
    }

    /// Whether no member that lives has anything more to tell.
    fn is_over(&self) -> bool {
        let mut accounts = self.ledger.accounts();
        accounts.all(|(member, account)| {
            account.is_closed() || !self.bus.view.is_alive(member, &self.config.times)
        })
    }

    /// Whether a snapshot has every account as it is to be in the result.
    fn is_saved(&self) -> bool {
        let merged = |ledger: &Ledger<P>| -> Vec<(Member, u64, bool)> {
            let all = ledger.accounts();
            all.map(|(member, one)| (member, one.merged, one.is_closed())).collect()
        };
        !self.is_snapshot_lost
            && self
                .saved
                .as_ref()
                .is_some_and(|saved| merged(&saved.ledger) == merged(&self.ledger))
    }

    fn advance(&mut self, now: Time, actions: &mut Vec<CoordinatorAction<P>>) {
        if self.stage == CoordinatorStage::Ended {
            return;
        }
        let times = self.config.times;
        if now.since(self.bus.polled_at) >= times.give_up {
            let result = self.result();
            return self.end(CoordinatorEnd::BusLost(result), actions);
        }
        let is_late = |pending: &mut CoordinatorRequest<P>| {
            now.since(pending.issued) >= times.request_timeout
        };
        if self.pending.take_if(is_late).is_some() {
            self.poll_due = now;
        }
        if self.pending.is_some() {
            return;
        }
        let next = match self.stage {
            CoordinatorStage::Seek => self.next_claim(now, actions),
            CoordinatorStage::Load if self.poll_due > now => None,
            CoordinatorStage::Load => {
                Some((BusRequest::ReadSnapshot, CoordinatorRequestKind::ReadSnapshot))
            }
            CoordinatorStage::Lead => self.next_write(now),
            CoordinatorStage::Ended => None,
        };
        if self.stage == CoordinatorStage::Ended {
            return;
        }
        let (request, what) = match next {
            Some(next) => next,
            None if self.poll_due <= now => {
                // A few more, so that agents beyond the number are told so.
                let ordinals = self.config.agents.saturating_add(SPARE_ORDINALS);
                let streams = self.ledger.cursors();
                (BusRequest::Poll { streams, ordinals }, CoordinatorRequestKind::Poll)
            }
            None => return,
        };
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.pending = Some(CoordinatorRequest { id, issued: now, what });
        actions.push(CoordinatorAction::Send { id, request: Box::new(request) });
    }

    /// What a leader writes next; `None` if nothing is due. It writes the control record only after
    /// a poll, so that it does not decide by what it knew before the last write.
    fn next_write(&mut self, now: Time) -> Option<(BusRequest<P>, CoordinatorRequestKind<P>)> {
        if let Some(trim) = self.trims.pop() {
            return Some((trim, CoordinatorRequestKind::Trim));
        }
        if std::mem::take(&mut self.is_fresh)
            && let Some(write) = self.control_write(now)
        {
            return Some(write);
        }
        if self.snapshot_due > now || self.is_saved() {
            return None;
        }
        self.snapshot_due = now.after(self.config.times.snapshot);
        self.snapshots += 1;
        let token = self.bus.revision().token;
        let ledger = self.ledger.clone();
        let snapshot = Arc::new(FleetSnapshot { token, number: self.snapshots, ledger });
        let request = BusRequest::WriteSnapshot { token, snapshot: Arc::clone(&snapshot) };
        Some((request, CoordinatorRequestKind::WriteSnapshot(snapshot)))
    }

    fn control_write(&mut self, now: Time) -> Option<(BusRequest<P>, CoordinatorRequestKind<P>)> {
        if now < self.bus.hold_until {
            return None;
        }
        let base = self.bus.base.as_ref()?;
        self.queued.retain(|queued| queued.number > base.last_command);
        let input = DraftInput {
            config: &self.config,
            view: &self.bus.view,
            base,
            bus_now: self.bus.clock.bus_time(now)?,
            schedule: self.bus.schedule(now),
            set_t0: self.bus.set_t0,
            next_epoch: self.bus.next_number(),
            phase_age: now.since(self.bus.phase_since),
            is_complete: self.is_over() && self.is_saved(),
            is_closed: self.is_closed(),
            commands: &self.queued,
            command: self.command,
        };
        let mut draft = input.draft();
        draft.record.acknowledgements = self.acknowledgements();
        draft.record.snapshot = self.saved.as_ref().map_or(0, |saved| saved.number);
        draft.record.is_incomplete = self.has_unknown_members;
        draft.record.t0 = self.bus.moved_start().or(draft.record.t0);
        let unchanged = ControlRecord { granted_until: base.granted_until, ..draft.record.clone() };
        let is_due = now.since(self.bus.written_at) >= self.config.times.renewal;
        if unchanged == *base && !is_due && !self.bus.is_behind() {
            return None;
        }
        Some(self.bus.write(now, draft.record, draft.limits, &self.config.times))
    }
}

//! Drives the coordinator of the protocol: carries out its requests, and hands on what it merges.
//!
//! `agents` gives it a thread.
//! Invariant: deltas of an agent are handed on in order, before its loss is; the dispatcher gets
//! the slots of a table before anything that depends on them.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;

use super::error::FleetError;
use super::history::FleetHistory;
use super::news::{FleetNews, RestoredRun};
use super::overview::AgentsOverview;
use crate::clock::{self, RunOffset, Time};
use crate::event::{ShardCommand, WorkerEvent, WorkerLoss, WorkerUse};
use crate::fleet::bus::{BusClient, BusTrouble};
use crate::fleet::layout::FleetLayout;
use crate::fleet::payload::{self, ShardDeltas};
use crate::fleet::protocol::{
    BusReply, BusRequest, Coordinator, CoordinatorAction, CoordinatorEnd, CoordinatorEvent,
    DeltaFrame, FleetConfig, LeaderStart, Ledger, Member, MemberAccount, SlotTable,
};
use crate::stats::sample::SeriesLayout;
use crate::stats::{Change, ChangeCause, ChangeSubject, Delta, StateChange};

/// A command to the driver.
#[derive(Debug)]
pub(super) enum DriverCommand {
    /// A command to all engines.
    Command(ShardCommand),
    /// No new load.
    Drain,
    /// Cancel what runs.
    Abort,
    /// End now: the run is not carried out.
    Quit,
}

/// How the driver is connected to the run.
pub(super) struct FleetChannels {
    pub(super) commands: Receiver<DriverCommand>,
    pub(super) news: mpsc::Sender<FleetNews>,
    pub(super) deltas: mpsc::Sender<Delta>,
    pub(super) workers: mpsc::Sender<WorkerEvent>,
    pub(super) uses: Arc<Mutex<Vec<WorkerUse>>>,
    /// Set once another coordinator leads.
    pub(super) is_fenced: Arc<AtomicBool>,
}

/// The driver.
pub(super) struct FleetDriver {
    client: BusClient<ShardDeltas>,
    pub(super) coordinator: Coordinator<ShardDeltas>,
    pub(super) channels: FleetChannels,
    history: FleetHistory,
    series: SeriesLayout,
    pub(super) give_up: u64,
    pub(super) seen: SeenState,
    trouble: BusTrouble,
    /// Messages that were not told.
    messages: Vec<String>,
}

/// What was handed on.
#[derive(Default)]
pub(super) struct SeenState {
    pub(super) joined: usize,
    pub(super) refused: usize,
    pub(super) has_prepared: bool,
    pub(super) layout: Option<FleetLayout>,
    pub(super) tables: Vec<SlotTable>,
    /// Members that were silent when last looked at.
    pub(super) silent: Vec<Member>,
    /// Since when no member lives.
    pub(super) alone_since: Option<Time>,
    pub(super) is_quitting: bool,
    /// Whether what former coordinators merged is to be restored first.
    pub(super) must_restore: bool,
    pub(super) status: AgentsOverview,
}

impl FleetDriver {
    pub(super) fn new(
        client: BusClient<ShardDeltas>,
        config: FleetConfig,
        start: LeaderStart,
        channels: FleetChannels,
        history: FleetHistory,
        series: SeriesLayout,
    ) -> Self {
        let give_up = config.times.give_up;
        let coordinator = Coordinator::new(config, start, rand::random(), clock::now());
        let must_restore = start != LeaderStart::New;
        let seen = SeenState { must_restore, ..SeenState::default() };
        let (trouble, messages) = (BusTrouble::default(), Vec::new());
        Self { client, coordinator, channels, history, series, give_up, seen, trouble, messages }
    }

    /// Runs until the run is over.
    pub(super) fn run(mut self) {
        let mut events = VecDeque::from([CoordinatorEvent::Tick]);
        loop {
            let mut event = match events.pop_front() {
                Some(event) => event,
                None => self.wait(),
            };
            if let CoordinatorEvent::Reply { reply, .. } = &mut event {
                self.leave_out_foreign(reply);
            }
            for action in self.coordinator.step(clock::now(), event) {
                self.restore();
                match action {
                    CoordinatorAction::Send { id, request } => {
                        if matches!(*request, BusRequest::WriteSnapshot { .. }) {
                            self.history.sync();
                        }
                        let reply = self.client.carry_out(&request);
                        let (now, trouble) = (clock::now(), &mut self.trouble);
                        let messages = trouble.observe(now, &mut self.client, &request, &reply);
                        self.messages.extend(messages);
                        events.push_back(CoordinatorEvent::Reply { id, reply });
                    }
                    CoordinatorAction::Merge { member, frame } => self.merge(member, frame),
                    CoordinatorAction::End(end) => return self.end(*end),
                }
            }
            self.restore();
            self.observe(&mut events);
            self.tell_messages();
            if self.seen.is_quitting && self.has_told_the_end() {
                return;
            }
        }
    }

    /// Waits for a command, or until the protocol is to be called again.
    fn wait(&mut self) -> CoordinatorEvent<ShardDeltas> {
        let left = self.coordinator.wake().since(clock::now()).clamp(1_000_000, 1_000_000_000);
        match self.channels.commands.recv_timeout(Duration::from_nanos(left)) {
            Ok(DriverCommand::Command(command)) => CoordinatorEvent::Command(command),
            Ok(DriverCommand::Drain) => CoordinatorEvent::Drain,
            Ok(DriverCommand::Abort) => CoordinatorEvent::Abort,
            Ok(DriverCommand::Quit) => {
                self.seen.is_quitting = true;
                CoordinatorEvent::Abort
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                CoordinatorEvent::Tick
            }
        }
    }

    /// Whether agents can read that a run which is not carried out is over.
    fn has_told_the_end(&self) -> bool {
        self.coordinator.control().is_none_or(|control| control.phase.is_ending())
    }

    /// Goes on from what former coordinators merged, once the snapshot of the last one is loaded.
    fn restore(&mut self) {
        if !(self.seen.must_restore && self.coordinator.has_loaded()) {
            return;
        }
        self.seen.must_restore = false;
        let (frames, merged) = self.history.restore();
        let losses = self.coordinator.restore(&merged).into_iter();
        let losses = losses.filter_map(|loss| Some((loss.member?, loss))).map(|(member, loss)| {
            self.seen.status.excuse(member);
            StateChange {
                at: loss.until,
                subject: ChangeSubject::Agent(u64::from(member.ordinal.0)),
                change: Change::Unmerged { since: loss.since, until: loss.until },
                cause: ChangeCause::ProcessEnded {
                    how: "no coordinator has it any more, and the agent has forgotten it"
                        .to_owned(),
                },
            }
        });
        let restored = RestoredRun { frames, losses: losses.collect() };
        drop(self.channels.news.try_send(FleetNews::Restored(restored)));
    }

    fn tell_messages(&mut self) {
        self.messages.extend(self.history.take_messages());
        for message in self.messages.drain(..) {
            // The run may not wait for remarks any more.
            if self.seen.layout.is_some() {
                drop(self.channels.workers.blocking_send(WorkerEvent::Told(message)));
            } else {
                drop(self.channels.news.try_send(FleetNews::Told(message)));
            }
        }
    }

    /// Leaves out deltas that no agent of this build and plan sends, before they are merged.
    fn leave_out_foreign(&mut self, reply: &mut BusReply<ShardDeltas>) {
        let Some(layout) = &self.seen.layout else { return };
        for member in payload::leave_out_foreign(reply, layout, &self.series) {
            self.seen.status.distrust(member);
            let agent = member.ordinal.0;
            let what = format!(
                "a delta of agent {agent} is that of another agent or plan; another program may \
                 have written it"
            );
            self.messages.extend(self.trouble.note_damage(&what));
        }
    }

    /// Hands the deltas of a frame on.
    fn merge(&mut self, member: Member, frame: DeltaFrame<ShardDeltas>) {
        let frame = self.history.add(member, frame);
        for delta in frame.payload.deltas {
            // The dispatcher may not wait for deltas any more.
            drop(self.channels.deltas.blocking_send(delta));
        }
    }

    /// Settles the accounts of agents from which nothing more comes.
    fn end(mut self, end: CoordinatorEnd<ShardDeltas>) {
        if self.seen.layout.is_none() {
            // The run was over when this coordinator came.
            self.observe(&mut VecDeque::new());
        }
        self.observe_slots();
        let (ledger, why, error) = match end {
            CoordinatorEnd::Done(result) => (result.ledger, "its last deltas did not come", None),
            CoordinatorEnd::BusLost(result) => {
                (result.ledger, "the bus could not be reached", Some(FleetError::BusLost))
            }
            CoordinatorEnd::Fenced => {
                (Ledger::default(), "another coordinator leads", Some(FleetError::Fenced))
            }
            CoordinatorEnd::Occupied | CoordinatorEnd::NoRun => {
                let id = self.coordinator.control().map(|control| control.run.clone());
                let error = FleetError::Occupied { id: id.unwrap_or_default() };
                drop(self.channels.news.try_send(FleetNews::Ended(error)));
                return;
            }
        };
        let layout = self.seen.layout.clone().unwrap_or_default();
        for (member, range) in layout.members() {
            let is_closed = ledger.account(member).is_some_and(MemberAccount::is_closed);
            if is_closed {
                continue;
            }
            let loss = WorkerLoss {
                worker: range.process as usize,
                range,
                why: why.to_owned(),
                is_agent: true,
            };
            let settled = WorkerEvent::Settled { loss, until: self.moved_from(member) };
            drop(self.channels.workers.blocking_send(settled));
            self.seen.status.lose(member, why);
        }
        self.publish_status(&ledger);
        self.tell_messages();
        if let Some(error) = error {
            self.channels.is_fenced.store(matches!(error, FleetError::Fenced), Relaxed);
            let why = error.to_string();
            drop(self.channels.news.try_send(FleetNews::Ended(error)));
            drop(self.channels.workers.blocking_send(WorkerEvent::Ended { why }));
        }
    }

    /// From when on others have the slots of a member.
    fn moved_from(&self, member: Member) -> RunOffset {
        let has = |table: &SlotTable| table.owners.iter().flatten().any(|owner| *owner == member);
        let is_moved = |pair: &&[SlotTable]| has(&pair[0]) && !has(&pair[1]);
        let moved = self.seen.tables.windows(2).find(is_moved);
        moved.map_or(RunOffset::NEVER, |pair| pair[1].from)
    }
}

//! The next control record: what the leader wants, given what it has seen.
//!
//! The coordinator makes a draft after each poll, and writes it if it changes something or the
//! last one grows old.
//! Invariant: a draft depends on the record that it replaces and on polls alone, so a draft that
//! was not carried out is simply made again. A change of slots names, for each member that loses
//! some, the bound at which the change takes effect; the bus compares it with the newest heartbeat.

use std::collections::{BTreeSet, VecDeque};

use super::config::FleetConfig;
use super::fleet_view::{FleetView, MemberBound};
use crate::clock::RunOffset;
use crate::event::LossPolicy;
use crate::fleet::protocol::bus::HorizonLimit;
use crate::fleet::protocol::control::{
    ControlRecord, FleetCommand, FleetPhase, Heartbeat, MAX_COMMANDS, MemberRefusal, MemberState,
};
use crate::fleet::protocol::member::{BusTime, Member};
use crate::fleet::protocol::slot_table::{MAX_TABLES, SlotTable};

/// The least time from the decision to start until the start, ns.
const START_LEAD: u64 = 3_000_000_000;

/// What a draft is made from.
pub(super) struct DraftInput<'a> {
    pub(super) config: &'a FleetConfig,
    pub(super) view: &'a FleetView,
    /// The record that it replaces.
    pub(super) base: &'a ControlRecord,
    pub(super) bus_now: BusTime,
    /// The time of the run; zero before its start.
    pub(super) schedule: RunOffset,
    /// The start, if an earlier draft of this leader has set one.
    pub(super) set_t0: Option<BusTime>,
    /// A number that no table has.
    pub(super) next_epoch: u64,
    /// For how long this leader has seen the phase of the record, ns.
    pub(super) phase_age: u64,
    /// Whether all members that live have handed in everything.
    pub(super) is_complete: bool,
    /// Whether all members that ever owned slots have handed in everything.
    pub(super) is_closed: bool,
    /// Commands that the record does not have yet.
    pub(super) commands: &'a VecDeque<FleetCommand>,
    /// The phase that a command asks for.
    pub(super) command: Option<FleetPhase>,
}

/// The next control record, and the conditions of its changes.
pub(super) struct ControlDraft {
    pub(super) record: ControlRecord,
    pub(super) limits: Vec<HorizonLimit>,
}

impl DraftInput<'_> {
    pub(super) fn draft(&self) -> ControlDraft {
        let mut draft = ControlDraft { record: self.base.clone(), limits: Vec::new() };
        self.refuse(&mut draft.record);
        self.move_phase(&mut draft.record);
        self.pass_on(&mut draft.record);
        if draft.record.phase.has_load() && self.base.phase.has_load() {
            self.move_slots(&mut draft);
        }
        let ahead = self.schedule.after(self.config.times.orphan);
        draft.record.granted_until = self.base.granted_until.max(ahead);
        draft
    }

    fn refuse(&self, record: &mut ControlRecord) {
        for heartbeat in self.view.alive(&self.config.times) {
            let why = if heartbeat.member.ordinal.0 >= self.config.agents {
                MemberRefusal::TooMany
            } else if heartbeat.state == MemberState::Unable {
                MemberRefusal::Unable
            } else if heartbeat.plan != self.config.plan {
                MemberRefusal::OtherPlan
            } else if self.is_too_late(heartbeat.member) {
                MemberRefusal::TooLate
            } else {
                continue;
            };
            if record.refusal(heartbeat.member).is_none() {
                record.refused.push((heartbeat.member, why));
            }
        }
    }

    /// Whether a member joined after slots were dealt, in a fleet that gives it none later.
    fn is_too_late(&self, member: Member) -> bool {
        let first = self.base.tables.first();
        !self.config.returns_slots
            && first.is_some_and(|first| !first.owners.iter().flatten().any(|one| *one == member))
    }

    /// Adds new commands, and leaves those out that all owners of slots have carried out. One that
    /// is silent may come back, until it gives up itself.
    fn pass_on(&self, record: &mut ControlRecord) {
        let owners = record.tables.last().map(SlotTable::counts).unwrap_or_default();
        let is_waited_for = |beat: &&Heartbeat| {
            owners.contains_key(&beat.member)
                && self.view.is_heard_within(beat.member, self.config.times.give_up)
        };
        let members = self.view.heartbeats().filter(is_waited_for);
        let done = members.map(|beat| beat.command).min().unwrap_or(0);
        record.commands.retain(|command| command.number > done);
        let room = MAX_COMMANDS.saturating_sub(record.commands.len());
        record.commands.extend(self.commands.iter().take(room).cloned());
        let last = record.commands.last().map_or(0, |last| last.number);
        record.last_command = record.last_command.max(last);
    }

    fn is_able(&self, record: &ControlRecord, member: Member) -> bool {
        self.view.is_able(member, &self.config.times) && record.refusal(member).is_none()
    }

    fn able(&self, record: &ControlRecord) -> Vec<Member> {
        let all = self.view.heartbeats().map(|heartbeat| heartbeat.member);
        all.filter(|member| self.is_able(record, *member)).collect()
    }

    fn move_phase(&self, record: &mut ControlRecord) {
        let times = &self.config.times;
        let alive = self.view.alive(times);
        let joined = alive.iter().filter(|beat| {
            record.refusal(beat.member).is_none()
                && matches!(beat.state, MemberState::Joined | MemberState::Ready)
        });
        let joined = joined.count();
        let able = self.able(record);
        let is_late = self.phase_age >= self.config.join_timeout;
        let (wanted, least) = (self.config.agents as usize, self.config.min_agents as usize);
        record.phase = match record.phase {
            FleetPhase::Lobby if joined >= wanted || is_late && joined >= least => {
                record.shards = self.shards(&alive);
                FleetPhase::Prepare
            }
            FleetPhase::Lobby | FleetPhase::Prepare if is_late && able.len() < least => {
                FleetPhase::Aborting
            }
            FleetPhase::Prepare if able.len() >= least && (able.len() == joined || is_late) => {
                let errors = alive.iter().map(|beat| beat.clock_error);
                let error = errors.max().unwrap_or(0).min(START_LEAD);
                let lead = START_LEAD.max(10 * error).max(4 * times.heartbeat);
                // Agents may have read that draft.
                record.t0 = self.set_t0.or(Some(self.bus_now.after(lead)));
                record.tables = vec![SlotTable::first(self.next_epoch, self.config.slots, &able)];
                FleetPhase::Armed
            }
            FleetPhase::Armed if self.schedule > RunOffset::ZERO => FleetPhase::Running,
            phase => phase,
        };
        if let Some(command) = self.command {
            record.phase = record.phase.max(command);
        }
        let since_end = match record.phase {
            phase if phase.is_ending() => Some(self.phase_age),
            FleetPhase::Running => Some(self.schedule.since(self.config.end)),
            _ => None,
        };
        let is_after = record.phase == self.base.phase
            && (record.phase.is_ending() || self.is_closed || self.schedule >= self.config.end);
        let has_waited = since_end.is_some_and(|since| since >= times.drain);
        if is_after && (self.is_complete || has_waited) {
            record.phase = FleetPhase::Done;
        }
    }

    /// The shards of each agent: as configured, or as many as the smallest machine has cores; over
    /// all agents at most one for each slot.
    fn shards(&self, alive: &[&Heartbeat]) -> u16 {
        let fewest = alive.iter().map(|beat| beat.facts.cores).min();
        let most = self.config.slots / usize::from(self.config.agents.max(1));
        let most = u16::try_from(most).unwrap_or(u16::MAX).max(1);
        let most = self.config.max_shards.map_or(most, |own| own.clamp(1, most));
        self.config.shards.or(fewest).unwrap_or(1).clamp(1, most)
    }

    /// Gives slots of lost members to others, and those of returned members back to them.
    fn move_slots(&self, draft: &mut ControlDraft) {
        let record = &mut draft.record;
        let (Some(home), Some(last)) = (record.tables.first(), record.tables.last()) else {
            return;
        };
        let counts = last.counts();
        let lost = |member: Member| !self.is_able(record, member);
        let is_gone =
            |member: &&Member| !self.view.is_alive(**member, &self.config.times) && lost(**member);
        if self.config.on_loss == LossPolicy::Abort && counts.keys().any(|one| is_gone(&one)) {
            record.phase = FleetPhase::Aborting;
            return;
        }
        let mut able = self.able(record);
        if !self.config.returns_slots {
            // A member that lost its slots, or never had any, has ended its load.
            able.retain(|member| counts.contains_key(member));
        }
        let mut owners = last.owners.clone();
        if !able.is_empty() {
            let moves = self.config.on_loss != LossPolicy::Continue;
            owners = last.without(|member| moves && lost(member), &able);
        }
        if self.config.returns_slots {
            let heirs = SlotTable { owners, ..last.clone() };
            let now = heirs.counts();
            let count = |member: &Member| now.get(member).copied().unwrap_or(0);
            let at_home = |member: &Member| {
                let home = home.owners.iter().flatten();
                home.filter(|owner| owner.ordinal == member.ordinal).count()
            };
            let returning: Vec<Member> =
                able.iter().filter(|member| count(member) < at_home(member)).copied().collect();
            owners = heirs.with_returned(home, &returning);
        }
        let losers = self.losers(last, &owners);
        if losers.is_empty() {
            return;
        }
        let from = self.date(last.from, &losers);
        if from >= self.config.end {
            return;
        }
        let is_certain = |member: &Member| self.view.bound(*member) != MemberBound::Unknown;
        let certain = losers.into_iter().filter(is_certain);
        draft.limits = certain.map(|member| HorizonLimit { member, from }).collect();
        let (epoch, previous) = (self.next_epoch, last.epoch);
        let table = SlotTable { epoch, previous, from, owners };
        record.tables.push(table);
        if record.tables.len() > MAX_TABLES {
            record.tables.remove(1);
        }
    }

    /// The members that may lose slots by a change of owners: those that had them. A slot without
    /// an owner may have been anybody's.
    fn losers(&self, last: &SlotTable, owners: &[Option<Member>]) -> Vec<Member> {
        let changed = last.owners.iter().zip(owners).filter(|(was, is)| was != is);
        let mut losers: BTreeSet<Member> = BTreeSet::new();
        for (was, _) in changed {
            match was {
                Some(member) => losers.extend([*member]),
                None => losers.extend(self.view.heartbeats().map(|heartbeat| heartbeat.member)),
            }
        }
        losers.into_iter().collect()
    }

    /// When a change takes effect: not before any of the losers has ended, as far as is known.
    fn date(&self, least: RunOffset, losers: &[Member]) -> RunOffset {
        let times = &self.config.times;
        let soon = self.schedule.after(times.lead);
        losers.iter().fold(least.max(soon), |from, loser| {
            let bound = match self.view.bound(*loser) {
                MemberBound::Before(bound) => bound,
                MemberBound::Unknown => self.base.granted_until,
            };
            // A heartbeat of a member that lives may move the bound before the bus compares it.
            let moves = self.view.is_able(*loser, times);
            let ahead = if moves { soon.after(times.lease) } else { RunOffset::ZERO };
            from.max(bound).max(ahead)
        })
    }
}

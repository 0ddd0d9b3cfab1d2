//! What a coordinator sees of its fleet, handed on: refusals, the lobby, the start, slots, silence.
//!
//! `driver` calls it after each step of the protocol.
//! Invariant: each thing is handed on once; what moved is handed on before what depends on it.

use std::collections::{BTreeSet, VecDeque};

use super::driver::FleetDriver;
use super::error::FleetError;
use super::news::{FleetNews, is_before_load};
use super::refused::{RefusedAgents, refusal};
use crate::clock;
use crate::event::WorkerEvent;
use crate::fleet::layout::FleetLayout;
use crate::fleet::payload::ShardDeltas;
use crate::fleet::protocol::{
    CoordinatorEvent, FleetPhase, Ledger, Member, MemberRefusal, MemberState,
};
use crate::plan::slots::ShardRange;

impl FleetDriver {
    /// Hands on what has changed.
    pub(super) fn observe(&mut self, events: &mut VecDeque<CoordinatorEvent<ShardDeltas>>) {
        if self.seen.must_restore || self.coordinator.control().is_none() {
            return;
        }
        self.observe_refusals();
        self.observe_lobby();
        self.observe_start();
        self.observe_slots();
        self.observe_silence(events);
        self.observe_status();
    }

    /// Tells the run something. It may not wait for news any more.
    fn tell(&self, news: FleetNews) {
        drop(self.channels.news.try_send(news));
    }

    /// Hands on which agents take no part, and why.
    fn observe_refusals(&mut self) {
        let Some(control) = self.coordinator.control() else { return };
        for (member, why) in control.refused.iter().skip(self.seen.refused) {
            let beat = self.coordinator.members().find(|(beat, _)| beat.member == *member);
            let reason = beat.map(|(beat, _)| beat.facts.reason.clone()).unwrap_or_default();
            if *why == MemberRefusal::TooLate {
                let line = refusal(member.ordinal.0, *why, &reason, 0);
                drop(self.channels.workers.blocking_send(WorkerEvent::Told(line)));
            } else {
                self.tell(FleetNews::Refused(member.ordinal.0, *why, reason));
            }
        }
        self.seen.refused = control.refused.len();
    }

    /// Hands on how many agents have joined, and when all have.
    fn observe_lobby(&mut self) {
        let Some(control) = self.coordinator.control() else { return };
        if is_before_load(control.phase) {
            let joined = self.coordinator.members().filter(|(beat, is_alive)| {
                *is_alive
                    && beat.state != MemberState::Unable
                    && control.refusal(beat.member).is_none()
            });
            let joined = joined.count();
            if joined != std::mem::replace(&mut self.seen.joined, joined) {
                self.tell(FleetNews::Joined(joined));
            }
        }
        if control.phase >= FleetPhase::Prepare && control.shards > 0 && !self.seen.has_prepared {
            self.seen.has_prepared = true;
            self.tell(FleetNews::Prepare(control.shards));
        }
        if control.phase.is_ending() && control.tables.is_empty() {
            self.seen.is_quitting = true;
            self.tell(FleetNews::Ended(FleetError::NotReady { refused: RefusedAgents::default() }));
        }
    }

    /// Hands on the start of the load, once slots are divided.
    fn observe_start(&mut self) {
        let Some(control) = self.coordinator.control() else { return };
        if let (None, Some(first), Some(start)) =
            (&self.seen.layout, control.tables.first(), self.coordinator.start())
        {
            self.seen.layout = Some(FleetLayout::new(first, control.shards));
            self.seen.tables.push(first.clone());
            self.tell(FleetNews::Armed(start));
        }
    }

    /// Updates what screens show of the agents.
    fn observe_status(&mut self) {
        let Some(layout) = &self.seen.layout else { return };
        let now = clock::now();
        self.seen.status.observe(layout, self.coordinator.members(), self.seen.tables.last(), now);
        self.publish_status(self.coordinator.ledger());
    }

    /// Hands the agents to screens and reports.
    pub(super) fn publish_status(&self, ledger: &Ledger<ShardDeltas>) {
        let layout = self.seen.layout.clone().unwrap_or_default();
        self.seen.status.publish(&layout, ledger, &self.channels.uses);
    }

    /// Hands on slots that moved.
    pub(super) fn observe_slots(&mut self) {
        let (Some(control), Some(layout)) = (self.coordinator.control(), &self.seen.layout) else {
            return;
        };
        for table in &control.tables {
            let Some(former) = self.seen.tables.last() else { return };
            if table.epoch <= former.epoch {
                continue;
            }
            let adoption = layout.adoption(former, table);
            let (before, after) = (former.counts(), table.counts());
            let losers = before.keys().filter(|member| !after.contains_key(member));
            for range in losers.filter_map(|loser| layout.range(*loser)) {
                let (worker, adoption) = (range.process as usize, adoption.clone());
                let moved = WorkerEvent::Moved { worker, adoption };
                drop(self.channels.workers.blocking_send(moved));
            }
            self.seen.tables.push(table.clone());
        }
    }

    /// Hands on which agents are silent, and ends the load if none is left.
    fn observe_silence(&mut self, events: &mut VecDeque<CoordinatorEvent<ShardDeltas>>) {
        let (Some(control), Some(layout)) = (self.coordinator.control(), &self.seen.layout) else {
            return;
        };
        if !control.phase.has_load() {
            return;
        }
        let members = self.coordinator.members();
        let silent = members.filter(|(beat, alive)| !alive && beat.state != MemberState::Finished);
        let silent: BTreeSet<Member> = silent.map(|(beat, _)| beat.member).collect();
        let silent: Vec<(Member, ShardRange)> =
            layout.members().filter(|(member, _)| silent.contains(member)).collect();
        for (member, range) in &silent {
            if !self.seen.silent.contains(member) {
                let event = WorkerEvent::Silent { worker: range.process as usize };
                drop(self.channels.workers.blocking_send(event));
            }
        }
        let is_alone = silent.len() == layout.members().count();
        self.seen.silent = silent.into_iter().map(|(member, _)| member).collect();
        let now = clock::now();
        self.seen.alone_since = is_alone.then(|| self.seen.alone_since.unwrap_or(now));
        if self.seen.alone_since.is_some_and(|since| now.since(since) >= self.give_up) {
            events.push_back(CoordinatorEvent::Abort);
        }
    }
}

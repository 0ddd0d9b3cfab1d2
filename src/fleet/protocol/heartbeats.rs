//! The heartbeats of a member: what it tells, and what the replies permit it.
//!
//! `agent` owns one. Kept apart from it because all of rule L's obligations of an agent are here.
//! Invariant: the lease is renewed only by a reply that carries a control record which is not older
//! than the one read before, and which was written to this instance of the bus. A bus that has
//! forgotten the record, or was started from an older state, renews nothing: some agents may have
//! read records that it does not have. The leader has to write one to it first.

use std::sync::Arc;

use super::clock_estimate::ClockEstimate;
use super::control::{ControlRecord, Heartbeat, MemberFacts, MemberHealth, MemberState, Revision};
use super::lease::Lease;
use super::member::{FleetTimes, Member};
use super::slot_table::TableHistory;
use crate::clock::{RunOffset, Time};

/// The most that the start may lie ahead when it is set, ns.
const MAX_AHEAD: u64 = 60_000_000_000;

/// The least precision of the time of a run by the leader's last record, ns.
const SLACK: u64 = 5_000_000_000;

/// Whether a start fits the record. It does not if the clock of the bus was set and the leader has
/// not noticed yet: the next record has the start on the new clock.
fn is_plausible(start: Time, now: Time, control: &ControlRecord) -> bool {
    let schedule = RunOffset::of(now, start);
    let written = control.granted_until.ns().saturating_sub(control.times.orphan);
    start.since(now) <= MAX_AHEAD
        && schedule <= control.granted_until
        && schedule.ns().saturating_add(SLACK) >= written
}

/// What a member has read, and what it may send.
#[derive(Clone, Debug)]
pub(super) struct MemberView {
    pub(super) member: Member,
    pub(super) times: FleetTimes,
    pub(super) clock: ClockEstimate,
    pub(super) lease: Lease,
    pub(super) tables: TableHistory,
    pub(super) control: Option<Arc<ControlRecord>>,
    /// The start of the load on the local clock, once it is set. It is not moved afterwards: a
    /// schedule does not jump.
    pub(super) start: Option<Time>,
    /// The member takes no arrivals from here on: it leaves.
    pub(super) own_end: RunOffset,
    /// When the last newer control record came, on the local clock.
    pub(super) led_at: Time,
}

impl MemberView {
    /// The time of the run at a local time; zero before the start.
    pub(super) fn schedule(&self, at: Time) -> RunOffset {
        self.start.map_or(RunOffset::ZERO, |start| RunOffset::of(at, start))
    }

    /// Up to where a heartbeat that is issued now permits load.
    pub(super) fn horizon(&self, now: Time) -> RunOffset {
        let until = self.schedule(now.after(self.times.lease));
        // What was permitted before is not taken back by a heartbeat, but by leaving alone.
        until.max(self.lease.horizon()).min(self.own_end)
    }

    /// The revision that was read last.
    pub(super) fn seen(&self) -> Option<Revision> {
        self.control.as_ref().map(|control| control.revision)
    }

    /// Takes the reply to a heartbeat that was issued at `issued`. Returns whether it was renewed.
    pub(super) fn take(
        &mut self,
        now: Time,
        issued: Time,
        horizon: RunOffset,
        control: Option<Arc<ControlRecord>>,
        instance: u64,
    ) -> bool {
        let Some(control) = control.filter(|control| control.instance == instance) else {
            return false;
        };
        let seen = self.seen();
        if seen.is_some_and(|seen| control.revision < seen)
            || self.control.as_ref().is_some_and(|known| known.run != control.run)
        {
            return false;
        }
        if seen != Some(control.revision) {
            self.led_at = now;
        }
        if let (None, Some(t0)) = (self.start, control.t0) {
            let start = self.clock.local_time(t0);
            self.start = start.filter(|start| is_plausible(*start, now, &control));
        }
        self.tables.adopt(&control.tables, self.lease.horizon());
        let horizon = horizon.min(control.granted_until);
        if control.phase.has_load() {
            // What is late is not sent after the leader's bound either.
            let bound = self.start.map_or(Time(0), |start| control.granted_until.time(start));
            let until = issued.after(self.times.lease).min(bound);
            self.lease.renew(issued, self.schedule(issued), horizon, until);
        } else if control.phase.is_ending() {
            self.lease.end();
        }
        self.times = control.times;
        self.control = Some(control);
        true
    }

    /// Makes a heartbeat with what is known here; the caller adds the position of its outbox.
    pub(super) fn heartbeat(&self, now: Time, beat: u64, state: MemberState) -> Heartbeat {
        Heartbeat {
            member: self.member,
            beat,
            seen: self.seen(),
            at: self.schedule(now),
            horizon: self.horizon(now),
            previous_horizon: RunOffset::ZERO,
            plan: 0,
            state,
            generation: 0,
            appended: 0,
            kept_from: 1,
            measured: 0,
            clock_error: self.clock.error(now).unwrap_or(u64::MAX),
            command: 0,
            facts: MemberFacts::default(),
            health: MemberHealth::default(),
        }
    }
}

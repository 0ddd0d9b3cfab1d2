//! The bus as a coordinator follows it: what it has, what was written, what it has lost.
//!
//! The coordinator hands in polls and makes its writes here.
//! Invariant: `base` is the newest record of this leader that the bus is known to have had, and its
//! `granted_until` is the largest of any record that was ever issued. What the bus forgot is
//! written again from here, and no agent has got further than it permits.

use std::sync::Arc;

use super::fleet_view::FleetView;
use super::requests::CoordinatorRequestKind;
use crate::clock::{RunOffset, Time};
use crate::fleet::protocol::bus::{BusRequest, HorizonLimit, PollReply};
use crate::fleet::protocol::clock_estimate::ClockEstimate;
use crate::fleet::protocol::control::{ControlRecord, Revision};
use crate::fleet::protocol::member::{BusTime, FleetTimes};
use crate::fleet::protocol::outbox::DeltaPayload;
use crate::fleet::protocol::slot_table::SlotTable;

/// A difference by which the clock of the bus was set rather than drifted, ns.
const CLOCK_STEP: u64 = 500_000_000;

/// The most that the start may lie ahead, ns.
const MAX_AHEAD: u64 = 60_000_000_000;

/// What a coordinator knows of the bus.
pub(super) struct FollowedBus {
    /// The number of this coordinator.
    leader: u64,
    pub(super) clock: ClockEstimate,
    pub(super) view: FleetView,
    /// The record that the next one is made from.
    pub(super) base: Option<ControlRecord>,
    /// The record that the last poll found.
    pub(super) found: Option<Arc<ControlRecord>>,
    /// Whether a poll ever found a record.
    pub(super) has_found: bool,
    /// The revision that the bus has, as last polled or written; `None` if it has no record.
    pub(super) on_bus: Option<Revision>,
    /// The instance of the bus, as last polled.
    pub(super) instance: Option<u64>,
    /// The start of the load on the local clock, once it is set.
    start: Option<Time>,
    /// The start that a draft of this leader has set.
    pub(super) set_t0: Option<BusTime>,
    /// The number of the last record that was issued.
    issued: u64,
    /// Records with another table than the base, of which it is unknown whether the bus has taken
    /// them.
    unconfirmed: Vec<Arc<ControlRecord>>,
    /// The latest time that any record permits.
    granted_until: RunOffset,
    /// When the last poll succeeded.
    pub(super) polled_at: Time,
    /// When the record last changed.
    pub(super) changed_at: Time,
    /// When this leader last wrote the record.
    pub(super) written_at: Time,
    /// When the phase was first seen.
    pub(super) phase_since: Time,
    /// No record is written before: the bus has lost some of its state, and members first tell
    /// what they have read.
    pub(super) hold_until: Time,
}

/// What a poll showed.
pub(super) struct BusNews {
    /// Another coordinator has replaced this one.
    pub(super) is_fenced: bool,
    /// The bus has lost a part of its state.
    pub(super) has_lost_history: bool,
}

impl FollowedBus {
    pub(super) fn new(leader: u64, now: Time) -> Self {
        Self {
            leader,
            found: None,
            has_found: false,
            clock: ClockEstimate::default(),
            view: FleetView::default(),
            base: None,
            on_bus: None,
            instance: None,
            start: None,
            set_t0: None,
            issued: 0,
            unconfirmed: Vec::new(),
            granted_until: RunOffset::ZERO,
            polled_at: now,
            changed_at: now,
            written_at: Time(0),
            phase_since: now,
            hold_until: Time(0),
        }
    }

    /// The revision of this leader's base.
    pub(super) fn revision(&self) -> Revision {
        self.base.as_ref().map_or(Revision::default(), |base| base.revision)
    }

    /// Whether the bus has another record than this leader's newest.
    pub(super) fn is_behind(&self) -> bool {
        self.on_bus != self.base.as_ref().map(|base| base.revision)
    }

    /// The largest revision that this process, or any member, has read.
    pub(super) fn largest_seen(&self) -> Revision {
        let (mut token, mut number) = (0, 0);
        for seen in self.view.heartbeats().filter_map(|heartbeat| heartbeat.seen) {
            (token, number) = (seen.token.max(token), seen.number.max(number));
        }
        let known = self.on_bus.unwrap_or_default().max(self.revision());
        Revision { token: token.max(known.token), number: number.max(known.number) }
    }

    /// Takes a poll.
    pub(super) fn observe<P: DeltaPayload>(
        &mut self,
        now: Time,
        issued: Time,
        poll: &PollReply<P>,
        is_leading: bool,
        times: &FleetTimes,
    ) -> BusNews {
        self.clock.observe(issued, now, poll.clock);
        let since_last = now.since(std::mem::replace(&mut self.polled_at, now));
        let forgot = self.view.observe(poll, since_last, times);
        let found = poll.control.as_ref().map(|control| control.revision);
        let is_other = self.instance.is_some_and(|instance| instance != poll.instance);
        let is_back = found < self.on_bus;
        let has_lost_history = forgot || is_other || is_back;
        self.instance = Some(poll.instance);
        if found != self.on_bus {
            self.changed_at = now;
        }
        self.on_bus = found;
        self.found.clone_from(&poll.control);
        self.has_found |= found.is_some();
        let mine = self.revision();
        let newer_token = |revision: Revision| revision.token > mine.token;
        let is_foreign = |control: &Arc<ControlRecord>| {
            newer_token(control.revision)
                || control.revision.token == mine.token && control.leader != self.leader
        };
        let is_fenced = poll.control.as_ref().is_some_and(is_foreign)
            || self.view.heartbeats().filter_map(|heartbeat| heartbeat.seen).any(newer_token);
        if is_leading && !is_fenced {
            if let Some(control) = poll.control.as_ref().filter(|one| one.revision > mine) {
                self.adopt(now, control);
            }
            if has_lost_history {
                self.contest();
                self.view.lose_history(Revision { token: mine.token, number: self.issued + 1 });
                self.hold_until = now.after(2 * times.heartbeat);
            }
        }
        BusNews { is_fenced, has_lost_history }
    }

    /// The start of the load on the local clock; `None` before it is set.
    pub(super) fn start(&self) -> Option<Time> {
        self.start
    }

    /// The time of the run; zero before its start. It is counted on the local clock: that of the
    /// bus may be set while the run goes on.
    pub(super) fn schedule(&self, now: Time) -> RunOffset {
        self.start.map_or(RunOffset::ZERO, |start| RunOffset::of(now, start))
    }

    /// The start of the load on the clock of the bus as it is now, if that differs much from the
    /// start that the record has: the clock was set. Agents that join read the start there.
    pub(super) fn moved_start(&self) -> Option<BusTime> {
        let known = self.base.as_ref()?.t0?;
        let start = self.clock.bus_time(self.start?)?;
        (start.0.abs_diff(known.0) > CLOCK_STEP).then_some(start)
    }

    /// The number of the next record, and the epoch of a table in it.
    pub(super) fn next_number(&self) -> u64 {
        self.issued.max(self.revision().number) + 1
    }

    /// The bus has lost a part of its state. Whether it had taken the records that are unconfirmed,
    /// and agents had read them, will never be known. So slots that one of them moves have no
    /// owner, from the moment on at which it moves them, until a later table gives them one.
    fn contest(&mut self) {
        for record in std::mem::take(&mut self.unconfirmed) {
            let number = self.next_number();
            let Some(base) = &mut self.base else { return };
            if base.tables.is_empty() {
                (base.t0, base.phase) = (record.t0, record.phase);
                base.tables.clone_from(&record.tables);
                let owners = base.tables[0].without(|_| true, &[]);
                let unowned = SlotTable { owners, ..base.tables[0].clone() };
                let contested = base.tables[0].without_contested(number, &unowned);
                base.tables.push(contested);
            } else if let (Some(last), Some(other)) = (base.tables.last(), record.tables.last()) {
                let contested = last.without_contested(number, other);
                base.tables.push(contested);
            }
            self.issued = number;
        }
    }

    /// Whether this coordinator wrote a record.
    pub(super) fn is_own(&self, record: &ControlRecord) -> bool {
        record.leader == self.leader
    }

    /// The bus has taken a record.
    pub(super) fn confirm(&mut self, now: Time, record: &Arc<ControlRecord>) {
        self.on_bus = Some(record.revision);
        self.changed_at = now;
        self.adopt(now, record);
    }

    fn adopt(&mut self, now: Time, record: &ControlRecord) {
        if self.base.as_ref().is_none_or(|base| base.phase != record.phase) {
            self.phase_since = now;
        }
        if let (None, Some(t0)) = (self.start, record.t0) {
            self.start =
                self.clock.local_time(t0).map(|start| self.checked_start(start, now, record));
        }
        self.unconfirmed.clear();
        self.granted_until = self.granted_until.max(record.granted_until);
        let mut record = record.clone();
        record.granted_until = self.granted_until;
        self.base = Some(record);
    }

    /// Checks a start against the time of the run that the members and the former leader tell. If
    /// they differ much, the clock of the bus was set while there was no leader, and theirs counts.
    fn checked_start(&self, start: Time, now: Time, record: &ControlRecord) -> Time {
        let written = record.granted_until.ns().saturating_sub(record.times.orphan);
        let told = self.view.heartbeats().map(|heartbeat| heartbeat.at.ns());
        let told = told.chain([written].into_iter().filter(|_| record.phase.has_load())).max();
        let Some(told) = told else { return start };
        let schedule = now.since(start);
        let is_set = told.saturating_sub(schedule) > record.times.lease
            || schedule.saturating_sub(told) > record.times.lease + record.times.orphan
            || start.since(now) > MAX_AHEAD;
        if is_set { now.before(told) } else { start }
    }

    /// Makes the request that replaces the record which the bus has.
    pub(super) fn write<P: DeltaPayload>(
        &mut self,
        now: Time,
        mut record: ControlRecord,
        limits: Vec<HorizonLimit>,
        times: &FleetTimes,
    ) -> (BusRequest<P>, CoordinatorRequestKind<P>) {
        self.issued = self.next_number().max(record.revision.number + 1);
        record.revision.number = self.issued;
        record.leader = self.leader;
        record.instance = self.instance.unwrap_or(0);
        self.granted_until = self.granted_until.max(record.granted_until);
        if let Some(base) = &mut self.base {
            base.granted_until = self.granted_until;
        }
        self.written_at = now;
        let record = Arc::new(record);
        let epoch = |record: &ControlRecord| record.tables.last().map(|table| table.epoch);
        if self.base.as_ref().is_some_and(|base| epoch(base) != epoch(&record)) {
            self.unconfirmed.push(Arc::clone(&record));
            self.set_t0 = record.t0;
        }
        let deadline = self.clock.bus_time(now).unwrap_or_default().after(times.request_timeout);
        let request = BusRequest::WriteControl {
            expected: self.on_bus,
            instance: self.instance.unwrap_or(0),
            deadline,
            limits,
            record: Arc::clone(&record),
        };
        (request, CoordinatorRequestKind::WriteControl(record))
    }
}

//! How a coordinator becomes the leader, and takes over what its predecessor left.
//!
//! The coordinator calls it while it seeks, and when it has read the snapshot.
//! Invariant: the snapshot is read after the claim: then no former leader can write another one.
//! If the bus may have lost a record, a coordinator that does not know it permits no more load: it
//! ends the run, and collects what agents still have.

use std::sync::Arc;

use super::{
    Coordinator, CoordinatorAction, CoordinatorEnd, CoordinatorRequestKind, CoordinatorStage,
    LeaderStart,
};
use crate::clock::{RunOffset, Time};
use crate::fleet::protocol::bus::BusRequest;
use crate::fleet::protocol::control::{Acknowledgement, ControlRecord, FleetPhase, Revision};
use crate::fleet::protocol::ledger::{FleetSnapshot, MemberAccount};
use crate::fleet::protocol::outbox::{DeltaPayload, DeltaStream};

impl<P: DeltaPayload> Coordinator<P> {
    /// What a coordinator that does not lead sends next; `None` if it has to poll, or to wait.
    pub(super) fn next_claim(
        &mut self,
        now: Time,
        actions: &mut Vec<CoordinatorAction<P>>,
    ) -> Option<(BusRequest<P>, CoordinatorRequestKind<P>)> {
        if !std::mem::take(&mut self.is_fresh) {
            return None;
        }
        let times = self.config.times;
        let found = self.bus.found.clone();
        let record = match (self.start, found) {
            (LeaderStart::New, None) => self.first_record(),
            (_, Some(found)) if self.bus.is_own(&found) => {
                // The claim was carried out, but its reply was lost.
                self.bus.confirm(now, &found);
                self.begin_to_lead(now);
                return None;
            }
            (LeaderStart::New, Some(_)) => {
                self.end(CoordinatorEnd::Occupied, actions);
                return None;
            }
            (LeaderStart::Standby, None)
                if !self.bus.has_found && now.since(self.bus.changed_at) >= times.give_up =>
            {
                self.end(CoordinatorEnd::NoRun, actions);
                return None;
            }
            (LeaderStart::Standby, _)
                if now.since(self.bus.changed_at) < times.leader_silence || !self.bus.has_found =>
            {
                return None;
            }
            (_, Some(found)) if found.phase == FleetPhase::Done => {
                // Nothing is to be led: the snapshot has the result.
                self.bus.confirm(now, &found);
                self.stage = CoordinatorStage::Load;
                return None;
            }
            (_, Some(found)) => self.next_record(&found),
            (_, None) => self.record_of_lost_run(),
        };
        Some(self.bus.write(now, record, Vec::new(), &times))
    }

    /// The first record of a run.
    fn first_record(&self) -> ControlRecord {
        ControlRecord {
            run: self.config.run.clone(),
            revision: Revision { token: 1, number: 0 },
            leader: 0,
            instance: 0,
            phase: FleetPhase::Lobby,
            plan: self.config.plan,
            t0: None,
            shards: 0,
            end: self.config.end,
            tables: Vec::new(),
            granted_until: RunOffset::ZERO,
            acknowledgements: Vec::new(),
            snapshot: 0,
            is_incomplete: false,
            commands: Vec::new(),
            last_command: 0,
            refused: Vec::new(),
            times: self.config.times,
        }
    }

    /// The record of the former leader, with a larger token. If the bus has become another one
    /// since that leader wrote, later records may be lost.
    fn next_record(&self, found: &ControlRecord) -> ControlRecord {
        let largest = self.bus.largest_seen();
        let is_other = self.bus.instance.is_some_and(|instance| instance != found.instance);
        let mut record = found.clone();
        if is_other || largest > found.revision {
            record.is_incomplete = true;
            record.phase = record.phase.max(FleetPhase::Aborting);
        }
        record.revision = Revision { token: largest.token + 1, number: largest.number };
        record
    }

    /// A record for a run of which the bus has none.
    fn record_of_lost_run(&self) -> ControlRecord {
        let largest = self.bus.largest_seen();
        let revision = Revision { token: largest.token + 1, number: largest.number };
        ControlRecord {
            revision,
            phase: FleetPhase::Aborting,
            is_incomplete: true,
            granted_until: RunOffset::NEVER,
            ..self.first_record()
        }
    }

    /// The bus has taken the claim.
    pub(super) fn begin_to_lead(&mut self, now: Time) {
        self.poll_due = now;
        self.stage = if self.start == LeaderStart::New {
            CoordinatorStage::Lead
        } else {
            CoordinatorStage::Load
        };
    }

    /// Takes the snapshot of the former leader.
    pub(super) fn load(&mut self, snapshot: Option<Arc<FleetSnapshot<P>>>) {
        self.stage = CoordinatorStage::Lead;
        self.has_loaded = true;
        let Some(base) = &self.bus.base else { return };
        if let Some(snapshot) = snapshot {
            (self.snapshots, self.ledger) = (snapshot.number, snapshot.ledger.clone());
            self.saved = Some(snapshot);
        }
        self.has_unknown_members |= base.is_incomplete;
        if self.snapshots < base.snapshot {
            // Agents have forgotten what was in it.
            self.has_unknown_members = true;
            self.command = Some(FleetPhase::Aborting);
            self.snapshots = base.snapshot;
        }
        // Members that are gone since, before a snapshot had them: their streams are there still.
        let owners = base.tables.iter().flat_map(|table| table.counts().into_keys());
        let known = base.acknowledgements.iter().map(|known| known.member);
        for member in owners.chain(known) {
            self.ledger.open(member);
        }
    }

    /// The bus has taken a snapshot: what is in it may be forgotten elsewhere.
    pub(super) fn save(&mut self, snapshot: &Arc<FleetSnapshot<P>>) {
        for (member, account) in snapshot.ledger.accounts() {
            let before = self.saved.as_ref().and_then(|saved| saved.ledger.account(member));
            if before.is_none_or(|before| before.merged < account.merged) {
                let stream = DeltaStream { member, generation: account.generation };
                self.trims.push(BusRequest::Trim { stream, last: account.merged });
            }
        }
        self.saved = Some(Arc::clone(snapshot));
        self.is_snapshot_lost = false;
    }

    /// What the coordinator has of each member: positions as they are, and what is saved of them.
    pub(super) fn acknowledgements(&self) -> Vec<Acknowledgement> {
        let accounts = self.ledger.accounts();
        accounts
            .map(|(member, account)| {
                let saved = self.saved.as_ref().and_then(|saved| saved.ledger.account(member));
                Acknowledgement {
                    member,
                    generation: account.generation,
                    resend_from: account.resend_from,
                    saved: saved.map_or(0, |saved| saved.merged),
                    closed: saved.is_some_and(MemberAccount::is_closed),
                }
            })
            .collect()
    }
}

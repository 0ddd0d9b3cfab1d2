//! What a coordinator knows of the members from the heartbeats that it has polled.
//!
//! The coordinator feeds it with each poll; `draft` asks it who lives and up to where each member
//! may have sent.
//! Invariant: only liveness depends on the clock here. A member counts as silent by the time that
//! polls covered: while the coordinator could not poll, no member was silent.

use std::collections::BTreeMap;

use crate::clock::RunOffset;
use crate::fleet::protocol::bus::PollReply;
use crate::fleet::protocol::control::{Heartbeat, HeartbeatId, MemberState, Revision};
use crate::fleet::protocol::member::{FleetTimes, Incarnation, Member, Ordinal};
use crate::fleet::protocol::outbox::DeltaPayload;

/// Later than any incarnation.
const LAST: Incarnation = Incarnation(u64::MAX);

/// What is known of the members.
#[derive(Clone, Debug, Default)]
pub(super) struct FleetView {
    members: BTreeMap<Member, SeenMember>,
    /// The newest heartbeat of each ordinal, as last polled.
    tops: BTreeMap<Ordinal, HeartbeatId>,
    /// Heartbeats are complete only of members that have read this revision: the bus lost some
    /// before it was written. Zero if it never did.
    complete_since: Revision,
}

/// A member, by its newest heartbeat.
#[derive(Clone, Debug)]
struct SeenMember {
    heartbeat: Heartbeat,
    /// For how long polls have found no newer one, ns.
    silent: u64,
}

/// Up to where a member may have sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MemberBound {
    /// Arrivals intended before this time, unless a newer heartbeat comes.
    Before(RunOffset),
    /// The bus lost heartbeats of it: whatever a control record permitted.
    Unknown,
}

impl FleetView {
    /// Takes the heartbeats of a poll, `since_last` ns after the former one. Returns whether the
    /// bus has lost heartbeats.
    pub(super) fn observe<P: DeltaPayload>(
        &mut self,
        poll: &PollReply<P>,
        since_last: u64,
        times: &FleetTimes,
    ) -> bool {
        let covered = since_last.min(2 * times.poll);
        for seen in self.members.values_mut() {
            seen.silent = seen.silent.saturating_add(covered);
        }
        let mut tops = BTreeMap::new();
        for heartbeat in &poll.heartbeats {
            tops.insert(heartbeat.ordinal(), heartbeat.id());
            let seen = self.members.entry(heartbeat.member);
            let seen = seen.or_insert(SeenMember { heartbeat: heartbeat.clone(), silent: 0 });
            if heartbeat.beat > seen.heartbeat.beat {
                *seen = SeenMember { heartbeat: heartbeat.clone(), silent: 0 };
            }
        }
        let is_back =
            self.tops.iter().any(|(ordinal, id)| tops.get(ordinal).is_none_or(|top| top < id));
        self.tops = tops;
        is_back
    }

    /// The bus lost a part of its state: heartbeats are complete again of members that have read
    /// `revision`, which is still to be written.
    pub(super) fn lose_history(&mut self, revision: Revision) {
        self.complete_since = revision;
        self.members.values_mut().for_each(|seen| seen.silent = 0);
    }

    /// The members by their newest heartbeats.
    pub(super) fn heartbeats(&self) -> impl Iterator<Item = &Heartbeat> {
        self.members.values().map(|seen| &seen.heartbeat)
    }

    /// Whether the member is the newest of its ordinal.
    pub(super) fn is_newest(&self, member: Member) -> bool {
        let last = Member { incarnation: LAST, ..member };
        self.members.range(member..=last).next_back().is_some_and(|(newest, _)| *newest == member)
    }

    /// Whether the member sends heartbeats.
    pub(super) fn is_alive(&self, member: Member, times: &FleetTimes) -> bool {
        self.is_heard_within(member, times.silence)
    }

    /// Whether a heartbeat of the member came in the last `ns`, and no later process has its place.
    pub(super) fn is_heard_within(&self, member: Member, ns: u64) -> bool {
        let is_heard = |seen: &SeenMember| seen.silent < ns;
        self.is_newest(member) && self.members.get(&member).is_some_and(is_heard)
    }

    /// Members that live, in order of their ordinals.
    pub(super) fn alive(&self, times: &FleetTimes) -> Vec<&Heartbeat> {
        self.heartbeats().filter(|beat| self.is_alive(beat.member, times)).collect()
    }

    /// Whether the member can own slots.
    pub(super) fn is_able(&self, member: Member, times: &FleetTimes) -> bool {
        let is_ready = |seen: &SeenMember| seen.heartbeat.state == MemberState::Ready;
        self.is_alive(member, times) && self.members.get(&member).is_some_and(is_ready)
    }

    /// Up to where a member may have sent.
    pub(super) fn bound(&self, member: Member) -> MemberBound {
        let Some(seen) = self.members.get(&member) else { return MemberBound::Unknown };
        if seen.heartbeat.seen.unwrap_or_default() < self.complete_since {
            return MemberBound::Unknown;
        }
        let last = Member { incarnation: LAST, ..member };
        let newest = self.members.range(member..=last).next_back();
        newest
            .and_then(|(_, newest)| newest.heartbeat.bound_of(member.incarnation))
            .map_or(MemberBound::Unknown, MemberBound::Before)
    }
}

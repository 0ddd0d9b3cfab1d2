//! What a coordinator that resumes has of the frames that former ones merged.
//!
//! Its driver restores them from the journal of the former coordinator once the snapshot is loaded.
//! Invariant: an interval that the journal has is not merged again; one that only the snapshot has
//! is a declared loss, since agents have forgotten it.

use std::collections::BTreeMap;

use super::Coordinator;
use crate::clock::RunOffset;
use crate::fleet::protocol::ledger::{DeclaredLoss, MemberAccount};
use crate::fleet::protocol::member::Member;
use crate::fleet::protocol::outbox::{DeltaFrame, DeltaPayload};

/// The frames of each member that a journal has, summed up.
#[derive(Clone, Debug)]
pub struct MergedFrames<P: DeltaPayload> {
    members: BTreeMap<Member, MergedMember<P>>,
}

/// The frames of a member.
#[derive(Clone, Debug)]
struct MergedMember<P: DeltaPayload> {
    /// The last interval.
    last: u64,
    until: RunOffset,
    sum: P::Sum,
    /// Times between two frames of which intervals are missing.
    gaps: Vec<(RunOffset, RunOffset)>,
}

impl<P: DeltaPayload> Default for MergedFrames<P> {
    fn default() -> Self {
        Self { members: BTreeMap::new() }
    }
}

impl<P: DeltaPayload> MergedFrames<P> {
    /// Adds the next frame of a member; `false` if it has been added before.
    pub fn add(&mut self, member: Member, frame: &DeltaFrame<P>) -> bool {
        let none = || MergedMember {
            last: 0,
            until: RunOffset::ZERO,
            sum: P::Sum::default(),
            gaps: Vec::new(),
        };
        let known = self.members.entry(member).or_insert_with(none);
        if frame.first <= known.last {
            return false;
        }
        if frame.first > known.last + 1 {
            known.gaps.push((known.until, frame.since));
        }
        frame.payload.add_to(&mut known.sum);
        (known.last, known.until) = (frame.last, frame.until);
        true
    }
}

impl<P: DeltaPayload> Coordinator<P> {
    /// Whether the snapshot of a former leader is loaded: the frames that the caller has of former
    /// leaders are to be restored before anything else.
    pub fn has_loaded(&self) -> bool {
        self.has_loaded
    }

    /// Goes on after these frames. Returns what former leaders had merged and these lack.
    pub fn restore(&mut self, frames: &MergedFrames<P>) -> Vec<DeclaredLoss> {
        for member in frames.members.keys() {
            self.ledger.open(*member);
        }
        let mut losses = Vec::new();
        for (member, account) in &mut self.ledger.accounts {
            let known = frames.members.get(member);
            let (last, until) = known.map_or((0, RunOffset::ZERO), |one| (one.last, one.until));
            let lost = |(since, until)| DeclaredLoss { member: Some(*member), since, until };
            losses.extend(known.into_iter().flat_map(|one| &one.gaps).copied().map(lost));
            if last < account.merged {
                losses.push(lost((until, account.merged_until)));
            }
            if !account.is_closed() {
                // The sum of what the report has: the double entry shows what it lacks.
                account.sum = known.map(|one| one.sum.clone()).unwrap_or_default();
                advance(account, last, until);
            }
        }
        losses
    }
}

fn advance<P: DeltaPayload>(account: &mut MemberAccount<P>, last: u64, until: RunOffset) {
    if last > account.merged {
        (account.merged, account.merged_until) = (last, until);
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::{FleetConfig, LeaderStart};
    use super::*;
    use crate::clock::Time;
    use crate::event::LossPolicy;
    use crate::fleet::protocol::ledger::{FinalCheck, FrameUse};
    use crate::fleet::protocol::member::{FleetTimes, Incarnation, Ordinal};
    use crate::fleet::protocol::outbox::{DeltaStream, FinalState};

    fn member(ordinal: u16) -> Member {
        Member { ordinal: Ordinal(ordinal), incarnation: Incarnation(9) }
    }

    fn frame(first: u64) -> DeltaFrame<Vec<u32>> {
        let offset = |number: u64| RunOffset::from_ns(number * 10);
        let payload = vec![first as u32];
        DeltaFrame { first, last: first, since: offset(first - 1), until: offset(first), payload }
    }

    /// A coordinator that resumes; its snapshot has the first intervals of members 0 to 2.
    fn resumed(saved: u64) -> Coordinator<Vec<u32>> {
        let config = FleetConfig {
            run: "r".to_owned(),
            plan: 7,
            agents: 3,
            min_agents: 3,
            join_timeout: 1,
            shards: None,
            max_shards: None,
            slots: 16,
            end: RunOffset::NEVER,
            on_loss: LossPolicy::Continue,
            returns_slots: false,
            times: FleetTimes::default(),
        };
        let mut coordinator = Coordinator::new(config, LeaderStart::Resume, 1, Time(0));
        for ordinal in 0..3 {
            coordinator.ledger.open(member(ordinal));
            for first in 1..=saved {
                absorb(&mut coordinator, ordinal, first);
            }
        }
        coordinator
    }

    fn absorb(coordinator: &mut Coordinator<Vec<u32>>, ordinal: u16, first: u64) -> FrameUse {
        let stream = DeltaStream { member: member(ordinal), generation: 0 };
        coordinator.ledger.absorb(stream, &frame(first))
    }

    #[test]
    fn frames_of_the_journal_are_not_merged_again_and_those_of_the_snapshot_alone_are_lost() {
        let mut coordinator = resumed(3);
        let mut frames = MergedFrames::default();
        // Beyond the snapshot, before it, and not at all.
        assert!((1..=5).all(|first| frames.add(member(0), &frame(first))));
        assert!(!frames.add(member(0), &frame(5)), "it has been added");
        assert!((1..=2).all(|first| frames.add(member(1), &frame(first))));
        let losses = coordinator.restore(&frames);
        let shown: Vec<_> = losses
            .iter()
            .map(|loss| (loss.member.unwrap().ordinal.0, loss.since.ns(), loss.until.ns()))
            .collect();
        assert_eq!(shown, [(1, 20, 30), (2, 0, 30)]);
        assert_eq!(absorb(&mut coordinator, 0, 4), FrameUse::Ignored);
        assert_eq!(absorb(&mut coordinator, 0, 6), FrameUse::Merged);
        assert_eq!(absorb(&mut coordinator, 1, 4), FrameUse::Merged);
        let sums: Vec<u64> = coordinator.ledger.accounts().map(|(_, one)| one.sum).collect();
        assert_eq!(sums, [1 + 2 + 3 + 4 + 5 + 6, 1 + 2 + 4, 0], "what the report has");
        let state = FinalState { intervals: 6, until: RunOffset::from_ns(60), sum: 21 };
        coordinator.ledger.close(member(0), &state, false);
        coordinator.ledger.close(member(1), &state, true);
        let check = |ordinal| coordinator.ledger.account(member(ordinal)).unwrap().check;
        assert_eq!((check(0), check(1)), (FinalCheck::Exact, FinalCheck::Corrected));
    }

    #[test]
    fn gap_in_a_journal_stays_a_loss_for_the_next_coordinator() {
        let mut coordinator = resumed(4);
        let mut frames = MergedFrames::default();
        for first in [1, 4] {
            assert!(frames.add(member(0), &frame(first)));
        }
        let losses = coordinator.restore(&frames);
        let of_first = losses.iter().filter(|loss| loss.member == Some(member(0)));
        let bounds: Vec<_> = of_first.map(|loss| (loss.since.ns(), loss.until.ns())).collect();
        assert_eq!(bounds, [(10, 30)]);
    }
}

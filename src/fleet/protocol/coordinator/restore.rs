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

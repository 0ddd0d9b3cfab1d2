//! What the coordinator has of each member: each interval exactly once.
//!
//! `coordinator` hands it the frames and final states of each poll, and saves it as a snapshot.
//! Invariant: the sum of a member is that of the intervals up to `merged`, less those in `gaps`.
//! Sums and positions are one value, so a coordinator that resumes from a snapshot neither loses
//! nor repeats an interval.

use std::collections::BTreeMap;

use super::member::Member;
use super::outbox::{DeltaFrame, DeltaPayload, DeltaStream, FinalState};
use crate::clock::RunOffset;

/// What the result lacks: what a member sent within a part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclaredLoss {
    /// The member; `None` if it may be any that has no account.
    pub member: Option<Member>,
    /// From when on, by the time of sending.
    pub since: RunOffset,
    /// Until when.
    pub until: RunOffset,
}

/// How a member's account was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalCheck {
    /// Its final state has not come.
    Open,
    /// The sum of its frames equals its final state.
    Exact,
    /// They differ; the final state counts.
    Corrected,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameUse {
    /// Added.
    Merged,
    /// Had been added before, or comes from a stream that is not read any more.
    Ignored,
    /// Intervals before it are missing: the member has to send them again.
    Gap,
}

/// What is known of a member.
#[derive(Clone, Debug)]
pub struct MemberAccount<P: DeltaPayload> {
    /// The stream that is read.
    pub generation: u64,
    /// The first interval of that stream.
    pub resend_from: u64,
    /// The first interval that the member still has, as it told.
    pub kept_from: u64,
    /// The last interval that is added.
    pub merged: u64,
    /// The end of that interval: what the member sent before is counted.
    pub merged_until: RunOffset,
    /// The sum of all added intervals, or the final state.
    pub sum: P::Sum,
    /// Parts that are missing, because the member had forgotten them.
    pub gaps: Vec<DeclaredLoss>,
    /// How it was closed.
    pub check: FinalCheck,
}

impl<P: DeltaPayload> Default for MemberAccount<P> {
    fn default() -> Self {
        Self {
            generation: 0,
            resend_from: 1,
            kept_from: 1,
            merged: 0,
            merged_until: RunOffset::ZERO,
            sum: P::Sum::default(),
            gaps: Vec::new(),
            check: FinalCheck::Open,
        }
    }
}

impl<P: DeltaPayload> MemberAccount<P> {
    /// Whether the final state has come.
    pub fn is_closed(&self) -> bool {
        self.check != FinalCheck::Open
    }
}

/// The accounts of all members.
#[derive(Clone, Debug)]
pub struct Ledger<P: DeltaPayload> {
    pub(crate) accounts: BTreeMap<Member, MemberAccount<P>>,
}

/// The ledger at one moment, as it is saved.
#[derive(Clone, Debug)]
pub struct FleetSnapshot<P: DeltaPayload> {
    /// The token of the leader that made it.
    pub token: u64,
    /// Rises with each snapshot of a run.
    pub number: u64,
    /// The accounts.
    pub ledger: Ledger<P>,
}

impl<P: DeltaPayload> Default for Ledger<P> {
    fn default() -> Self {
        Self { accounts: BTreeMap::new() }
    }
}

impl<P: DeltaPayload> Ledger<P> {
    /// Opens the account of a member, unless it has one.
    pub fn open(&mut self, member: Member) -> &mut MemberAccount<P> {
        self.accounts.entry(member).or_default()
    }

    /// The account of a member.
    pub fn account(&self, member: Member) -> Option<&MemberAccount<P>> {
        self.accounts.get(&member)
    }

    /// All accounts.
    pub fn accounts(&self) -> impl Iterator<Item = (Member, &MemberAccount<P>)> {
        self.accounts.iter().map(|(member, account)| (*member, account))
    }

    /// The streams to read, and after which entry.
    pub fn cursors(&self) -> Vec<(DeltaStream, u64)> {
        let open = self.accounts.iter().filter(|(_, account)| !account.is_closed());
        open.map(|(member, account)| {
            let stream = DeltaStream { member: *member, generation: account.generation };
            (stream, account.merged)
        })
        .collect()
    }

    /// Takes a frame of a stream. Intervals that are missing before it are a loss if the member has
    /// told that it has forgotten them.
    pub fn absorb(&mut self, stream: DeltaStream, frame: &DeltaFrame<P>) -> FrameUse {
        let Some(account) = self.accounts.get_mut(&stream.member) else { return FrameUse::Ignored };
        let is_known = frame.last <= account.merged || frame.first > frame.last;
        if account.is_closed() || stream.generation != account.generation || is_known {
            return FrameUse::Ignored;
        }
        if frame.first != account.merged + 1 {
            if frame.first <= account.merged || frame.first > account.kept_from {
                return FrameUse::Gap;
            }
            account.gaps.push(DeclaredLoss {
                member: Some(stream.member),
                since: account.merged_until,
                until: frame.since,
            });
        }
        frame.payload.add_to(&mut account.sum);
        (account.merged, account.merged_until) = (frame.last, frame.until);
        FrameUse::Merged
    }

    /// Begins another stream of a member after the last interval that was added.
    pub fn request_resend(&mut self, member: Member) {
        if let Some(account) = self.accounts.get_mut(&member) {
            account.generation += 1;
            account.resend_from = account.merged + 1;
        }
    }

    /// Takes the final state of a member. It counts once all intervals are added; with `is_late`
    /// also before, since no more will come.
    pub fn close(&mut self, member: Member, state: &FinalState<P>, is_late: bool) {
        let Some(account) = self.accounts.get_mut(&member) else { return };
        let is_complete = account.merged >= state.intervals;
        if account.is_closed() || !(is_complete || is_late) {
            return;
        }
        account.check =
            if account.sum == state.sum { FinalCheck::Exact } else { FinalCheck::Corrected };
        account.sum = state.sum.clone();
        account.gaps.clear();
        account.merged = account.merged.max(state.intervals);
        account.merged_until = account.merged_until.max(state.until);
    }

    /// What is missing: gaps, and what open accounts would have had until `until`.
    pub fn losses(&self, until: RunOffset) -> Vec<DeclaredLoss> {
        let mut losses = Vec::new();
        for (member, account) in &self.accounts {
            losses.extend(account.gaps.iter().copied());
            if !account.is_closed() {
                let member = Some(*member);
                losses.push(DeclaredLoss { member, since: account.merged_until, until });
            }
        }
        losses
    }
}

#[cfg(test)]
mod tests {
    use super::super::member::{Incarnation, Ordinal};
    use super::*;

    const MEMBER: Member = Member { ordinal: Ordinal(3), incarnation: Incarnation(9) };

    fn frame(first: u64, last: u64) -> DeltaFrame<Vec<u32>> {
        let offset = |number: u64| RunOffset::from_ns(number * 10);
        let payload = (first..=last).map(|number| number as u32).collect();
        DeltaFrame { first, last, since: offset(first - 1), until: offset(last), payload }
    }

    fn absorb(ledger: &mut Ledger<Vec<u32>>, generation: u64, first: u64, last: u64) -> FrameUse {
        ledger.absorb(DeltaStream { member: MEMBER, generation }, &frame(first, last))
    }

    #[test]
    fn each_interval_counts_once() {
        let mut ledger = Ledger::default();
        ledger.open(MEMBER);
        assert_eq!(absorb(&mut ledger, 0, 1, 1), FrameUse::Merged);
        assert_eq!(absorb(&mut ledger, 0, 1, 1), FrameUse::Ignored);
        assert_eq!(absorb(&mut ledger, 0, 3, 4), FrameUse::Gap);
        ledger.request_resend(MEMBER);
        assert_eq!(absorb(&mut ledger, 0, 2, 2), FrameUse::Ignored, "the former stream");
        assert_eq!(absorb(&mut ledger, 1, 2, 2), FrameUse::Merged);
        assert_eq!(absorb(&mut ledger, 1, 3, 4), FrameUse::Merged);
        let state = FinalState { intervals: 5, until: RunOffset::from_ns(50), sum: 15 };
        ledger.close(MEMBER, &state, false);
        assert!(!ledger.account(MEMBER).unwrap().is_closed(), "interval 5 is to come");
        assert_eq!(absorb(&mut ledger, 1, 5, 5), FrameUse::Merged);
        ledger.close(MEMBER, &state, false);
        assert_eq!(ledger.account(MEMBER).unwrap().check, FinalCheck::Exact);
        assert!(ledger.losses(RunOffset::NEVER).is_empty());
    }

    #[test]
    fn what_a_member_has_forgotten_is_a_loss_until_its_final_state_comes() {
        let mut ledger = Ledger::default();
        ledger.open(MEMBER);
        absorb(&mut ledger, 0, 1, 2);
        ledger.request_resend(MEMBER);
        assert_eq!(absorb(&mut ledger, 1, 5, 5), FrameUse::Gap, "it may still come");
        ledger.open(MEMBER).kept_from = 5;
        assert_eq!(absorb(&mut ledger, 1, 5, 5), FrameUse::Merged);
        let losses = ledger.losses(RunOffset::from_ns(60));
        let bounds: Vec<_> = losses.iter().map(|loss| (loss.since.ns(), loss.until.ns())).collect();
        assert_eq!(bounds, [(20, 40), (50, 60)]);
        let state = FinalState { intervals: 5, until: RunOffset::from_ns(50), sum: 15 };
        ledger.close(MEMBER, &state, false);
        let account = ledger.account(MEMBER).unwrap();
        assert_eq!((account.check, account.sum), (FinalCheck::Corrected, 15));
        assert!(ledger.losses(RunOffset::NEVER).is_empty());
    }
}

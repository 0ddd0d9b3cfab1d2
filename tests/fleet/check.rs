//! The invariants, checked against what really happened.

use std::fmt;

use manada::clock::RunOffset;
use manada::fleet::protocol::{FinalCheck, FleetResult, Member};

use super::process::Sent;

/// An invariant that does not hold.
#[derive(Debug)]
pub struct Finding {
    pub invariant: &'static str,
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant `{}`: {}", self.invariant, self.detail)
    }
}

/// An arrival that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Dispatch {
    pub index: u32,
    pub member: Member,
    /// When, on the member's time of the run.
    pub at: RunOffset,
}

/// What was met.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Runs with a result.
    pub results: u64,
    /// Results without a loss in which every arrival was sent.
    pub lossless: u64,
    /// Results with a declared loss.
    pub declared: u64,
    pub slots_moved: u64,
    pub leaders_replaced: u64,
    pub coordinators_fenced: u64,
    pub buses_lost: u64,
    pub agents_superseded: u64,
    pub agents_abandoned: u64,
    pub agents_closed: u64,
    pub arrivals_refused: u64,
    pub streams_resent: u64,
    pub frames_coalesced: u64,
    pub accounts_corrected: u64,
    pub unknown_members: u64,
    pub late_results: u64,
    pub commands: u64,
}

macro_rules! fields {
    ($action:ident) => {
        $action!(
            results,
            lossless,
            declared,
            slots_moved,
            leaders_replaced,
            coordinators_fenced,
            buses_lost,
            agents_superseded,
            agents_abandoned,
            agents_closed,
            arrivals_refused,
            streams_resent,
            frames_coalesced,
            accounts_corrected,
            unknown_members,
            late_results,
            commands
        )
    };
}

impl Coverage {
    pub fn add(&mut self, other: &Self) {
        macro_rules! add { ($($field:ident),+) => { $(self.$field += other.$field;)+ } }
        fields!(add);
    }

    /// What was not met in so many seeds, if they are enough.
    pub fn never(&self, seeds: u64) -> Vec<&'static str> {
        let mut never = Vec::new();
        macro_rules! look {
            ($($field:ident),+) => { $(if self.$field == 0 { never.push(stringify!($field)); })+ }
        }
        if seeds >= 1_000 {
            fields!(look);
        }
        never
    }
}

/// Checks a result: each arrival that was sent is counted once, or lies in a declared loss; nothing
/// else is counted.
///
/// `closed` are the members that ended because the coordinator has everything: their frames add up
/// to their own sums, unless the run had lost its coordinator and the state of its bus.
pub fn result(sent: &[Dispatch], of: &FleetResult<Sent>, closed: &[Member]) -> Result<(), Finding> {
    let is_incomplete = of.losses.iter().any(|loss| loss.member.is_none());
    let mut counted: Vec<(u32, Member)> = Vec::new();
    for (member, account) in of.ledger.accounts() {
        counted.extend(account.sum.iter().map(|index| (*index, member)));
        let is_corrected = account.check == FinalCheck::Corrected;
        if is_corrected && !is_incomplete && closed.contains(&member) {
            let detail = format!("the frames of {member:?} do not add up to its final state");
            return Err(Finding { invariant: "double entry", detail });
        }
    }
    counted.sort_unstable();
    let failed = |detail| Err(Finding { invariant: "counted", detail });
    if let Some(twice) = counted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return failed(format!("counted twice: {twice:?}"));
    }
    for one in sent {
        if counted.binary_search(&(one.index, one.member)).is_ok() {
            continue;
        }
        let declared = of.losses.iter().any(|loss| {
            let is_of = match loss.member {
                Some(member) => member == one.member,
                None => of.ledger.account(one.member).is_none(),
            };
            is_of && loss.since <= one.at && one.at < loss.until
        });
        if !declared {
            let account = of.ledger.account(one.member).map(|one| (one.merged, one.merged_until));
            return failed(format!(
                "{one:?} is neither counted nor lost; its account: {account:?}, losses {:?}",
                of.losses
            ));
        }
    }
    let mut pairs: Vec<(u32, Member)> = sent.iter().map(|one| (one.index, one.member)).collect();
    pairs.sort_unstable();
    match counted.iter().find(|pair| pairs.binary_search(pair).is_err()) {
        Some(pair) => failed(format!("counted but never sent: {pair:?}")),
        None => Ok(()),
    }
}

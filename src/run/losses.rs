//! Workers that were lost: what they had under way ends, and what they leave undone is counted.
//!
//! `dispatch` hands it every delta and every loss, and takes its deltas as if shards had sent them.
//! Invariant: the ledgers of a lost shard balance, second by second, up to the end of the load.

use std::collections::BTreeSet;

use super::vacancy::{LostSlots, Vacancy, cut};
use crate::clock::{RunOffset, Time};
use crate::curve::Curve;
use crate::event::{Adoption, LossPolicy, WorkerLoss};
use crate::ids::WorkloadId;
use crate::plan::slots::{OwnedSlots, ShardRange};
use crate::plan::{Load, LoadBound, Plan, Workload};
use crate::stats::{Change, ChangeCause, Delta, StateChange, Unfinished};
use crate::units::nanos;

/// The shards of a run on workers.
pub(super) struct Losses<'p> {
    plan: &'p Plan,
    start: Time,
    /// What each shard has under way; `None` once it has ended or is lost. Empty if the run has no
    /// workers.
    shards: Vec<Option<Unfinished>>,
    /// The slots of each shard.
    slots: Vec<Vec<OwnedSlots>>,
    vacancies: Vec<Vacancy<'p>>,
    policy: LossPolicy,
    /// When the last redistribution takes effect.
    last: RunOffset,
}

/// What follows from a loss.
pub(super) struct LossOutcome {
    /// The deltas that end what was under way.
    pub(super) deltas: Vec<Delta>,
    /// The changes for the time axis.
    pub(super) changes: Vec<StateChange>,
}

/// The delay after which the load of a lost worker goes to others, ns: each shard has received its
/// slots by then.
pub const ADOPTION_LEAD_NS: u64 = 500_000_000;

impl<'p> Losses<'p> {
    /// A run in which nothing was lost; `shards` is zero if nothing can be.
    pub(super) fn new(plan: &'p Plan, start: Time, shards: usize, policy: LossPolicy) -> Self {
        let layout = plan.series_layout();
        let unfinished = (0..shards).map(|shard| Some(Unfinished::new(&layout, shard)));
        let from = RunOffset::ZERO;
        let segments = ShardRange::whole(shards as u64).segments();
        let slots = segments.map(|segment| vec![OwnedSlots { slots: segment.into(), from }]);
        Self {
            plan,
            start,
            shards: unfinished.collect(),
            slots: slots.collect(),
            vacancies: Vec::new(),
            policy,
            last: RunOffset::ZERO,
        }
    }

    /// Takes the delta of a shard.
    pub(super) fn absorb(&mut self, delta: &Delta) {
        let Some(shard) = self.shards.get_mut(delta.shard) else { return };
        if delta.last {
            *shard = None;
        } else if let Some(unfinished) = shard {
            unfinished.absorb(delta);
        }
    }

    /// Deals the slots of a lost worker to the shards that are left, in turn: any prefix of the
    /// numbers stays evenly divided. Returns the command to them; `None` if the policy is another
    /// one, no shard is left, or nothing is due any more by then.
    pub(super) fn redistribute(&mut self, loss: &WorkerLoss, now: RunOffset) -> Option<Adoption> {
        let from = now.after(ADOPTION_LEAD_NS).max(self.last);
        let is_due = |workload: &Workload| {
            let moves = match &workload.load {
                Load::Open(_) => true,
                Load::Closed(users) => users.bound == LoadBound::Time,
            };
            moves && workload.end().is_none_or(|end| from < RunOffset::from_ns(nanos(end)))
        };
        let is_policy = self.policy == LossPolicy::Redistribute;
        if !is_policy || !self.plan.workloads.iter().any(is_due) {
            return None;
        }
        let lost: Vec<usize> =
            loss.range.segments().map(|segment| segment.shard as usize).collect();
        let has = |shard: usize| self.shards.get(shard).is_some_and(Option::is_some);
        let left: Vec<usize> =
            (0..self.shards.len()).filter(|shard| has(*shard) && !lost.contains(shard)).collect();
        let lost = lost.into_iter().filter(|shard| has(*shard));
        let parts = lost.flat_map(|shard| &self.slots[shard]);
        let moving: BTreeSet<u64> = parts.flat_map(|part| part.slots.iter()).collect();
        if left.is_empty() || moving.is_empty() {
            return None;
        }
        self.last = from;
        let dealt = moving.into_iter().zip(left.iter().cycle());
        let slots = dealt.map(|(slot, owner)| (slot as u16, *owner as u16)).collect();
        let adoption = Adoption { from, slots };
        for owner in left {
            self.slots[owner].extend(adoption.of(owner as u64));
        }
        Some(adoption)
    }

    /// Takes a loss, noticed at `now`; `stopped` is when the run was stopped, if it was, `adoption`
    /// what was sent to the shards that are left. `curves` are the loads as live control changed
    /// them.
    pub(super) fn lose(
        &mut self,
        loss: &WorkerLoss,
        (now, stopped): (RunOffset, Option<RunOffset>),
        adoption: Option<&Adoption>,
        curves: &[Curve],
    ) -> LossOutcome {
        let moved = adoption.map_or(RunOffset::NEVER, |adoption| adoption.from);
        let mut outcome = self.settle(loss, (now, stopped), moved, curves);
        outcome.changes.extend(adoption.map(|adoption| moved_change(loss, now, adoption)));
        outcome
    }

    /// Slots moved to other shards.
    pub(super) fn move_slots(&mut self, adoption: &Adoption) {
        for (shard, slots) in self.slots.iter_mut().enumerate() {
            slots.extend(adoption.of(shard as u64));
        }
    }

    /// Takes a loss after which nothing more comes; what is due from `moved` on belongs to others.
    pub(super) fn settle(
        &mut self,
        loss: &WorkerLoss,
        (now, stopped): (RunOffset, Option<RunOffset>),
        moved: RunOffset,
        curves: &[Curve],
    ) -> LossOutcome {
        let (mut deltas, mut first, mut until) = (Vec::new(), None, now);
        let mut started = vec![0; self.plan.workloads.len()];
        for segment in loss.range.segments() {
            let slot = self.shards.get_mut(segment.shard as usize);
            let Some(unfinished) = slot.and_then(Option::take) else { continue };
            let counts = unfinished.counts().to_vec();
            for (sum, (iterations, _)) in started.iter_mut().zip(&counts) {
                *sum += iterations.started;
            }
            let (delta, since) = cut(unfinished, self.plan);
            until = until.min(since);
            let place = (self.start, since);
            let shard = segment.shard as usize;
            let parts = self.slots[shard].clone();
            let slots = LostSlots { shard, parts, until: moved };
            let mut vacancy = Vacancy::new(self.plan, slots, place, &counts, delta.gauges, curves);
            deltas.push(delta);
            if let Some(stopped) = stopped {
                deltas.push(vacancy.drain(stopped.max(since)));
            } else {
                first = first.or(Some(self.vacancies.len()));
                self.vacancies.push(vacancy);
            }
        }
        if let Some(vacancy) = first.map(|first| &mut self.vacancies[first]) {
            for (id, workload) in WorkloadId::number(&self.plan.workloads) {
                let Load::Closed(users) = &workload.load else { continue };
                let LoadBound::Iterations(most) = users.bound else { continue };
                let left = loss.range.part_of(most).saturating_sub(started[id.index()]);
                vacancy.leave_iterations(id, left);
            }
        }
        let lost = Change::WorkerLost { reported_until: until };
        LossOutcome { deltas, changes: vec![change_of(loss, now, lost)] }
    }

    /// Whether a shard is lost and its load goes on.
    pub(super) fn is_vacant(&self, shard: usize) -> bool {
        self.vacancies.iter().any(|vacancy| vacancy.shard() == shard)
    }

    /// The deltas of all lost shards up to `now`.
    pub(super) fn take(&mut self, now: RunOffset) -> Vec<Delta> {
        let deltas: Vec<Delta> =
            self.vacancies.iter_mut().map(|vacancy| vacancy.take(now)).collect();
        let is_over = |shard| deltas.iter().any(|delta| delta.shard == shard && delta.last);
        self.vacancies.retain(|vacancy| !is_over(vacancy.shard()));
        deltas
    }

    /// The last deltas of all lost shards: the run is stopped at `now`.
    pub(super) fn drain(&mut self, now: RunOffset) -> Vec<Delta> {
        std::mem::take(&mut self.vacancies)
            .into_iter()
            .map(|mut vacancy| vacancy.drain(now))
            .collect()
    }

    /// Live control changed the load.
    pub(super) fn set_curves(&mut self, curves: &[Curve]) {
        self.vacancies.iter_mut().for_each(|vacancy| vacancy.set_curves(curves));
    }
}

/// A change of a lost worker.
pub(super) fn change_of(loss: &WorkerLoss, at: RunOffset, change: Change) -> StateChange {
    let subject = loss.subject();
    StateChange { at, subject, change, cause: ChangeCause::ProcessEnded { how: loss.why.clone() } }
}

/// Slots of a lost worker moved to other shards.
pub(super) fn moved_change(loss: &WorkerLoss, at: RunOffset, adoption: &Adoption) -> StateChange {
    let owners: BTreeSet<u16> = adoption.slots.iter().map(|(_, owner)| *owner).collect();
    let (shards, from) = (owners.len() as u64, adoption.from);
    change_of(loss, at, Change::Redistributed { shards, from })
}

#[cfg(test)]
#[path = "losses_tests.rs"]
mod tests;

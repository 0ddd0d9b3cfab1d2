//! Workers that were lost: what they had under way ends, and what they leave undone is counted.
//!
//! `dispatch` hands it every delta and every loss, and takes its deltas as if shards had sent them.
//! Invariant: the ledgers of a lost shard balance, second by second, up to the end of the load.

use super::vacancy::{Vacancy, cut};
use crate::clock::{RunOffset, Time};
use crate::curve::Curve;
use crate::event::WorkerLoss;
use crate::ids::WorkloadId;
use crate::plan::{Load, LoadBound, Plan};
use crate::stats::{Change, ChangeCause, ChangeSubject, Delta, StateChange, Unfinished};

/// The shards of a run on workers.
pub(super) struct Losses<'p> {
    plan: &'p Plan,
    start: Time,
    /// What each shard has under way; `None` once it has ended or is lost. Empty if the run has no
    /// workers.
    shards: Vec<Option<Unfinished>>,
    vacancies: Vec<Vacancy<'p>>,
}

impl<'p> Losses<'p> {
    /// A run in which nothing was lost; `shards` is zero if nothing can be.
    pub(super) fn new(plan: &'p Plan, start: Time, shards: usize) -> Self {
        let layout = plan.series_layout();
        let unfinished = (0..shards).map(|shard| Some(Unfinished::new(&layout, shard)));
        Self { plan, start, shards: unfinished.collect(), vacancies: Vec::new() }
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

    /// Takes a loss, noticed at `now`; `stopped` is when the run was stopped, if it was. Returns
    /// the deltas that end what was under way, and the change for the time axis.
    pub(super) fn lose(
        &mut self,
        loss: &WorkerLoss,
        now: RunOffset,
        stopped: Option<RunOffset>,
        curves: &[Curve],
    ) -> (Vec<Delta>, StateChange) {
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
            let mut vacancy =
                Vacancy::new(self.plan, segment, place, &counts, delta.gauges, curves);
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
        let notice = StateChange {
            at: now,
            subject: ChangeSubject::Worker(loss.worker as u64 + 1),
            change: Change::WorkerLost { reported_until: until },
            cause: ChangeCause::ProcessEnded { how: loss.why.clone() },
        };
        (deltas, notice)
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

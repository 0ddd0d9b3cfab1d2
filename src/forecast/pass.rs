//! One pass through a section in the mean: calls by series, thinks, pauses, time at the target.
//!
//! `load` asks it for each archetype of a workload.
//! Invariant: the time of a pass is its thinks, its pauses, and what its calls take one after the
//! other; parallel calls take as long as their longest chain.

use std::time::Duration;

use super::visits::{VisitAssumptions, visits};
use crate::curve::Distribution;
use crate::plan::flow::{Archetype, Parallel, Step};

/// What a walk through a section makes and takes; all of it expected values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SectionPass {
    /// Calls by the archetype's series.
    pub calls: Vec<f64>,
    /// Thinks, seconds.
    pub think_s: f64,
    /// Pauses, seconds.
    pub pause_s: f64,
    /// What its calls take, seconds.
    pub service_s: f64,
    /// The mean of one think, seconds: the last of an arrival is not waited for.
    pub one_think_s: f64,
}

impl SectionPass {
    /// From its begin to the think after its last call.
    pub fn cycle_s(&self) -> f64 {
        self.think_s + self.pause_s + self.service_s
    }

    /// From its begin to the end of its last call.
    pub fn stay_s(&self) -> f64 {
        (self.cycle_s() - self.one_think_s).max(self.service_s)
    }

    /// All its calls.
    pub fn all_calls(&self) -> f64 {
        self.calls.iter().sum()
    }
}

/// A pass from step `begin` on, where a call of each series takes `service_s`; `None` when it may
/// never end.
pub fn pass(
    archetype: &Archetype,
    begin: usize,
    view: VisitAssumptions,
    service_s: &dyn Fn(u16) -> f64,
) -> Option<SectionPass> {
    let seen = visits(&archetype.steps, begin, view)?;
    let mut pass =
        SectionPass { calls: vec![0.0; archetype.series.len()], ..SectionPass::default() };
    let think = |own: &Option<Distribution>| seconds(own.as_ref().or(archetype.think.as_ref()));
    let mut turns = 0.0;
    for (step, visits) in archetype.steps.iter().zip(&seen).filter(|(_, visits)| **visits > 0.0) {
        match step {
            Step::Call(call) => {
                let call = &archetype.calls[*call];
                pass.calls[usize::from(call.series)] += visits;
                pass.service_s += visits * service_s(call.series);
                pass.think_s += visits * think(&call.think);
                turns += visits;
            }
            Step::Parallel(parallel) => {
                for branch in &parallel.branches {
                    pass.calls[usize::from(archetype.calls[branch.call].series)] += visits;
                }
                pass.service_s += visits * longest_s(archetype, parallel, service_s);
                pass.think_s += visits * think(&parallel.think);
                turns += visits;
            }
            Step::Pause(law) => pass.pause_s += visits * seconds(Some(law)),
            _ => {}
        }
    }
    if turns > 0.0 {
        pass.one_think_s = pass.think_s / turns;
    }
    Some(pass)
}

fn seconds(law: Option<&Distribution>) -> f64 {
    law.map_or(Duration::ZERO, Distribution::mean).as_secs_f64()
}

/// How long parallel calls take: the longest chain of needs, or all of them through the calls that
/// may be made at once.
fn longest_s(archetype: &Archetype, parallel: &Parallel, service_s: &dyn Fn(u16) -> f64) -> f64 {
    let mut ends: Vec<f64> = Vec::new();
    let mut sum = 0.0;
    for branch in &parallel.branches {
        let own = service_s(archetype.calls[branch.call].series);
        let begin = branch.needs.iter().map(|need| ends[*need]).fold(0.0, f64::max);
        sum += own;
        ends.push(begin + own);
    }
    ends.into_iter().fold(sum / Parallel::AT_ONCE as f64, f64::max)
}

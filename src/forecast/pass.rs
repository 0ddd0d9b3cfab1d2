//! The expected pass through a section: calls by series, think times, pauses, service time.
//!
//! `load` computes it for each archetype of a workload.
//! Invariant: the duration of a pass is the sum of its think times, its pauses, and its calls one
//! after the other; parallel calls take as long as their longest chain.

use std::time::Duration;

use super::visits::{VisitAssumptions, visits};
use crate::curve::Distribution;
use crate::plan::flow::{Archetype, Parallel, Step};
use crate::plan::stream::StreamAct;

/// One pass through a section; all figures are expected values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SectionPass {
    /// Calls by the archetype's series.
    pub calls: Vec<f64>,
    /// Total think time, seconds.
    pub think_s: f64,
    /// Total of pauses, seconds.
    pub pause_s: f64,
    /// Total service time, seconds.
    pub service_s: f64,
    /// Mean of one think time, seconds; a user of the open model skips the last one.
    pub one_think_s: f64,
}

impl SectionPass {
    /// Returns the time from the start to the end of the last think time, seconds.
    pub fn cycle_s(&self) -> f64 {
        self.think_s + self.pause_s + self.service_s
    }

    /// Returns the time from the start to the end of the last call, seconds.
    pub fn stay_s(&self) -> f64 {
        (self.cycle_s() - self.one_think_s).max(self.service_s)
    }

    /// Returns the total of its calls.
    pub fn all_calls(&self) -> f64 {
        self.calls.iter().sum()
    }
}

/// Computes the pass from step `begin` on, where a call of a series takes `service_s` seconds;
/// `None` if it may never end.
pub fn section_pass(
    archetype: &Archetype,
    begin: usize,
    assumptions: VisitAssumptions,
    service_s: &dyn Fn(u16) -> f64,
) -> Option<SectionPass> {
    let expected = visits(&archetype.steps, begin, assumptions)?;
    let mut pass =
        SectionPass { calls: vec![0.0; archetype.series.len()], ..SectionPass::default() };
    let think = |own: &Option<Distribution>| seconds(own.as_ref().or(archetype.think.as_ref()));
    let mut thinks = 0.0;
    for (step, visits) in archetype.steps.iter().zip(&expected).filter(|(_, visits)| **visits > 0.0)
    {
        match step {
            Step::Call(call) => {
                let call = &archetype.calls[*call];
                pass.calls[usize::from(call.series)] += visits;
                pass.service_s += visits * service_s(call.series);
                pass.think_s += visits * think(&call.think);
                thinks += visits;
            }
            Step::Stream(call) => {
                let call = &archetype.calls[*call];
                let act = call.stream.as_ref().map(|step| &step.act);
                if act.is_some_and(StreamAct::is_call) {
                    pass.calls[usize::from(call.series)] += visits;
                    pass.think_s += visits * think(&call.think);
                    thinks += visits;
                }
                if act.is_some_and(StreamAct::waits) {
                    pass.service_s += visits * service_s(call.series);
                }
            }
            Step::Parallel(parallel) => {
                for branch in &parallel.branches {
                    pass.calls[usize::from(archetype.calls[branch.call].series)] += visits;
                }
                pass.service_s += visits * parallel_s(archetype, parallel, service_s);
                pass.think_s += visits * think(&parallel.think);
                thinks += visits;
            }
            Step::Pause(distribution) => pass.pause_s += visits * seconds(Some(distribution)),
            _ => {}
        }
    }
    if thinks > 0.0 {
        pass.one_think_s = pass.think_s / thinks;
    }
    Some(pass)
}

fn seconds(distribution: Option<&Distribution>) -> f64 {
    distribution.map_or(Duration::ZERO, Distribution::mean).as_secs_f64()
}

/// Returns how long parallel calls take, seconds: the longest chain of dependencies, or all of
/// them at the maximum concurrency.
fn parallel_s(archetype: &Archetype, parallel: &Parallel, service_s: &dyn Fn(u16) -> f64) -> f64 {
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

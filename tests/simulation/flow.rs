//! What the users of a world did: calls, rates, groups, requests and lines.
//!
//! `simulation` calls it.
//! Invariant: only what the world's file names is compared.

use std::collections::BTreeMap;

use manada::ids::StepId;
use manada::plan::Plan;

use super::World;
use super::run::SimulationResults;
use super::script::request_line;

/// Returns deviations in what users did, as text.
pub fn deviations(world: &World, plan: &Plan, results: &SimulationResults) -> Vec<String> {
    let mut wrong = Vec::new();
    let measured = &results.report.snapshot.measured;
    for (name, [from, to]) in &world.steps {
        let steps = plan.steps.iter().zip(&measured.steps);
        let made: u64 = steps
            .filter(|(series, _)| series.name == *name)
            .filter_map(|(_, step)| step.as_ref().map(|step| step.calls.made))
            .sum();
        if !(from..=to).contains(&&made) {
            wrong.push(format!("step {name}: {made} calls"));
        }
    }
    for (name, expected) in &world.rates {
        let mut steps = StepId::number(&plan.steps);
        let (id, _) = steps.find(|(_, series)| series.name == *name).unwrap();
        let drained = measured.steps[id].as_ref().map_or(0, |step| step.in_drain);
        let found = (results.report.calls_per_s(id).unwrap_or_default(), drained);
        if (found.0 - expected.0).abs() > 1e-9 || found.1 != expected.1 {
            wrong.push(format!("rate of {name}, calls in the drain: {found:?}, not {expected:?}"));
        }
    }
    for (name, [from, to]) in &world.groups {
        let groups = plan.groups.iter().zip(&measured.groups);
        for (_, group) in groups.filter(|(series, _)| series.name == *name) {
            let (least, most) = (group.shortest_us(), group.longest().map(|most| most.us));
            if least.is_none_or(|least| least < *from) || most.is_none_or(|most| most > *to) {
                wrong.push(format!("group {name}: {least:?} to {most:?} µs"));
            }
        }
    }
    let mut requests: BTreeMap<String, u64> = BTreeMap::new();
    results
        .target
        .log()
        .iter()
        .for_each(|request| *requests.entry(request_line(request)).or_default() += 1);
    for (request, expected) in &world.requests {
        let got = requests.get(request).copied().unwrap_or_default();
        if got != *expected {
            wrong.push(format!("{request} came {got} times, not {expected}"));
        }
    }
    for (begin, expected) in &world.different {
        let got = requests.keys().filter(|request| request.starts_with(begin)).count() as u64;
        if got != *expected {
            wrong.push(format!("{got} different {begin}…, not {expected}"));
        }
    }
    for begin in &world.once {
        let twice = requests.iter().find(|(line, count)| line.starts_with(begin) && **count > 1);
        wrong.extend(twice.map(|(line, count)| format!("{line} came {count} times")));
    }
    for line in &world.said {
        if !results.said.contains(line) {
            wrong.push(format!("nobody said `{line}`: {:?}", results.said));
        }
    }
    wrong
}

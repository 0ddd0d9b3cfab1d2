//! In which order steps stand, and which of them are shown.
//!
//! `ui` moves along it, `view::steps` shows it.
//! Invariant: it is a permutation of what the filter lets through, and steps that are equal keep
//! the order of the plan.

use std::cmp::Ordering;

use crate::event::Report;
use crate::ids::StepId;
use crate::stats::delta::StepWindow;
use crate::stats::{Latency, Quantile};

/// The titles of the columns, in their order; the first is the order of the plan.
pub(super) const COLUMNS: [&str; 11] = [
    "workload",
    "archetype",
    "step",
    "calls",
    "rate",
    "errors",
    "p50",
    "p95",
    "p99",
    "max",
    "response p99",
];

/// What steps are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sort {
    /// A place in [`COLUMNS`].
    pub(super) by: usize,
    /// The largest first.
    pub(super) falling: bool,
}

impl Sort {
    /// By another column; numbers begin with the largest, names with the first.
    #[must_use]
    pub(super) fn turned(self, by: isize) -> Self {
        let by = (self.by as isize + by).rem_euclid(COLUMNS.len() as isize) as usize;
        Self { by, falling: by >= 3 }
    }
}

/// The steps that are shown, in their order.
pub(super) fn order(report: &Report, sort: Sort, filter: &str) -> Vec<StepId> {
    // A percentile is looked for once a step, not once a comparison.
    let mut shown: Vec<(SortKey<'_>, StepId)> = StepId::first(report.info.plan.steps.len())
        .filter(|step| fits(report, *step, filter))
        .map(|step| (key(report, step, sort.by), step))
        .collect();
    shown.sort_by(|(one, _), (other, _)| {
        let order = one.compare(other);
        if sort.falling { order.reverse() } else { order }
    });
    shown.into_iter().map(|(_, step)| step).collect()
}

/// What a step is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum SortKey<'a> {
    /// Its place in the plan.
    Place(usize),
    /// A name.
    Name(&'a str),
    /// A number; none: nothing was measured.
    Number(Option<f64>),
    /// Microseconds, and whether that is a bound.
    Time(Option<(u64, bool)>),
}

impl SortKey<'_> {
    fn compare(&self, other: &Self) -> Ordering {
        self.partial_cmp(other).unwrap_or(Ordering::Equal)
    }
}

/// Whether a step has a text in any of its names, large letters or small.
fn fits(report: &Report, step: StepId, filter: &str) -> bool {
    let wanted = filter.to_lowercase();
    names(report, step).iter().any(|name| name.to_lowercase().contains(&wanted))
}

/// Names of its workload, its archetype and itself.
pub(super) fn names(report: &Report, step: StepId) -> [&str; 3] {
    let plan = &report.info.plan;
    let series = &plan.steps[step];
    [
        &plan.workloads[series.workload].name,
        &plan.archetypes[series.archetype.index()],
        &series.name,
    ]
}

/// What was measured of a step: after the warm-up, or while there is nothing yet in it.
pub(super) fn window(report: &Report, step: StepId) -> Option<&StepWindow> {
    let snapshot = &report.snapshot;
    let part = if is_warm(report) { &snapshot.measured } else { &snapshot.warmup };
    part.steps.get(step.index())?.as_deref()
}

/// Whether anything was measured after the warm-up.
pub(super) fn is_warm(report: &Report) -> bool {
    report.info.plan.warmup.is_zero() || report.snapshot.measured.calls().made > 0
}

/// Calls per second of a step in the time that [`window`] covers, the drain left out.
pub(super) fn rate(report: &Report, step: StepId) -> f64 {
    if is_warm(report) {
        return report.calls_per_s(step).unwrap_or_default();
    }
    let (calls, ns) =
        (window(report, step).map_or(0, StepWindow::in_load), report.snapshot.until_ns);
    calls as f64 / (ns as f64 / 1e9).max(1e-9)
}

fn key(report: &Report, step: StepId, by: usize) -> SortKey<'_> {
    let window = window(report, step);
    let time = |latency: Option<&Latency>, p: f64| {
        let found = latency.and_then(|latency| quantile(latency, p));
        SortKey::Time(found.map(|found| (found.us, found.at_least)))
    };
    let service = |p: f64| time(window.map(|step| &step.service), p);
    match by {
        0 => SortKey::Place(step.index()),
        1 | 2 => SortKey::Name(names(report, step)[by]),
        3 | 4 => SortKey::Number(window.map(|step| step.calls.made as f64)),
        5 => SortKey::Number(window.and_then(|step| step.calls.error_share())),
        6 => service(0.5),
        7 => service(0.95),
        8 => service(0.99),
        9 => service(1.0),
        _ => time(window.map(|step| &step.response), 0.99),
    }
}

/// A percentile; the last is the longest.
pub(super) fn quantile(latency: &Latency, p: f64) -> Option<Quantile> {
    if p < 1.0 { latency.quantile(p) } else { latency.longest() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::tui::fixture;

    #[test]
    fn any_order_is_of_the_same_steps() {
        let report = fixture::report();
        let all: Vec<StepId> = StepId::first(report.info.plan.steps.len()).collect();
        assert_eq!(order(&report, Sort::default(), ""), all);
        for by in 0..COLUMNS.len() {
            for falling in [false, true] {
                let found = order(&report, Sort { by, falling }, "");
                let mut sorted = found.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, all, "{by}");
                let steps = found
                    .windows(2)
                    .map(|two| key(&report, two[0], by).compare(&key(&report, two[1], by)));
                let wrong = if falling { Ordering::Less } else { Ordering::Greater };
                assert!(steps.into_iter().all(|order| order != wrong), "{by} {falling}");
            }
        }
    }

    #[test]
    fn a_filter_lets_through_what_has_its_text() {
        let report = fixture::report();
        let found = order(&report, Sort::default(), "CART");
        assert!(!found.is_empty() && found.len() < report.info.plan.steps.len());
        for step in StepId::first(report.info.plan.steps.len()) {
            let has = names(&report, step).iter().any(|name| name.to_lowercase().contains("cart"));
            assert_eq!(found.contains(&step), has);
        }
        assert!(order(&report, Sort::default(), "no such step").is_empty());
    }

    #[test]
    fn columns_turn_round() {
        let mut sort = Sort::default();
        for _ in 0..COLUMNS.len() {
            assert_eq!(sort.turned(1).turned(-1).by, sort.by);
            sort = sort.turned(1);
        }
        assert_eq!(sort, Sort::default());
    }
}

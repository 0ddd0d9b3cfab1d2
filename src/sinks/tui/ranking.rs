//! The order of steps in the table, and the filter.
//!
//! `ui_state` moves the selection along it, `view::steps` shows it.
//! Invariant: the order is a permutation of the steps that pass the filter; equal steps keep the
//! order of the plan.

use std::cmp::Ordering;

use crate::event::Report;
use crate::ids::StepId;
use crate::report::rows::{StepRow, current_steps};
use crate::stats::{Calls, Quantile};

/// The titles of the columns; the first one means the order of the plan. Times without a name are
/// response times.
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
    "service p99",
];

/// A sort order of steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sort {
    /// An index into [`COLUMNS`].
    pub(super) by: usize,
    /// Whether the largest comes first.
    pub(super) falling: bool,
}

impl Sort {
    /// Returns the order by another column: numbers descending, names ascending.
    #[must_use]
    pub(super) fn turned(self, by: isize) -> Self {
        let by = (self.by as isize + by).rem_euclid(COLUMNS.len() as isize) as usize;
        Self { by, falling: by >= 3 }
    }
}

/// Returns the steps that pass the filter, in order.
pub(super) fn order(report: &Report, sort: Sort, filter: &str) -> Vec<StepId> {
    let wanted = filter.to_lowercase();
    // A percentile is computed once per step, not once per comparison.
    let mut shown: Vec<(SortKey<'_>, StepId)> = current_steps(report)
        .filter(|row| names(row).iter().any(|name| name.to_lowercase().contains(&wanted)))
        .map(|row| (key(&row, sort.by), row.id))
        .collect();
    shown.sort_by(|(one, _), (other, _)| {
        let order = one.compare(other);
        if sort.falling { order.reverse() } else { order }
    });
    shown.into_iter().map(|(_, step)| step).collect()
}

/// The value by which a step is sorted.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum SortKey<'a> {
    /// Place of the step in the plan.
    Place(usize),
    /// A name.
    Name(&'a str),
    /// A number; `None` if nothing was measured.
    Number(Option<f64>),
    /// A time in µs, and whether it is a bound.
    Time(Option<(u64, bool)>),
}

impl SortKey<'_> {
    fn compare(&self, other: &Self) -> Ordering {
        self.partial_cmp(other).unwrap_or(Ordering::Equal)
    }
}

/// Returns the names of a step's workload, its archetype and itself.
fn names<'r>(row: &StepRow<'r>) -> [&'r str; 3] {
    [row.workload, row.archetype, row.name]
}

fn key<'r>(row: &StepRow<'r>, by: usize) -> SortKey<'r> {
    let time = |quantile: Option<Quantile>| {
        SortKey::Time(quantile.map(|found| (found.us, found.at_least)))
    };
    let calls = Some(row.calls()).filter(|_| row.was_called());
    match by {
        0 => SortKey::Place(row.id.index()),
        1 | 2 => SortKey::Name(names(row)[by]),
        3 => SortKey::Number(calls.map(|calls| calls.made as f64)),
        4 => SortKey::Number(row.calls_per_s.filter(|_| row.was_called())),
        5 => SortKey::Number(calls.and_then(Calls::error_share)),
        6 => time(row.response(0.5)),
        7 => time(row.response(0.95)),
        8 => time(row.response(0.99)),
        9 => time(row.response(1.0)),
        _ => time(row.service(0.99)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::rows::current_step;
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
                let key_of = |step| key(&current_step(&report, step), by);
                let steps = found.windows(2).map(|two| key_of(two[0]).compare(&key_of(two[1])));
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
            let row = current_step(&report, step);
            let has = names(&row).iter().any(|name| name.to_lowercase().contains("cart"));
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

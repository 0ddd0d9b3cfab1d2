//! Rows of totals: the run as a whole, and each of its workloads.
//!
//! Invariant: what they show was due after the warm-up; a rate is over the measured time of the
//! load, without calls of the drain.

use super::workloads::workloads;
use crate::event::Report;
use crate::stats::{Calls, Latency};
use crate::units::per_second;

/// Calls, rate and response times of a run or a workload.
pub(crate) struct TotalsRow<'r> {
    /// The workload; `None` for the run.
    pub(crate) workload: Option<&'r str>,
    pub(crate) calls: Calls,
    /// Calls per second; `None` if no time was measured.
    pub(crate) calls_per_s: Option<f64>,
    /// Response times; starts that were never made rank above every response.
    pub(crate) response: Latency,
}

/// The run, then its workloads if it has more than one.
pub(crate) fn totals(report: &Report) -> Vec<TotalsRow<'_>> {
    let measured = &report.snapshot.measured;
    let mut rows = vec![TotalsRow {
        workload: None,
        calls: measured.calls(),
        calls_per_s: report.all_calls_per_s(),
        response: measured.response(|_| true, measured.lost()),
    }];
    if report.info.plan.workloads.len() > 1 {
        rows.extend(workloads(report).map(|load| {
            let window = load.measured();
            TotalsRow {
                workload: Some(&load.info.name),
                calls_per_s: per_second(window.in_load(), load.measured_ns),
                response: window.response,
                calls: window.calls,
            }
        }));
    }
    rows
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::report::page::tests::made_up;

    #[test]
    fn rates_of_run_and_workloads_leave_the_drain_out() {
        let mut report = made_up(3, "shop");
        let snapshot = Arc::make_mut(&mut report.snapshot);
        let steps: Vec<_> = snapshot.measured.steps.iter_mut().flatten().collect();
        let mut expected = 0;
        for step in steps {
            step.in_drain = step.calls.made / 2;
            expected += step.in_load();
        }
        assert!(expected > 0 && expected < snapshot.measured.calls().made);
        let rate_of_run = totals(&report)[0].calls_per_s.unwrap();
        let run_s = report.snapshot.measured_ns as f64 / 1e9;
        assert_eq!((rate_of_run * run_s).round() as u64, expected);
        let loads = workloads(&report).map(|load| load.measured().in_load()).sum::<u64>();
        assert_eq!(loads, expected);
    }
}

//! The highest and last reading of each monitor, for `summary.json`.
//!
//! Invariant: a monitor that had no reading has nulls, never zeros.

use serde_json::{Value, json};

use crate::event::Report;
use crate::stats::Monitor;

/// Each monitor's highest and last reading; null where it had none.
pub(crate) fn document(report: &Report) -> Value {
    let moments = &report.timeline.gauges;
    let monitor = |(at, monitor): (usize, &Monitor)| {
        let readings = || moments.iter().filter_map(|moment| *moment.monitors.get(at)?);
        json!({
            "name": monitor.name, "of": monitor.owner.name(), "unit": monitor.unit.name(),
            "max": readings().reduce(f64::max), "last": readings().next_back(),
        })
    };
    report.info.monitors.iter().enumerate().map(monitor).collect()
}

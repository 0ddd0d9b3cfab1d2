//! The highest and last reading of each monitor, for `summary.json`.
//!
//! Invariant: a monitor that had no reading has nulls, never zeros.

use serde_json::{Value, json};

use crate::event::Report;
use crate::stats::Monitor;

/// Each monitor's highest and last reading; null where it had none.
pub(crate) fn document(report: &Report) -> Value {
    let moments = &report.timeline.gauges;
    let dial = |(at, dial): (usize, &Monitor)| {
        let readings = || moments.iter().filter_map(|moment| *moment.monitors.get(at)?);
        json!({
            "name": dial.name, "of": dial.owner.name(), "unit": dial.unit.name(),
            "max": readings().reduce(f64::max), "last": readings().next_back(),
        })
    };
    report.info.monitors.iter().enumerate().map(dial).collect()
}

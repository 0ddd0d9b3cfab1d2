//! What a run used, read from its `summary.json`.
//!
//! `cost` reads that of `--like`, `calibration` those of its rounds.
//! Invariant: a run without CPU time is no measurement.

use serde_json::Value;

use crate::forecast::cost_model::MeasuredUse;

/// Reads the use from a `summary.json`.
pub(super) fn read(document: &Value) -> Option<MeasuredUse> {
    let used = &document["usage"];
    let memory = &used["memory_bytes"];
    let list = |name: &str| {
        let list = used["cpu_intervals"][name].as_array();
        list.into_iter().flatten().filter_map(Value::as_f64)
    };
    let calls = document["attempts"]["sent"].as_f64().filter(|calls| *calls > 0.0)?;
    Some(MeasuredUse {
        source: String::new(),
        is_alike: false,
        length_s: document["duration_s"].as_f64()?,
        cpu_s: used["cpu_s"]["total"].as_f64()?,
        before_s: used["cpu_s"]["before_load"].as_f64().unwrap_or(0.0),
        calls,
        opened: document["connections"]["opened"].as_f64()?,
        users: document["users"]["peak"].as_f64()?,
        memory: memory["mean"].as_f64().or(memory["peak"].as_f64())?,
        sent: used["network_bytes"]["sent"].as_f64()?,
        received: used["network_bytes"]["received"].as_f64()?,
        waited: document["generator"]["run_queue_share"].as_f64().unwrap_or(0.0),
        intervals: list("cpu_s").zip(list("calls")).collect(),
    })
}

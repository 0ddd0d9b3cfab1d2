//! How far a forecast of CPU time may be off, and what was measured for it, as sentences.
//!
//! `cost` shows them below its figures.
//! Invariant: the range has what each round or interval of a measurement gives, and is wider if
//! other processes disturbed it.

use super::cost_model::{CallProfile, CpuModel, CpuParts, MeasuredUse};
use crate::units::{counted, show_bytes};

/// How much CPU time differs at least, as a share. `scripts/cost-check` on a machine that does
/// little else: single runs −18 … +15 % by a short run, −13 … +9 % by a calibration.
const QUIET: f64 = 0.2;

/// Waiting for a core as a share of the run, from which other processes disturb a measurement.
const DISTURBED_FROM: f64 = 0.05;

/// How much CPU time differs at least if that is so. `scripts/cost-check` beside compilers: single
/// runs −24 … +29 % by a short run, −18 … +49 % by a calibration.
const DISTURBED: f64 = 0.35;

/// CPU time of a run, seconds: as expected, and its range; `users`: how many times the users of the
/// measured runs, `spread`: the possible error of the number of calls, as a share.
pub(super) fn cpu_with_range(
    model: &CpuModel,
    (load, users, spread): (&CallProfile, f64, f64),
) -> (f64, (f64, f64)) {
    let (cpu_s, low, high) = model.cpu_s(load, users);
    let floor = if waited(model) >= DISTURBED_FROM { DISTURBED } else { QUIET };
    let range = (low.min(cpu_s * (1.0 - floor)), high.max(cpu_s * (1.0 + floor)));
    (cpu_s, (range.0 * (1.0 - spread), range.1 * (1.0 + spread)))
}

/// How long threads waited for a core, as a share of the measured runs.
fn waited(model: &CpuModel) -> f64 {
    model.points.iter().map(|point| point.waited).fold(0.0, f64::max)
}

/// What was measured of CPU time and memory.
pub(super) fn measured_lines(model: &CpuModel, measured: &MeasuredUse) -> Vec<String> {
    let mut lines: Vec<String> = model.points.iter().map(measured_line).collect();
    let memory = show_bytes(measured.memory.max(0.0) as u64);
    lines.push(format!("memory {memory}: {}", measured.source));
    if waited(model) >= DISTURBED_FROM {
        lines.push(format!(
            "other processes used the cores as well: threads waited for one {:.0} % of the time; \
             measure again when the machine does nothing else",
            waited(model) * 100.0
        ));
    }
    lines
}

/// What was measured of CPU time at a rate.
fn measured_line(point: &CpuParts) -> String {
    let us = |seconds: f64| format!("{:.1}", seconds * 1e6);
    let digits = usize::from(point.rate < 10.0);
    let (low, high) = (us(point.call_range_s.0), us(point.call_range_s.1));
    let of = if point.rounds > 1 { "rounds" } else { "intervals" };
    let spread = if low == high { String::new() } else { format!(" ({of} {low} to {high})") };
    format!(
        "CPU time {} µs per call at {:.digits$} calls per second{spread}, {:.1} ms per second, \
         {:.0} ms before the load, at its start and its end",
        us(point.call_s),
        point.rate,
        point.second_s * 1e3,
        (point.before_s + point.edges_s) * 1e3
    )
}

/// How far the figures may be off.
pub(super) fn uncertainty(
    measured: &MeasuredUse,
    model: &CpuModel,
    (cpu_s, range): (f64, (f64, f64)),
) -> String {
    if cpu_s <= 0.0 {
        return "uncertainty: memory ± 25 %, network as far as the response size is right"
            .to_owned();
    }
    let (below, above) = (1.0 - range.0 / cpu_s, range.1 / cpu_s - 1.0);
    let rounds: usize = model.points.iter().map(|point| point.rounds).sum();
    let cpu = format!("uncertainty: CPU −{:.0} … +{:.0} %", below * 100.0, above * 100.0);
    if measured.is_alike {
        return format!(
            "{cpu} for the same calls at a similar rate on this machine, with as much other load; \
             memory ± 15 %, network ± 10 %"
        );
    }
    format!(
        "{cpu} for calls of this kind, by {}; steps with templates, checks, captures or large \
         bodies use more, which --like RUN, a measured run of this plan, has; memory ± 25 %, \
         network as far as the response size is right",
        counted(rounds as u64, "round")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The range of a run of 100 calls of 10 ms, as shares of its CPU time.
    fn range(waited: f64, call_range_s: (f64, f64)) -> (f64, f64) {
        let point =
            CpuParts { rate: 10.0, call_s: 0.01, call_range_s, waited, ..CpuParts::default() };
        let load = CallProfile { column_s: 1.0, calls: vec![10.0; 10] };
        let model = CpuModel::new(vec![point]);
        let (cpu_s, (low, high)) = cpu_with_range(&model, (&load, 1.0, 0.0));
        assert!((cpu_s - 1.0).abs() < 1e-9, "{cpu_s}");
        (low, high)
    }

    #[test]
    fn range_has_all_rounds_and_is_wider_if_others_disturbed_them() {
        let near = |a: (f64, f64), b: (f64, f64)| {
            assert!((a.0 - b.0).abs() < 1e-9 && (a.1 - b.1).abs() < 1e-9, "{a:?}, expected {b:?}");
        };
        near(range(0.01, (0.0099, 0.0102)), (0.8, 1.2));
        near(range(0.01, (0.007, 0.0102)), (0.7, 1.2));
        near(range(0.06, (0.0099, 0.0102)), (0.65, 1.35));
        near(range(0.06, (0.005, 0.02)), (0.5, 2.0));
    }

    #[test]
    fn range_has_the_possible_error_of_the_number_of_calls() {
        let load = CallProfile { column_s: 1.0, calls: vec![10.0; 10] };
        let point = CpuParts { rate: 10.0, call_s: 0.01, ..CpuParts::default() };
        let point = CpuParts { call_range_s: (0.01, 0.01), ..point };
        let model = CpuModel::new(vec![point]);
        let (_, (low, high)) = cpu_with_range(&model, (&load, 1.0, 0.1));
        assert!((low - 0.72).abs() < 1e-9 && (high - 1.32).abs() < 1e-9, "{low} {high}");
    }

    #[test]
    fn disturbed_measurements_are_named() {
        let lines = |waited| {
            let point = CpuParts { call_s: 0.01, waited, rounds: 5, ..CpuParts::default() };
            measured_lines(&CpuModel::new(vec![point]), &MeasuredUse::default()).join("\n")
        };
        assert!(!lines(0.01).contains("other processes"), "{}", lines(0.01));
        assert!(lines(0.12).contains("waited for one 12 % of the time"), "{}", lines(0.12));
    }
}

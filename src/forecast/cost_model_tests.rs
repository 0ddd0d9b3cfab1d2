//! CPU time by calls, seconds and the start, computed by hand.

use super::*;

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

/// 20 ms before the load, 2 ms of other threads a second, a start of 40 ms, an end of 10 ms, 100 µs
/// per call.
fn measured(seconds: usize, rate: f64) -> MeasuredUse {
    let second = (rate * 100e-6, rate);
    let mut intervals = vec![second; seconds];
    intervals[0].0 += 0.04;
    intervals[seconds - 1].0 += 0.01;
    let (length_s, calls) = (seconds as f64, seconds as f64 * rate);
    let cpu_s = 0.02 + 0.05 + 0.002 * length_s + 100e-6 * calls;
    MeasuredUse { length_s, cpu_s, before_s: 0.02, calls, intervals, ..MeasuredUse::default() }
}

fn even(rate: f64, length_s: f64) -> CallProfile {
    CallProfile { column_s: length_s / 10.0, calls: vec![rate * length_s / 10.0; 10] }
}

#[test]
fn start_and_end_of_a_run_are_not_counted_as_calls() {
    let parts = measured(4, 500.0).parts();
    assert!(near(parts.call_s, 100e-6) && near(parts.edges_s, 0.05), "{parts:?}");
    assert!(near(parts.second_s, 0.002) && near(parts.before_s, 0.02), "{parts:?}");
    assert!(near(parts.rate, 500.0));
    // A run of 600 s: 20 ms + 50 ms + 600 × 2 ms + 300,000 × 100 µs, where 4 s scaled would be 37.
    let (cpu_s, low, high) = CpuModel::new(vec![parts]).cpu_s(&even(500.0, 600.0), 1.0);
    assert!(near(cpu_s, 0.07 + 1.2 + 30.0), "{cpu_s}");
    assert!(near(low, cpu_s) && near(high, cpu_s), "all intervals were alike");
}

#[test]
fn a_run_is_predicted_by_itself() {
    let intervals = vec![(0.09, 100.0), (0.02, 120.0), (0.03, 110.0), (0.001, 3.0)];
    let run = MeasuredUse {
        length_s: 3.0,
        cpu_s: 0.2,
        before_s: 0.03,
        calls: 333.0,
        intervals,
        ..MeasuredUse::default()
    };
    let (cpu_s, low, high) = CpuModel::new(vec![run.parts()]).cpu_s(&even(111.0, 3.0), 1.0);
    assert!(near(cpu_s, 0.2) && low < cpu_s && cpu_s < high, "{low} {cpu_s} {high}");
    // Also one whose first interval is the cheapest, one without intervals, and short ones.
    let cheap = vec![(0.001, 100.0), (0.05, 100.0), (0.05, 133.0)];
    let short = [vec![(0.1, 333.0)], vec![(0.1, 200.0), (0.02, 133.0)]];
    for intervals in [cheap, Vec::new()].into_iter().chain(short) {
        let parts = MeasuredUse { intervals, ..run.clone() }.parts();
        let (cpu_s, ..) = CpuModel::new(vec![parts.clone()]).cpu_s(&even(111.0, 3.0), 1.0);
        assert!(near(cpu_s, 0.2), "{parts:?}");
    }
}

#[test]
fn more_users_have_a_longer_start_and_end() {
    let model = CpuModel::new(vec![measured(4, 500.0).parts()]);
    let (one, ..) = model.cpu_s(&even(500.0, 60.0), 1.0);
    let (three, ..) = model.cpu_s(&even(500.0, 60.0), 3.0);
    assert!(near(three - one, 2.0 * 0.05));
}

#[test]
fn median_of_rounds_ignores_one_that_was_disturbed() {
    let round = |call_s| CpuParts { call_s, rate: 100.0, ..CpuParts::default() };
    let parts = CpuParts::median(&[round(30e-6), round(90e-6), round(32e-6)]).unwrap();
    assert!(near(parts.call_s, 32e-6) && parts.rounds == 3);
    assert!(near(parts.call_range_s.0, 30e-6) && near(parts.call_range_s.1, 90e-6));
    let two = CpuParts::median(&[round(30e-6), round(40e-6)]).unwrap();
    assert!(near(two.call_s, 35e-6));
    assert_eq!(CpuParts::median(&[]), None);
    let (cpu_s, low, high) = CpuModel::new(vec![parts]).cpu_s(&even(100.0, 10.0), 1.0);
    assert!(near(cpu_s, 0.032) && near(low, 0.03) && near(high, 0.09), "{low} {cpu_s} {high}");
}

#[test]
fn sparse_and_dense_calls_have_their_own_cost() {
    // A second with 100 calls of 80 µs uses 8 ms, one with 1,000 of 30 µs uses 30 ms.
    let point = |rate, call_s| CpuParts { rate, call_s, ..CpuParts::default() };
    let model = CpuModel::new(vec![point(1_000.0, 30e-6), point(100.0, 80e-6)]);
    let of = |rate| model.calls_s(rate, |parts| parts.call_s);
    assert!(near(of(100.0), 0.008) && near(of(1_000.0), 0.03));
    // In the middle, 550 calls use 19 ms; above, each uses 30 µs.
    assert!(near(of(550.0), 0.019) && near(of(5_000.0), 0.15), "{}", of(550.0));
    // Below, the line of 22 ms for 900 calls goes on: 5.556 ms without a call.
    assert!(near(of(0.0), 0.008 - 0.022 / 9.0) && near(of(10.0), 0.008 - 0.022 / 10.0));
    let load = CallProfile { column_s: 10.0, calls: vec![1_000.0, 0.0, 10_000.0] };
    let (cpu_s, ..) = model.cpu_s(&load, 1.0);
    assert!(near(cpu_s, 0.08 + 0.08 - 0.22 / 9.0 + 0.3), "{cpu_s}");
    // With one rate, seconds without calls use nothing, but for a rate that hardly has any.
    let one = CpuModel::new(vec![point(100.0, 80e-6)]);
    assert!(near(one.calls_s(50.0, |parts| parts.call_s), 0.004));
    let few = CpuModel::new(vec![point(1.0, 0.009)]);
    assert!(near(few.calls_s(0.1, |parts| parts.call_s), 0.009));
    // A line that falls does not make calls of a low rate free of charge.
    let noisy = CpuModel::new(vec![point(100.0, 10e-6), point(1_000.0, 30e-6)]);
    assert!(near(noisy.calls_s(0.0, |parts| parts.call_s), 0.0));
    assert!(near(noisy.calls_s(50.0, |parts| parts.call_s), 0.0005));
}

#[test]
fn rates_of_a_calibration_are_those_of_the_plan() {
    let near_all = |load: &CallProfile, expected: &[f64]| {
        let rates = load.rates();
        let is_near = rates.iter().zip(expected).all(|(a, b)| near(*a, *b));
        assert!(is_near && rates.len() == expected.len(), "{rates:?}, expected {expected:?}");
    };
    near_all(&even(300.0, 60.0), &[300.0]);
    // Times without load do not count.
    let half = [vec![600.0; 10], vec![0.0; 10]].concat();
    near_all(&CallProfile { column_s: 2.0, calls: half }, &[300.0]);
    // A ramp from nothing to 1,000/s: a tenth of its calls are below 320/s, and above 950/s.
    let ramp: Vec<f64> = (1..=100).map(|at| f64::from(at) * 10.0).collect();
    near_all(&CallProfile { column_s: 1.0, calls: ramp }, &[320.0, 950.0]);
    near_all(&CallProfile { column_s: 1.0, calls: vec![0.0; 5] }, &[]);
}

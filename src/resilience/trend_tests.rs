//! Tests of trends: each kind of load with what is predicted for it.

use super::Trend;
use crate::seed::{Seed, Stream};
use proptest::prelude::*;
use rand::RngExt;

const S: u64 = 1_000_000_000;
const STEP: u64 = S / 4;

/// A trend that has seen `level(t)`, t in s, every quarter of a second of `from..=to` s.
fn seen(from: u64, to: u64, level: impl Fn(f64) -> f64) -> Trend {
    let mut trend = Trend::default();
    for at in (from * S..=to * S).step_by(STEP as usize) {
        trend.add(at, level(at as f64 / 1e9));
    }
    trend
}

/// A load, seen until (s), predicted for (s after): the least and the most.
type Case<'a> = (&'a str, &'a dyn Fn(f64) -> f64, u64, u64, f64, f64);

#[test]
fn known_loads_have_known_predictions() {
    let ramp = |t: f64| 10.0 * t;
    let staircase = |t: f64| 50.0 * (t / 5.0).floor();
    let late_ramp = |t: f64| if t < 100.0 { 100.0 } else { 100.0 + 20.0 * (t - 100.0) };
    let cases: [Case<'_>; 9] = [
        ("a constant stays", &|_| 70.0, 100, 5, 70.0, 70.0),
        ("nothing stays nothing", &|_| 0.0, 100, 5, 0.0, 0.0),
        ("a ramp goes on", &ramp, 60, 5, 649.9, 650.1),
        ("a ramp down goes on", &|t| 1_000.0 - ramp(t), 60, 5, 349.9, 350.1),
        ("a ramp down ends at zero", &|t| (600.0 - ramp(t)).max(0.0), 59, 10, 0.0, 0.0),
        // Just before its next step, to 600: most of the step is there.
        ("a staircase is seen before its step", &staircase, 59, 2, 580.0, 600.0),
        ("a ramp after a constant is seen", &late_ramp, 110, 3, 335.0, 360.0),
        (
            "a peak is no trend",
            &|t| if (29.9..30.1).contains(&t) { 500.0 } else { 50.0 },
            60,
            5,
            50.0,
            50.0,
        ),
        ("growth is at most double", &|t| (t / 6.0).exp2(), 60, 60, 2_048.0, 2_048.0),
    ];
    for (what, load, until, lead, least, most) in cases {
        let predicted = seen(0, until, load).predict((until + lead) * S).unwrap();
        assert!((least..=most).contains(&predicted), "{what}: {predicted} not {least} to {most}");
    }
}

#[test]
fn nothing_is_predicted_without_samples_and_little_from_few() {
    assert_eq!(Trend::default().predict(S), None);
    let mut trend = Trend::default();
    trend.add(0, 10.0);
    trend.add(S, 90.0);
    assert_eq!(trend.predict(3 * S), Some(90.0), "two samples are no trend");
}

/// The line is only as long as the last minute, however long the run.
#[test]
fn old_samples_do_not_count() {
    let load = |t: f64| if t < 900.0 { 10.0 * t } else { 9_000.0 };
    assert_eq!(seen(0, 961, load).predict(965 * S), Some(9_000.0));
}

/// Users of an open load at a constant rate are Poisson distributed: hardly ever is that a trend.
#[test]
fn noise_is_no_trend() {
    let seed = Seed::new(11).unwrap();
    let (mut wrong, runs) = (0, 200);
    for run in 0..runs {
        let mut rng = seed.rng(Stream::User, 0, run);
        let mut trend = Trend::default();
        let mut level = 100.0;
        for at in (0..60 * S).step_by(STEP as usize) {
            // Between samples a tenth of the users is replaced.
            level = 0.9 * level + (0..200).filter(|_| rng.random_bool(0.05)).count() as f64;
            trend.add(at, level);
        }
        let predicted = trend.predict(62 * S).unwrap();
        wrong += u32::from(predicted > 1.2 * level);
    }
    assert!(wrong <= 4, "{wrong} of {runs} at seed {seed:?}");
}

/// On the second day the morning is known before it comes; on the first it is not.
#[test]
fn time_of_day_counts_from_the_second_day_on() {
    // 100 users at night, 1,000 from 8:00 to 20:00, with ramps of 20 minutes.
    let day = |t: f64| {
        let hour = (t / 3_600.0) % 24.0;
        100.0 + 900.0 * ((hour - 8.0) * 3.0).clamp(0.0, 1.0)
            - 900.0 * ((hour - 20.0) * 3.0).clamp(0.0, 1.0)
    };
    let before_the_ramp = |days: u64| {
        let mut trend = Trend::default();
        let until = days * 86_400 + 8 * 3_600;
        for at in 0..=until {
            trend.add(at * S, day(at as f64));
        }
        // In ten minutes the load is in the middle of its ramp, which has not begun.
        trend.predict((until + 600) * S).unwrap()
    };
    let first = before_the_ramp(0);
    assert!((first - 100.0).abs() < 1e-9, "{first}: nothing is known of the first morning");
    let second = before_the_ramp(1);
    assert!((450.0..=550.0).contains(&second), "{second} is not the middle of the ramp");
    // A day that is busier by a half begins its ramp from a higher level: the difference stays.
    let mut trend = Trend::default();
    let until = 86_400 + 12 * 3_600;
    for at in 0..=until {
        let more = if at < 86_400 { 1.0 } else { 1.5 };
        trend.add(at * S, more * day(at as f64));
    }
    let noon = trend.predict((until + 600) * S).unwrap();
    assert!((noon - 1_500.0).abs() < 1.0, "{noon}");
}

proptest! {
    #[test]
    fn predictions_stay_within_bounds(
        levels in prop::collection::vec(0.0f64..1e6, 1..300),
        gap_ms in 10u64..2_000,
        lead_s in 0u64..3_600,
    ) {
        let mut trend = Trend::default();
        for (at, level) in (0u64..).zip(&levels) {
            trend.add(at * gap_ms * 1_000_000, *level);
        }
        let last = (levels.len() as u64 - 1) * gap_ms * 1_000_000;
        let predicted = trend.predict(last + lead_s * S).unwrap();
        let highest = levels.iter().copied().fold(0.0, f64::max);
        prop_assert!(predicted >= 0.0 && predicted <= 2.0 * highest, "{predicted} of {highest}");
    }

    /// Any straight line goes on as it is.
    #[test]
    fn lines_go_on(level in 0.0f64..1e4, slope in 0.1f64..100.0, lead_s in 0u64..10) {
        let trend = seen(0, 60, |t| level + slope * t);
        let predicted = trend.predict((60 + lead_s) * S).unwrap();
        let wanted = level + slope * (60.0 + lead_s as f64);
        prop_assert!((predicted - wanted).abs() < 1e-6 * wanted, "{predicted} not {wanted}");
    }
}

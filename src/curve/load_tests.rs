//! Overridden curves: before the override they return the old values.

use std::time::Duration;

use super::load::{Curve, ONE_START};
use crate::units::Rate;
use proptest::prelude::*;

const S: u64 = 1_000_000_000;
const PER_S: u64 = Rate::UNITS_PER_S;

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

#[test]
fn overridden_curve_has_the_area_of_both_parts() {
    // 10/s for 10 s; half of it from 4 s on, nothing from 6 s, all of it from 9 s: 40 + 10 + 10.
    let plan = Curve::constant(10 * PER_S, secs(10));
    let half = plan.overridden_from(4 * S, &plan.times(500));
    let paused = half.overridden_from(6 * S, &Curve::constant(0, secs(10)));
    let back = paused.overridden_from(9 * S, &plan);
    assert_eq!(back.total(), 60 * ONE_START);
    let levels = [0, 3, 4, 5, 6, 8, 9, 10].map(|s| back.level(s * S) / PER_S);
    assert_eq!(levels, [10, 10, 5, 5, 0, 0, 10, 0]);
    assert_eq!((back.end_ns(), back.peak()), (10 * S, 10 * PER_S));
    assert_eq!(plan.overridden_from(10 * S, &half), plan, "its end is its end");
}

#[test]
fn users_of_overridden_curve_leave_and_enter_at_its_bends() {
    let mut plan = Curve::default();
    plan.ramp(10, secs(10));
    plan.hold(secs(10));
    // Half of it from 7 s on: users 4, 5 and 6 leave, and 4 enters again at its level's time.
    let half = plan.overridden_from(7 * S, &plan.times(500));
    assert_eq!(half.stays(2), [(2 * S, 20 * S)]);
    assert_eq!(half.stays(4), [(4 * S, 7 * S), (8 * S, 20 * S)]);
    assert_eq!((half.stays(6), half.peak()), (vec![(6 * S, 7 * S)], 7));
    assert_eq!(plan.times(1), plan.times(100), "levels are rounded up");
}

proptest! {
    /// Before the override a curve returns the old values, to the ns; at any time its level and its
    /// users are those of the part that is in effect.
    #[test]
    fn what_is_before_a_change_stays_as_it_was(
        stages in prop::collection::vec((0u64..60, 1u64..1_500), 1..5),
        permille in 0u32..3_000,
        share in 0.0f64..1.0,
    ) {
        let mut plan = Curve::default();
        for (level, ms) in &stages {
            plan.ramp(*level, Duration::from_millis(*ms));
        }
        let at = (plan.end_ns() as f64 * share) as u64;
        let onto = plan.times(permille);
        let overridden = plan.overridden_from(at, &onto);
        prop_assert_eq!(overridden.end_ns(), plan.end_ns());
        let rest = onto.total() - onto.integral(at);
        prop_assert_eq!(overridden.total(), plan.integral(at) + rest);
        for t in (0..100).map(|part| plan.end_ns() / 100 * part) {
            let of = if t < at { &plan } else { &onto };
            prop_assert_eq!(overridden.level(t), of.level(t));
        }
        for k in 0..plan.peak().max(onto.peak()) {
            let inside = |curve: &Curve, t| {
                curve.stays(k).iter().any(|(enter, leave)| *enter <= t && t < *leave)
            };
            for t in (0..50).map(|part| plan.end_ns() / 50 * part) {
                let of = if t < at { &plan } else { &onto };
                prop_assert_eq!(inside(&overridden, t), inside(of, t));
            }
        }
        let whole = plan.total();
        for amount in (0..50).map(|part| whole / 50 * part) {
            if let Some(t) = plan.reaches(amount).filter(|t| *t < at) {
                prop_assert_eq!(overridden.reaches(amount), Some(t));
            }
        }
    }
}

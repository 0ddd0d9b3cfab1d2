//! Laws of balancing, under virtual time.

use super::*;
use crate::plan::backends::Backend;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

fn group(weights: &[u32], balance: BalanceMode) -> BackendGroup {
    let member =
        |(at, weight): (usize, &u32)| Backend { service: ServiceId::new(at), weight: *weight };
    BackendGroup::new(&Backends {
        members: weights.iter().enumerate().map(member).collect(),
        balance,
        ejection: Some(EjectionPolicy { failures: 3, base: Duration::from_secs(10), most: 0.5 }),
        slow_start: Duration::ZERO,
        prefixes: Vec::new(),
    })
}

fn counts(group: &BackendGroup, calls: u64, now_ns: u64) -> Vec<u64> {
    let mut counts = vec![0; group.size()];
    for call in 0..calls {
        let random = mixed([call, 7]);
        counts[group.choose((now_ns, call, random), None, &mut Vec::new())] += 1;
    }
    counts
}

#[test]
fn round_robin_mixes_evenly_and_exactly_by_weight() {
    let turns = group(&[5, 1, 1], BalanceMode::RoundRobin);
    let order: Vec<usize> =
        (0..7).map(|_| turns.choose((0, 0, 0), None, &mut Vec::new())).collect();
    assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
    assert_eq!(counts(&turns, 7_000, 0), [5_000, 1_000, 1_000]);
    assert_eq!(counts(&group(&[1, 0, 1], BalanceMode::RoundRobin), 1_000, 0), [500, 0, 500]);
}

#[test]
fn a_share_of_users_or_calls_follows_the_weights() {
    for balance in [BalanceMode::Random, BalanceMode::Sticky] {
        let found = counts(&group(&[1, 2, 1, 0], balance.clone()), 40_000, 0);
        for (count, expected) in found.iter().zip([10_000.0, 20_000.0, 10_000.0, 0.0]) {
            // Five standard deviations of a binomial count.
            let bound = 5.0 * (expected * 0.75_f64).sqrt();
            assert!((*count as f64 - expected).abs() <= bound, "{balance:?} {found:?}");
        }
    }
}

#[test]
fn a_change_of_one_weight_moves_users_only_to_or_from_it() {
    let sticky = group(&[1, 1, 1], BalanceMode::Sticky);
    let places = |group: &BackendGroup| -> Vec<usize> {
        (0..3_000).map(|user| group.choose((0, user, 0), None, &mut Vec::new())).collect()
    };
    let mut before = places(&sticky);
    for weight in [1_500, 2_000, 8_000, 100_000] {
        sticky.set_weight(2, weight);
        let after = places(&sticky);
        for (was, is) in before.iter().zip(&after) {
            assert!(was == is || *is == 2, "a user moved from {was} to {is}");
        }
        assert_ne!(before, after);
        before = after;
    }
    sticky.set_weight(2, 0);
    assert!(places(&sticky).iter().zip(&before).all(|(is, was)| is == was || *was == 2));
}

#[test]
fn least_connections_fills_the_backend_with_the_fewest_calls_for_its_weight() {
    let least = group(&[1, 3], BalanceMode::LeastConnections);
    for call in 0..40 {
        let at = least.choose((0, 0, mixed([call])), None, &mut Vec::new());
        least.begin(at);
    }
    assert_eq!((least.in_flight(0), least.in_flight(1)), (10, 30));
    (0..10).for_each(|_| least.end(0));
    assert_eq!(least.choose((0, 0, 1), None, &mut Vec::new()), 0);
    least.end(0);
    assert_eq!(least.in_flight(0), 0);
}

#[test]
fn a_backend_that_is_out_gets_nothing_and_its_calls_go_evenly_to_the_others() {
    let turns = group(&[1, 1, 1, 1], BalanceMode::RoundRobin);
    turns.set_healthy(1, false, 0);
    assert_eq!(counts(&turns, 900, 0), [300, 0, 300, 300]);
    turns.set_healthy(1, true, SECOND);
    let found = counts(&turns, 400, SECOND);
    assert!(found.iter().all(|count| (99..=101).contains(count)), "{found:?}");
    // All are out: all are used.
    (0..4).for_each(|at| turns.set_healthy(at, false, SECOND));
    assert_eq!(counts(&turns, 400, SECOND), [100; 4]);
}

#[test]
fn an_attempt_avoids_the_backend_before_if_there_is_another() {
    for balance in [BalanceMode::RoundRobin, BalanceMode::Random, BalanceMode::Sticky] {
        let pair = group(&[1, 1], balance.clone());
        for user in 0..100 {
            assert_eq!(pair.choose((0, user, mixed([user])), Some(0), &mut Vec::new()), 1);
        }
        assert_eq!(group(&[1], balance).choose((0, 5, 5), Some(0), &mut Vec::new()), 0);
    }
}

#[test]
fn failures_in_a_row_eject_for_longer_and_longer_but_never_more_than_the_share() {
    let turns = group(&[1, 1, 1], BalanceMode::RoundRobin);
    let fail = |at, now| turns.observe(at, now, true);
    assert_eq!((fail(0, 0), fail(0, 0)), (None, None));
    assert_eq!(turns.observe(0, 0, false), None, "a success ends the row");
    assert_eq!((fail(0, 1), fail(0, 1)), (None, None));
    let ejected = |for_ns| Some(EjectionChange::Ejected { for_ns, failures: 3 });
    assert_eq!(fail(0, 1), ejected(10 * SECOND));
    assert_eq!(counts(&turns, 100, 2)[0], 0);
    // Half of three is one.
    for _ in 0..10 {
        assert_eq!(fail(1, 2), None);
    }
    turns.observe(1, 2, false);
    assert_eq!(turns.take_return(0, 9 * SECOND), None);
    let back = 10 * SECOND + 1;
    assert!(turns.is_in(0, back) && !turns.is_in(0, back - 1));
    assert_eq!(turns.take_return(0, back), Some(EjectionChange::Returned));
    assert_eq!(turns.take_return(0, back), None);
    assert_eq!((fail(0, back), fail(0, back)), (None, None));
    assert_eq!(fail(0, back), ejected(20 * SECOND));
    turns.observe(0, back + 20 * SECOND, false);
    let later = back + 21 * SECOND;
    assert_eq!((fail(0, later), fail(0, later)), (None, None));
    assert_eq!(fail(0, later), ejected(10 * SECOND), "a success ended it");
}

#[test]
fn a_slow_start_raises_the_part_of_a_backend_step_by_step() {
    let mut turns = group(&[1, 1], BalanceMode::RoundRobin);
    turns.slow_start_ns = 10 * SECOND;
    turns.set_healthy(0, false, 0);
    turns.set_healthy(0, true, 100 * SECOND);
    let mut before = 0;
    for (second, low, high) in [(0, 80, 100), (1, 80, 100), (5, 320, 345), (10, 499, 501)] {
        let found = counts(&turns, 1_000, (100 + second) * SECOND)[0];
        assert!((low..=high).contains(&found) && found >= before, "{second} s: {found}");
        before = found;
    }
}

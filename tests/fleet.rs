//! The protocol of a fleet under a seeded simulator: machines with clocks of their own, a network
//! that delays, drops, repeats and reorders, a bus that is away or forgets, processes that die,
//! pause and come back.
//!
//! A seed that fails prints itself; `MANADA_FLEET_SEED=4711 cargo test --test fleet` repeats it
//! alone with its history, `MANADA_FLEET_SEEDS=10000` runs as many.

#![expect(clippy::print_stdout, reason = "the history of a seed that is repeated")]

#[path = "fleet/chance.rs"]
mod chance;
#[path = "fleet/check.rs"]
mod check;
#[path = "fleet/drive.rs"]
mod drive;
#[path = "fleet/faults.rs"]
mod faults;
#[path = "fleet/model_bus.rs"]
mod model_bus;
#[path = "fleet/network.rs"]
mod network;
#[path = "fleet/process.rs"]
mod process;
#[path = "fleet/strike.rs"]
mod strike;
#[path = "fleet/world.rs"]
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use check::{Coverage, Finding};
use faults::{Broken, Faults};
use world::World;

/// Seeds of a usual run.
const SEEDS: u64 = 3_000;

/// Seeds on which a broken rule has to be noticed.
const BROKEN_SEEDS: u64 = 1_500;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Runs seeds on two threads until one fails; returns the first finding and what was met.
fn run(seeds: u64, faults: impl Fn(u64) -> Faults + Sync) -> (Option<(u64, Finding)>, Coverage) {
    let next = AtomicU64::new(0);
    let work = || {
        let mut coverage = Coverage::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return (None, coverage);
            }
            match World::new(seed, faults(seed), false).run() {
                Ok(met) => coverage.add(&met),
                Err(finding) => {
                    next.store(seeds, Ordering::Relaxed);
                    return (Some((seed, finding)), coverage);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        let (mut found, mut coverage) = (None, Coverage::default());
        for thread in threads {
            let (finding, met) = thread.join().expect("a thread of the simulator panicked");
            found = found.or(finding);
            coverage.add(&met);
        }
        (found, coverage)
    })
}

#[test]
fn invariants_hold_under_faults() {
    if let Some(seed) = number("MANADA_FLEET_SEED") {
        let result = World::new(seed, Faults::drawn(seed), true).run();
        assert!(result.is_ok(), "seed {seed}: {}", result.err().unwrap());
        return;
    }
    let seeds = number("MANADA_FLEET_SEEDS").unwrap_or(SEEDS);
    let (found, coverage) = run(seeds, Faults::drawn);
    if let Some((seed, finding)) = found {
        panic!("{finding}\nrepeat: MANADA_FLEET_SEED={seed} cargo test --test fleet");
    }
    println!("{seeds} seeds: {coverage:?}");
    assert_eq!(coverage.never(seeds), Vec::<&str>::new(), "not met in {seeds} seeds: {coverage:?}");
}

#[test]
fn without_faults_all_is_sent_in_time_and_counted() {
    let (found, coverage) = run(150, |_| Faults { has_usual_times: true, ..Faults::none() });
    assert!(found.is_none(), "{found:?}");
    let complete = (coverage.results, coverage.lossless, coverage.agents_abandoned);
    assert_eq!(complete, (150, 150, 0));
}

/// A bus that forgets or is away for 1.5 s, a pause of 2 s, a coordinator that dies and resumes.
#[test]
fn harmless_faults_lose_nothing() {
    let seeds = 600;
    let lossless = |seed: u64| {
        let met = World::new(seed, Faults::harmless(seed), false).run();
        let met = met.unwrap_or_else(|finding| panic!("seed {seed}: {finding}"));
        met.results > 0 && met.lossless == met.results && met.accounts_corrected == 0
    };
    let not: Vec<u64> = (0..seeds).filter(|seed| !lossless(*seed)).collect();
    assert_eq!(not, Vec::<u64>::new(), "seeds with a loss");
}

/// Without a rule, some invariant fails: the simulator would notice.
#[track_caller]
fn is_noticed(broken: Broken, draw: fn(u64) -> Faults, expected: &[&str]) {
    let (found, _) = run(BROKEN_SEEDS, |seed| Faults { broken, ..draw(seed) });
    let (seed, finding) = found.unwrap_or_else(|| panic!("{broken:?} is not noticed"));
    println!("{broken:?}: seed {seed}: {finding}");
    assert!(expected.contains(&finding.invariant), "{broken:?}: {finding}");
}

#[test]
fn agents_that_ignore_the_lease_are_noticed() {
    is_noticed(Broken::LeaseIgnored, Faults::drawn, &["lease", "once", "granted"]);
}

#[test]
fn changes_of_slots_that_ignore_horizons_are_noticed() {
    is_noticed(Broken::HorizonsIgnored, Faults::storm, &["once"]);
}

#[test]
fn writes_without_conditions_are_noticed() {
    is_noticed(
        Broken::ConditionsIgnored,
        Faults::drawn,
        &["fenced", "once", "counted", "double entry"],
    );
}

#[test]
fn frames_that_the_bus_numbers_itself_are_noticed() {
    is_noticed(Broken::AppendsRepeat, Faults::drawn, &["double entry", "counted"]);
}

#[test]
fn coalescing_that_loses_is_noticed() {
    is_noticed(Broken::CoalescingLoses, Faults::drawn, &["double entry", "counted"]);
}

#[test]
fn heartbeats_in_any_order_are_noticed() {
    is_noticed(Broken::HeartbeatsInAnyOrder, Faults::storm, &["once"]);
}

//! The rules of a schedule in worlds: overlaps, downtime, clocks that jump, machines that die.

use std::path::PathBuf;
use std::time::Duration;

use rand::RngExt;

use super::world::{LEASE, ModelScheduler, ScheduleWorld, SlotEvent};
use crate::timetable::{
    Calendar, CatchUp, JobRetries, OverlapPolicy, ScheduleZone, ScheduledJob, TimeSlot,
};

/// A job that is due each so many seconds.
fn job(every: u64, overlap: OverlapPolicy, catch_up: CatchUp) -> ScheduledJob {
    let seconds = format!("@every {every}s");
    ScheduledJob {
        name: "world".to_owned(),
        scenario: PathBuf::new(),
        args: Vec::new(),
        calendar: Calendar::cron(&seconds, &ScheduleZone::utc(), 0).unwrap(),
        jitter: Duration::ZERO,
        overlap,
        timeout: None,
        grace: Duration::from_secs(1),
        retries: JobRetries::default(),
        before: None,
        after: None,
        catch_up,
    }
}

fn world(
    every: u64,
    overlap: OverlapPolicy,
    catch_up: CatchUp,
    schedulers: usize,
) -> ScheduleWorld {
    ScheduleWorld::new(job(every, overlap, catch_up), schedulers, 1)
}

/// Numbers of slots after the first one.
fn numbers(slots: &[TimeSlot], every: u64) -> Vec<u64> {
    slots.iter().map(|slot| (slot.0 - 1_800_000_000) / every).collect()
}

#[test]
fn each_slot_starts_once_on_some_machine() {
    for schedulers in [1, 2, 5] {
        let mut world = world(5, OverlapPolicy::Skip, CatchUp::None, schedulers);
        world.pass(60_100);
        world.check();
        assert_eq!(numbers(&world.started(), 5), (1..=12).collect::<Vec<_>>());
    }
}

#[test]
fn jitter_delays_each_slot_and_loses_none() {
    let mut spread = job(5, OverlapPolicy::Skip, CatchUp::None);
    spread.jitter = Duration::from_secs(3);
    let mut world = ScheduleWorld::new(spread, 3, 1);
    world.pass(64_000);
    world.check();
    assert_eq!(numbers(&world.started(), 5), (1..=12).collect::<Vec<_>>());
}

#[test]
fn overlap_policies_skip_queue_or_replace() {
    for schedulers in [1, 3] {
        // Runs take 2.6 slots.
        let lived = |overlap| {
            let mut world = world(5, overlap, CatchUp::None, schedulers);
            world.run_ms = (13_000, 13_000);
            world.pass(60_600);
            world.check();
            let skipped = world.of(|event| *event == SlotEvent::Skipped);
            (numbers(&world.started(), 5), numbers(&skipped, 5))
        };
        let (started, skipped) = lived(OverlapPolicy::Skip);
        assert_eq!(started, [1, 4, 7, 10]);
        assert_eq!(skipped, [2, 3, 5, 6, 8, 9, 11, 12]);
        // One slot waits: the run of slot 1 ends at 18 s, then 2 starts; 3 was refused.
        let (started, skipped) = lived(OverlapPolicy::Queue);
        assert_eq!(started[..3], [1, 2, 4], "{started:?}");
        assert!(skipped.contains(&3) && !skipped.contains(&2), "{skipped:?}");
        let (started, skipped) = lived(OverlapPolicy::Replace);
        assert_eq!(started, (1..=12).collect::<Vec<_>>());
        assert!(skipped.is_empty());
    }
}

#[test]
fn downtime_is_caught_up_as_the_job_says() {
    for (catch_up, expected) in [
        (CatchUp::None, vec![1, 2, 15, 16]),
        (CatchUp::Last, vec![1, 2, 14, 15, 16]),
        (CatchUp::All, (1..=16).collect()),
    ] {
        let mut world = world(10, OverlapPolicy::Skip, catch_up, 2);
        world.pass(25_000);
        world.kill(0);
        world.kill(1);
        // Back in the middle between two slots.
        world.pass(121_000);
        world.restart(0);
        world.restart(1);
        world.pass(20_000);
        world.check();
        let mut started = numbers(&world.started(), 10);
        // TimeSlot 14 was due 6 s before: it is not late enough to be missed.
        if catch_up == CatchUp::None {
            assert!(started.contains(&14));
            started.retain(|slot| *slot != 14);
        }
        assert_eq!(started, expected, "{catch_up:?}");
    }
}

#[test]
fn catch_up_of_years_is_bounded() {
    for (catch_up, most) in [(CatchUp::None, 20), (CatchUp::Last, 20), (CatchUp::All, 140)] {
        let mut world = world(1, OverlapPolicy::Skip, catch_up, 1);
        world.run_ms = (100, 100);
        world.pass(3_000);
        world.kill(0);
        world.now += 3 * 365 * 86_400_000;
        world.restart(0);
        world.pass(5_000);
        let started = world.started().len();
        assert!(started <= most, "{catch_up:?}: {started}");
        let missed = world.of(|event| matches!(event, SlotEvent::Missed(10_000)));
        assert_eq!(missed.len(), 1, "{catch_up:?}");
        world.pass(60_000);
        world.check();
        let last = world.started().last().unwrap().0;
        assert!(last * 1_000 + 3_000 > world.now, "it has caught up");
    }
}

#[test]
fn clock_that_jumps_forward_catches_up_and_back_repeats_nothing() {
    let mut world = world(10, OverlapPolicy::Skip, CatchUp::Last, 1);
    world.pass(25_000);
    // The wall clock of all: the store's clock is the same.
    world.now += 3_600_000;
    world.pass(20_000);
    let before = numbers(&world.started(), 10);
    assert_eq!(before[..2], [1, 2]);
    assert!(before[2] >= 361, "the last missed slot: {before:?}");
    world.now -= 1_800_000;
    world.pass(600_000);
    world.check();
    assert_eq!(numbers(&world.started(), 10), before, "all these slots have been");
    world.pass(1_300_000);
    world.check();
    let after = numbers(&world.started(), 10);
    assert_eq!(after[before.len()], before.last().unwrap() + 1, "then it goes on");
}

#[test]
fn machine_whose_clock_is_ahead_starts_nothing_early() {
    let mut world = world(10, OverlapPolicy::Skip, CatchUp::None, 2);
    world.schedulers[0].skew = 7_000;
    world.schedulers[1].skew = -2_000;
    world.pass(100_100);
    world.check();
    // By a clock that is behind, the slot of the begin itself is still to come.
    assert_eq!(numbers(&world.started(), 10), (0..=10).collect::<Vec<_>>());
}

#[test]
fn killed_holder_is_followed_within_its_lease_and_its_slot_does_not_run_again() {
    for overlap in [OverlapPolicy::Skip, OverlapPolicy::Queue, OverlapPolicy::Replace] {
        let mut world = world(5, overlap, CatchUp::None, 2);
        world.run_ms = (4_000, 4_000);
        world.pass(11_000);
        let holder = usize::from(!world.schedulers[0].is_running());
        assert!(world.schedulers[holder].is_running());
        world.kill(holder);
        world.pass(30_000);
        world.check();
        assert_eq!(numbers(&world.of(|event| *event == SlotEvent::Lost), 5), [2], "{overlap:?}");
        let started = numbers(&world.started(), 5);
        assert_eq!(started[..3], [1, 2, 3], "{overlap:?}: {started:?}");
        let third = world.store.borrow().events.iter().find_map(|(slot, event)| match event {
            SlotEvent::Started { at, .. } if slot.0 % 1_800_000_000 == 15 => Some(*at),
            _ => None,
        });
        let third = third.unwrap() - 1_800_000_000_000;
        assert!(third <= 11_000 + LEASE + 1_000, "{third}");
    }
}

#[test]
fn paused_holder_can_write_nothing_after_another_took_over() {
    let mut world = world(5, OverlapPolicy::Skip, CatchUp::None, 2);
    world.run_ms = (4_000, 4_000);
    world.pass(11_000);
    let holder = usize::from(!world.schedulers[0].is_running());
    world.schedulers[holder].is_paused = true;
    world.pass(20_000);
    world.schedulers[holder].is_paused = false;
    world.pass(30_000);
    world.check();
    assert_eq!(numbers(&world.of(|event| *event == SlotEvent::Lost), 5), [2]);
    assert_eq!(numbers(&world.of(|event| *event == SlotEvent::Refused), 5), [2]);
    let ended = numbers(&world.of(|event| matches!(event, SlotEvent::Ended { .. })), 5);
    assert!(!ended.contains(&2), "{ended:?}");
}

#[test]
fn store_that_is_down_starts_nothing_and_ends_runs_in_time() {
    for catch_up in [CatchUp::None, CatchUp::Last] {
        let mut world = world(5, OverlapPolicy::Skip, catch_up, 2);
        world.run_ms = (60_000, 60_000);
        world.pass(6_000);
        assert!(world.schedulers.iter().any(ModelScheduler::is_running));
        world.store.borrow_mut().is_down = true;
        world.pass(LEASE);
        assert!(!world.schedulers.iter().any(ModelScheduler::is_running), "the lease has ended");
        world.pass(120_000);
        assert_eq!(world.started().len(), 1);
        world.store.borrow_mut().is_down = false;
        world.run_ms = (500, 500);
        world.pass(21_000);
        world.check();
        let after = world.started().len();
        // Slots of the outage: none, or the last one; then those that are due.
        assert!((5..=7).contains(&after), "{catch_up:?}: {after}");
    }
}

/// Machines are killed, paused and started at random, their clocks jump, the store goes down: no
/// slot starts twice, and at most one run goes on.
#[test]
fn nothing_starts_twice_whatever_happens() {
    for seed in 0..150 {
        let overlaps = [OverlapPolicy::Skip, OverlapPolicy::Queue, OverlapPolicy::Replace];
        let policies = [CatchUp::None, CatchUp::Last, CatchUp::All];
        let overlap = overlaps[seed as usize % 3];
        let mut job = job(4, overlap, policies[seed as usize / 3 % 3]);
        job.jitter = Duration::from_millis(seed % 5 * 700);
        let mut world = ScheduleWorld::new(job, 3, seed);
        world.run_ms = (200, 9_000);
        for _ in 0..60 {
            let at = world.rng.random_range(0..3);
            match world.rng.random_range(0..9) {
                0 => world.kill(at),
                1 | 2 => world.restart(at),
                3 => world.schedulers[at].is_paused = true,
                4 | 5 => world.schedulers[at].is_paused = false,
                6 => world.schedulers[at].skew = world.rng.random_range(-40_000..40_000),
                7 => world.store.borrow_mut().is_down = true,
                _ => world.store.borrow_mut().is_down = false,
            }
            let ms = world.rng.random_range(200..8_000);
            world.pass(ms);
            world.check();
        }
        world.store.borrow_mut().is_down = false;
        for at in 0..3 {
            world.restart(at);
            (world.schedulers[at].is_paused, world.schedulers[at].skew) = (false, 0);
        }
        let before = world.started().len();
        world.pass(120_000);
        world.check();
        assert!(world.started().len() > before + 5, "seed {seed}: it goes on");
    }
}

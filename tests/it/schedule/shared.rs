//! Several schedulers with one Redis: who runs a slot, and what becomes of those who die.

use std::collections::BTreeSet;
use std::net::TcpListener;

use super::*;
use crate::instances::Redis;

/// A schedule with a lock, and this job.
fn locked(redis: &str, job: &str) -> Schedule {
    Schedule::new(&format!(
        "schedule: shared\nlock: {{ url: 'redis://{redis}/0', lease: 3s }}\njobs:\n  {job}\n"
    ))
}

/// Slots of entries that started something: the first attempts.
fn started(history: &[Value]) -> Vec<u64> {
    let is_start = |entry: &&Value| outcome(entry) != "skipped" && entry["attempt"] == 1;
    history.iter().filter(is_start).map(|entry| entry["slot"].as_u64().unwrap()).collect()
}

#[track_caller]
fn assert_unique(history: &[Value]) {
    let slots = started(history);
    let unique: BTreeSet<u64> = slots.iter().copied().collect();
    assert_eq!(unique.len(), slots.len(), "a slot ran twice: {history:#?}");
}

/// The entry that goes on, if there is one.
fn running(schedule: &Schedule) -> Option<Value> {
    schedule.history().into_iter().rev().find(|entry| outcome(entry) == "running")
}

/// Waits for a run that goes on, on another machine than this one.
fn wait_for_run(schedule: &Schedule, other_than: &str) -> Value {
    let mut found = None;
    wait_until("a run goes on", || {
        found = running(schedule).filter(|entry| entry["machine"] != other_than);
        found.is_some()
    });
    found.unwrap()
}

/// The processes whose parent is this one.
fn children(parent: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap();
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id: &u32| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        status.lines().any(|line| line == format!("PPid:\t{parent}"))
    })
    .collect()
}

/// Whether a process exists and is no zombie.
fn is_alive(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

/// The scheduler that runs an entry, and the others.
fn split(schedulers: [Running; 2], entry: &Value) -> (Running, Running) {
    let machine = entry["machine"].as_str().unwrap();
    let [one, other] = schedulers;
    if machine.ends_with(&format!(":{}", one.pid())) { (one, other) } else { (other, one) }
}

#[test]
fn two_schedulers_run_each_slot_once() {
    let redis = Redis::start();
    let schedule = locked(&redis.address.to_string(), "j: { scenario: short.yaml, every: 1s }");
    let schedulers = [schedule.run(), schedule.run()];
    wait_until("some slots ran", || {
        schedule.outcomes().iter().filter(|one| *one == "passed").count() >= 6
    });
    for scheduler in schedulers {
        end(scheduler);
    }
    let history = schedule.history();
    assert_unique(&history);
    let tokens: Vec<u64> = history
        .iter()
        .filter(|entry| outcome(entry) == "passed")
        .map(|entry| entry["token"].as_u64().unwrap())
        .collect();
    assert!(tokens.is_sorted_by(|one, next| one < next), "{tokens:?}");
    let slots = started(&history);
    assert!(slots.is_sorted(), "{slots:?}");
}

#[test]
fn killed_holder_takes_its_run_along_and_the_next_slot_runs_elsewhere() {
    let redis = Redis::start();
    let schedule = locked(&redis.address.to_string(), "j: { scenario: long.yaml, every: 2s }");
    let schedulers = [schedule.run(), schedule.run()];
    let first = wait_for_run(&schedule, "");
    let (holder, other) = split(schedulers, &first);
    let mut processes = Vec::new();
    wait_until("its run is a process", || {
        processes = children(holder.pid());
        !processes.is_empty()
    });
    holder.signal(Signal::KILL);
    wait_until("its run is gone", || processes.iter().all(|id| !is_alive(*id)));
    let second = wait_for_run(&schedule, first["machine"].as_str().unwrap());
    assert!(second["machine"].as_str().unwrap().ends_with(&format!(":{}", other.pid())));
    assert!(second["slot"].as_u64() > first["slot"].as_u64());
    assert!(second["token"].as_u64() > first["token"].as_u64());
    other.hear("was lost; it does not run again");
    end(other);
    let history = schedule.history();
    assert_unique(&history);
    let lost: Vec<&Value> = history.iter().filter(|entry| outcome(entry) == "lost").collect();
    assert_eq!(lost.len(), 1, "{history:#?}");
    assert_eq!((&lost[0]["slot"], &lost[0]["token"]), (&first["slot"], &first["token"]));
}

#[test]
fn paused_holder_writes_nothing_after_another_took_over() {
    let redis = Redis::start();
    let schedule = locked(
        &redis.address.to_string(),
        "j: { scenario: long.yaml, every: 2s, after: 'echo $MANADA_FENCING_TOKEN >> after.txt' }",
    );
    let schedulers = [schedule.run(), schedule.run()];
    let first = wait_for_run(&schedule, "");
    let (holder, other) = split(schedulers, &first);
    holder.signal(Signal::STOP);
    let second = wait_for_run(&schedule, first["machine"].as_str().unwrap());
    holder.signal(Signal::CONT);
    holder.hear("attempt 1 lease_lost");
    holder.hear("its outcome was refused: the lease is over");
    end(holder);
    // The former holder has not taken the lease of the other: that one still writes.
    end(other);
    let history = schedule.history();
    assert_unique(&history);
    let of = |token: &Value| {
        let entries = history.iter().filter(|entry| entry["token"] == *token);
        entries.map(outcome).filter(|one| *one != "skipped").collect::<Vec<_>>()
    };
    assert_eq!(of(&first["token"]), ["lost"], "{history:#?}");
    assert_eq!(of(&second["token"]), ["stopped"], "{history:#?}");
    let after = fs::read_to_string(schedule.path("after.txt")).unwrap();
    assert!(after.contains(&first["token"].to_string()), "`after` runs all the same: {after}");
}

#[test]
fn redis_that_forgets_ends_the_run_and_slots_go_on() {
    let mut redis = Redis::start();
    let schedule = locked(&redis.address.to_string(), "j: { scenario: long.yaml, every: 2s }");
    let scheduler = schedule.run();
    let first = wait_for_run(&schedule, "");
    redis.restart();
    scheduler.hear("its lease is over");
    scheduler.hear("attempt 1 lease_lost");
    wait_until("a later slot runs", || {
        running(&schedule).is_some_and(|entry| entry["slot"].as_u64() > first["slot"].as_u64())
    });
    let second = running(&schedule).unwrap();
    assert!(second["token"].as_u64() > first["token"].as_u64(), "tokens rise over the restart");
    end(scheduler);
}

#[test]
fn nothing_starts_without_the_lock_until_it_answers() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let schedule = locked(&address.to_string(), "j: { scenario: short.yaml, every: 1s }");
    let scheduler = schedule.run();
    scheduler.hear("no job starts until it answers");
    let history = schedule.command("history", &[]).go();
    assert_eq!(history.code, Some(1), "{history}");
    assert!(history.stderr.contains("cannot be reached"), "{history}");
    assert_eq!(schedule.command("trigger", &["j"]).go().code, Some(1));
    let redis = Redis::start_at(address);
    scheduler.hear("the lock answers again");
    wait_until("slots run", || schedule.outcomes().contains(&"passed".to_owned()));
    let done = end(scheduler);
    let said = done.stderr.matches("no job starts until it answers").count();
    assert!(said <= 2, "it is said once for each outage: {done}");
    assert_unique(&schedule.history());
    drop(redis);
}

#[test]
fn trigger_is_refused_while_another_process_runs_the_job() {
    let redis = Redis::start();
    let schedule = locked(&redis.address.to_string(), "j: { scenario: long.yaml, every: 1h }");
    let trigger = schedule.command("trigger", &["j"]).start();
    let first = wait_for_run(&schedule, "");
    let second = schedule.command("trigger", &["j"]).go();
    assert_eq!(second.code, Some(1), "{second}");
    assert!(second.stderr.contains(first["machine"].as_str().unwrap()), "{second}");
    trigger.signal(Signal::TERM);
    let done = trigger.wait();
    assert_eq!(done.code, Some(143), "{done}");
    assert_eq!(schedule.outcomes(), ["stopped"]);
    assert!(schedule.history()[0]["slot"].is_null());
}

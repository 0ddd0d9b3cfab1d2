//! Live control against plans: what may be asked, of whom, and what comes of it.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::control::{Controller, MAX_OVERRIDES};
use crate::clock::RunOffset;
use crate::event::COMMAND_LEAD_NS;
use crate::event::{
    BreakerSwitch, ControlCommand, ControlError, ControlReply, DeltaSource, Order, ScheduleChange,
    ShardCommand,
};
use crate::ids::{BreakerId, StepId, WorkloadId};
use crate::plan::load_override::OverrideBase;
use crate::plan::policy::{BreakerName, BreakerPolicy};
use crate::plan::safety::Safety;
use crate::plan::{LoadOverride, Plan};
use crate::scenario::{self, ScenarioOverrides};
use crate::units::Rate;

const S: u64 = 1_000_000_000;

/// The time `ns` after the start of the run.
fn after(ns: u64) -> RunOffset {
    RunOffset::from_ns(ns)
}

const SHOP: &str = "
services: { shop: builtin, api: builtin }
archetypes:
  buyer: { flow: [ { get: /, name: home }, { post: /cart, name: cart, service: api } ] }
workloads:
  closed: { archetypes: { buyer: 1 }, users: 10, duration: 60s }
  open: { archetypes: { buyer: 1 }, arrivals: { rate: 100/s, max_users: 50 }, duration: 30s }
  late: { start: 40s, flow: [ { get: /late } ], arrivals: { rate: 10/s }, duration: 20s }
";

fn plan(text: &str) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.yaml");
    std::fs::write(&file, text).unwrap();
    std::fs::write(folder.path().join("rows.csv"), "name\na\nb\nc\n").unwrap();
    scenario::load(&file, &ScenarioOverrides::default()).unwrap_or_else(|e| panic!("{e}")).0
}

/// A source of shards that take no delta, and the commands that they received.
fn source(room: usize) -> (DeltaSource, mpsc::Receiver<ShardCommand>) {
    let (_, deltas) = mpsc::channel(1);
    let (sender, told) = mpsc::channel(room);
    (DeltaSource::new(deltas, None, vec![sender], 1), told)
}

/// What is received at a second, one after the other: the answers.
fn commands(plan: &Plan, commands: &[(u64, &str)]) -> Vec<ControlReply> {
    let (source, _told) = source(64);
    let mut control = Controller::new(plan);
    let one = |(at, words): &(u64, &str)| {
        let command = ControlCommand::parse(words).unwrap();
        control.handle(&command, after(at * S), &source).map(|done| done.answer)
    };
    commands.iter().map(one).collect()
}

#[track_caller]
fn refused(plan: &Plan, words: &str, says: &str) {
    let answer = commands(plan, &[(1, words)]).remove(0);
    assert!(
        answer.as_ref().is_err_and(|why| why.to_string().contains(says)),
        "{words}: {answer:?}"
    );
}

#[test]
fn each_command_changes_what_it_names_and_nothing_twice() {
    let answers = commands(
        &plan(SHOP),
        &[
            (1, "pause open"),
            (2, "toggle"),
            (3, "toggle"),
            (4, "rate open 20/s"),
            (5, "scale open +50%"),
            (6, "rate open 20/s"),
            (35, "scale 2"),
            (36, "rate open 5/s"),
            (37, "plan"),
            (38, "scale closed -100%"),
        ],
    );
    let words = answers.into_iter().map(|answer| answer.unwrap_or_else(|why| why.to_string()));
    let words: Vec<String> = words.collect();
    assert_eq!(
        words,
        [
            "workload open: 100 % → paused",
            "workload closed: 100 % → paused\nworkload late: 100 % → paused",
            "workload closed: paused → 100 %\nworkload open: paused → 100 %\n\
             workload late: paused → 100 %",
            "workload open: 100 % → 20/s",
            "workload open: 20/s → 20/s × 150 %",
            "workload open: 20/s × 150 % → 20/s",
            "workload closed: 100 % → 200 %\nworkload late: 100 % → 200 %",
            "workload `open`: its load has ended",
            "workload closed: 200 % → 100 %\nworkload late: 200 % → 100 %",
            "workload `closed`: 100 % minus 100 % leaves no load; use a smaller step, or `pause`",
        ]
    );
}

#[test]
fn all_shards_are_told_one_moment_that_is_still_to_come() {
    let plan = plan(SHOP);
    let (source, mut told) = source(64);
    let mut control = Controller::new(&plan);
    let done =
        control.handle(&ControlCommand::parse("rate 7/s").unwrap(), after(3 * S), &source).unwrap();
    let base = OverrideBase::Rate(Rate::per_s(7));
    let load = LoadOverride { base, ..LoadOverride::PLANNED };
    let at = after(3 * S + COMMAND_LEAD_NS);
    let change = |workload| ScheduleChange { workload: WorkloadId::new(workload), at, load };
    assert_eq!(told.try_recv(), Ok(ShardCommand::ChangeSchedule(vec![change(1), change(2)])));
    assert!(done.changes.iter().all(|(_, _, from)| *from == at) && done.changes.len() == 2);
    // A clock that was asked a little earlier changes nothing before the change before it.
    control.handle(&ControlCommand::Pause(Some("open".into())), after(3 * S - 1), &source).unwrap();
    let Ok(ShardCommand::ChangeSchedule(changes)) = told.try_recv() else { panic!("told") };
    assert_eq!(changes[0].at, at);
}

#[test]
fn shards_that_have_no_room_are_all_left_as_they_are() {
    let plan = plan(SHOP);
    let (source, _told) = source(1);
    let mut control = Controller::new(&plan);
    control.handle(&ControlCommand::Pause(None), after(S), &source).unwrap();
    for words in ["resume", "mute cart"] {
        let answer = control.handle(&ControlCommand::parse(words).unwrap(), after(2 * S), &source);
        assert!(answer.is_err_and(|why| why == ControlError::Busy), "{words}");
    }
    let now = control.handle(&ControlCommand::Status, after(3 * S), &source).unwrap().answer;
    let now: serde_json::Value = serde_json::from_str(&now).unwrap();
    assert_eq!(now["paused"], true);
    assert_eq!(now["rate"]["asked_per_s"], 0.0);
}

#[test]
fn a_load_is_changed_so_often_and_no_more() {
    let plan = plan(SHOP);
    let (source, mut told) = source(64);
    let mut control = Controller::new(&plan);
    for turn in 0..MAX_OVERRIDES {
        let rate = Rate::per_s(1 + u64::from(turn % 2));
        control
            .handle(&ControlCommand::Rate(Some("open".into()), rate), after(S), &source)
            .unwrap();
        told.try_recv().unwrap();
    }
    let answer = control.handle(&ControlCommand::Pause(Some("open".into())), after(S), &source);
    assert!(answer.is_err_and(|why| why.to_string().contains("1000 load changes")));
}

#[test]
fn nobody_asks_later_for_what_could_not_have_been_asked() {
    let mut limited = plan(SHOP);
    limited.safety = Arc::new(Safety {
        max_rate: Some((Rate::per_s(150), "safety.yaml".to_owned())),
        max_users: Some((10_100, "safety.yaml".to_owned())),
        ..Safety::default()
    });
    // 100/s and 10/s; ten users, and 50 and 10,000 that arrivals may have at once.
    refused(&limited, "scale open 1.5", "160/s: safety.yaml allows 150/s");
    refused(&limited, "users 51", "10101 users: safety.yaml allows 10100");
    let less = [(1, "users 50"), (2, "scale 1.3"), (3, "scale 0.5"), (31, "rate late 150/s")];
    let answers = commands(&limited, &less);
    // The second change is 65 users; once the open load is over, its rate counts no longer.
    let refusals: Vec<bool> = answers.iter().map(Result::is_err).collect();
    assert_eq!(refusals, [false, true, false, false], "{answers:?}");
    refused(&plan(SHOP), "rate open 100000000/s", "expected at most 100000000/s");
}

#[test]
fn a_trial_stays_one() {
    let trial = plan(
        "services: { it: \"http://shop.test-target.com\" }\n\
         workloads: { w: { flow: [ { get: / } ], users: 5, duration: 1m } }\n",
    );
    assert!(trial.safety.is_trial);
    refused(&trial, "users 11", "start the run with `--authorised shop.test-target.com`");
    assert!(commands(&trial, &[(1, "users 10")])[0].is_ok());
}

#[test]
fn rows_that_are_used_once_are_only_those_that_were_dealt() {
    let unique = |load: &str| {
        plan(&format!(
            "services: {{ it: builtin }}\narchetypes:\n  a:\n    data: {{ row: {{ csv: rows.csv, \
             pick: unique }} }}\n    flow: [ {{ get: \"/{{{{ row.name }}}}\" }} ]\n\
             workloads: {{ w: {{ archetypes: {{ a: 1 }}, {load} }} }}\n"
        ))
    };
    refused(&unique("users: 2, duration: 1m"), "users 3", "each row of `row` is used once");
    refused(&unique("arrivals: { rate: 3/m }, duration: 1m"), "scale 200%", "`row`");
    assert!(commands(&unique("users: 2, duration: 1m"), &[(1, "users 1")])[0].is_ok());
    let counted = unique("arrivals: { rate: 3/m }, iterations: 3");
    assert!(commands(&counted, &[(1, "scale 200%")])[0].is_ok());
}

#[test]
fn breakers_are_counted_from_endpoints_to_the_system() {
    let mut plan = plan(SHOP);
    plan.policies.breakers.service =
        Some(BreakerPolicy::in_a_row(5, std::time::Duration::from_secs(1)));
    let names: Vec<String> = BreakerName::all(&plan).into_iter().map(|one| one.name).collect();
    let expect = [
        "endpoint shop: GET /",
        "endpoint api: POST /cart",
        "endpoint shop: GET /late",
        "service shop",
        "service api",
        "system",
    ];
    assert_eq!(names, expect);
    refused(&plan, "breaker endpoint shop: GET / open", "`breakers: { endpoint: {} }`");
    let (source, mut told) = source(8);
    let command = ControlCommand::parse("breaker service api reset").unwrap();
    let done = Controller::new(&plan).handle(&command, after(S), &source).unwrap();
    assert_eq!(done.answer, "service api: reset: follows measured results");
    assert_eq!(
        told.try_recv(),
        Ok(ShardCommand::Order(Order::Breaker(BreakerId::new(4), BreakerSwitch::Reset)))
    );
}

#[test]
fn a_step_is_muted_wherever_it_is() {
    let plan = plan(SHOP);
    let (source, mut told) = source(8);
    let mut control = Controller::new(&plan);
    control.handle(&ControlCommand::parse("mute cart").unwrap(), after(S), &source).unwrap();
    let orders: Vec<ShardCommand> = std::iter::from_fn(|| told.try_recv().ok()).collect();
    let muted = StepId::number(&plan.steps).filter(|(_, series)| series.name == "cart");
    let expect: Vec<ShardCommand> =
        muted.map(|(at, _)| ShardCommand::Order(Order::Mute(at, true))).collect();
    assert_eq!((orders.len(), orders), (2, expect));
    let now = control.handle(&ControlCommand::Status, after(S), &source).unwrap().answer;
    assert!(now.contains("\"muted\":[\"cart\",\"cart\"]"), "{now}");
}

#[test]
fn a_count_that_is_made_is_over() {
    let plan = plan(
        "services: { it: builtin }\n\
         workloads: { w: { flow: [ { get: / } ], users: 2, iterations: 5 } }\n",
    );
    let (source, _told) = source(8);
    let mut control = Controller::new(&plan);
    let mut tally =
        crate::stats::Tally::new(&plan.series_layout(), 1, vec![false; plan.workloads.len()]);
    let mut recorder = crate::stats::Recorder::new(plan.series_layout(), 0, crate::clock::Time(0));
    for (made, over) in [(4, false), (1, true)] {
        for _ in 0..made {
            let (first, zero) = (WorkloadId::default(), RunOffset::ZERO);
            recorder.begin_iteration(first, zero, 0);
            let end = crate::stats::sample::IterationEnd::Completed;
            recorder.end_iteration(first, zero, end, (1, 0), after(1));
        }
        let gauges = crate::stats::Gauges { elapsed_ns: S, ..Default::default() };
        tally.absorb(&recorder.take_interval(gauges, crate::clock::Time(S)));
        control.status.second(&tally.snapshot(None));
        let users = ControlCommand::Users(Some("w".into()), 3 + made);
        let answer = control.handle(&users, after(S), &source);
        assert_eq!(
            answer.is_err_and(|why| why == ControlError::LoadOver { name: "w".to_owned() }),
            over
        );
    }
}

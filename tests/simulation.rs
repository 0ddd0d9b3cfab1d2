//! Worlds: whole runs on a fake target under virtual time, with the theory beside them.
//!
//! Each `tests/sim/*.yaml` is a scenario, a target's law and what must come out of them, as rules
//! of the language itself, for 1, 2 and 5 shards. Nothing waits, so an hour takes a moment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use counts::Count;
use manada::plan::Plan;
use manada::scenario::{self, ScenarioOverrides};
use manada::verdict::{Threshold, judge};
use manada::wire::fake::FakeArrival;
use observers::{TimedCommand, changes};
use run::{Lived, live};
use script::{Script, Window, line};
use serde::Deserialize;

#[path = "simulation/counts.rs"]
mod counts;
#[path = "simulation/forecast.rs"]
mod forecast;
#[path = "simulation/observers.rs"]
mod observers;
#[path = "simulation/run.rs"]
mod run;
#[path = "simulation/script.rs"]
mod script;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct World {
    /// Why the numbers below are the truth.
    #[expect(dead_code, reason = "for the reader")]
    theory: String,
    #[serde(default)]
    target: Script,
    /// The whole generator stops at a time, for a time.
    #[serde(default)]
    freeze: Option<Window>,
    shards: Vec<usize>,
    /// The target sees the same requests whatever the number of shards.
    #[serde(default)]
    same_traffic: bool,
    scenario: String,
    expect: Vec<String>,
    trust: String,
    exit: u8,
    /// Counts of the ledgers, by name: exact, or from, to.
    #[serde(default)]
    counts: BTreeMap<String, Count>,
    /// What changed, in order: how each notice begins, as `topic subject: change`. None: not looked
    /// at.
    #[serde(default)]
    notices: Option<Vec<String>>,
    /// Calls of each series that is named: from, to.
    #[serde(default)]
    steps: BTreeMap<String, [u64; 2]>,
    /// Calls per second of each series that is named, and how many of its calls the drain made.
    #[serde(default)]
    rates: BTreeMap<String, (f64, u64)>,
    /// Durations of each group that is named, all of them: from, to in µs.
    #[serde(default)]
    groups: BTreeMap<String, [u64; 2]>,
    /// How often the target got each request that is named, such as `GET /a`.
    #[serde(default)]
    requests: BTreeMap<String, u64>,
    /// How many different requests the target got that begin so.
    #[serde(default)]
    different: BTreeMap<String, u64>,
    /// What is forecast of it has to come so close to what came.
    #[serde(default)]
    forecast: Option<forecast::Foretold>,
    /// From when on the process holds so many MiB.
    #[serde(default)]
    memory: Vec<(String, u64)>,
    /// Lines that `log` steps said.
    #[serde(default)]
    said: Vec<String>,
    /// Control commands, by their time.
    #[serde(default)]
    steer: Vec<TimedCommand>,
    /// All that was changed, in order: the seconds after the start, whose change, and what.
    #[serde(default)]
    changes: Vec<String>,
    /// What is asked of each workload in seconds that are named: users, or starts per second.
    #[serde(default)]
    asked: BTreeMap<u32, Vec<f64>>,
}

/// Everything that is wrong with a world, in words.
fn wrong(world: &World, plan: &Plan, lived: &Lived) -> Vec<String> {
    let (report, target) = (&lived.report, &lived.target);
    let mut wrong = Vec::new();
    let snapshot = &report.snapshot;
    let rules: Vec<Threshold> =
        world.expect.iter().map(|rule| Threshold::parse(rule).unwrap()).collect();
    for judged in judge::judge(&rules, &report.info.plan.subjects(), snapshot) {
        if !judged.passed {
            wrong.push(format!("{}: {:?}", judged.threshold.rule, judged.observed));
        }
    }
    let trust = report.trust.level.name();
    if trust != world.trust {
        wrong.push(format!("trust {trust}, not {}: {:?}", world.trust, report.trust.reasons));
    }
    if report.status.code() != world.exit {
        wrong.push(format!("exit {}: {:?}", report.status.code(), report.judgements));
    }
    // What the time line shows is what was counted, second by second.
    let points = report.timeline.points();
    let made = points.map(|point| (point.calls.made, point.starts().started));
    let made = made.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    let ended: u64 =
        [&snapshot.measured, &snapshot.warmup].map(|window| window.calls().made).iter().sum();
    let started = snapshot.iterations().started;
    if made != (ended, started) {
        wrong.push(format!("{made:?} on the time line, not {ended} calls, {started} starts"));
    }
    // What cannot be made again from its record was not recorded whole.
    let documents = [report, &lived.again].map(manada::report::json::document);
    if documents[0] != documents[1] || report.timeline != lived.again.timeline {
        wrong.push(format!("another report from its record:\n{:#}", documents[1]));
    }
    wrong.extend(counts::wrong(&world.counts, report));
    wrong.extend(world.notices.iter().filter_map(|said| counts::wrong_notices(said, report)));
    wrong.extend(wrong_flows(world, plan, lived));
    wrong.extend(world.forecast.iter().flat_map(|said| forecast::wrong(said, plan, report)));
    let changed = changes(snapshot);
    if changed != world.changes {
        wrong.push(format!("what was changed: {changed:?}"));
    }
    for (second, asked) in &world.asked {
        let found = report.timeline.gauges.iter().find(|one| one.second == *second);
        if found.map(|one| &one.target) != Some(asked) {
            wrong.push(format!("asked in second {second}: {found:?}"));
        }
    }
    // What holds in any world.
    wrong.extend(snapshot.health.ledger.iter().cloned());
    if snapshot.health.little_error.abs() > 1e-9 {
        wrong.push(format!("Little's law is off by {}", snapshot.health.little_error));
    }
    let answered: u64 = snapshot.statuses.iter().map(|(_, count)| count).sum();
    let (got, sent) = (target.count() - lived.before, snapshot.attempts.sent);
    let got = if plan.teardown.is_some() { answered } else { got };
    if !(answered <= got && got <= sent) {
        wrong.push(format!("answered {answered} ≤ target's {got} ≤ sent {sent} does not hold"));
    }
    wrong
}

/// What is wrong with what users did, in words.
fn wrong_flows(world: &World, plan: &Plan, lived: &Lived) -> Vec<String> {
    let mut wrong = Vec::new();
    let measured = &lived.report.snapshot.measured;
    for (name, [from, to]) in &world.steps {
        let steps = plan.steps.iter().zip(&measured.steps);
        let made: u64 = steps
            .filter(|(series, _)| series.name == *name)
            .filter_map(|(_, step)| step.as_ref().map(|step| step.calls.made))
            .sum();
        if !(from..=to).contains(&&made) {
            wrong.push(format!("step {name}: {made} calls"));
        }
    }
    for (name, wanted) in &world.rates {
        let index = plan.steps.iter().position(|series| series.name == *name).unwrap();
        let drained = measured.steps[index].as_ref().map_or(0, |step| step.in_drain);
        let found = (lived.report.calls_per_s(index).unwrap_or_default(), drained);
        if (found.0 - wanted.0).abs() > 1e-9 || found.1 != wanted.1 {
            wrong.push(format!("rate of {name}, calls in the drain: {found:?}, not {wanted:?}"));
        }
    }
    for (name, [from, to]) in &world.groups {
        let groups = plan.groups.iter().zip(&measured.groups);
        for (_, group) in groups.filter(|(series, _)| series.name == *name) {
            let (least, most) = (group.shortest_us(), group.longest().map(|most| most.us));
            if least.is_none_or(|least| least < *from) || most.is_none_or(|most| most > *to) {
                wrong.push(format!("group {name}: {least:?} to {most:?} µs"));
            }
        }
    }
    let mut requests: BTreeMap<String, u64> = BTreeMap::new();
    lived.target.log().iter().for_each(|request| *requests.entry(line(request)).or_default() += 1);
    for (request, wanted) in &world.requests {
        let got = requests.get(request).copied().unwrap_or_default();
        if got != *wanted {
            wrong.push(format!("{request} came {got} times, not {wanted}"));
        }
    }
    for (begin, wanted) in &world.different {
        let got = requests.keys().filter(|request| request.starts_with(begin)).count() as u64;
        if got != *wanted {
            wrong.push(format!("{got} different {begin}…, not {wanted}"));
        }
    }
    for line in &world.said {
        if !lived.said.contains(line) {
            wrong.push(format!("nobody said `{line}`: {:?}", lived.said));
        }
    }
    wrong
}

fn check(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let world: World = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.yaml");
    std::fs::write(&file, &world.scenario).unwrap();
    let (plan, _) = scenario::load(&file, &ScenarioOverrides::default())
        .unwrap_or_else(|mistakes| panic!("{name}: {}", mistakes.render(false)));
    let plan = Arc::new(plan);
    let mut traffic: Option<Vec<FakeArrival>> = None;
    for &shards in &world.shards {
        let lived = live(&world, &plan, shards);
        let wrong = wrong(&world, &plan, &lived);
        assert!(
            wrong.is_empty(),
            "{name}, {shards} shards, seed {}:\n  {}\n{:#?}",
            plan.seed.value(),
            wrong.join("\n  "),
            counts::counts(&lived.report),
        );
        let mut log = lived.target.log();
        log.sort_unstable();
        if world.same_traffic
            && let Some(before) = traffic.replace(log)
        {
            assert!(!before.is_empty());
            assert!(traffic.as_ref() == Some(&before), "{name}: {shards} shards differ");
        }
    }
}

macro_rules! worlds {
    ($($name:ident),+ $(,)?) => {
        $(#[test] fn $name() {
            let file = concat!("tests/sim/", stringify!($name), ".yaml");
            check(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
        })+

        #[test]
        fn every_world_is_tested() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim");
            let mut files: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into())
                .collect();
            files.sort();
            let mut tested = vec![$(stringify!($name)),+];
            tested.sort_unstable();
            assert_eq!(files, tested);
        }
    };
}

worlds![
    a_breaker_opens_and_closes,
    a_count_ends_a_slow_ramp,
    a_count_is_over_with_its_last_iteration,
    a_count_obeys_who_steers,
    a_dead_target_is_not_hammered_with_connects,
    a_dead_target_stops_the_run,
    a_failed_start_ends_the_user,
    a_fallback_takes_its_place,
    a_flapping_target,
    a_group_without_a_call,
    a_hedge_cuts_the_tail,
    a_hedge_takes_its_turn,
    a_hedged_call_ends_with_its_last,
    a_later_session_lives_as_long,
    a_limit_kept_in_spite_of_lateness_stands,
    a_load_ends_while_users_are_held,
    a_moved_end_holds_for_calls_under_way,
    a_pause_at_the_end_holds_in_a_pace,
    a_paused_pace_is_not_late,
    a_muted_step_is_no_error,
    a_pool_gives_up_waiting,
    a_pool_grows_with_its_waits,
    a_pool_of_one_connection,
    a_retry_storm,
    a_retry_storm_is_damped_by_the_budget,
    a_rule_stops_the_run,
    a_short_outage_stops_nothing,
    a_sine_makes_its_integral,
    a_slow_link_takes_its_time,
    a_slow_target_is_a_reason_too,
    a_slow_target_is_no_pause_of_ours,
    a_target_says_how_long_to_wait,
    a_think_that_is_cut_begins_nothing,
    a_think_that_is_cut_is_not_taken_off,
    an_iteration_without_a_call,
    breakers_at_three_levels,
    choices_loops_and_conditions,
    closed_counts_exactly,
    closed_paced_waits_for_the_target,
    data_ends_the_run,
    dead_target_is_not_hammered,
    degradation_goes_down_and_up,
    errors_and_resets,
    every_window_has_to_hold,
    failed_calls_are_tried_again,
    generator_stopped,
    grace_cuts_thinks_and_calls,
    hang_for_good,
    healing_sees_does_and_tells,
    hedges_do_not_breed_hedges,
    late_closed_users_leave_their_target_alone,
    limits_hold_calls_back,
    limits_of_users_and_endpoints,
    logs_and_endless_loops,
    markov,
    memory_holds_starts_back,
    memory_never_eases,
    memory_runs_short,
    mm1,
    nobody_comes_to_a_rendezvous,
    on_fail_stops_or_aborts,
    own_pauses_are_not_the_targets,
    one_pause_among_few_starts_condemns_nothing,
    once_each_also_who_is_added,
    paced_users_hold_back_and_show_it,
    parallel_ends_with_its_last,
    pause_and_resume_closed,
    pause_and_resume_open,
    poisson_partition,
    rates_leave_the_drain_out,
    rows_are_dealt_once,
    rows_run_out,
    scale_up_and_down_open,
    scale_users_closed,
    set_rate,
    setup_is_everybodys,
    spikes_and_stairs_are_exact,
    stall_infinite_servers,
    stall_single_server,
    steps_do_not_dilute_lateness,
    timeouts_follow_the_target,
    too_few_users,
    two_kinds_share_a_count_of_rows,
    two_workloads_with_offsets,
    unique_rows_are_shared_when_they_do_not_suffice,
    users_are_ready_before_they_are_due,
    users_begin_and_end,
    users_gather,
    users_rise_and_fall,
    users_stay_until_the_load_lets_them_go,
    waits_after_the_last_call,
    warmup_boundary,
    what_was_done_is_not_done_twice,
    who_is_cut_says_goodbye,
    who_is_ready_is_held_too,
    who_must_leave_waits_for_no_line,
    who_waits_at_a_door_holds_no_line,
    young_cut_calls_spoil_no_median,
];

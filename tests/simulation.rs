//! Simulations: whole runs on a fake target under virtual time, with the theory beside them.
//!
//! Each `tests/sim/*.yaml` is a world: a scenario, a scripted target, and the expected results as
//! thresholds of the language, for 1, 2 and 5 shards. Nothing waits in real time, so an hour takes
//! a moment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use counts::Count;
use manada::plan::Plan;
use manada::scenario::{self, ScenarioOverrides};
use manada::verdict::{Threshold, judge};
use manada::wire::fake::FakeArrival;
use observers::{TimedCommand, changes};
use run::{SimulationResults, run_world};
use script::{Script, Window};
use serde::Deserialize;

#[path = "simulation/counts.rs"]
mod counts;
#[path = "simulation/flow.rs"]
mod flow;
#[path = "simulation/forecast.rs"]
mod forecast;
#[path = "simulation/leases.rs"]
mod leases;
#[path = "simulation/observers.rs"]
mod observers;
#[path = "simulation/run.rs"]
mod run;
#[path = "simulation/script.rs"]
mod script;
#[path = "simulation/stores.rs"]
mod stores;
#[path = "simulation/streams.rs"]
mod streams;
#[path = "simulation/workers.rs"]
mod workers;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct World {
    /// Why the numbers below are correct.
    #[expect(dead_code, reason = "for the reader")]
    theory: String,
    #[serde(default)]
    target: Script,
    /// Stops the whole generator at a time, for a time.
    #[serde(default)]
    freeze: Option<Window>,
    shards: Vec<usize>,
    /// Each shard is a process of its own: those that are lost, and what becomes of their load.
    #[serde(default)]
    losses: Vec<workers::Loss>,
    #[serde(default)]
    on_loss: workers::OnLoss,
    /// Shards begin load only under a lease: the times without one.
    #[serde(default)]
    lapses: Vec<leases::Lapse>,
    /// Whether the target gets the same requests for any number of shards.
    #[serde(default)]
    same_traffic: bool,
    scenario: String,
    expect: Vec<String>,
    trust: String,
    /// Checks among the reasons of the trust level.
    #[serde(default)]
    reasons: Vec<String>,
    exit: u8,
    /// The stores of caches, by the label of their layer.
    #[serde(default)]
    stores: BTreeMap<String, stores::StoreScript>,
    /// Ledger counts by name: an exact number, or a range.
    #[serde(default)]
    counts: BTreeMap<String, Count>,
    /// State changes in order: the start of each line, as `kind subject: change`. `None`: not
    /// checked.
    #[serde(default)]
    notices: Option<Vec<String>>,
    /// Range of calls for each named series.
    #[serde(default)]
    steps: BTreeMap<String, [u64; 2]>,
    /// Calls per second for each named series, and its calls in the drain.
    #[serde(default)]
    rates: BTreeMap<String, (f64, u64)>,
    /// Streams that each named step wanted and held, added up over the ends of seconds.
    #[serde(default)]
    streams: BTreeMap<String, [u64; 2]>,
    /// Range of durations for each named group, µs.
    #[serde(default)]
    groups: BTreeMap<String, [u64; 2]>,
    /// The number of requests that the target got, by method and path such as `GET /a`.
    #[serde(default)]
    requests: BTreeMap<String, u64>,
    /// The number of distinct requests that the target got, by prefix.
    #[serde(default)]
    different: BTreeMap<String, u64>,
    /// Prefixes of requests of which the target got none twice.
    #[serde(default)]
    once: Vec<String>,
    /// How close the forecast has to be to the results.
    #[serde(default)]
    forecast: Option<forecast::ExpectedForecast>,
    /// Memory of the process from a time on, MiB.
    #[serde(default)]
    memory: Vec<(String, u64)>,
    /// Expected lines of `log` steps.
    #[serde(default)]
    said: Vec<String>,
    /// Live-control commands with their times.
    #[serde(default)]
    steer: Vec<TimedCommand>,
    /// All load changes in order: seconds after the start, workload, and change.
    #[serde(default)]
    changes: Vec<String>,
    /// Scheduled load of each workload in the given seconds: users, or starts per second.
    #[serde(default)]
    asked: BTreeMap<u32, Vec<f64>>,
}

/// Returns all deviations of a run from its world, as text.
fn deviations(world: &World, plan: &Plan, results: &SimulationResults) -> Vec<String> {
    let (report, target) = (&results.report, &results.target);
    let mut wrong = Vec::new();
    let snapshot = &report.snapshot;
    let rules: Vec<Threshold> =
        world.expect.iter().map(|rule| Threshold::parse(rule).unwrap()).collect();
    for judgement in judge::judge(&rules, &report.info.plan.subjects(), snapshot) {
        if !judgement.passed {
            wrong.push(format!("{}: {:?}", judgement.threshold.rule, judgement.observed));
        }
    }
    let trust = report.trust.level.name();
    if trust != world.trust {
        wrong.push(format!("trust {trust}, not {}: {:?}", world.trust, report.trust.reasons));
    }
    for check in &world.reasons {
        if !report.trust.reasons.iter().any(|reason| reason.check == check) {
            wrong.push(format!("no reason {check}: {:?}", report.trust.reasons));
        }
    }
    if report.status.code() != world.exit {
        wrong.push(format!("exit {}: {:?}", report.status.code(), report.judgements));
    }
    // The timeline has to show exactly the counted totals.
    let points = report.timeline.points();
    let made = points.map(|point| (point.calls.made, point.starts().started));
    let made = made.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    let ended: u64 =
        [&snapshot.measured, &snapshot.warmup].map(|window| window.calls().made).iter().sum();
    let started = snapshot.iterations().started;
    if made != (ended, started) {
        wrong.push(format!("{made:?} on the time line, not {ended} calls, {started} starts"));
    }
    wrong.extend(streams::deviations(&world.streams, plan, snapshot));
    // A replay of the record has to give the same report.
    let documents = [report, &results.replayed].map(manada::report::json::document);
    if documents[0] != documents[1] || report.timeline != results.replayed.timeline {
        wrong.push(format!("another report from its record:\n{:#}", documents[1]));
    }
    wrong.extend(counts::deviations(&world.counts, report));
    wrong.extend(world.notices.iter().filter_map(|said| counts::changed_differently(said, report)));
    wrong.extend(flow::deviations(world, plan, results));
    wrong.extend(world.forecast.iter().flat_map(|said| forecast::deviations(said, plan, report)));
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
    // Invariants of every world.
    wrong.extend(snapshot.health.ledger.iter().cloned());
    if snapshot.health.little_error.abs() > 1e-9 {
        wrong.push(format!("Little's law is off by {}", snapshot.health.little_error));
    }
    let answered: u64 = snapshot.statuses.iter().map(|(_, count)| count).sum();
    let (got, sent) = (target.count() - results.before, snapshot.attempts.sent);
    let got = if plan.teardown.is_some() { answered } else { got };
    // What a lost worker sent after its last delta is not in the report.
    let is_reported = got <= sent || !world.losses.is_empty();
    if !(answered <= got && is_reported) {
        wrong.push(format!("answered {answered} ≤ target's {got} ≤ sent {sent} does not hold"));
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
        let results = run_world(&world, &plan, shards);
        let wrong = deviations(&world, &plan, &results);
        assert!(
            wrong.is_empty(),
            "{name}, {shards} shards, seed {}:\n  {}\n{:#?}",
            plan.seed.value(),
            wrong.join("\n  "),
            counts::counts(&results.report),
        );
        let mut log = results.target.log();
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
    users_share_a_login,
    cached_values_end,
    a_failed_login_is_handed_over,
    a_silent_cache_store_is_left_alone,
    a_lying_cache_store_is_a_miss,
    hits_are_promoted,
    a_failing_backend_is_ejected,
    all_backends_are_down,
    backends_take_turns_by_weight,
    users_stick_to_a_backend,
    brokers_ask_for_a_pause,
    brokers_confirm_in_turn,
    channels_reach_each_listener,
    brokers_fill_the_window,
    brokers_share_a_queue,
    a_breaker_opens_and_closes,
    a_count_ends_a_slow_ramp,
    a_count_is_over_with_its_last_iteration,
    iteration_count_follows_live_control,
    dead_target_gets_few_connects,
    a_dead_target_stops_the_run,
    a_failed_start_ends_the_user,
    a_fallback_takes_its_place,
    a_loading_store_opens_its_breaker,
    a_flapping_target,
    a_group_without_a_call,
    a_hedge_cuts_the_tail,
    a_hedge_takes_its_turn,
    a_hedged_call_ends_with_its_last,
    later_sessions_last_as_long,
    threshold_passed_despite_lateness_counts,
    load_ends_during_a_pause,
    moved_end_applies_to_calls_in_progress,
    a_pause_at_the_end_holds_in_a_pace,
    a_paused_pace_is_not_late,
    a_lease_lapses,
    a_lease_lapses_and_slots_move,
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
    slow_target_is_not_a_generator_pause,
    streams_await_races,
    streams_bring_forged_stamps,
    streams_captured_values_reach_every_step,
    streams_chat,
    streams_close_slowly,
    streams_checks_of_a_listener,
    streams_million_messages,
    streams_read_late,
    streams_duplicates_and_order,
    streams_lose_messages,
    streams_held_by_step,
    streams_inbox_full,
    streams_listeners_come_and_go,
    streams_reconnect_and_resume,
    streams_replay_what_was_missed,
    streams_replies_and_close,
    streams_replies_read_the_message,
    streams_wait_as_the_target_asks,
    retry_after_is_respected,
    cancelled_think_starts_nothing,
    cancelled_think_is_not_subtracted,
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
    failed_calls_are_retried,
    generator_stopped,
    grace_cancels_thinks_and_calls,
    hang_for_good,
    healing_observes_acts_and_reports,
    hedges_do_not_breed_hedges,
    late_closed_users_leave_their_target_alone,
    limits_hold_calls_back,
    limits_of_users_and_endpoints,
    logs_and_endless_loops,
    markov,
    memory_holds_starts_back,
    max_memory_holds_starts_back,
    max_connections_are_shared,
    memory_never_eases,
    memory_runs_short,
    mm1,
    empty_rendezvous,
    on_fail_stops_or_aborts,
    generator_pauses_are_not_the_targets,
    one_pause_among_few_starts_keeps_trust,
    added_users_run_once_too,
    paced_users_hold_back_and_show_it,
    parallel_ends_with_its_last,
    pause_and_resume_closed,
    pause_and_resume_open,
    poisson_partition,
    rates_leave_the_drain_out,
    rows_are_assigned_once,
    rows_run_out,
    scale_up_and_down_open,
    scale_users_closed,
    set_rate,
    setup_variables_reach_all_users,
    spikes_and_stairs_are_exact,
    stall_infinite_servers,
    stall_single_server,
    steps_do_not_dilute_lateness,
    timeouts_follow_the_target,
    too_few_users,
    two_archetypes_share_rows_of_a_count,
    two_workloads_with_offsets,
    unique_rows_are_shared_when_they_do_not_suffice,
    users_are_ready_before_they_are_due,
    users_begin_and_end,
    users_meet_at_a_rendezvous,
    users_rise_and_fall,
    users_stay_until_the_load_ends,
    waits_after_the_last_call,
    warmup_boundary,
    completed_requests_are_not_repeated,
    cancelled_user_runs_on_stop,
    prewarmed_users_are_paused_too,
    predicted_load_changes_no_schedule,
    leaving_user_stops_waiting_for_a_connection,
    connect_backoff_holds_no_pool_connection,
    workers_are_lost,
    workers_are_lost_and_not_replaced,
    workers_are_lost_as_the_load_changes,
    workers_are_lost_as_the_run_stops,
    a_lost_worker_stops_the_run,
    lost_worker_leaves_its_part_of_a_count,
    young_cancelled_calls_do_not_bias_the_median,
];

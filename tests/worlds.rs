//! Worlds: whole runs on a fake target under virtual time, with the theory beside them.
//!
//! Each `tests/sim/*.yaml` is a scenario, a target's law and what must come out of them, as rules
//! of the language itself, for 1, 2 and 5 shards. Nothing waits, so an hour takes a moment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use manada::clock::{self};
use manada::curve::{Distribution, Queue};
use manada::engine;
use manada::engine::Variables;
use manada::engine::once::{Once, once};
use manada::event::wish::WISHES;
use manada::event::{Generator, Opening, Report};
use manada::plan::{Address, Archetype, Plan};
use manada::run::dispatch::Folds;
use manada::run::{self, Outside, dispatch};
use manada::scenario::{self, Overrides};
use manada::seed::Stream;
use manada::sinks::{Audience, Full};
use manada::verdict::{Threshold, judge};
use manada::wire::Wire;
use manada::wire::fake::{Arrival, Target};
use onlookers::{Listener, Wished, changes, counts, wish_all};
use scripted::{Script, Window, World1, line};
use serde::Deserialize;
use tokio::sync::mpsc;

#[path = "worlds/foretold.rs"]
mod foretold;
#[path = "worlds/onlookers.rs"]
mod onlookers;
#[path = "worlds/scripted.rs"]
mod scripted;

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
    /// Exact counts of the ledgers, by name.
    #[serde(default)]
    counts: BTreeMap<String, u64>,
    /// Calls of each series that is named: from, to.
    #[serde(default)]
    steps: BTreeMap<String, [u64; 2]>,
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
    forecast: Option<foretold::Foretold>,
    /// Lines that `log` steps said.
    #[serde(default)]
    said: Vec<String>,
    /// What somebody wishes while it goes on.
    #[serde(default)]
    steer: Vec<Wished>,
    /// All that was changed, in order: the seconds after the start, whose change, and what.
    #[serde(default)]
    changes: Vec<String>,
}

/// What came of a world.
struct Lived {
    report: Report,
    target: Target,
    /// What the target had got before the load began.
    before: u64,
    said: Vec<String>,
}

/// Carries out a `setup` or `teardown` in this world.
async fn alone(
    plan: &Plan,
    archetype: &Archetype,
    addresses: &[Address],
    target: &Target,
    globals: Variables,
) -> Once {
    let (wire, never) = (Wire::fake(target.clone()), std::future::pending());
    let done = once(plan, archetype, addresses.to_vec(), wire, globals, never).await;
    assert_eq!(done.failure(), None);
    done
}

/// Runs a world on so many shards: the report, and what the target got.
fn live(world: &World, plan: &Arc<Plan>, shards: usize) -> Lived {
    clock::block_on_virtual(async {
        let start = clock::now() + Duration::from_millis(20);
        let mut queue = Queue::new(world.target.servers);
        if let Some((at, length)) = world.target.stall.as_ref().map(Window::ns) {
            assert!(queue.stall(start.0 + at, Duration::from_nanos(length)));
        }
        let latency = world.target.latency.as_deref().unwrap_or("0s");
        let target = Target::new(World1 {
            start,
            queue,
            latency: Distribution::parse_compact(latency).unwrap(),
            rng: plan.seed.rng(Stream::World, 0, 0),
            script: world.target.clone(),
            count: 0,
        });
        if let Some((at, length)) = world.freeze.as_ref().map(Window::ns) {
            tokio::task::spawn_local(async move {
                clock::sleep_until(start.after(at)).await;
                clock::freeze_world(length);
            });
        }
        let nowhere = Address { tls: false, host: "world".into(), port: 80, prefix: String::new() };
        let addresses = vec![nowhere; plan.services.len()];
        let globals = match &plan.setup {
            None => Variables::default(),
            Some(setup) => {
                alone(plan, setup, &addresses, &target, Variables::default()).await.variables
            }
        };
        let before = target.count();
        let start = start.max(clock::now());
        let (setups, source) = engine::set_up(plan, addresses.clone(), shards, start, &globals);
        for setup in setups {
            let wire = Wire::fake(target.clone());
            tokio::task::spawn_local(async move { engine::shard::run(setup, wire).await });
        }
        let mut tally = run::tally(plan, shards);
        let mut watch = run::watch(plan, shards);
        let (_keep, interrupts) = mpsc::channel(1);
        let (control, wishes) = mpsc::channel(WISHES);
        wish_all(&world.steer, start, control);
        let outside = Outside { interrupts, wishes };
        let mut audience = Audience::default();
        let said = Arc::new(Mutex::new(Vec::new()));
        audience.seat("said", Full::Wait, Listener(Arc::clone(&said))).unwrap();
        let folds = Folds { tally: &mut tally, watch: &mut watch, audience: &mut audience };
        let stopped = dispatch::dispatch(plan, start, source, folds, outside).await;
        let opening = Arc::new(Opening {
            plan: Arc::clone(plan),
            started_at: clock::wall(),
            generator: Generator {
                tier: "world",
                shards,
                reason: String::new(),
                remarks: Vec::new(),
            },
        });
        let end = plan.load_end().map(|end| end.as_nanos() as u64);
        let snapshot = Arc::new(tally.snapshot(end));
        if let Some(teardown) = &plan.teardown {
            alone(plan, teardown, &addresses, &target, globals).await;
        }
        audience.leave().unwrap();
        let said = std::mem::take(&mut *said.lock().unwrap());
        let report = run::conclude(opening, snapshot, watch, stopped.as_ref());
        Lived { report, target, before, said }
    })
}

/// Everything that is wrong with a world, in words.
fn wrong(world: &World, plan: &Plan, lived: &Lived) -> Vec<String> {
    let (report, target) = (&lived.report, &lived.target);
    let mut wrong = Vec::new();
    let snapshot = &report.snapshot;
    let rules: Vec<Threshold> =
        world.expect.iter().map(|rule| Threshold::parse(rule).unwrap()).collect();
    for judged in judge::judge(&rules, &report.opening.plan.subjects(), snapshot) {
        if !judged.passed {
            wrong.push(format!("{}: {:?}", judged.threshold.rule, judged.observed));
        }
    }
    let trust = report.trust.level.name();
    if trust != world.trust {
        wrong.push(format!("trust {trust}, not {}: {:?}", world.trust, report.trust.reasons));
    }
    if report.ending.code() != world.exit {
        wrong.push(format!("exit {}: {:?}", report.ending.code(), report.judgements));
    }
    let counts = counts(report);
    for (name, wanted) in &world.counts {
        if counts[name.as_str()] != *wanted {
            wrong.push(format!("{name}: {} instead of {wanted}", counts[name.as_str()]));
        }
    }
    wrong.extend(wrong_flows(world, plan, lived));
    wrong.extend(world.forecast.iter().flat_map(|said| foretold::wrong(said, plan, report)));
    let changed = changes(snapshot);
    if changed != world.changes {
        wrong.push(format!("what was changed: {changed:?}"));
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
    let (plan, _) = scenario::load(&file, &Overrides::default())
        .unwrap_or_else(|mistakes| panic!("{name}: {}", mistakes.render(false)));
    let plan = Arc::new(plan);
    let mut traffic: Option<Vec<Arrival>> = None;
    for &shards in &world.shards {
        let lived = live(&world, &plan, shards);
        let wrong = wrong(&world, &plan, &lived);
        assert!(
            wrong.is_empty(),
            "{name}, {shards} shards, seed {}:\n  {}\n{:#?}",
            plan.seed.value(),
            wrong.join("\n  "),
            counts(&lived.report),
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
    a_count_ends_a_slow_ramp,
    a_count_is_over_with_its_last_iteration,
    a_count_obeys_who_steers,
    a_dead_target_stops_the_run,
    a_failed_start_ends_the_user,
    a_group_without_a_call,
    a_later_session_lives_as_long,
    a_moved_end_holds_for_calls_under_way,
    a_pause_at_the_end_holds_in_a_pace,
    a_paused_pace_is_not_late,
    a_rule_stops_the_run,
    a_short_outage_stops_nothing,
    a_sine_makes_its_integral,
    a_think_that_is_cut_begins_nothing,
    a_think_that_is_cut_is_not_taken_off,
    an_iteration_without_a_call,
    choices_loops_and_conditions,
    closed_counts_exactly,
    closed_paced_waits_for_the_target,
    data_ends_the_run,
    dead_target_is_not_hammered,
    errors_and_resets,
    every_window_has_to_hold,
    generator_stopped,
    grace_cuts_thinks_and_calls,
    hang_for_good,
    logs_and_endless_loops,
    markov,
    mm1,
    nobody_comes_to_a_rendezvous,
    on_fail_stops_or_aborts,
    once_each_also_who_is_added,
    paced_users_hold_back_and_show_it,
    parallel_ends_with_its_last,
    pause_and_resume_closed,
    pause_and_resume_open,
    poisson_partition,
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
    too_few_users,
    two_kinds_share_a_count_of_rows,
    two_workloads_with_offsets,
    users_begin_and_end,
    users_gather,
    users_rise_and_fall,
    waits_after_the_last_call,
    warmup_boundary,
    who_is_cut_says_goodbye,
    young_cut_calls_spoil_no_median,
];

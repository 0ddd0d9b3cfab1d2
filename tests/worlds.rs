//! Worlds: whole runs on a fake target under virtual time, with the theory beside them.
//!
//! Each `tests/sim/*.yaml` is a scenario, a target's law and what must come out of them, as rules
//! of the language itself, for 1, 2 and 5 shards. Nothing waits, so an hour takes a moment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use manada::clock::{self, Time};
use manada::curve::{Distribution, Queue};
use manada::engine;
use manada::event::{Generator, Opening, Report};
use manada::plan::{Address, Plan};
use manada::run::{self, dispatch};
use manada::scenario::{self, Overrides};
use manada::seed::{Rng, Stream};
use manada::sinks::Audience;
use manada::units::parse_duration;
use manada::verdict::{Threshold, judge};
use manada::wire::Wire;
use manada::wire::fake::{Arrival, Law, Reply, Target};
use serde::Deserialize;
use tokio::sync::mpsc;

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
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    #[serde(default)]
    latency: Option<String>,
    #[serde(default)]
    servers: Option<u32>,
    #[serde(default)]
    stall: Option<Window>,
    /// From then on it answers nothing.
    #[serde(default)]
    hang_from: Option<String>,
    /// While it is down it refuses.
    #[serde(default)]
    down: Option<Window>,
    /// Every n-th request is answered 500, or reset.
    #[serde(default)]
    error_every: Option<u64>,
    #[serde(default)]
    reset_every: Option<u64>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    at: String,
    r#for: String,
}

impl Window {
    fn ns(&self) -> (u64, u64) {
        (ns(&self.at), ns(&self.r#for))
    }
}

fn ns(text: &str) -> u64 {
    parse_duration(text).unwrap_or_else(|error| panic!("{text}: {error}")).as_nanos() as u64
}

/// The target of a world.
struct World1 {
    start: Time,
    queue: Queue,
    latency: Distribution,
    rng: Rng,
    script: Script,
    count: u64,
}

impl Law for World1 {
    fn answer(&mut self, now: Time, _: &Arrival) -> Reply {
        let at = now.since(self.start);
        let within = |window: &Option<Window>| {
            window
                .as_ref()
                .map(Window::ns)
                .is_some_and(|(from, length)| (from..from + length).contains(&at))
        };
        if within(&self.script.down) {
            return Reply::Refuse;
        }
        self.count += 1;
        let every = |n: Option<u64>| n.is_some_and(|n| self.count.is_multiple_of(n));
        if self.script.hang_from.as_ref().is_some_and(|from| at >= ns(from)) {
            return Reply::Hang;
        }
        if every(self.script.reset_every) {
            return Reply::Reset;
        }
        let status = if every(self.script.error_every) { 500 } else { 200 };
        let service = self.latency.sample(&mut self.rng);
        Reply::At(Time(self.queue.arrive(now.0, service)), status)
    }
}

/// Runs a world on so many shards: the report, and what the target got.
fn live(world: &World, plan: &Arc<Plan>, shards: usize) -> (Report, Target) {
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
        let (setups, source) = engine::set_up(plan, addresses, shards, start);
        for setup in setups {
            let wire = Wire::fake(target.clone());
            tokio::task::spawn_local(async move { engine::shard::run(setup, wire).await });
        }
        let mut tally = run::tally(plan, shards);
        let mut watch = run::watch(plan, shards);
        let (_keep, interrupts) = mpsc::channel(1);
        let mut audience = Audience::default();
        let interrupted = dispatch::dispatch(
            plan,
            start,
            source,
            &mut tally,
            &mut watch,
            &mut audience,
            interrupts,
        )
        .await;
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
        (run::conclude(opening, snapshot, watch, interrupted), target)
    })
}

fn counts(report: &Report) -> BTreeMap<&'static str, u64> {
    let (iterations, calls) = (report.snapshot.iterations(), report.snapshot.calls());
    BTreeMap::from([
        ("due", iterations.due),
        ("started", iterations.started),
        ("completed", iterations.completed),
        ("ended_early", iterations.ended_early),
        ("interrupted", iterations.interrupted),
        ("dropped", iterations.dropped),
        ("made", calls.made),
        ("ok", calls.ok),
        ("failed", calls.failed),
        ("timeout", calls.timeout),
        ("unfinished", calls.unfinished),
        ("generator_errors", calls.generator_errors),
        ("users", report.snapshot.users_peak),
    ])
}

/// Everything that is wrong with a world, in words.
fn wrong(world: &World, report: &Report, target: &Target) -> Vec<String> {
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
    // What holds in any world.
    wrong.extend(snapshot.health.ledger.iter().cloned());
    if snapshot.health.little_error.abs() > 1e-9 {
        wrong.push(format!("Little's law is off by {}", snapshot.health.little_error));
    }
    let answered: u64 = snapshot.statuses.iter().map(|(_, count)| count).sum();
    let (got, sent) = (target.count(), snapshot.attempts.sent);
    if !(answered <= got && got <= sent) {
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
    let (plan, _) = scenario::load(&file, &Overrides::default())
        .unwrap_or_else(|mistakes| panic!("{name}: {}", mistakes.render(false)));
    let plan = Arc::new(plan);
    let mut traffic: Option<Vec<Arrival>> = None;
    for &shards in &world.shards {
        let (report, target) = live(&world, &plan, shards);
        let wrong = wrong(&world, &report, &target);
        assert!(
            wrong.is_empty(),
            "{name}, {shards} shards, seed {}:\n  {}\n{:#?}",
            plan.seed.value(),
            wrong.join("\n  "),
            counts(&report),
        );
        let mut log = target.log();
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
    a_rule_stops_the_run,
    a_sine_makes_its_integral,
    every_window_has_to_hold,
    spikes_and_stairs_are_exact,
    a_think_that_is_cut_is_not_taken_off,
    paced_users_hold_back_and_show_it,
    steps_do_not_dilute_lateness,
    young_cut_calls_spoil_no_median,
    closed_counts_exactly,
    closed_paced_waits_for_the_target,
    dead_target_is_not_hammered,
    errors_and_resets,
    generator_stopped,
    grace_cuts_thinks_and_calls,
    hang_for_good,
    mm1,
    poisson_partition,
    stall_infinite_servers,
    stall_single_server,
    too_few_users,
    two_workloads_with_offsets,
    users_rise_and_fall,
    warmup_boundary,
];

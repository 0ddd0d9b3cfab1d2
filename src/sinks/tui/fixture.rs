//! A run that never was: forty seconds of fixed numbers, with everything in it that a screen has
//! to show, and hostile words wherever a target or a scenario could put them.
//!
//! Invariant: it is the same on every machine.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

pub(super) use super::fixture_events::HOSTILE;
use super::fixture_events::notices;
use crate::clock::{RunOffset, Time};
use crate::event::{GeneratorInfo, Report, RunInfo};
use crate::exit::ExitStatus;
use crate::ids::{ServiceId, StepId, WorkloadId};
use crate::plan::RunManifest;
use crate::scenario::{self, ScenarioOverrides};
use crate::stats::exemplar::{Exemplar, FailureMode};
use crate::stats::sample::{BackendNumber, IterationEnd};
use crate::stats::{
    AttemptOutcome, BlockCause, BreakerState, BreakerUse, CallResult, Delta, GaugeSample, Gauges,
    Histogram, Monitor, MonitorOwner, MonitorUnit, Point, PoolUse, Recorder, ResilienceSnapshot,
    Sample, Seconds, Tally, Timeline,
};
use crate::units::nanos;
use crate::verdict::{Trust, Watch};

const S: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;

/// So many seconds are over.
const SECONDS: u64 = 40;

const SCENARIO: &str = r#"
scenario: shop
description: Visitors of a shop, and a partner's steady calls.
seed: 42
services:
  shop: { builtin: { latency: "exponential:20ms" } }
  stock: { urls: [ "http://127.0.0.1:8081", "http://127.0.0.1:8082" ] }
client: resilient
pools:
  front: { match: "*", connections: 20, wait: 1s }
  extras: { match: "/status/*", connections: 2, priority: low }
breakers:
  endpoint: { failures: 5, open: 500ms }
  service: { failures: 20, open: 1s }
timeouts: { start: 1s, min: 250ms, max: 2s }
degradation: { window: 3s, recover: 3s }
archetypes:
  browser:
    flow:
      - { get: /, name: home, check: { service: "< 1s" } }
      - { get: "/search?q=x", name: search }
  buyer:
    flow:
      - { get: /cart, name: show cart }
      - { post: /cart, name: add to cart, check: { status: 200 } }
      - { post: /pay, name: pay }
workloads:
  visitors:
    archetypes: { browser: 80, buyer: 20 }
    users: [ { ramp: 20, over: 5s }, { hold: 85s } ]
  partners:
    flow: [ { get: /status/200, name: stock, service: stock }, { get: /status/503, name: prices } ]
    arrivals: { rate: 40/s }
    duration: 90s
warmup: 5s
thresholds:
  - response.p95 < 250ms
  - errors < 1%
  - step("pay").response.p99 < 2s
  - achieved > 99%
"#;

/// What is known before the first number.
pub(super) fn info() -> Arc<RunInfo> {
    static OPENING: OnceLock<Arc<RunInfo>> = OnceLock::new();
    Arc::clone(OPENING.get_or_init(|| Arc::new(make_opening())))
}

/// How it stands.
pub(super) fn report() -> Arc<Report> {
    static REPORT: OnceLock<Arc<Report>> = OnceLock::new();
    Arc::clone(REPORT.get_or_init(|| Arc::new(make_report())))
}

/// How it would stand without a single number.
pub(super) fn empty() -> Arc<Report> {
    let info = info();
    let shape = info.plan.series_layout();
    let snapshot = Arc::new(Tally::new(&shape, 1, vec![false, true]).snapshot(None));
    Arc::new(Report {
        timeline: Timeline::default(),
        judgements: Vec::new(),
        snapshot,
        ..(*report()).clone()
    })
}

fn outline() -> RunManifest {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.yaml");
    std::fs::write(&path, SCENARIO).unwrap();
    let (plan, _) = scenario::load(&path, &ScenarioOverrides::default())
        .unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false)));
    let mut outline = plan.manifest();
    outline.sources.clear();
    let last = outline.steps.len() - 1;
    outline.steps[last].name = format!("prices {HOSTILE}");
    for names in outline.checks.iter_mut().flat_map(|names| names.iter_mut()) {
        *names = format!("{names} {HOSTILE}");
    }
    outline
}

fn make_opening() -> RunInfo {
    let monitor = |name: &str, unit, whose| Monitor { name: name.to_owned(), unit, owner: whose };
    RunInfo {
        plan: Arc::new(outline()),
        started_at: SystemTime::UNIX_EPOCH,
        generator: GeneratorInfo {
            tier: "threads".to_owned(),
            shards: 2,
            processes: 1,
            is_fleet: false,
            reason: "one core would be 80 % busy".to_owned(),
            remarks: vec!["the target shares this machine with the generator".to_owned()],
            sandbox: None,
        },
        command: ["manada", "run", "shop.yaml"].map(str::to_owned).to_vec(),
        machine: vec![
            ("cores".to_owned(), "2".to_owned()),
            ("kernel".to_owned(), format!("Linux {HOSTILE}")),
        ],
        monitors: vec![
            monitor("cpu", MonitorUnit::Percent, MonitorOwner::Generator),
            monitor("memory", MonitorUnit::Bytes, MonitorOwner::Generator),
            monitor("hiccup max", MonitorUnit::Micros, MonitorOwner::Generator),
            monitor("pid 4711 cpu", MonitorUnit::Percent, MonitorOwner::Target),
            monitor(&format!("jobs_waiting {HOSTILE}"), MonitorUnit::Plain, MonitorOwner::Target),
        ],
    }
}

/// A number below `most` that looks like none other's neighbour.
fn noise(at: u64, most: u64) -> u64 {
    (at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33)
        % most
}

/// The target is in trouble for some seconds.
fn troubled(second: u64) -> bool {
    (18..23).contains(&second)
}

/// How a call ends, and after how long.
fn ending(step: StepId, at: u64, second: u64) -> (AttemptOutcome, CallResult, u64) {
    let took = (4 + noise(at, 30) + noise(at / 3, 9).pow(2)) * MS + step.index() as u64 * 3 * MS;
    let took = if troubled(second) { took * 12 } else { took };
    match () {
        () if step == StepId::new(6) && troubled(second) && at.is_multiple_of(3) => {
            (AttemptOutcome::Suppressed(BlockCause::Breaker), CallResult::Suppressed, 0)
        }
        () if step == StepId::new(6) && at.is_multiple_of(11) => {
            (AttemptOutcome::Responded(503), CallResult::Failed, took)
        }
        () if troubled(second) && at.is_multiple_of(41) => {
            (AttemptOutcome::Timeout(crate::stats::AttemptPhase::FirstByte), CallResult::Timeout, S)
        }
        () => (AttemptOutcome::Responded(200), CallResult::Ok, took),
    }
}

fn call(recorder: &mut Recorder, workload: WorkloadId, step: StepId, at: u64, intended: RunOffset) {
    let second = intended.ns() / S;
    let (outcome, fate, service_ns) = ending(step, at, second);
    let lag_ns = noise(at, 90) * 1_000;
    let now = intended.time(Time(lag_ns));
    let stalled_ns = recorder.begin_call(workload, step, intended, now);
    let backend = backend(step, at);
    if let Some(backend) = backend {
        let failed = matches!(outcome, AttemptOutcome::Responded(500..));
        recorder.record_backend_attempt(step, backend, intended, failed);
    }
    let sample = Sample {
        backend,
        workload,
        step,
        intended,
        lag_ns,
        blocked_ns: if at.is_multiple_of(7) { 2 * MS } else { 0 },
        service_ns,
        response_ns: service_ns + lag_ns + if troubled(second) { 20 * MS } else { 0 },
        stalled_ns,
        in_flight_ns: 0,
        outcome,
        result: fate,
    };
    recorder.end_call(&sample, now);
    if let AttemptOutcome::Responded(_) = outcome {
        let checks = report_checks(step);
        (0..checks).for_each(|check| {
            recorder.record_check(step, intended, check, !at.is_multiple_of(97));
        });
    } else {
        recorder.record_error(outcome);
    }
    if fate == CallResult::Failed {
        recorder.record_failure(step, FailureMode::Status(503), || exemplar(step, intended));
    }
}

/// The backend of the one step whose service has several: the first gets two calls of three.
fn backend(step: StepId, at: u64) -> Option<(ServiceId, BackendNumber)> {
    let plan = &info().plan;
    let own = plan.backends.iter().find(|series| series.step == step)?;
    Some((own.service, BackendNumber::new(usize::from(at.is_multiple_of(3)))))
}

fn report_checks(step: StepId) -> usize {
    info().plan.checks[step.index()].len()
}

fn exemplar(step: StepId, intended: RunOffset) -> Exemplar {
    Exemplar {
        step,
        failing: FailureMode::Status(503),
        intended,
        user: 17,
        curl: format!("curl -sS 'http://127.0.0.1:8080/status/503' -H 'x: {HOSTILE}'"),
        cut: false,
        status: Some(503),
        error: None,
        error_text: String::new(),
        failed: Vec::new(),
        head: format!("HTTP/1.1 503 Service Unavailable\r\nserver: {HOSTILE}"),
        body: "{\"error\": \"out of stock\"}".to_owned(),
    }
}

/// Iterations of both workloads in a second.
fn fill(recorder: &mut Recorder, second: u64) {
    for at in 0..(second * 8).min(40) {
        let (number, at_ns) = (second * 100 + at, second * S + at * 20 * MS);
        let (shop, due) = (WorkloadId::new(0), RunOffset::from_ns(at_ns));
        recorder.begin_iteration(shop, due, 40_000);
        let steps: &[usize] = if at.is_multiple_of(5) { &[2, 3, 4] } else { &[0, 1] };
        for step in steps {
            call(recorder, shop, StepId::new(*step), number + *step as u64, due);
        }
        recorder.end_iteration(shop, due, IterationEnd::Completed, (60 * MS, 0), due);
    }
    for at in 0..40 {
        let (number, at_ns) = (second * 1_000 + at, second * S + at * 25 * MS);
        let (api, due) = (WorkloadId::new(1), RunOffset::from_ns(at_ns));
        recorder.record_due(api, due);
        if troubled(second) && at % 10 == 0 {
            recorder.record_dropped(api, due, 0);
            continue;
        }
        recorder.begin_start(api, due, 30_000);
        [5, 6].iter().for_each(|step| call(recorder, api, StepId::new(*step), number, due));
        recorder.end_iteration(api, due, IterationEnd::Completed, (45 * MS, 0), due);
    }
}

/// What a shard sheds at the end of a second.
fn delta(recorder: &mut Recorder, second: u64) -> Delta {
    fill(recorder, second);
    let gauges = Gauges {
        users: (second * 4).min(20),
        users_peak: (second * 4).min(20) + 3,
        connections: (second * 3).min(26),
        elapsed_ns: (second + 1) * S,
        cpu_ns: (second + 1) * 200 * MS,
        ..Gauges::default()
    };
    let mut delta = recorder.take_interval(gauges, Time((second + 1) * S));
    for window in &mut delta.windows {
        for (phase, took) in window.phases.iter_mut().zip([0, 150, 0, 9_000, 40]) {
            (0..20).filter(|_| took > 0).for_each(|at| phase.record(took + noise(at, took)));
        }
    }
    let mut waits = Histogram::default();
    (0..40).for_each(|at| waits.record_ns(noise(second * 40 + at, 20) * MS));
    delta.pools[0] = PoolUse {
        size: 20,
        in_use: 9,
        idle: 8,
        waiting: u64::from(troubled(second)),
        leases: 90,
        gave_up: 0,
        failed: 2,
        waits,
        busy: 9 * u128::from(S),
        room: 20 * u128::from(S),
    };
    let state = match second {
        0..18 => BreakerState::Closed,
        _ => BreakerState::Open,
    };
    let open = BreakerUse { state: Some(state), opened: u64::from(second == 18), refused: 3 };
    let closed = BreakerUse { state: Some(BreakerState::Closed), opened: 0, refused: 0 };
    let plan = &info().plan;
    let breakers = (0..plan.client.breakers.len()).map(|at| if at == 1 { open } else { closed });
    let timeouts = (0..plan.client.endpoints.len() as u64).map(|at| S - at * 150 * MS);
    delta.resilience =
        ResilienceSnapshot { timeouts_ns: timeouts.collect(), breakers: breakers.collect() };
    delta.attempts.started = 180;
    delta.attempts.first = 160;
    delta.attempts.retries = 15;
    delta.attempts.hedges = 5;
    delta.connections.opened = u64::from(second < 13) * 2;
    delta.connections.bytes_sent = 24_000;
    delta.connections.bytes_received = 190_000;
    delta.statuses[200 - 100] = 150;
    delta.statuses[503 - 100] = 4;
    notices(second).into_iter().for_each(|notice| delta.changes.push(notice, 100));
    delta
}

fn moment(second: u64) -> GaugeSample {
    let at = second as f64;
    let hiccup = if troubled(second) { 9_000.0 } else { 120.0 + noise(second, 80) as f64 };
    GaugeSample {
        second: second as u32,
        target: vec![(at * 4.0).min(20.0), if second < 10 { 40.0 } else { 44.0 }],
        users: (second * 4).min(20),
        running: 3 + noise(second, 9) + if troubled(second) { 30 } else { 0 },
        connections: (second * 3).min(26),
        monitors: vec![
            Some(20.0 + noise(second, 15) as f64),
            Some(4e7 + at * 1e5),
            Some(hiccup),
            (second % 9 != 4).then_some(35.0 + at),
            Some(noise(second, 40) as f64),
        ],
        ..GaugeSample::default()
    }
}

fn make_report() -> Report {
    let info = info();
    let plan = &info.plan;
    let shape = plan.series_layout();
    let scheduled = plan.workloads.iter().map(|load| load.open).collect();
    let mut tally = Tally::new(&shape, 1, scheduled);
    let mut watch = Watch::new(&plan.thresholds, plan.subjects(), 1, nanos(plan.warmup));
    let (mut seconds, mut timeline) = (Seconds::default(), Timeline::default());
    let mut recorder = Recorder::new(shape, 0, Time(0));
    for second in 0..SECONDS {
        let delta = delta(&mut recorder, second);
        tally.absorb(&delta);
        watch.absorb(&delta);
        let closed = seconds.absorb(&delta);
        closed.iter().for_each(|one| timeline.close(Point::of(&one.window)));
        timeline.record_gauges(moment(second));
    }
    timeline.open(seconds.points());
    let snapshot = Arc::new(tally.snapshot(Some(nanos(Duration::from_secs(90)))));
    let judgements = watch.judge_so_far(&snapshot);
    let trust = Trust::evaluate(&snapshot, &plan.kind);
    Report {
        shift: None,
        info: Arc::clone(&info),
        snapshot,
        timeline,
        judgements,
        trust,
        stopped: None,
        broken: Vec::new(),
        why: None,
        is_running: true,
        status: ExitStatus::Fail,
        rss_peak: Some(48_000_000),
        workers: Vec::new(),
        usage: crate::stats::run_usage::RunUsage::default(),
        memory_mean: None,
        prices: None,
    }
}

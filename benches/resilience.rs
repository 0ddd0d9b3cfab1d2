//! The cost of resilience policies for a successful call: breakers, deadlines, limits, budgets.
//!
//! Run with `cargo bench --bench resilience`. One call is one item.

use divan::{Bencher, black_box};
use manada::clock::Time;
use manada::ids::{EndpointId, ServiceId};
use manada::plan::Endpoints;
use manada::plan::policy::TimeoutPolicy;
use manada::resilience::{AdaptiveTimeout, BreakerBoard, RateLimiter, RecentTimes, RetryBudget};
use manada::scenario::{self, ScenarioOverrides};
use manada::stats::AttemptOutcome;

fn main() {
    divan::main();
}

/// Times like those of a real target: 1 to 50 ms, most of them short, the same each time.
fn times() -> impl FnMut() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        1_000_000 + (state % 7_000) * (state >> 32) % 49_000_000
    }
}

/// Permission from the endpoint's, the service's and the system's breaker, and a success reported
/// to each.
#[divan::bench(args = ["failures: 5", "share: 50%"])]
fn breakers_closed(bencher: Bencher<'_, '_>, trips: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.yaml");
    let text = format!(
        "services: {{ it: \"http://127.0.0.1\" }}\nbreakers: {{ endpoint: {{ {trips} }}, service: \
         {{ {trips} }}, system: {{ {trips} }} }}\nworkloads: {{ w: {{ users: 1, duration: 1s, \
         flow: [ {{ get: / }} ] }} }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let (plan, _) = scenario::load(&file, &ScenarioOverrides::default()).unwrap();
    let board = BreakerBoard::new(&plan, &Endpoints::new(&plan));
    assert!(board.has_breakers());
    let (endpoint, service) = (EndpointId::default(), ServiceId::default());
    let mut now = Time(1);
    bencher.bench_local(|| {
        now = now.after(10_000);
        let permit = board.admit(endpoint, service, black_box(now), |_| ()).unwrap_or_default();
        let outcome = black_box(AttemptOutcome::Responded(200));
        board.report((endpoint, service), permit, outcome, now, |_| ());
    });
}

/// An adaptive deadline that records one more time and moves.
#[divan::bench(args = [100, 1_000])]
fn timeout_response(bencher: Bencher<'_, '_>, window: usize) {
    let mut timeout = AdaptiveTimeout::new(TimeoutPolicy { window, ..TimeoutPolicy::default() });
    let mut time = times();
    (0..window).for_each(|_| timeout.record_response(time()));
    bencher.bench_local(|| {
        timeout.record_response(black_box(time()));
        timeout.limit_ns()
    });
}

/// The window alone.
#[divan::bench(args = [100, 1_000])]
fn recent_push(bencher: Bencher<'_, '_>, size: usize) {
    let mut recent = RecentTimes::new(size);
    let mut time = times();
    (0..size).for_each(|_| recent.push(time()));
    bencher.bench_local(|| recent.push(black_box(time())));
}

/// A slot of a limit that is not reached.
#[divan::bench]
fn limiter_reserve(bencher: Bencher<'_, '_>) {
    let limiter = RateLimiter::new(1_000_000_000 * 1_000_000_000);
    let mut now_ns = 0;
    bencher.bench_local(|| {
        now_ns += 10_000;
        limiter.reserve(black_box(now_ns), u64::MAX)
    });
}

/// A first attempt is credited, an extra one is paid for.
#[divan::bench]
fn budget(bencher: Bencher<'_, '_>) {
    let mut budget = RetryBudget::new(0.1);
    bencher.bench_local(|| {
        black_box(&mut budget).earn();
        black_box(&mut budget).spend()
    });
}

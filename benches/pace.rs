//! The cost of the schedule: the next start, and the inverse of a load curve's integral.
//!
//! Run with `cargo bench --bench pace`.

use std::time::Duration;

use divan::{Bencher, black_box};
use manada::curve::Curve;
use manada::ids::WorkloadId;
use manada::pace::Schedule;
use manada::plan::slots::Segment;
use manada::plan::{ArrivalProcess, Arrivals};
use manada::seed::Seed;
use manada::units::Rate;

const RATE: u64 = 10_000;
const DAY: Duration = Duration::from_hours(24);

fn main() {
    divan::main();
}

fn arrivals(process: ArrivalProcess, curve: Curve) -> Arrivals {
    Arrivals { process, curve, iterations: None, max_users: 1, fresh_connections: false }
}

fn next(bencher: Bencher<'_, '_>, process: ArrivalProcess, shards: u64) {
    let arrivals = arrivals(process, Curve::constant(RATE * Rate::UNITS_PER_S, DAY));
    let segment = Segment { shard: 0, shards };
    let mut schedule = Schedule::new(&arrivals, WorkloadId::default(), 0, Seed::ZERO, segment);
    bencher.bench_local(|| schedule.next());
}

/// The next start of a shard; starts of other shards are skipped.
#[divan::bench(args = [1, 8, 64])]
fn next_constant(bencher: Bencher<'_, '_>, shards: u64) {
    next(bencher, ArrivalProcess::Constant, shards);
}

#[divan::bench(args = [1, 8, 64])]
fn next_poisson(bencher: Bencher<'_, '_>, shards: u64) {
    next(bencher, ArrivalProcess::Poisson, shards);
}

/// The due time of start k, on a hold, on a ramp, and on the last of a hundred ramps.
#[divan::bench(args = ["hold", "ramp", "stages"])]
fn curve_reaches(bencher: Bencher<'_, '_>, shape: &str) {
    let level = RATE * Rate::UNITS_PER_S;
    let mut curve = Curve::default();
    match shape {
        "hold" => curve = Curve::constant(level, DAY),
        "ramp" => curve.ramp(level, DAY),
        _ => (0..100).for_each(|stage| curve.ramp(level * (1 + stage % 7), DAY / 100)),
    }
    let amount = curve.total() / 1_000 * 999;
    bencher.bench_local(|| black_box(&curve).reaches(black_box(amount)));
}

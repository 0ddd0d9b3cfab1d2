//! The cost of measuring: a call through the Recorder, a histogram, a percentile.
//!
//! Run with `cargo bench --bench record`. One call is one item.

use divan::{Bencher, black_box};
use manada::clock::{RunOffset, Time};
use manada::ids::{StepId, WorkloadId};
use manada::stats::recorder::AttemptReason;
use manada::stats::{
    AttemptOutcome, CallResult, Exchange, Gauges, Histogram, Latency, Recorder, Sample,
    SeriesLayout,
};

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

fn main() {
    divan::main();
}

/// Latencies like those of a real target: 1 to 50 ms, most of them short, the same each time.
fn latencies() -> impl FnMut() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        MS + (state % 7_000) * (state >> 32) % 7_000_000
    }
}

fn exchange(dispatched: Time, took_ns: u64) -> Exchange {
    Exchange {
        backend: None,
        outcome: AttemptOutcome::Responded(200),
        dispatched,
        first_byte: dispatched.after(took_ns - 1_000),
        done: dispatched.after(took_ns),
        connect: None,
        reuses: true,
        sent: true,
        bytes_sent: 100,
        bytes_received: 1_200,
    }
}

/// All Recorder calls of `engine` for one successful call; steps alternate.
fn call(recorder: &mut Recorder, at: Time, steps: usize, number: usize, took_ns: u64) {
    let (workload, step) = (WorkloadId::default(), StepId::new(number % steps));
    let intended = RunOffset::of(at, Time(0));
    let stalled_ns = recorder.begin_call(workload, step, intended, at);
    recorder.begin_attempt(AttemptReason::First);
    let exchange = exchange(at, took_ns);
    recorder.end_attempt(&exchange, intended, false);
    let sample = Sample {
        backend: None,
        workload,
        step,
        intended,
        lag_ns: 40_000,
        blocked_ns: 0,
        service_ns: took_ns,
        response_ns: took_ns + 40_000,
        stalled_ns,
        in_flight_ns: took_ns,
        outcome: exchange.outcome,
        result: CallResult::Ok,
    };
    recorder.end_call(black_box(&sample), exchange.done);
}

/// One call, at 10,000 calls per second of the run, with a `take_interval` each second.
#[divan::bench(args = [1, 20], sample_size = 10_000)]
fn begin_call_to_end_call(bencher: Bencher<'_, '_>, steps: usize) {
    let shape =
        SeriesLayout { workloads: 1, checks: vec![0; steps], pools: 0, ..SeriesLayout::default() };
    let mut recorder = Recorder::new(shape, 0, Time(0));
    let (mut number, mut next) = (0, latencies());
    bencher.bench_local(move || {
        let at = Time(number as u64 * S / 10_000);
        call(&mut recorder, at, steps, number, next());
        number += 1;
        if number.is_multiple_of(10_000) {
            black_box(recorder.take_interval(Gauges::default(), at.after(50 * MS)));
        }
    });
}

/// A shard's work once a second: returning a delta of 10,000 calls. The calls are not timed.
#[divan::bench(args = [1, 20, 100], sample_count = 50)]
fn take_interval(bencher: Bencher<'_, '_>, steps: usize) {
    bencher
        .with_inputs(|| {
            let shape = SeriesLayout {
                workloads: 1,
                checks: vec![0; steps],
                pools: 0,
                ..SeriesLayout::default()
            };
            let mut recorder = Recorder::new(shape, 0, Time(0));
            let mut next = latencies();
            for number in 0..10_000 {
                call(&mut recorder, Time(number as u64 * S / 10_000), steps, number, next());
            }
            recorder
        })
        .bench_local_refs(|recorder| recorder.take_interval(Gauges::default(), Time(2 * S)));
}

#[divan::bench(sample_size = 10_000)]
fn histogram_record(bencher: Bencher<'_, '_>) {
    let (mut histogram, mut next) = (Histogram::default(), latencies());
    bencher.bench_local(move || histogram.record(black_box(next() / 1_000)));
}

/// The part of the two benches above that draws the latency.
#[divan::bench]
fn draw_latency(bencher: Bencher<'_, '_>) {
    let mut next = latencies();
    bencher.bench_local(move || next() / 1_000);
}

/// Percentiles of 100,000 responses, without and with timeouts among them.
#[divan::bench(args = [0, 100])]
fn latency_quantile(bencher: Bencher<'_, '_>, timeouts: u64) {
    let (mut latency, mut next) = (Latency::default(), latencies());
    (0..100_000).for_each(|_| latency.record_response(next()));
    (0..timeouts).for_each(|_| latency.record_at_least(30 * S));
    bencher.bench_local(move || black_box(&latency).quantile(black_box(0.99)));
}

/// The dispatcher's work for each delta and step: 10,000 responses merged.
#[divan::bench]
fn latency_merge(bencher: Bencher<'_, '_>) {
    let (mut one, mut all, mut next) = (Latency::default(), Latency::default(), latencies());
    (0..10_000).for_each(|_| one.record_response(next()));
    bencher.bench_local(move || all.merge(black_box(&one)));
}

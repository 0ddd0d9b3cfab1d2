//! The cost of waiting: a deadline that is moved later, and one that is set and fires.
//!
//! Run with `cargo bench --bench clock`. The benches under virtual time leave the kernel out.

use divan::{Bencher, black_box};
use manada::clock::{self, Time, Timer};

fn main() {
    divan::main();
}

#[divan::bench]
fn now() -> Time {
    clock::now()
}

/// A request's timeout is set for each request and nearly never fires: it moves later.
#[divan::bench(args = [1, 10_000])]
fn set_moved_later(bencher: Bencher<'_, '_>, timers: usize) {
    let all: Vec<Timer> = (0..timers).map(|_| Timer::new()).collect();
    // Far in the future, so that nothing fires while it is measured.
    let mut at = 1 << 62;
    all.iter().for_each(|timer| timer.set(Time(at)));
    let mut index = 0;
    bencher.bench_local(|| {
        at += 1;
        index = (index + 1) % timers;
        all[index].set(Time(black_box(at)));
    });
}

/// Sets and clears, like a request that does not time out.
#[divan::bench]
fn set_and_clear(bencher: Bencher<'_, '_>) {
    let timer = Timer::new();
    let mut at = 1 << 62;
    bencher.bench_local(|| {
        at += 1;
        timer.set(Time(black_box(at)));
        timer.clear();
    });
}

/// A thousand deadlines set and fired, with their task woken, under virtual time, runtime included;
/// beside `others` waiting timers.
#[divan::bench(args = [0, 10_000])]
fn set_and_fire_1000(bencher: Bencher<'_, '_>, others: usize) {
    bencher.bench_local(|| {
        clock::block_on_virtual(async {
            let all: Vec<Timer> = (0..others).map(|_| Timer::new()).collect();
            all.iter().for_each(|timer| timer.set(Time(1 << 40)));
            let timer = Timer::new();
            for index in 1..=1_000 {
                timer.wait_until(Time(index * 1_000)).await;
            }
        });
    });
}

/// The same in real time, through the timerfd: each deadline is 1 µs ahead, or has passed already.
#[divan::bench]
fn timerfd_1000() {
    clock::block_on(async {
        let timer = Timer::new();
        for _ in 0..1_000 {
            timer.wait_until(clock::now().after(1_000)).await;
        }
    })
    .unwrap();
}

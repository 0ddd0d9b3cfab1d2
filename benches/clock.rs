//! What waiting costs: a deadline moved later, and one that is set and fires.
//!
//! Run with `cargo bench --bench clock`. The runs under virtual time leave the kernel out.

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
    // Far away, so that nothing fires while it is measured.
    let mut at = 1 << 62;
    all.iter().for_each(|timer| timer.set(Time(at)));
    let mut turn = 0;
    bencher.bench_local(|| {
        at += 1;
        turn = (turn + 1) % timers;
        all[turn].set(Time(black_box(at)));
    });
}

/// Set and clear, as a request without a timeout running out.
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

/// A thousand deadlines set, fired and their task woken under virtual time, runtime included;
/// beside so many other timers that wait.
#[divan::bench(args = [0, 10_000])]
fn a_thousand_set_and_fired(bencher: Bencher<'_, '_>, others: usize) {
    bencher.bench_local(|| {
        clock::block_on_virtual(async {
            let all: Vec<Timer> = (0..others).map(|_| Timer::new()).collect();
            all.iter().for_each(|timer| timer.set(Time(1 << 40)));
            let timer = Timer::new();
            for turn in 1..=1_000 {
                timer.wait_until(Time(turn * 1_000)).await;
            }
        });
    });
}

/// The same in real time, through the timerfd: each deadline is 1 µs ahead, or past already.
#[divan::bench]
fn a_thousand_through_the_timerfd() {
    clock::block_on(async {
        let timer = Timer::new();
        for _ in 0..1_000 {
            timer.wait_until(clock::now().after(1_000)).await;
        }
    })
    .unwrap();
}

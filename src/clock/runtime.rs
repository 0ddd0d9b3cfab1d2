//! The runtime of a thread with this clock: tokio's current-thread LocalRuntime, with deadlines
//! from one timerfd, or from virtual time.
//!
//! `engine` runs shards in it, simulation tests run in virtual time.
//! Invariant: virtual time moves only when no task can run, and then straight to the next deadline.

use std::future::Future;
use std::io;
use std::rc::Rc;

use tokio::io::Interest;
use tokio::runtime::{Builder, LocalOptions};

use super::alarm::{ALARM, TimerDriver};
use super::{REAL, Time, VIRTUAL_NOW, now, timer};

/// Runs `future` on this thread in real time; `tokio::task::spawn_local` works inside.
///
/// # Errors
/// If the system has no descriptor for the runtime or its timerfd.
pub fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = Builder::new_current_thread().enable_io().build_local(LocalOptions::default())?;
    let output = runtime.block_on(async {
        let alarm = Rc::new(TimerDriver::new()?);
        ALARM.set(Some(Rc::clone(&alarm)));
        let driver = tokio::task::spawn_local(drive(alarm));
        let output = future.await;
        driver.abort();
        ALARM.set(None);
        Ok(output)
    });
    // A look-up without a reply blocks a thread of its own; the shutdown does not wait for it.
    runtime.shutdown_background();
    output
}

/// Runs `future` on this thread in virtual time, from `Time(0)`: nothing waits in real time.
///
/// # Panics
/// If every task waits for an event that no deadline will bring: the simulation is stuck.
pub fn block_on_virtual<F: Future>(future: F) -> F::Output {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            VIRTUAL_NOW.set(REAL);
        }
    }
    VIRTUAL_NOW.set(0);
    let _leave = Leave;
    // tokio calls this just before the thread would sleep: no task can run.
    let runtime = Builder::new_current_thread()
        .on_thread_park(|| {
            // Advance to the next deadline that wakes a task: one that was moved later, or whose
            // timer was dropped, wakes none, and the thread would sleep for good.
            while VIRTUAL_NOW.get() != REAL
                && let Some(next) = timer::earliest()
            {
                VIRTUAL_NOW.set(next.0.max(VIRTUAL_NOW.get()));
                if timer::fire(now()) {
                    break;
                }
            }
        })
        .build_local(LocalOptions::default());

    runtime.expect("a runtime without I/O").block_on(future)
}

/// Advances this thread's virtual time by `ns` without running anything, as if the process was
/// stopped by a signal. Deadlines within that time fire afterwards.
pub fn freeze_world(ns: u64) {
    if VIRTUAL_NOW.get() != REAL {
        VIRTUAL_NOW.set(VIRTUAL_NOW.get() + ns);
    }
}

/// Fires deadlines as they come due, until the runtime ends.
async fn drive(alarm: Rc<TimerDriver>) {
    loop {
        // Set from the queued deadlines: some may have been set before the driver's first poll.
        timer::fire(now());
        alarm.set(timer::earliest().unwrap_or(Time::NEVER));
        match alarm.fd.ready(Interest::READABLE).await {
            // Not read: setting it again resets its count, and saves a call.
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::super::{Timer, sleep_until};
    use super::*;
    use std::time::Duration;

    #[test]
    fn virtual_time_jumps_from_deadline_to_deadline() {
        let order = Rc::new(RefCell::new(Vec::new()));
        block_on_virtual(async {
            let mut tasks = Vec::new();
            for (name, at) in [("c", 3_600), ("a", 1), ("b", 60)] {
                let order = Rc::clone(&order);
                tasks.push(tokio::task::spawn_local(async move {
                    sleep_until(Time(0) + Duration::from_secs(at)).await;
                    order.borrow_mut().push((name, now() - Time(0)));
                }));
            }
            for task in tasks {
                task.await.unwrap();
            }
        });
        let seconds = |s| Duration::from_secs(s);
        let expect = [("a", seconds(1)), ("b", seconds(60)), ("c", seconds(3_600))];
        assert_eq!(*order.borrow(), expect);
    }

    #[test]
    fn deadline_without_waker_does_not_stop_virtual_time() {
        block_on_virtual(async {
            let moved = Timer::new();
            moved.set(Time(1_000));
            moved.set(Time(5_000));
            let gone = Timer::new();
            gone.set(Time(2_000));
            drop(gone);
            sleep_until(Time(9_000)).await;
            assert_eq!(now(), Time(9_000));
        });
    }

    #[test]
    fn real_time_never_fires_early() {
        block_on(async {
            for us in [100, 500, 1_500] {
                let deadline = now() + Duration::from_micros(us);
                sleep_until(deadline).await;
                assert!(now() >= deadline);
            }
        })
        .unwrap();
    }
}

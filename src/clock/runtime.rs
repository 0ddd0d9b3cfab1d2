//! The runtime of a thread that lives by our clock: tokio's current-thread LocalRuntime, with
//! deadlines from one timerfd, or from nowhere at all under virtual time.
//!
//! Invariant: virtual time moves only when no task can run, and then straight to the next
//! deadline.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::rc::Rc;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, LocalOptions};

use super::{REAL, Time, VIRTUAL_NOW, now, timer};

thread_local! {
    /// The timerfd of this thread, while its runtime lives in real time.
    static ALARM: RefCell<Option<Rc<TimerDriver>>> = const { RefCell::new(None) };
}

struct TimerDriver {
    fd: AsyncFd<rustix::fd::OwnedFd>,
    /// What the timerfd is set to.
    at: Cell<Time>,
}

/// Runs `future` on this thread in real time; `tokio::task::spawn_local` works inside.
///
/// # Errors
/// When the system has no descriptor left for the runtime or its timerfd.
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
    // A look-up that a resolver does not answer sits in a thread of its own: it is not waited for.
    runtime.shutdown_background();
    output
}

/// Runs `future` on this thread in virtual time, from `Time(0)`: nothing really waits.
///
/// # Panics
/// When every task waits for something that no deadline will bring: the world is stuck.
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
            // On to the next deadline that wakes somebody: one that was moved later, or whose timer
            // is gone, wakes nobody, and the thread would sleep for good.
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

/// Stops this thread's virtual world for `ns`: time goes on and nothing happens, as when the
/// process is stopped by a signal. What came due meanwhile comes due afterwards.
pub fn freeze_world(ns: u64) {
    if VIRTUAL_NOW.get() != REAL {
        VIRTUAL_NOW.set(VIRTUAL_NOW.get() + ns);
    }
}

/// Tells the alarm that `at` is the earliest deadline now.
pub(super) fn program(at: Time) {
    if VIRTUAL_NOW.get() != REAL {
        return;
    }
    ALARM.with_borrow(|alarm| {
        if let Some(alarm) = alarm
            && at < alarm.at.get()
        {
            alarm.set(at);
        }
    });
}

/// Fires deadlines as they come due, for the life of the runtime.
async fn drive(alarm: Rc<TimerDriver>) {
    loop {
        // Set from what is queued now: deadlines may have come before the driver's first turn.
        timer::fire(now());
        alarm.set(timer::earliest().unwrap_or(Time::NEVER));
        match alarm.fd.ready(Interest::READABLE).await {
            // Not read: setting it again resets its count, and that is one call less.
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => return,
        }
    }
}

impl TimerDriver {
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // The new way to register is unsafe: it asks for a promise that the descriptor stays open.
        // An OwnedFd that nobody else can reach keeps it by itself.
        #[expect(deprecated, reason = "safe for a descriptor that AsyncFd owns")]
        let fd = AsyncFd::try_with_interest(fd, Interest::READABLE)?;
        Ok(Self { fd, at: Cell::new(Time::NEVER) })
    }

    fn set(&self, at: Time) {
        self.at.set(at);
        // All zero disarms a timerfd; a deadline in the past fires at once.
        let ns = if at == Time::NEVER { 0 } else { at.0.max(1) };
        let value = Timespec {
            tv_sec: (ns / 1_000_000_000).cast_signed(),
            tv_nsec: (ns % 1_000_000_000).cast_signed(),
        };
        let spec = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        // Fails only for a bad descriptor or bad numbers; both would be ours.
        let set = timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::ABSTIME, &spec);
        debug_assert!(set.is_ok(), "timerfd_settime: {set:?}");
    }
}

#[cfg(test)]
mod tests {
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
    fn a_deadline_that_wakes_nobody_does_not_stop_the_world() {
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

//! The timerfd of a thread in real time.
//!
//! `timer` sets it to the earliest deadline, `runtime` waits for it.
//! Invariant: under virtual time there is no timerfd, and setting the alarm does nothing.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{REAL, Time, VIRTUAL_NOW};

thread_local! {
    /// The timerfd of this thread, while its runtime is in real time.
    pub(super) static ALARM: RefCell<Option<Rc<TimerDriver>>> = const { RefCell::new(None) };
}

/// A timerfd and the time that it is set to.
pub(super) struct TimerDriver {
    pub(super) fd: AsyncFd<rustix::fd::OwnedFd>,
    /// The time that the timerfd is set to.
    at: Cell<Time>,
}

/// Sets the alarm to `at` if that is the earliest deadline.
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

impl TimerDriver {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // The new way to register is unsafe: it requires that the descriptor stays open. A private
        // OwnedFd guarantees that.
        #[expect(deprecated, reason = "safe for a descriptor that AsyncFd owns")]
        let fd = AsyncFd::try_with_interest(fd, Interest::READABLE)?;
        Ok(Self { fd, at: Cell::new(Time::NEVER) })
    }

    pub(super) fn set(&self, at: Time) {
        self.at.set(at);
        // All zero disarms a timerfd; a deadline in the past fires at once.
        let ns = if at == Time::NEVER { 0 } else { at.0.max(1) };
        let value = Timespec {
            tv_sec: (ns / 1_000_000_000).cast_signed(),
            tv_nsec: (ns % 1_000_000_000).cast_signed(),
        };
        let spec = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        // Fails only for a bad descriptor or bad numbers; both would be bugs here.
        let set = timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::ABSTIME, &spec);
        debug_assert!(set.is_ok(), "timerfd_settime: {set:?}");
    }
}

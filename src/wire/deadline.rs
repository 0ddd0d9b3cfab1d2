//! How long a call may wait, and what makes it give up.
//!
//! A user owns one and lends it to each wait of a call.
//! Invariant: input that is there wins over a deadline that has passed: an answer that came in time
//! is never thrown away because we looked late.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::clock::{self, Time, Timer};

/// Why a wait ended without what it waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitEnded {
    /// The call's time is over.
    Timeout,
    /// The run's time is over.
    Cut,
}

/// A user's patience.
#[derive(Debug)]
pub struct CallDeadline {
    timer: Timer,
    /// Its own timer: a think between two calls must not disturb the deadline's place in the
    /// queue, or each would leave a stale entry behind.
    pause: Timer,
    /// When the call's time is over.
    deadline: Cell<Time>,
    /// What the timer is set to.
    armed: Cell<Time>,
    /// When the user must be gone, whatever it does. Whoever changes it wakes the user.
    hard_end: Rc<Cell<Time>>,
    /// Set for all users of the shard when the run is stopped at once.
    cut: Rc<Cell<bool>>,
}

impl CallDeadline {
    /// A patience that listens to the shard's `cut`.
    pub fn new(cut: Rc<Cell<bool>>) -> Self {
        let never = || Cell::new(Time::NEVER);
        let (deadline, armed, hard_end) = (never(), never(), Rc::new(never()));
        Self { timer: Timer::new(), pause: Timer::new(), deadline, armed, hard_end, cut }
    }

    /// Must be gone when another one must.
    pub fn share_end(&mut self, other: &Self) {
        self.hard_end = Rc::clone(&other.hard_end);
    }

    /// For who may have to change when the user must be gone.
    pub fn end_cell(&self) -> Rc<Cell<Time>> {
        Rc::clone(&self.hard_end)
    }

    /// The user must be gone by `at`.
    pub fn set_hard_end(&self, at: Time) {
        self.hard_end.set(at);
    }

    /// When the user must be gone.
    pub fn hard_end(&self) -> Time {
        self.hard_end.get()
    }

    /// A call begins that may take until `deadline`.
    #[inline]
    pub fn begin(&self, deadline: Time) {
        self.deadline.set(deadline);
        self.arm();
    }

    fn arm(&self) {
        self.armed.set(self.deadline.get().min(self.hard_end.get()));
        self.timer.set(self.armed.get());
    }

    /// The call has ended; nothing is waited for.
    #[inline]
    pub fn end(&self) {
        self.timer.clear();
    }

    /// Waits until `at`, or until the run's time is over.
    pub async fn pause_until(&self, at: Time) -> Result<(), WaitEnded> {
        self.pause_unless(at, || self.cut.get()).await
    }

    /// As `pause_until`, but also ends when something else is to be done: a user between two
    /// iterations has nothing to finish.
    pub async fn idle_until(&self, at: Time, over: impl Fn() -> bool) -> Result<(), WaitEnded> {
        self.pause_unless(at, || self.cut.get() || over()).await
    }

    /// Waits for `ready` until `at`, or until the run's time is over.
    pub async fn wait_until<T>(
        &self,
        at: Time,
        mut ready: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Result<T, WaitEnded> {
        let mut set = None;
        let ended = poll_fn(|cx| {
            if let Poll::Ready(value) = ready(cx) {
                return Poll::Ready(Ok(value));
            }
            if self.cut.get() {
                return Poll::Ready(Err(WaitEnded::Cut));
            }
            // The end may have moved meanwhile, to either side.
            let until = at.min(self.hard_end.get());
            if set != Some(until) {
                set = Some(until);
                self.pause.set(until);
            }
            let why = if until < at { WaitEnded::Cut } else { WaitEnded::Timeout };
            self.pause.poll(cx).map(|()| Err(why))
        })
        .await;
        self.pause.clear();
        ended
    }

    async fn pause_unless(&self, at: Time, over: impl Fn() -> bool) -> Result<(), WaitEnded> {
        let until = || at.min(self.hard_end.get());
        if !over() && until() > clock::now() {
            let mut set = Time::NEVER;
            poll_fn(|cx| {
                if over() {
                    return Poll::Ready(());
                }
                // The end may have moved meanwhile, to either side.
                if set == Time::NEVER || set != until() {
                    set = until();
                    self.pause.set(set);
                }
                self.pause.poll(cx)
            })
            .await;
            self.pause.clear();
        }
        if over() || until() < at { Err(WaitEnded::Cut) } else { Ok(()) }
    }

    /// Polls `ready`, and gives up when the time is over.
    #[inline]
    pub fn poll<T>(&self, cx: &mut Context<'_>, ready: Poll<T>) -> Poll<Result<T, WaitEnded>> {
        if let Poll::Ready(value) = ready {
            return Poll::Ready(Ok(value));
        }
        if self.cut.get() {
            return Poll::Ready(Err(WaitEnded::Cut));
        }
        if self.armed.get() != self.deadline.get().min(self.hard_end.get()) {
            self.arm();
        }
        match self.timer.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) if self.hard_end.get() < self.deadline.get() => {
                Poll::Ready(Err(WaitEnded::Cut))
            }
            Poll::Ready(()) => Poll::Ready(Err(WaitEnded::Timeout)),
        }
    }

    /// Waits for a future, no longer than the patience lasts.
    pub async fn wait<F: Future>(&self, future: F) -> Result<F::Output, WaitEnded> {
        let mut future = std::pin::pin!(future);
        poll_fn(|cx| {
            let ready = future.as_mut().poll(cx);
            self.poll(cx, ready)
        })
        .await
    }
}

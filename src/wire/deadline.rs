//! A call's deadline, and the ways to cancel its waits.
//!
//! A user owns one; each wait of a call takes it as an argument.
//! Invariant: available input wins over a deadline that has passed: a response that came in time is
//! never discarded because we polled late.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::clock::{self, Time, Timer};
use crate::stats::{AttemptOutcome, AttemptPhase};

/// Why a wait ended before its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitEnded {
    /// The call's deadline has passed.
    Timeout,
    /// The user is cancelled, or its hard end has come.
    Cancelled,
}

impl WaitEnded {
    /// The outcome of an attempt whose wait ended so in `phase`.
    pub(super) const fn outcome(self, phase: AttemptPhase) -> AttemptOutcome {
        match self {
            Self::Timeout => AttemptOutcome::Timeout(phase),
            Self::Cancelled => AttemptOutcome::Unfinished(phase),
        }
    }
}

/// The deadline of a user's calls, and its cancellation.
#[derive(Debug)]
pub struct CallDeadline {
    timer: Timer,
    /// A separate timer: a think between two calls must not move the deadline's entry in the timer
    /// queue, or each think would leave a stale entry behind.
    pause: Timer,
    /// Deadline of the running call.
    deadline: Cell<Time>,
    /// The deadline of `timer`.
    armed: Cell<Time>,
    /// When the user must end, whatever it does. Code that moves it must wake the user.
    hard_end: Rc<Cell<Time>>,
    /// Set for all users of the shard when the run is cancelled.
    is_cancelled: Rc<Cell<bool>>,
}

impl CallDeadline {
    /// Creates a deadline that is cancelled when `is_cancelled` is set, for all calls of the shard.
    pub fn new(is_cancelled: Rc<Cell<bool>>) -> Self {
        let never = || Cell::new(Time::NEVER);
        let (deadline, armed, hard_end) = (never(), never(), Rc::new(never()));
        Self { timer: Timer::new(), pause: Timer::new(), deadline, armed, hard_end, is_cancelled }
    }

    /// Shares the hard end of another deadline: its `end_cell`.
    pub fn share_end(&mut self, hard_end: Rc<Cell<Time>>) {
        self.hard_end = hard_end;
    }

    /// Returns a shared handle to the hard end; live control moves it when a user must leave
    /// earlier or later.
    pub fn end_cell(&self) -> Rc<Cell<Time>> {
        Rc::clone(&self.hard_end)
    }

    /// Sets the time by which the user must end.
    pub fn set_hard_end(&self, at: Time) {
        self.hard_end.set(at);
    }

    /// The time by which the user must end.
    pub fn hard_end(&self) -> Time {
        self.hard_end.get()
    }

    /// When the running call has to end.
    pub(super) fn call_end(&self) -> Time {
        self.deadline.get()
    }

    /// Begins a call that may take until `deadline`.
    #[inline]
    pub fn begin(&self, deadline: Time) {
        self.deadline.set(deadline);
        self.arm();
    }

    fn arm(&self) {
        self.armed.set(self.deadline.get().min(self.hard_end.get()));
        self.timer.set(self.armed.get());
    }

    /// Ends the call: its deadline is no longer waited for.
    #[inline]
    pub fn end(&self) {
        self.timer.clear();
    }

    /// Waits until `at`; fails if the user is cancelled or its hard end comes first.
    pub async fn pause_until(&self, at: Time) -> Result<(), WaitEnded> {
        self.pause_unless(at, || self.is_cancelled.get()).await
    }

    /// As `pause_until`, but also ends when `over` holds: a user between two iterations has nothing
    /// to finish.
    pub async fn idle_until(&self, at: Time, over: impl Fn() -> bool) -> Result<(), WaitEnded> {
        self.pause_unless(at, || self.is_cancelled.get() || over()).await
    }

    /// Waits for `ready` until `at`; fails if the user is cancelled or its hard end comes first.
    pub async fn wait_until<T>(
        &self,
        at: Time,
        mut ready: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Result<T, WaitEnded> {
        let mut set = None;
        let end = poll_fn(|cx| {
            if let Poll::Ready(value) = ready(cx) {
                return Poll::Ready(Ok(value));
            }
            if self.is_cancelled.get() {
                return Poll::Ready(Err(WaitEnded::Cancelled));
            }
            // The hard end may have moved meanwhile, in either direction.
            let until = at.min(self.hard_end.get());
            if set != Some(until) {
                set = Some(until);
                self.pause.set(until);
            }
            let why = if until < at { WaitEnded::Cancelled } else { WaitEnded::Timeout };
            self.pause.poll(cx).map(|()| Err(why))
        })
        .await;
        self.pause.clear();
        end
    }

    async fn pause_unless(&self, at: Time, over: impl Fn() -> bool) -> Result<(), WaitEnded> {
        let until = || at.min(self.hard_end.get());
        if !over() && until() > clock::now() {
            let mut set = Time::NEVER;
            poll_fn(|cx| {
                if over() {
                    return Poll::Ready(());
                }
                // The hard end may have moved meanwhile, in either direction.
                if set == Time::NEVER || set != until() {
                    set = until();
                    self.pause.set(set);
                }
                self.pause.poll(cx)
            })
            .await;
            self.pause.clear();
        }
        if over() || until() < at { Err(WaitEnded::Cancelled) } else { Ok(()) }
    }

    /// Returns `ready` if it is ready; else ends the wait if the deadline has passed, or stays
    /// pending and wakes the task then.
    #[inline]
    pub fn poll<T>(&self, cx: &mut Context<'_>, ready: Poll<T>) -> Poll<Result<T, WaitEnded>> {
        if let Poll::Ready(value) = ready {
            return Poll::Ready(Ok(value));
        }
        if self.is_cancelled.get() {
            return Poll::Ready(Err(WaitEnded::Cancelled));
        }
        if self.armed.get() != self.deadline.get().min(self.hard_end.get()) {
            self.arm();
        }
        match self.timer.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) if self.hard_end.get() < self.deadline.get() => {
                Poll::Ready(Err(WaitEnded::Cancelled))
            }
            Poll::Ready(()) => Poll::Ready(Err(WaitEnded::Timeout)),
        }
    }

    /// Waits for a future until the deadline.
    pub async fn wait<F: Future>(&self, future: F) -> Result<F::Output, WaitEnded> {
        let mut future = std::pin::pin!(future);
        poll_fn(|cx| {
            let ready = future.as_mut().poll(cx);
            self.poll(cx, ready)
        })
        .await
    }
}

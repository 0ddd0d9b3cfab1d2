//! Timers of this thread, for its tasks.
//!
//! All modules that wait use them.
//! Invariant: a timer never leaves its thread; it fires at or after its deadline, never before.

use std::cell::RefCell;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::task::{Context, Poll, Waker};

use super::queue::DeadlineQueue;
use super::{Time, alarm};

thread_local! {
    static QUEUE: RefCell<DeadlineQueue> = RefCell::default();
}

/// A deadline that can be set repeatedly. Moving it later is nearly free.
#[derive(Debug)]
pub struct Timer {
    slot: u32,
    /// Neither Send nor Sync: its slot belongs to this thread.
    here: PhantomData<*const ()>,
}

impl Timer {
    /// Creates a timer that is not set.
    pub fn new() -> Self {
        Self { slot: QUEUE.with_borrow_mut(DeadlineQueue::add), here: PhantomData }
    }

    /// Sets the deadline, in place of an earlier one.
    pub fn set(&self, at: Time) {
        if QUEUE.with_borrow_mut(|queue| queue.set(self.slot, at.0)) {
            alarm::program(at);
        }
    }

    /// Removes the deadline.
    pub fn clear(&self) {
        QUEUE.with_borrow_mut(|queue| queue.clear(self.slot));
    }

    /// Ready once the deadline has passed, until it is set or cleared again.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if QUEUE.with_borrow_mut(|queue| queue.poll(self.slot, cx)) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Waits until `at`; returns at once if it has passed.
    pub async fn wait_until(&self, at: Time) {
        if at <= super::now() {
            return;
        }
        self.set(at);
        poll_fn(|cx| self.poll(cx)).await;
    }
}

impl Default for Timer {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // A task may outlive the thread's queue when the thread ends; then there is nothing to
        // free.
        let _ = QUEUE.try_with(|queue| queue.borrow_mut().remove(self.slot));
    }
}

/// Waits until `at`.
pub async fn sleep_until(at: Time) {
    if at > super::now() {
        Timer::new().wait_until(at).await;
    }
}

/// Wakes every task of this thread that waits on a timer, so that it checks its conditions again.
pub fn wake_all() {
    let mut wakers = Vec::new();
    QUEUE.with_borrow_mut(|queue| queue.all_wakers(&mut wakers));
    wakers.into_iter().for_each(Waker::wake);
}

/// Fires due deadlines; returns true if that woke a task.
pub(super) fn fire(now: Time) -> bool {
    // Wakers run outside the borrow: waking may drop a task, and with it a timer.
    thread_local! {
        static WAKERS: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
    }
    let mut wakers = WAKERS.take();
    QUEUE.with_borrow_mut(|queue| queue.fire(now.0, &mut wakers));
    let any = !wakers.is_empty();
    wakers.drain(..).for_each(Waker::wake);
    WAKERS.set(wakers);
    any
}

pub(super) fn earliest() -> Option<Time> {
    QUEUE.with_borrow(DeadlineQueue::earliest).map(Time)
}

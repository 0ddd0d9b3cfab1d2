//! Timers of this thread, for its tasks.
//!
//! All modules that wait use them.
//! Invariant: a timer never leaves its thread; it fires at or after its deadline, never before.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::marker::PhantomData;
use std::task::{Context, Poll, Waker};

use super::queue::DeadlineQueue;
use super::{Time, alarm};

thread_local! {
    static QUEUE: RefCell<DeadlineQueue> = RefCell::default();
}

/// No slot of the queue.
const NO_SLOT: u32 = u32::MAX;

/// A deadline that can be set repeatedly. Moving it later is nearly free. Until it is set for the
/// first time, it takes no place in the queue.
#[derive(Debug)]
pub struct Timer {
    slot: Cell<u32>,
    /// Neither Send nor Sync: its slot belongs to this thread.
    here: PhantomData<*const ()>,
}

impl Timer {
    /// Creates a timer that is not set.
    pub const fn new() -> Self {
        Self { slot: Cell::new(NO_SLOT), here: PhantomData }
    }

    /// Sets the deadline, in place of an earlier one.
    pub fn set(&self, at: Time) {
        let is_earliest = QUEUE.with_borrow_mut(|queue| {
            if self.slot.get() == NO_SLOT {
                self.slot.set(queue.add());
            }
            queue.set(self.slot.get(), at.0)
        });
        if is_earliest {
            alarm::program(at);
        }
    }

    /// Removes the deadline.
    pub fn clear(&self) {
        if self.slot.get() != NO_SLOT {
            QUEUE.with_borrow_mut(|queue| queue.clear(self.slot.get()));
        }
    }

    /// Ready once the deadline has passed, until it is set or cleared again. A timer that is not
    /// set wakes its task with [`wake_all`] only.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let is_due = QUEUE.with_borrow_mut(|queue| {
            if self.slot.get() == NO_SLOT {
                self.slot.set(queue.add());
            }
            queue.poll(self.slot.get(), cx)
        });
        if is_due { Poll::Ready(()) } else { Poll::Pending }
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
        let slot = self.slot.get();
        if slot != NO_SLOT {
            // A task may outlive the thread's queue when the thread ends; then there is nothing to
            // free.
            let _ = QUEUE.try_with(|queue| queue.borrow_mut().remove(slot));
        }
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

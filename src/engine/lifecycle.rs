//! Where a shard is between its start and its end: draining, cancelled, broken, idle.
//!
//! `shard_loop` changes it by commands; starters and user tasks report to it and look at it.
//! Invariant: a shard is idle only when no starter is left and no user is at work.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

/// The state of a shard.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    draining: Cell<bool>,
    /// Shared with the deadlines of all users.
    cancelled: Rc<Cell<bool>>,
    broken: Cell<bool>,
    /// Starters that have not ended.
    starters: Cell<usize>,
    /// Users at work.
    users: Cell<u64>,
    idle: Notify,
}

impl Lifecycle {
    /// The state of a shard whose `starters` are about to begin.
    pub(crate) fn new(starters: usize) -> Self {
        Self {
            draining: Cell::default(),
            cancelled: Rc::default(),
            broken: Cell::default(),
            starters: Cell::new(starters),
            users: Cell::default(),
            idle: Notify::new(),
        }
    }

    /// Begins nothing new from now on.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
    }

    /// Ends every wait at its next poll, and begins nothing new.
    pub(crate) fn cancel(&self) {
        self.draining.set(true);
        self.cancelled.set(true);
    }

    /// Whether nothing new is to begin.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Whether all waits are to end.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.get()
    }

    /// The flag behind [`Self::is_cancelled`], for the deadline of a user.
    pub(crate) fn cancelled_flag(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.cancelled)
    }

    /// Whether a task of the shard panicked.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// The number of users at work.
    pub(crate) fn users(&self) -> u64 {
        self.users.get()
    }

    /// A user is at work from now on.
    pub(crate) fn user_started(&self) {
        self.users.set(self.users.get() + 1);
    }

    /// A user is at work no longer.
    pub(crate) fn user_ended(&self) {
        self.users.set(self.users.get() - 1);
        self.notify_if_idle();
    }

    /// A further starter begins.
    pub(crate) fn starter_began(&self) {
        self.starters.set(self.starters.get() + 1);
    }

    /// A starter has ended.
    pub(crate) fn starter_ended(&self) {
        self.starters.set(self.starters.get() - 1);
        self.notify_if_idle();
    }

    /// Waits until the shard is idle or broken.
    pub(crate) async fn idle(&self) {
        self.idle.notified().await;
    }

    /// A guard for a task: if the task panics, the shard is cancelled and broken, instead of
    /// waiting for a user that will never end.
    pub(crate) fn panic_guard(self: &Rc<Self>) -> PanicGuard {
        PanicGuard(Rc::clone(self))
    }

    fn notify_if_idle(&self) {
        if self.users.get() == 0 && self.starters.get() == 0 {
            self.idle.notify_one();
        }
    }
}

/// Breaks its shard when it is dropped by a panic.
pub(crate) struct PanicGuard(Rc<Lifecycle>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.broken.set(true);
            self.0.cancel();
            self.0.idle.notify_one();
        }
    }
}

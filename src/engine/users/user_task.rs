//! A pooled task that runs one virtual user after another: its mailbox.
//!
//! `worker` assigns users to it and runs it.
//! Invariant: a task holds at most one assignment; a closed task gets no further one.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

use crate::ids::WorkloadId;
use crate::pace::{Start, Stay};

/// What a task is to run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Assignment {
    /// A user of the closed model of this workload, for the length of its stay.
    User(WorkloadId, Stay),
    /// No user yet: open the connections that the user of the closed model of this workload with
    /// this number needs, or any user of it.
    Prewarm(WorkloadId, Option<u64>),
    /// An arrival of the open model of this workload, for one iteration.
    Arrival(WorkloadId, Start),
}

/// The mailbox of a task.
#[derive(Debug, Default)]
pub(crate) struct UserTask {
    assignment: Cell<Option<Assignment>>,
    waker: RefCell<Option<Waker>>,
    closed: Cell<bool>,
    /// Connections that were opened for a user that has not come.
    prewarmed: Cell<u32>,
}

impl UserTask {
    /// Hands the task its next assignment.
    pub(crate) fn assign(&self, assignment: Assignment) {
        self.assignment.set(Some(assignment));
        self.wake();
    }

    /// Ends the task once it waits for an assignment.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.wake();
    }

    /// The task has opened this many connections for the user of its next assignment.
    pub(crate) fn set_prewarmed(&self, connections: u32) {
        self.prewarmed.set(connections);
    }

    /// Whether connections were opened for the user of this assignment.
    pub(crate) fn is_prewarmed(&self) -> bool {
        self.prewarmed.get() > 0
    }

    /// Takes the number of connections that were opened for the user of this assignment.
    pub(crate) fn take_prewarmed(&self) -> u32 {
        self.prewarmed.take()
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits for the next assignment; `None` if the task was closed.
    pub(crate) async fn next(&self) -> Option<Assignment> {
        poll_fn(|cx| match self.assignment.take() {
            Some(assignment) => Poll::Ready(Some(assignment)),
            None if self.closed.get() => Poll::Ready(None),
            None => {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

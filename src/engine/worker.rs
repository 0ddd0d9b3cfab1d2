//! Seats: the pool of light local tasks that virtual users sit in.
//!
//! The shard seats a user or an arrival; the task carries it through and is free again.
//! Invariant: a seat has at most one user; an identity never outlives its stay.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, Waker};

use super::attempt::CallTiming;
use super::closed_user::ClosedUser;
use super::iteration::{IterationRunner, IterationSummary, run_on_stop};
use super::shard::Shard;
use super::user::{IterationItem, User, UserIdentity};
use crate::clock::{self, Time};
use crate::pace::{Start, Stay};
use crate::plan::{Load, Workload};
use crate::stats::sample::IterationEnd;

/// Who is to sit down.
#[derive(Clone, Copy, Debug)]
pub(super) enum Assignment {
    /// A user of the closed model, for as long as it stays.
    User(usize, Stay),
    /// An arrival of the open model, for one iteration.
    Arrival(usize, Start),
}

impl Assignment {
    /// Whether it is seated before it is due, to be made ready.
    fn is_early(&self, shard: &Shard) -> bool {
        matches!(self, Self::User(..)) && shard.prewarm_ns() > 0
    }
}

/// A place for one user.
#[derive(Debug, Default)]
pub(super) struct UserTask {
    assignment: Cell<Option<Assignment>>,
    waker: RefCell<Option<Waker>>,
    /// Nobody will sit in it any more.
    closed: Cell<bool>,
}

impl UserTask {
    fn set(&self, guest: Assignment) {
        self.assignment.set(Some(guest));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Whoever sits down next; none: the seat is taken away.
    async fn next(&self) -> Option<Assignment> {
        poll_fn(|cx| match self.assignment.take() {
            Some(guest) => Poll::Ready(Some(guest)),
            None if self.closed.get() => Poll::Ready(None),
            None => {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

/// Seats a guest: in the seat that was left last, whose memory and connections are warm, or in a
/// new one. The caller has made sure that there may be one more.
pub(super) fn assign(shard: &Rc<Shard>, guest: Assignment) {
    let free = shard.idle_tasks.borrow_mut().pop();
    let seat = free.unwrap_or_else(|| {
        let seat = Rc::new(UserTask::default());
        tokio::task::spawn_local(run_task(Rc::clone(shard), Rc::clone(&seat), None));
        seat
    });
    if !guest.is_early(shard) {
        shard.enter();
        if let Assignment::User(workload, stay) = &guest {
            shard.user_came(*workload, stay);
        }
    }
    seat.set(guest);
}

/// Makes a seat whose connections are open before anybody sits in it.
pub(super) fn prewarm_task(shard: &Rc<Shard>, workload: usize) {
    shard.prewarming.set(shard.prewarming.get() + 1);
    tokio::task::spawn_local(run_task(Rc::clone(shard), Rc::default(), Some(workload)));
}

/// One guest after the other; where a workload is named, connections to its services come first.
async fn run_task(shard: Rc<Shard>, seat: Rc<UserTask>, warm: Option<usize>) {
    let _alarm = Shard::panic_guard(&shard);
    // Made here: what is handed to a task is kept twice.
    let mut user = User::new(&shard);
    if let Some(workload) = warm {
        // Boxed: it comes once, and would double the room of every user's task.
        Box::pin(shard.prewarm(&mut user, workload)).await;
        shard.prewarming.set(shard.prewarming.get() - 1);
        shard.idle_tasks.borrow_mut().push(Rc::clone(&seat));
    }
    while let Some(guest) = seat.next().await {
        match &guest {
            Assignment::User(workload, stay) => {
                // What an arrival or another user left in this seat is not this one's.
                user.close_connections();
                if guest.is_early(&shard) {
                    // Boxed: it comes once, and would double the room of every user's task.
                    if !Box::pin(shard.prewarm_user(&mut user, *workload, stay)).await {
                        if !shard.is_draining() {
                            shard.user_never_came(*workload, stay);
                        }
                        shard.departed(*workload);
                        shard.idle_tasks.borrow_mut().push(Rc::clone(&seat));
                        continue;
                    }
                    shard.enter();
                    shard.user_came(*workload, stay);
                }
                ClosedUser::new(&shard, &mut user, *workload, stay).run().await;
                shard.user_left(*workload);
            }
            Assignment::Arrival(workload, start) => {
                run_arrival(&shard, &mut user, *workload, start).await
            }
        }
        shard.idle_tasks.borrow_mut().push(Rc::clone(&seat));
        shard.leave();
        match guest {
            // Last, so that nobody ever sees more users at work than are allowed.
            Assignment::Arrival(workload, _) => {
                shard.shared.users[workload].fetch_sub(1, Relaxed);
            }
            Assignment::User(workload, _) => shard.departed(workload),
        }
    }
}

/// One arrival: a new user for one iteration.
async fn run_arrival(shard: &Shard, user: &mut User, index: usize, start: &Start) {
    let now = clock::now();
    let workload = &shard.plan.workloads[index];
    let due = shard.zero(workload).after(start.due_ns);
    let who = UserIdentity { workload: index, number: start.number, session: 0 };
    if matches!(&workload.load, Load::Open(arrivals) if arrivals.fresh_connections) {
        user.close_connections();
    }
    let ready = user.assume_identity(shard, &who, due);
    user.begin(shard.plan.seed, 0, IterationItem::Of(start.number));
    user.deadline.set_hard_end(shard.hard_end(workload));
    let turn = CallTiming::at_once(due, now);
    let due_ns = due.since(shard.start);
    shard.recorder.borrow_mut().begin_start(index, due_ns, now.since(due));
    if ready.is_err() || user.take_rows(shard, &who, true).is_err() {
        let mut recorder = shard.recorder.borrow_mut();
        recorder.end_iteration(index, due_ns, IterationEnd::Early, (0, 0), due_ns);
        return;
    }
    let (walked, begun) = IterationRunner::new(shard, user, turn).iteration(true).await;
    shard.end_iteration(index, due, &walked);
    if walked.end != IterationEnd::Interrupted && walked.pause_ns > 0 {
        // A pause at the end of the flow: this user is still there, as long as it may be.
        let until = walked.done.after(walked.think_ns);
        let _ = user.deadline.pause_until(until).await;
    }
    if begun {
        // Boxed: most users have nothing to say, and their tasks should have no room for it.
        Box::pin(run_on_stop(shard, user)).await;
    }
}

impl Shard {
    /// Lets go what can be spared: free seats with their connections, buffers, what would be kept
    /// of failures yet to come.
    pub(super) fn release_idle(&self) {
        for seat in std::mem::take(&mut *self.idle_tasks.borrow_mut()) {
            seat.closed.set(true);
            if let Some(waker) = seat.waker.borrow_mut().take() {
                waker.wake();
            }
        }
        *self.buffers.borrow_mut() = Vec::new();
        *self.scratch.borrow_mut() = Vec::new();
        self.recorder.borrow_mut().keep_no_more();
    }

    /// An iteration begins.
    pub(super) fn begin_iteration(&self, workload: usize, turn: &CallTiming) {
        let due_ns = turn.intended.since(self.start);
        let lag_ns = turn.picked_up.since(turn.ready);
        self.recorder.borrow_mut().begin_iteration(workload, due_ns, lag_ns);
    }

    /// An iteration has ended.
    pub(super) fn end_iteration(&self, workload: usize, due: Time, walked: &IterationSummary) {
        let took = walked.done.since(due).saturating_sub(walked.thought_ns);
        let due_ns = due.since(self.start);
        let done_ns = walked.done.since(self.start);
        let took = (took, walked.delay_ns);
        self.recorder.borrow_mut().end_iteration(workload, due_ns, walked.end, took, done_ns);
        debug_assert!(walked.end != IterationEnd::Completed || walked.done >= due);
    }

    /// When iterations of a workload are cut: its load's end and the grace.
    fn hard_end(&self, workload: &Workload) -> Time {
        match workload.end() {
            Some(end) => self.start + end + self.plan.grace,
            None => Time::NEVER,
        }
    }
}

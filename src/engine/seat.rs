//! Seats: the pool of light local tasks that virtual users sit in.
//!
//! The shard seats a user or an arrival; the task carries it through and is free again.
//! Invariant: a seat has at most one user; an identity never outlives its stay.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Poll, Waker};

use super::attempt::Turn;
use super::life::Life;
use super::shard::Shard;
use super::user::{Identity, Item, User};
use super::walk::{Walk, Walked, say_goodbye};
use crate::clock::{self, Time};
use crate::pace::{Start, Stay};
use crate::plan::{Load, Workload};
use crate::stats::sample::IterationEnd;

/// Who is to sit down.
#[derive(Clone, Copy, Debug)]
pub(super) enum Guest {
    /// A user of the closed model, for as long as it stays.
    User(usize, Stay),
    /// An arrival of the open model, for one iteration.
    Arrival(usize, Start),
}

impl Guest {
    /// Whether it is seated before it is due, to be made ready.
    fn is_early(&self, shard: &Shard) -> bool {
        matches!(self, Self::User(..)) && shard.ahead_ns() > 0
    }
}

/// A place for one user.
#[derive(Debug, Default)]
pub(super) struct Seat {
    guest: Cell<Option<Guest>>,
    waker: RefCell<Option<Waker>>,
    /// Nobody will sit in it any more.
    closed: Cell<bool>,
}

impl Seat {
    fn give(&self, guest: Guest) {
        self.guest.set(Some(guest));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Whoever sits down next; none: the seat is taken away.
    async fn next(&self) -> Option<Guest> {
        poll_fn(|cx| match self.guest.take() {
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
pub(super) fn take(shard: &Rc<Shard>, guest: Guest) {
    let free = shard.free_seats.borrow_mut().pop();
    let seat = free.unwrap_or_else(|| {
        let seat = Rc::new(Seat::default());
        tokio::task::spawn_local(sit(Rc::clone(shard), Rc::clone(&seat), None));
        seat
    });
    if !guest.is_early(shard) {
        shard.enter();
        if let Guest::User(workload, stay) = &guest {
            shard.user_came(*workload, stay);
        }
    }
    seat.give(guest);
}

/// Makes a seat whose connections are open before anybody sits in it.
pub(super) fn warm(shard: &Rc<Shard>, workload: usize) {
    shard.warming.set(shard.warming.get() + 1);
    tokio::task::spawn_local(sit(Rc::clone(shard), Rc::default(), Some(workload)));
}

/// One guest after the other; where a workload is named, connections to its services come first.
async fn sit(shard: Rc<Shard>, seat: Rc<Seat>, warm: Option<usize>) {
    let _alarm = Shard::alarm(&shard);
    // Made here: what is handed to a task is kept twice.
    let mut user = User::new(&shard);
    if let Some(workload) = warm {
        // Boxed: it comes once, and would double the room of every user's task.
        Box::pin(shard.warm_up(&mut user, workload)).await;
        shard.warming.set(shard.warming.get() - 1);
        shard.free_seats.borrow_mut().push(Rc::clone(&seat));
    }
    while let Some(guest) = seat.next().await {
        match &guest {
            Guest::User(workload, stay) => {
                // What an arrival or another user left in this seat is not this one's.
                user.hang_up();
                if guest.is_early(&shard) {
                    // Boxed: it comes once, and would double the room of every user's task.
                    if !Box::pin(shard.await_user(&mut user, *workload, stay)).await {
                        if !shard.is_draining() {
                            shard.user_never_came(*workload, stay);
                        }
                        shard.has_gone(*workload);
                        shard.free_seats.borrow_mut().push(Rc::clone(&seat));
                        continue;
                    }
                    shard.enter();
                    shard.user_came(*workload, stay);
                }
                Life::new(&shard, &mut user, *workload, stay).live().await;
                shard.user_left(*workload);
            }
            Guest::Arrival(workload, start) => arrive(&shard, &mut user, *workload, start).await,
        }
        shard.free_seats.borrow_mut().push(Rc::clone(&seat));
        shard.leave();
        match guest {
            // Last, so that nobody ever sees more users at work than are allowed.
            Guest::Arrival(workload, _) => {
                shard.shared.users[workload].fetch_sub(1, Relaxed);
            }
            Guest::User(workload, _) => shard.has_gone(workload),
        }
    }
}

/// One arrival: a new user for one iteration.
async fn arrive(shard: &Shard, user: &mut User, index: usize, start: &Start) {
    let now = clock::now();
    let workload = &shard.plan.workloads[index];
    let due = shard.zero(workload).after(start.due_ns);
    let who = Identity { workload: index, number: start.number, session: 0 };
    if matches!(&workload.load, Load::Open(arrivals) if arrivals.fresh_connections) {
        user.hang_up();
    }
    let ready = user.become_somebody(shard, &who, due);
    user.begin(shard.plan.seed, 0, Item::Of(start.number));
    user.patience.set_hard_end(shard.hard_end(workload));
    let turn = Turn::at_once(due, now);
    let due_ns = due.since(shard.start);
    shard.recorder.borrow_mut().begin_start(index, due_ns, now.since(due));
    if ready.is_err() || user.take_rows(shard, &who, true).is_err() {
        let mut recorder = shard.recorder.borrow_mut();
        recorder.end_iteration(index, due_ns, IterationEnd::Early, (0, 0), due_ns);
        return;
    }
    let (walked, begun) = Walk::new(shard, user, turn).iteration(true).await;
    shard.end_iteration(index, due, &walked);
    if walked.end != IterationEnd::Interrupted && walked.pause_ns > 0 {
        // A pause at the end of the flow: this user is still there, as long as it may be.
        let until = walked.done.after(walked.think_ns);
        let _ = user.patience.pause_until(until).await;
    }
    if begun {
        // Boxed: most users have nothing to say, and their tasks should have no room for it.
        Box::pin(say_goodbye(shard, user)).await;
    }
}

impl Shard {
    /// Lets go what can be spared: free seats with their connections, buffers, what would be kept
    /// of failures yet to come.
    pub(super) fn shed(&self) {
        for seat in std::mem::take(&mut *self.free_seats.borrow_mut()) {
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
    pub(super) fn begin_iteration(&self, workload: usize, turn: &Turn) {
        let due_ns = turn.intended.since(self.start);
        let lag_ns = turn.picked_up.since(turn.ready);
        self.recorder.borrow_mut().begin_iteration(workload, due_ns, lag_ns);
    }

    /// An iteration has ended.
    pub(super) fn end_iteration(&self, workload: usize, due: Time, walked: &Walked) {
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

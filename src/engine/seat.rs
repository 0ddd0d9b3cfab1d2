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
use super::shard::Shard;
use super::user::{Item, User, Walked};
use crate::clock::{self, Time};
use crate::pace::think::{Ended, next_iteration_ns};
use crate::pace::{Start, Stay};
use crate::plan::load::Bound;
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

/// A place for one user.
#[derive(Debug, Default)]
pub(super) struct Seat {
    guest: Cell<Option<Guest>>,
    waker: RefCell<Option<Waker>>,
}

impl Seat {
    fn give(&self, guest: Guest) {
        self.guest.set(Some(guest));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    async fn next(&self) -> Guest {
        poll_fn(|cx| match self.guest.take() {
            Some(guest) => Poll::Ready(guest),
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
        tokio::task::spawn_local(sit(Rc::clone(shard), Rc::clone(&seat)));
        seat
    });
    shard.enter();
    seat.give(guest);
}

async fn sit(shard: Rc<Shard>, seat: Rc<Seat>) {
    let _alarm = Shard::alarm(&shard);
    let mut user = User::new(&shard);
    loop {
        let guest = seat.next().await;
        match guest {
            Guest::User(workload, stay) => {
                stay_in(&shard, &mut user, workload, stay).await;
                // Its connections were its own; the next one in this seat is somebody else.
                user.lines.iter_mut().for_each(crate::wire::Line::close);
            }
            Guest::Arrival(workload, start) => arrive(&shard, &mut user, workload, start).await,
        }
        shard.free_seats.borrow_mut().push(Rc::clone(&seat));
        shard.leave();
        if let Guest::Arrival(workload, _) = guest {
            // Last, so that nobody ever sees more users at work than are allowed.
            shard.shared.users[workload].fetch_sub(1, Relaxed);
        }
    }
}

/// One arrival: a new user for one iteration.
async fn arrive(shard: &Shard, user: &mut User, index: usize, start: Start) {
    let now = clock::now();
    let workload = &shard.plan.workloads[index];
    let due = shard.zero(workload).after(start.due_ns);
    user.become_number(shard, index, start.number);
    user.begin(shard.plan.seed, 0, Item::Of(start.number));
    user.patience.set_hard_end(shard.hard_end(workload));
    let turn = Turn { intended: due, ready: due, picked_up: now };
    let due_ns = due.since(shard.start);
    shard.recorder.borrow_mut().begin_start(index, due_ns, now.since(due));
    let walked = user.walk(shard, turn).await;
    end_iteration(shard, index, due, &walked);
}

/// One user of the closed model, from its coming to its going.
async fn stay_in(shard: &Shard, user: &mut User, index: usize, stay: Stay) {
    let workload = &shard.plan.workloads[index];
    let Load::Closed(users) = &workload.load else { return };
    // What an arrival left in this seat is not this user's.
    user.lines.iter_mut().for_each(crate::wire::Line::close);
    let zero = shard.zero(workload);
    let leave = zero.after(stay.leave_ns);
    user.become_number(shard, index, stay.number);
    user.patience.set_hard_end(leave + shard.plan.grace);
    let due = zero.after(stay.enter_ns);
    let mut turn = Turn { intended: due, ready: due, picked_up: clock::now() };
    for iteration in 0.. {
        let Some(item) = next_item(shard, index, users.bound, stay.number, iteration) else {
            return;
        };
        // A user that comes again goes on in its own stream, it does not begin anew.
        user.begin(shard.plan.seed, stay.visit << 32 | iteration, item);
        begin_iteration(shard, index, turn);
        let walked = user.walk(shard, turn).await;
        end_iteration(shard, index, turn.intended, &walked);
        let due = next_due(shard, user, turn.intended, &walked);
        // A target that gives no answer is not hammered, whatever the pace. What the pace intended
        // stays intended: holding back is blocked time.
        let ready = due.max(walked.done.after(user.backoff_ns()));
        let mut now = walked.done;
        if ready > now {
            // Between iterations a user that has to leave goes at once.
            if ready >= leave || user.patience.idle_until(ready, &shard.draining).await.is_err() {
                return;
            }
            now = clock::now();
        }
        turn = Turn { intended: due, ready, picked_up: now };
        if now >= leave || shard.is_draining() {
            return;
        }
    }
}

/// Which item a user's next iteration is; `None` when there is none left.
fn next_item(
    shard: &Shard,
    index: usize,
    bound: Bound,
    number: u64,
    iteration: u64,
) -> Option<Item> {
    match bound {
        Bound::Time => Some(Item::Of(number)),
        Bound::Once => (iteration == 0).then_some(Item::Of(number)),
        Bound::Iterations(most) => {
            // One count for the whole run: whoever is free takes the next.
            let taken = shard.shared.iterations[index].fetch_add(1, Relaxed);
            (taken < most).then_some(Item::Iteration(taken))
        }
    }
}

fn next_due(shard: &Shard, user: &User, due: Time, walked: &Walked) -> Time {
    let ended = Ended {
        intended_ns: due.0,
        done_ns: walked.done.0,
        thought_ns: walked.thought_ns,
        // Without a pace there is no schedule to hold: holding back is the user's own wait.
        think_ns: walked.think_ns.max(user.backoff_ns()),
    };
    Time(next_iteration_ns(ended, shard.flows[user.archetype].pace_ns))
}

fn begin_iteration(shard: &Shard, workload: usize, turn: Turn) {
    let due_ns = turn.intended.since(shard.start);
    let lag_ns = turn.picked_up.since(turn.ready);
    shard.recorder.borrow_mut().begin_iteration(workload, due_ns, lag_ns);
}

fn end_iteration(shard: &Shard, workload: usize, due: Time, walked: &Walked) {
    let took = walked.done.since(due).saturating_sub(walked.thought_ns);
    let due_ns = due.since(shard.start);
    shard.recorder.borrow_mut().end_iteration(workload, due_ns, walked.end, took);
    debug_assert!(walked.end != IterationEnd::Completed || walked.done >= due);
}

impl Shard {
    /// When iterations of a workload are cut: its load's end and the grace.
    fn hard_end(&self, workload: &Workload) -> Time {
        match workload.end() {
            Some(end) => self.start + end + self.plan.grace,
            None => Time::NEVER,
        }
    }
}

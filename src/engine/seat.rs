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
use super::user::{Identity, Item, RanOut, User};
use super::walk::{Walk, Walked};
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
            Guest::User(workload, stay) => stay_in(&shard, &mut user, workload, stay).await,
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
    let who = Identity { workload: index, number: start.number, session: 0 };
    let ready = user.become_somebody(shard, who);
    user.begin(shard.plan.seed, 0, Item::Of(start.number));
    user.patience.set_hard_end(shard.hard_end(workload));
    let turn = Turn { intended: due, ready: due, picked_up: now };
    let due_ns = due.since(shard.start);
    shard.recorder.borrow_mut().begin_start(index, due_ns, now.since(due));
    if ready.is_err() || user.take_rows(shard, who, true).is_err() {
        shard.recorder.borrow_mut().end_iteration(index, due_ns, IterationEnd::Early, 0);
        return;
    }
    let (walked, begun) = iterate(shard, user, turn, true).await;
    end_iteration(shard, index, due, &walked);
    let stays = walked.end != IterationEnd::Interrupted;
    if stays && walked.pause_ns > 0 {
        // A pause at the end of the flow: this user is still there.
        let until = walked.done.after(walked.think_ns);
        if user.patience.pause_until(until).await.is_err() {
            return;
        }
    }
    if stays && begun {
        say_goodbye(shard, user).await;
    }
}

/// One user of the closed model, from its coming to its going; when its session is over, another
/// takes its place.
async fn stay_in(shard: &Shard, user: &mut User, index: usize, stay: Stay) {
    let zero = shard.zero(&shard.plan.workloads[index]);
    let leave = zero.after(stay.leave_ns);
    let due = zero.after(stay.enter_ns);
    let mut turn = Turn { intended: due, ready: due, picked_up: clock::now() };
    for session in 0.. {
        // What an arrival or another user left in this seat is not this one's.
        user.hang_up();
        let who = Identity { workload: index, number: stay.number, session };
        user.patience.set_hard_end(leave + shard.plan.grace);
        let stopped = match user.become_somebody(shard, who) {
            Ok(()) => live(shard, user, who, Visit { number: stay.visit, leave }, turn).await,
            Err(RanOut) => Stopped::ForGood,
        };
        match stopped {
            Stopped::SessionOver(next) if !shard.is_draining() => {
                // A goodbye that took its time keeps the next user waiting: for the target.
                let now = clock::now();
                turn = Turn { ready: next.ready.max(now), picked_up: now, ..next };
            }
            Stopped::SessionOver(_) | Stopped::ForGood => break,
        }
    }
    // Its connections were its own; the next one in this seat is somebody else.
    user.hang_up();
}

/// One stay of a user.
#[derive(Clone, Copy)]
struct Visit {
    /// How often it was in before.
    number: u64,
    /// When it begins no further iteration.
    leave: Time,
}

/// Why a user stopped.
enum Stopped {
    /// Another one may take its place, at that turn.
    SessionOver(Turn),
    /// Nobody does.
    ForGood,
}

/// A user's iterations, and its goodbye.
async fn live(shard: &Shard, user: &mut User, who: Identity, visit: Visit, first: Turn) -> Stopped {
    let Load::Closed(users) = &shard.plan.workloads[who.workload].load else {
        return Stopped::ForGood;
    };
    let (length_ns, most) = user.session(shard);
    let over_at = first.intended.after(length_ns);
    let (mut turn, mut begun) = (first, false);
    let stopped = loop {
        let iteration = user_iteration(user, begun);
        let Some(item) = next_item(shard, who, users.bound, iteration) else {
            break Stopped::ForGood;
        };
        // A user that comes again goes on in its own stream, it does not begin anew.
        user.begin(shard.plan.seed, visit.number << 32 | iteration, item);
        if user.take_rows(shard, who, true).is_err() {
            break Stopped::ForGood;
        }
        begin_iteration(shard, who.workload, turn);
        let (walked, could_start) = iterate(shard, user, turn, !begun).await;
        end_iteration(shard, who.workload, turn.intended, &walked);
        if !could_start {
            // A user whose `on_start` failed never was one: it has nothing to stop.
            return Stopped::ForGood;
        }
        begun = true;
        let due = next_due(shard, user, turn.intended, &walked);
        let is_last = iteration + 1 >= most || due >= over_at;
        // A target that gives no answer is not hammered, whatever the pace. What the pace intended
        // stays intended: holding back is blocked time.
        let ready = due.max(walked.done.after(user.backoff_ns()));
        let mut now = walked.done;
        if ready > now {
            // Between iterations a user that has to leave goes at once.
            let idle = user.patience.idle_until(ready, &shard.draining);
            if ready >= visit.leave || idle.await.is_err() {
                break Stopped::ForGood;
            }
            now = clock::now();
        }
        turn = Turn { intended: due, ready, picked_up: now };
        if now >= visit.leave || shard.is_draining() {
            break Stopped::ForGood;
        }
        if is_last {
            break Stopped::SessionOver(turn);
        }
    };
    if begun {
        say_goodbye(shard, user).await;
    }
    stopped
}

/// The number of a user's next iteration in this stay.
fn user_iteration(user: &User, begun: bool) -> u64 {
    if begun { (user.iteration & 0xffff_ffff) + 1 } else { 0 }
}

/// Walks the flow once, with `on_start` before it for the first time; the second part says whether
/// that held.
async fn iterate(shard: &Shard, user: &mut User, turn: Turn, is_first: bool) -> (Walked, bool) {
    let mut walk = Walk::new(shard, user, turn);
    let sections = walk.flow.sections;
    if is_first
        && let Some(on_start) = sections.on_start
        && !walk.section(on_start).await
    {
        return (walk.ended(), false);
    }
    walk.section(sections.flow).await;
    (walk.ended(), true)
}

/// What a user does once more, after its last iteration; its calls belong to none.
async fn say_goodbye(shard: &Shard, user: &mut User) {
    if let Some(on_stop) = shard.flows[user.archetype].sections.on_stop
        && !shard.cut.get()
    {
        let now = clock::now();
        let turn = Turn { intended: now, ready: now, picked_up: now };
        // Boxed: most users have nothing to say, and their tasks should have no room for it.
        Box::pin(async { Walk::new(shard, user, turn).section(on_stop).await }).await;
    }
    if let Some(left) = &shard.left {
        left.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone_from(&user.variables);
    }
}

/// Which item a user's next iteration is; `None` when there is none left.
fn next_item(shard: &Shard, who: Identity, bound: Bound, iteration: u64) -> Option<Item> {
    // A later session's user has a number of its own.
    let number = who.number + who.session * shard.plan.workloads[who.workload].peak_users();
    match bound {
        Bound::Time => Some(Item::Of(number)),
        Bound::Once => (iteration == 0 && who.session == 0).then_some(Item::Of(number)),
        Bound::Iterations(most) => shard.take_iteration(who.workload, most).map(Item::Iteration),
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

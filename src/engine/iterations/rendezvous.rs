//! Rendezvous points: users of all shards wait for each other and go on together.
//!
//! `iteration` calls it for a `rendezvous` step.
//! Invariant: the only thing besides counts that shards share; a gathering is touched when a user
//! comes to it or leaves it, never on the way of a request.

use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

use crate::clock::{self, Time, Timer};
use crate::engine::lifecycle::Lifecycle;
use crate::plan::flow::Rendezvous;
use crate::stats::sample::IterationEnd;
use crate::units::nanos;
use crate::wire::CallDeadline;

/// A point where users of all shards wait for each other.
#[derive(Debug, Default)]
pub struct RendezvousPoint(Mutex<RendezvousState>);

#[derive(Debug)]
struct RendezvousState {
    /// How often users went on together.
    round: u64,
    /// When the users of the last round went on.
    released: Time,
    /// The users that wait: ticket and waker.
    waiting: Vec<(u64, Option<Waker>)>,
    next_ticket: u64,
}

impl Default for RendezvousState {
    fn default() -> Self {
        Self { round: 0, released: Time::NEVER, waiting: Vec::new(), next_ticket: 0 }
    }
}

/// Waits at a rendezvous until enough users are there, the wait of the step is over, or the user's
/// deadline ends. Returns when the user goes on. The wait is the user's own, like a pause.
///
/// # Errors
/// If the user is cancelled or its time is over.
pub(crate) async fn join(
    point: &RendezvousPoint,
    at: Rendezvous,
    arrived: Time,
    lifecycle: &Lifecycle,
    deadline: &CallDeadline,
) -> Result<Time, IterationEnd> {
    let alone_at = arrived.after(nanos(at.wait));
    let released = match point.arrive(at.users) {
        Arrival::Last(released) => released,
        Arrival::Waits(ticket, round) => {
            let timer = Timer::new();
            let mut set = Time::NEVER;
            let released = poll_fn(|cx| {
                if let Some(released) = point.released(ticket, round, cx.waker()) {
                    return Poll::Ready(Some(released));
                }
                if lifecycle.is_cancelled() {
                    return Poll::Ready(None);
                }
                // The end of the user's stay may move while it waits.
                let until = alone_at.min(deadline.hard_end());
                if set != until {
                    set = until;
                    timer.set(until);
                }
                timer.poll(cx).map(|()| None)
            })
            .await;
            released.or_else(|| point.leave(ticket, round)).unwrap_or(alone_at)
        }
    };
    if lifecycle.is_cancelled() || clock::now() >= deadline.hard_end() {
        return Err(IterationEnd::Interrupted);
    }
    Ok(released.max(arrived))
}

/// How a user arrives at a rendezvous.
enum Arrival {
    /// The user is the last one: all users go on at this time.
    Last(Time),
    /// The user waits, with this ticket, in this round.
    Waits(u64, u64),
}

impl RendezvousPoint {
    /// A user arrives; the rendezvous is complete with `users` of them.
    fn arrive(&self, users: u64) -> Arrival {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.waiting.len() as u64 + 1 < users {
            let ticket = state.next_ticket;
            state.next_ticket += 1;
            state.waiting.push((ticket, None));
            return Arrival::Waits(ticket, state.round);
        }
        let now = clock::now();
        state.round += 1;
        state.released = now;
        let wakers: Vec<Waker> = state.waiting.drain(..).filter_map(|(_, waker)| waker).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Arrival::Last(now)
    }

    /// When the round of this ticket was released; `None` if it was not, and `waker` is woken then.
    fn released(&self, ticket: u64, round: u64, waker: &Waker) -> Option<Time> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.round != round {
            return Some(state.released);
        }
        let mine = state.waiting.iter_mut().rev().find(|(other, _)| *other == ticket);
        if let Some((_, waiting)) = mine
            && !waiting.as_ref().is_some_and(|other| other.will_wake(waker))
        {
            *waiting = Some(waker.clone());
        }
        None
    }

    /// Leaves alone; when the round was released, if that has just happened.
    fn leave(&self, ticket: u64, round: u64) -> Option<Time> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.round != round {
            return Some(state.released);
        }
        state.waiting.retain(|(other, _)| *other != ticket);
        None
    }
}

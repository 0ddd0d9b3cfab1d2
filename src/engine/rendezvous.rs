//! Rendezvous: users wait for each other and go on together.
//!
//! `walk` comes here for a `rendezvous` step.
//! Invariant: the only thing besides counts that shards share; a gathering is touched when a user
//! comes to it or leaves it, never on the way of a request.

use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

use super::iteration::IterationRunner;
use crate::clock::{self, Time, Timer};
use crate::plan::flow::Rendezvous;
use crate::stats::sample::IterationEnd;
use crate::units::nanos;

/// A place where users of all shards wait for each other.
#[derive(Debug, Default)]
pub struct RendezvousPoint(Mutex<RendezvousState>);

#[derive(Debug)]
struct RendezvousState {
    /// How often they went on together.
    round: u64,
    /// When they last did.
    released: Time,
    /// Who is there: a ticket each.
    there: Vec<(u64, Option<Waker>)>,
    next_ticket: u64,
}

impl Default for RendezvousState {
    fn default() -> Self {
        Self { round: 0, released: Time::NEVER, there: Vec::new(), next_ticket: 0 }
    }
}

/// The user comes to a rendezvous and goes on with the others, or alone when its wait is over. The
/// wait is the user's own, as a pause.
pub(super) async fn join(
    walk: &mut IterationRunner<'_>,
    at: Rendezvous,
) -> Result<(), IterationEnd> {
    let (shard, archetype) = (walk.shard, walk.user.archetype);
    let gathering = &shard.shared.rendezvous[archetype][at.index];
    let came = walk.timing.intended;
    let alone_at = came.after(nanos(at.wait));
    let go_on = match gathering.come(at.users) {
        Came::Last(released) => released,
        Came::Waits(ticket, round) => {
            let timer = Timer::new();
            let mut set = Time::NEVER;
            let released = poll_fn(|cx| {
                if let Some(released) = gathering.released(ticket, round, cx.waker()) {
                    return Poll::Ready(Some(released));
                }
                if shard.cancelled.get() {
                    return Poll::Ready(None);
                }
                // Its end may move while it waits.
                let until = alone_at.min(walk.user.deadline.hard_end());
                if set != until {
                    set = until;
                    timer.set(until);
                }
                timer.poll(cx).map(|()| None)
            })
            .await;
            released.or_else(|| gathering.leave(ticket, round)).unwrap_or(alone_at)
        }
    };
    if shard.cancelled.get() || clock::now() >= walk.user.deadline.hard_end() {
        return Err(IterationEnd::Interrupted);
    }
    let go_on = go_on.max(came);
    walk.go_on_at(go_on, go_on.since(came));
    Ok(())
}

enum Came {
    /// As the last that was missing: all go on at this time.
    Last(Time),
    /// To wait, with this ticket, in this round.
    Waits(u64, u64),
}

impl RendezvousPoint {
    /// Somebody comes; `users` make it complete.
    fn come(&self, users: u64) -> Came {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.there.len() as u64 + 1 < users {
            let ticket = waiting.next_ticket;
            waiting.next_ticket += 1;
            waiting.there.push((ticket, None));
            return Came::Waits(ticket, waiting.round);
        }
        let now = clock::now();
        waiting.round += 1;
        waiting.released = now;
        let wakers: Vec<Waker> = waiting.there.drain(..).filter_map(|(_, waker)| waker).collect();
        drop(waiting);
        wakers.into_iter().for_each(Waker::wake);
        Came::Last(now)
    }

    /// When the round of this ticket went on; it is woken then.
    fn released(&self, ticket: u64, round: u64, waker: &Waker) -> Option<Time> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.round != round {
            return Some(waiting.released);
        }
        let mine = waiting.there.iter_mut().rev().find(|(other, _)| *other == ticket);
        if let Some((_, kept)) = mine
            && !kept.as_ref().is_some_and(|kept| kept.will_wake(waker))
        {
            *kept = Some(waker.clone());
        }
        None
    }

    /// Goes on alone, unless the others have just come.
    fn leave(&self, ticket: u64, round: u64) -> Option<Time> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.round != round {
            return Some(waiting.released);
        }
        waiting.there.retain(|(other, _)| *other != ticket);
        None
    }
}

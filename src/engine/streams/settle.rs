//! Ends the streams of an iteration or of a user: listeners are settled, then connections closed.
//!
//! `iteration` and the users' tasks call it.
//! Invariant: at the end of a run listeners are settled after the last publisher has stopped and
//! what is under way has had time to arrive; in mid-run, at once.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use crate::clock::{self, Time};
use crate::engine::shard::Shard;
use crate::engine::streams::live_stream::LiveStream;
use crate::engine::streams::stream_state::StreamPhase;
use crate::engine::users::user::User;
use crate::plan::stream::{CLOSE_WAIT, LATE_WAIT};

impl User {
    /// Whether the user has streams, or had some.
    pub(crate) fn has_streams(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| !extras.streams.open.is_empty())
    }

    /// Takes over the values that listeners of its streams captured.
    pub(crate) fn take_captured(&mut self) {
        let captured = self.extras.as_ref().and_then(|extras| extras.streams.captured.as_ref());
        if let Some(captured) = captured {
            captured.take_over(&mut self.variables);
        }
    }

    /// Ends the streams that live as long as an iteration.
    pub(crate) async fn end_iteration_streams(&mut self, shard: &Shard) {
        let plans = &shard.plan.archetypes[self.archetype].streams;
        let Some(extras) = &mut self.extras else { return };
        let ended = extras.streams.take(|stream| !plans[stream].of_user);
        end_all(shard, self, &ended, false).await;
    }

    /// Ends all streams of the user; `is_final`: at the end of the load.
    pub(crate) async fn end_streams(&mut self, shard: &Shard, is_final: bool) {
        let Some(extras) = &mut self.extras else { return };
        let ended = extras.streams.take(|_| true);
        (extras.streams.publisher, extras.streams.captured) = (None, None);
        end_all(shard, self, &ended, is_final).await;
    }
}

async fn end_all(shard: &Shard, user: &User, streams: &[Rc<LiveStream>], is_final: bool) {
    let mut is_settled = false;
    if is_final && streams.iter().any(|live| live.is_due_messages()) {
        is_settled = await_late(shard, user, streams).await;
    }
    await_confirmations(user, streams).await;
    for live in streams {
        live.end_listeners(shard, is_settled);
        live.begin_close(shard, 1_000, "");
    }
    let until = clock::now() + CLOSE_WAIT;
    for live in streams {
        let _ = user
            .deadline
            .wait_until(until, |cx| {
                let mut state = live.state.borrow_mut();
                if matches!(state.phase, StreamPhase::Ended(_)) {
                    return Poll::Ready(());
                }
                state.wait_here(cx);
                Poll::Pending
            })
            .await;
        live.give_up_inbox(shard);
    }
}

/// Waits for the confirmations of messages that were sent.
async fn await_confirmations(user: &User, streams: &[Rc<LiveStream>]) {
    let until = clock::now() + CLOSE_WAIT;
    let waits = |live: &LiveStream| {
        let state = live.state.borrow();
        state.phase == StreamPhase::Open && state.answers.unconfirmed() > 0
    };
    if streams.iter().any(|live| waits(live)) {
        poll_each(user, until, &|| !streams.iter().any(|live| waits(live))).await;
    }
}

/// Waits until no user publishes any more, and then until all that is due has arrived. Returns
/// whether no publisher is left.
async fn await_late(shard: &Shard, user: &User, streams: &[Rc<LiveStream>]) -> bool {
    let until = clock::now() + LATE_WAIT;
    let has_stopped = || shard.shared.publishing.load(Relaxed) == 0;
    poll_each(user, until, &has_stopped).await;
    if !has_stopped() {
        return false;
    }
    let until = clock::now() + LATE_WAIT;
    let has_all = || streams.iter().all(|live| live.has_all_due());
    poll_each(user, until, &has_all).await;
    true
}

/// Looks at `is_over` every few milliseconds until `until`.
async fn poll_each(user: &User, until: Time, is_over: &dyn Fn() -> bool) {
    const EVERY_NS: u64 = 20_000_000;
    while !is_over() && clock::now() < until {
        let next = clock::now().after(EVERY_NS).min(until);
        if user.deadline.idle_until(next, || false).await.is_err() {
            return;
        }
    }
}

//! The reader of a stream: a task that reads it to its end, and opens it again if its step says so.
//!
//! `open` spawns it.
//! Invariant: a stream that ended is counted once, with its life and its reason.

use std::future::poll_fn;
use std::rc::Rc;

use rand::RngExt;

use crate::clock::{self, RunOffset, Timer};
use crate::engine::attempt;
use crate::engine::call::context::CallContext;
use crate::engine::call::timing::CallTiming;
use crate::engine::shard::Shard;
use crate::engine::streams::end;
use crate::engine::streams::live_stream::LiveStream;
use crate::engine::streams::stream_state::StreamPhase;
use crate::engine::users::user::{User, UserSnapshot};
use crate::plan::stream::{OpenStream, Reconnect, StreamAct};
use crate::stats::{AttemptOutcome, AttemptPhase, MessageTime};
use crate::template::Value;
use crate::units::nanos;
use crate::wire::message_stream::StreamEnd;

/// A copy of a stream's user, which opens the stream again. It is made when a stream ends: most
/// never do.
pub(super) enum SpareUser {
    Later(Box<(UserSnapshot, Vec<Option<Value>>)>),
    Made(Box<User>),
}

impl SpareUser {
    /// The copy of a user as it is now.
    pub(super) fn of(user: &mut User) -> Self {
        Self::Later(Box::new((user.snapshot(), user.variables.clone())))
    }

    fn make(self, shard: &Shard) -> Box<User> {
        match self {
            Self::Made(user) => user,
            Self::Later(copied) => {
                let (snapshot, variables) = *copied;
                let mut user = Box::new(User::new(shard));
                user.become_copy(snapshot);
                user.variables = variables;
                user
            }
        }
    }
}

/// Spawns the reader of a stream that has just opened; `spare` opens it again.
pub(super) fn spawn(shard: &Shard, live: Rc<LiveStream>, spare: Option<SpareUser>) {
    let Some(shard) = shard.itself.upgrade() else { return };
    tokio::task::spawn_local(async move {
        let _guard = shard.lifecycle.panic_guard();
        run(&shard, &live, spare).await;
        shard.streams.count_wanted(live.step, false);
    });
}

async fn run(shard: &Rc<Shard>, live: &LiveStream, mut spare: Option<SpareUser>) {
    loop {
        let ended = poll_fn(|cx| live.poll(shard, cx)).await;
        count_end(shard, live, ended);
        let reconnect = opening_of(shard, live).and_then(|open| open.reconnect);
        let reconnect = reconnect.filter(|_| !ended.is_ours);
        let (Some(reconnect), Some(copy)) = (reconnect, spare.take()) else {
            finish(live, ended);
            return;
        };
        live.state.borrow_mut().phase = StreamPhase::Away;
        // Boxed: it is rare, and most streams never need its room.
        spare = Box::pin(reopen(shard, live, copy.make(shard), reconnect)).await;
        if spare.is_none() {
            finish(live, ended);
            return;
        }
    }
}

/// How a stream was opened.
fn opening_of<'s>(shard: &'s Shard, live: &LiveStream) -> Option<&'s OpenStream> {
    let flow = &shard.flows[shard.archetype_of(live.step)];
    match &flow.calls[live.call].call.stream.as_ref()?.act {
        StreamAct::Open(open) => Some(open),
        _ => None,
    }
}

/// Counts a stream that opened.
pub(super) fn count_opened(shard: &Shard, live: &LiveStream, again: bool) {
    shard.streams.count_held(live.step, true);
    let mut recorder = shard.recorder.borrow_mut();
    let streams = recorder.streams();
    streams.opened += 1;
    streams.reconnects += u64::from(again);
}

/// Counts the end of a connection.
fn count_end(shard: &Shard, live: &LiveStream, ended: StreamEnd) {
    let now = clock::now();
    let opened = live.state.borrow().opened;
    live.state.borrow_mut().answers.give_up(shard);
    shard.streams.count_held(live.step, false);
    let has_statuses = opening_of(shard, live).is_some_and(|open| open.form.has_statuses());
    let mut recorder = shard.recorder.borrow_mut();
    recorder.record_stream_end(&end::describe(ended, has_statuses));
    if let Some(kind) = ended.failure {
        recorder.record_error(AttemptOutcome::of_failure(AttemptPhase::Message, kind));
    }
    let at = RunOffset::of(now, shard.start);
    recorder.messages(live.step, at).record(MessageTime::Life, now.since(opened));
}

/// Ends a stream for good.
fn finish(live: &LiveStream, ended: StreamEnd) {
    let mut state = live.state.borrow_mut();
    state.phase = StreamPhase::Ended(ended);
    state.wake_user();
}

/// Opens a stream again, and returns the user that did it; `None` if its attempts are used up, or
/// its user closed it meanwhile.
async fn reopen(
    shard: &Shard,
    live: &LiveStream,
    mut spare: Box<User>,
    plan: Reconnect,
) -> Option<SpareUser> {
    let timer = Timer::new();
    let (base, cap) = (nanos(plan.base), nanos(plan.cap));
    // The target may ask for a longer wait, but not for one above the step's own maximum.
    let asked = live.state.borrow().reconnect_delay.map_or(0, nanos).min(cap);
    for attempt in 0..plan.max {
        let wait_ns = base.saturating_mul(1 << attempt.min(32)).min(cap);
        // Half of it is random, so that streams that ended together do not return together.
        let half: u64 = wait_ns / 2;
        let jitter = spare.rng.random_range(0..=half);
        wait(shard, live, &timer, (half + jitter).max(asked)).await;
        if live.is_unwanted() || shard.is_draining() {
            return None;
        }
        let flow = &shard.flows[shard.archetype_of(live.step)];
        let resume_from = live.state.borrow().last_id.clone().filter(|_| plan.resume);
        spare.extras().streams.resume_from = resume_from;
        let now = clock::now();
        let timing = CallTiming::at_once(now, now);
        let prepared = &flow.calls[live.call];
        let context = CallContext { shard, prepared, timing: &timing };
        let end = attempt::call(context, &mut spare).await;
        if let Some(wire) = spare.extras().streams.opened.take() {
            if live.is_unwanted() {
                return None;
            }
            count_opened(shard, live, true);
            live.state.borrow_mut().came_back(wire, end.done);
            return Some(SpareUser::Made(spare));
        }
    }
    None
}

/// Waits, or until the stream is not wanted any more.
async fn wait(shard: &Shard, live: &LiveStream, timer: &Timer, ns: u64) {
    timer.set(clock::now().after(ns));
    poll_fn(|cx| {
        live.state.borrow_mut().reader = Some(cx.waker().clone());
        if live.is_unwanted() || shard.lifecycle.is_cancelled() {
            return std::task::Poll::Ready(());
        }
        timer.poll(cx)
    })
    .await;
}

//! Opens a stream: the handshake is a call like any other, whose connection is taken over.
//!
//! `step` runs it.
//! Invariant: a stream that opened has a reader, and is counted once.

use std::rc::Rc;

use rand::{RngExt, SeedableRng};

use crate::engine::attempt;
use crate::engine::call::context::CallContext;
use crate::engine::call::prepared::PreparedCall;
use crate::engine::call::timing::{CallEnd, CallTiming};
use crate::engine::shard::Shard;
use crate::engine::streams::live_stream::LiveStream;
use crate::engine::streams::reader::{self, SpareUser};
use crate::engine::streams::step_end;
use crate::engine::users::user::User;
use crate::plan::stream::{OpenStream, StreamStep};
use crate::seed::Rng;
use crate::stats::CallResult;

/// Opens the stream of a step.
pub(super) async fn open(
    shard: &Shard,
    user: &mut User,
    (call, prepared): (usize, &PreparedCall),
    (step, open): (&StreamStep, &OpenStream),
    timing: &CallTiming,
) -> CallEnd {
    let opening = user.step(prepared.call.series);
    shard.streams.count_wanted(opening, true);
    user.extras().streams.opened_path = String::new();
    let end = attempt::call(CallContext { shard, prepared, timing }, user).await;
    let Some(wire) = user.extras().streams.opened.take() else {
        shard.streams.count_wanted(opening, false);
        return end;
    };
    let plan = &shard.plan.archetypes[user.archetype].streams[step.stream];
    let path = std::mem::take(&mut user.extras().streams.opened_path);
    let captures = shard.flows[user.archetype].listeners_capture();
    let captured = captures.then(|| user.extras().streams.captured.get_or_insert_default().clone());
    let rng = Rng::seed_from_u64(user.rng.random());
    let place = (call, opening);
    let live = LiveStream::new(wire, place, (path, plan.is_kept), end.done, (rng, captured));
    let live = Rc::new(live);
    let spare = open.reconnect.is_some().then(|| SpareUser::of(user));
    reader::count_opened(shard, &live, false);
    if let Some(before) = user.extras().streams.set(step.stream, Rc::clone(&live)) {
        before.begin_close(shard, 1_000, "");
    }
    reader::spawn(shard, Rc::clone(&live), spare);
    match &open.listener {
        Some(listener) if end.result == CallResult::Ok => {
            let begun =
                step_end::begin_listener(shard, user, (call, prepared), &live, (listener, None));
            CallEnd { goes_on: end.goes_on && begun.is_ok(), ..end }
        }
        _ => end,
    }
}

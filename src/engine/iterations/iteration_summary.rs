//! How an iteration began and ended, as it is recorded.
//!
//! `iteration` makes the summary; `closed_user` and `open_user` record it and go on by it.
//! Invariant: each iteration that is recorded as begun is recorded as ended once.

use crate::clock::{RunOffset, Time};
use crate::engine::call::call_record;
use crate::engine::call::timing::CallTiming;
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::ids::WorkloadId;
use crate::stats::sample::IterationEnd;

/// An iteration that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IterationSummary {
    /// How the iteration ended.
    pub(crate) end: IterationEnd,
    /// When the last call of the iteration was done.
    pub(crate) done: Time,
    /// Thinks and pauses before that, ns.
    pub(crate) thought_ns: u64,
    /// Thinks and pauses after that, taken or pending, ns; for a user that goes on.
    pub(crate) think_ns: u64,
    /// The part of `think_ns` that is always taken: pauses, and waits that are over.
    pub(crate) pause_ns: u64,
    /// The part of `think_ns` that does not depend on the pace; backoff is not in it.
    pub(crate) own_ns: u64,
    /// Upper bound of the delays that the shard itself added: its lateness at the first step, and
    /// stalls of its event loop, ns.
    pub(crate) delay_ns: u64,
}

/// Records that an iteration begins.
pub(crate) fn record_begin(shard: &Shard, workload: WorkloadId, timing: &CallTiming) {
    let intended = RunOffset::of(timing.intended, shard.start);
    let lag_ns = timing.picked_up.since(timing.ready);
    shard.recorder.borrow_mut().begin_iteration(workload, intended, lag_ns);
}

/// Records that an iteration, which was due at `due`, has ended.
pub(crate) fn record_end(shard: &Shard, user: &User, due: Time, summary: &IterationSummary) {
    let duration_ns = summary.done.since(due).saturating_sub(summary.thought_ns);
    let offset = |at| RunOffset::of(at, shard.start);
    let times = (duration_ns, summary.delay_ns);
    let (due_at, done_at) = (offset(due), offset(summary.done));
    let mut recorder = shard.recorder.borrow_mut();
    recorder.end_iteration(user.workload, due_at, summary.end, times, done_at);
    if recorder.wants_iteration(user.key) {
        let record = call_record::describe_iteration(user, (due_at, done_at), summary.end);
        recorder.keep_iteration(record);
    }
    drop(recorder);
    debug_assert!(summary.end != IterationEnd::Completed || summary.done >= due);
}

//! A user of the open model: one arrival, one iteration.
//!
//! `worker` runs it.
//! Invariant: the user leaves when its iteration and the pauses after it are over.

use crate::clock::{self, RunOffset, Time};
use crate::engine::call::timing::CallTiming;
use crate::engine::iterations::iteration::IterationRunner;
use crate::engine::iterations::iteration_summary::{self, IterationSummary};
use crate::engine::iterations::on_stop::run_on_stop;
use crate::engine::shard::Shard;
use crate::engine::startup::numbering::{IterationItem, UserIdentity};
use crate::engine::users::user::User;
use crate::ids::WorkloadId;
use crate::pace::Start;
use crate::plan::{Load, Workload};
use crate::stats::sample::IterationEnd;

/// Runs the iteration of an arrival.
#[expect(clippy::manual_async_fn, reason = "an async fn stores its arguments twice")]
pub(crate) fn run(
    shard: &Shard,
    user: &mut User,
    id: WorkloadId,
    start: Start,
) -> impl Future<Output = ()> {
    async move {
        let due = start.due.time(shard.zero(&shard.plan.workloads[id]));
        let Some(timing) = begin(shard, user, id, (start.number, due)) else { return };
        let publishing = shard.count_publisher(user.archetype);
        let (summary, has_begun) = IterationRunner::new(shard, user, timing).iteration(true).await;
        record_end(shard, user, due, summary);
        if let Some(until) = pause_after(summary) {
            // After a pause at the end of its flow the user is still there, as long as it may be.
            let _ = user.deadline.pause_until(until).await;
        }
        if has_begun {
            // Boxed: most users have no `on_stop`, and their tasks should carry no room for it.
            Box::pin(run_on_stop(shard, user)).await;
        }
        drop(publishing);
        if user.has_streams() {
            // Boxed: users without streams carry no room for it.
            Box::pin(user.end_streams(shard, shard.is_load_over(id))).await;
        }
    }
}

/// Gives the user of an arrival its identity. Returns the timing of its first call; `None` if it
/// cannot begin.
fn begin(
    shard: &Shard,
    user: &mut User,
    id: WorkloadId,
    (number, due): (u64, Time),
) -> Option<CallTiming> {
    let now = clock::now();
    let workload = &shard.plan.workloads[id];
    let who = UserIdentity { workload: id, number, session: 0 };
    if matches!(&workload.load, Load::Open(arrivals) if arrivals.fresh_connections) {
        user.close_connections();
    }
    let ready = user.assume_identity(shard, &who, due);
    user.begin(shard.plan.seed, 0, IterationItem::Of(number));
    user.deadline.set_hard_end(hard_end(shard, workload));
    let intended = RunOffset::of(due, shard.start);
    shard.recorder.borrow_mut().begin_start(id, intended, now.since(due));
    if ready.is_err() || user.take_rows(shard, &who, true).is_err() {
        let mut recorder = shard.recorder.borrow_mut();
        recorder.end_iteration(id, intended, IterationEnd::Early, (0, 0), intended);
        return None;
    }
    Some(CallTiming::at_once(due, now))
}

// What an iteration returns is passed on by value: borrowed, each user's task would hold it.

fn record_end(shard: &Shard, user: &User, due: Time, summary: IterationSummary) {
    iteration_summary::record_end(shard, user, due, &summary);
}

/// Until when the user pauses after its iteration; `None` if it leaves at once.
fn pause_after(summary: IterationSummary) -> Option<Time> {
    let pauses = summary.end != IterationEnd::Interrupted && summary.pause_ns > 0;
    pauses.then(|| summary.done.after(summary.think_ns))
}

/// When iterations of a workload are interrupted: after the end of its load and the grace.
fn hard_end(shard: &Shard, workload: &Workload) -> Time {
    match workload.end() {
        Some(end) => shard.start + end + shard.plan.grace,
        None => Time::NEVER,
    }
}

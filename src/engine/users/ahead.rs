//! Prepares users ahead of load that is to come: idle tasks with open connections.
//!
//! `starter` begins it for a workload of the open model with `prewarm`, and for all workloads with
//! `prewarm: { predict: true }`. Users that a curve of the closed model announces are prepared by
//! their own tasks (`startup::prewarm`).
//! Invariant: preparing changes no schedule; a connection that is prepared for a user is used by
//! that user alone, or closed.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use crate::clock::{self, Time, Timer, WorkloadOffset};
use crate::engine::shard::Shard;
use crate::engine::users::worker;
use crate::ids::WorkloadId;
use crate::plan::slots::SlotSet;
use crate::plan::{Arrivals, Load};
use crate::resilience::Trend;

/// How often what is prepared is compared with the load to come, ns.
const INTERVAL_NS: u64 = 250_000_000;

/// Tasks made at a time: they must not be in the way of the load that is there.
const AT_ONCE: usize = 200;

/// Tasks beyond those that the curve announces: arrivals are not even.
const SPARE: f64 = 1.1;

/// For how long users are kept prepared that are not expected any more, ns.
const KEPT_NS: u64 = 5_000_000_000;

/// Prepares users of a workload until its load is over.
pub(crate) async fn run(shard: Rc<Shard>, id: WorkloadId) {
    let (workload, timer) = (&shard.plan.workloads[id], Timer::new());
    let end = shard.zero(workload).after(workload.load.curve().end_ns());
    let mut outlook = Outlook::new(&shard, id);
    while clock::now() < end && !shard.is_draining() {
        match &workload.load {
            Load::Open(arrivals) if arrivals.fresh_connections => break,
            Load::Open(arrivals) => {
                let missing = missing_tasks(&outlook, arrivals) as usize;
                (0..missing.min(AT_ONCE)).for_each(|_| worker::prewarm_task(&shard, id, None));
            }
            Load::Closed(_) => prepare_users(&mut outlook),
        }
        timer.wait_until(clock::now().after(INTERVAL_NS).min(end)).await;
        outlook.look(clock::now());
    }
    shard.prewarmed.keep(id, 0..0).for_each(|task| task.close());
}

/// What is known of the load of a workload to come.
struct Outlook<'a> {
    shard: &'a Rc<Shard>,
    id: WorkloadId,
    /// `None` if nothing is predicted.
    trend: Option<Trend>,
    /// The slots that the shard began with.
    slots: SlotSet,
    /// The level at the last look.
    level: u64,
    /// The most users that were expected in the last [`KEPT_NS`], and when.
    expected: (u64, Time),
}

impl<'a> Outlook<'a> {
    fn new(shard: &'a Rc<Shard>, id: WorkloadId) -> Self {
        let trend = shard.plan.policies.predicts().then(Trend::default);
        let slots = shard.segment.into();
        let mut outlook = Self { shard, id, trend, slots, level: 0, expected: (0, Time::NEVER) };
        outlook.look(clock::now());
        outlook
    }

    /// Adds the level of users at `now` to the trend.
    fn look(&mut self, now: Time) {
        let users = match &self.shard.plan.workloads[self.id].load {
            Load::Open(_) => self.users_at_work(),
            Load::Closed(_) => self.level(now),
        };
        if let Some(trend) = &mut self.trend {
            trend.add(now.since(self.shard.start), users as f64);
        }
    }

    /// The users of the open model that are at work on all shards of this process.
    fn users_at_work(&self) -> u64 {
        self.shard.shared.users[self.id.index()].load(Relaxed)
    }

    /// The level of the load at a time: users, or the rate in its units.
    fn level(&self, at: Time) -> u64 {
        let workload = &self.shard.plan.workloads[self.id];
        let offset = WorkloadOffset::of(at, self.shard.zero(workload));
        match self.shard.schedules[self.id].curve_override() {
            Some((curve, _)) => curve.level(offset.ns()),
            None => workload.load.curve().level(offset.ns()),
        }
    }

    /// The users that are likely to be there after the time that preparing takes, by the trend; 0
    /// without a prediction.
    fn predicted(&self, now: Time) -> u64 {
        let soon = now.after(self.shard.prewarm_ns()).since(self.shard.start);
        self.trend.as_ref().and_then(|trend| trend.predict(soon)).map_or(0, |users| users as u64)
    }
}

/// How many tasks of the open model are missing for the load to come: by Little's law as many users
/// will be at work as are now, times the growth of the rate; or as the trend of their number is,
/// which also grows if the target becomes slower.
fn missing_tasks(outlook: &Outlook<'_>, arrivals: &Arrivals) -> u64 {
    let (shard, now) = (outlook.shard, clock::now());
    let users = outlook.users_at_work();
    let (rate, soon) = (outlook.level(now), outlook.level(now.after(shard.prewarm_ns())));
    let growth = if rate == 0 { 0.0 } else { soon.saturating_sub(rate) as f64 / rate as f64 };
    let announced = users as f64 * growth * SPARE;
    let predicted = outlook.predicted(now).saturating_sub(users) as f64;
    let shards = shard.shared.range.count();
    let more = (announced.max(predicted) / shards as f64).ceil() as u64;
    let most = shard.shared.most_users(outlook.id).min(arrivals.max_users);
    // If connections take long to open, or never do, the tasks under way are enough.
    let idle = shard.idle_tasks.borrow().len() as u64 + shard.prewarmed.opening.get();
    more.min(most.saturating_sub(users) / shards).saturating_sub(idle)
}

/// Prepares the users of the closed model that live control is likely to add next, by their
/// numbers, and closes the connections of those that are not expected any more.
fn prepare_users(outlook: &mut Outlook<'_>) {
    let (shard, id, now) = (outlook.shard, outlook.id, clock::now());
    // Until live control changes the load, the curve announces all users.
    if shard.schedules[id].curve_override().is_none() {
        return;
    }
    // Users up to the level that the curve has by then are assigned already.
    let level = outlook.level(now).max(outlook.level(now.after(shard.prewarm_ns())));
    let most = shard.plan.safety.max_users.as_ref().map_or(u64::MAX, |(most, _)| *most);
    let predicted = outlook.predicted(now).min(most);
    let is_falling = level < std::mem::replace(&mut outlook.level, level);
    let (before, since) = outlook.expected;
    if predicted >= before || is_falling || now.since(since) > KEPT_NS {
        outlook.expected = (predicted, now);
    }
    let expected = level..outlook.expected.0;
    shard.prewarmed.keep(id, expected.clone()).for_each(|task| task.close());
    let offset = shard.plan.workloads[id].slot_offset;
    let adopted = shard.adopted.borrow();
    let is_own = |number: &u64| {
        outlook.slots.owns(*number, offset)
            || adopted.iter().any(|owned| owned.slots.owns(*number, offset))
    };
    let missing = expected.filter(is_own).filter(|number| !shard.prewarmed.has(id, *number));
    for number in missing.take(AT_ONCE).collect::<Vec<_>>() {
        worker::prewarm_task(shard, id, Some(number));
    }
}

//! Counts and policies that all shards of a process share.
//!
//! `start` makes it once per process; shards change it with atomic operations.
//! Invariant: a limit over the whole run (`max_users`, `iterations`, rate limits, breakers) is one
//! count here, never a share per shard; each of several processes has its exact part of it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};

use tokio::sync::Notify;

use crate::cache::CacheSet;
use crate::clock::RunOffset;
use crate::delivery::{Channels, ListenerGroups};
use crate::engine::iterations::rendezvous::RendezvousPoint;
use crate::ids::{WorkloadId, indexed_by};
use crate::plan::policy::BreakerName;
use crate::plan::slots::{ShardRange, SlotSet};
use crate::plan::{Endpoints, Load, LoadBound, Plan, Users, Workload};
use crate::resilience::{BackendBoard, BreakerBoard, RateLimits};
use crate::stats::ChangeSubject;
use crate::units::nanos;

/// State that all shards of a process share.
#[derive(Debug)]
pub struct RunShared {
    /// The shards of this process.
    pub range: ShardRange,
    /// The part of this process of the limits of each workload.
    limits_of: Vec<WorkloadLimits>,
    /// Users at work, by workload.
    pub users: Vec<AtomicU64>,
    /// Iterations handed out, by workload.
    pub iterations: Vec<AtomicU64>,
    /// Iterations that were handed out beyond the count that ends their workload, by workload.
    pub uncounted: Vec<AtomicU64>,
    /// Users of workloads that a count ends, by workload.
    pub populations: Vec<ClosedPopulation>,
    /// Users at work over all workloads and shards.
    pub present: AtomicU64,
    /// The highest value that `present` had.
    pub peak: AtomicU64,
    /// Where users wait for each other, by archetype.
    pub rendezvous: Vec<Vec<RendezvousPoint>>,
    /// The endpoints of all calls, told apart by service, method and path.
    pub endpoints: Endpoints,
    /// The breakers of endpoints and services, and the one of the whole run.
    pub board: BreakerBoard,
    /// The subjects of those breakers.
    pub breakers: Vec<ChangeSubject>,
    /// The backends of services that have several.
    pub backends: BackendBoard,
    /// The rate limits of attempts.
    pub limits: RateLimits,
    /// The layered caches.
    pub caches: Arc<CacheSet>,
    /// The channels of stamped messages.
    pub channels: Channels,
    /// Listeners that share the messages of a channel.
    pub groups: ListenerGroups,
    /// The run, as stamps name it; never zero.
    pub run_stamp: u32,
    /// The number of the next user that stamps messages.
    pub next_publisher: AtomicU32,
    /// Users at work whose flow stamps messages.
    pub publishing: AtomicU64,
}

/// The part of a process of a workload's limits.
#[derive(Debug)]
struct WorkloadLimits {
    /// Concurrent users of the open model.
    users: AtomicU64,
    /// Iterations of the closed model that a count ends.
    iterations: u64,
}

impl WorkloadLimits {
    fn new(workload: &Workload, range: ShardRange) -> Self {
        let (users, iterations) = match &workload.load {
            Load::Open(arrivals) => (arrivals.max_users, u64::MAX),
            Load::Closed(Users { bound: LoadBound::Iterations(most), .. }) => (u64::MAX, *most),
            Load::Closed(_) => (u64::MAX, u64::MAX),
        };
        let part = |most| if most == u64::MAX { most } else { range.part_of(most) };
        Self { users: AtomicU64::new(part(users)), iterations: part(iterations) }
    }
}

/// The users of a closed workload that a count ends. When none is left, the workload is over on all
/// shards of the process at once; until then live control may add users.
#[derive(Debug)]
pub struct ClosedPopulation {
    /// Users that are still to come or at work, over all shards.
    pub left: AtomicU64,
    /// Notified when no user or no iteration is left.
    pub over: Notify,
}

indexed_by! {
    WorkloadId: ClosedPopulation;
}

impl ClosedPopulation {
    fn new(workload: &Workload, range: ShardRange) -> Self {
        let owned = |number: &u64| range.owns(number.wrapping_add(workload.slot_offset));
        let stays = match &workload.load {
            Load::Closed(users) if users.bound != LoadBound::Time => {
                let numbers = (0..users.curve.peak()).filter(owned);
                numbers.map(|number| users.curve.stays(number).len() as u64).sum()
            }
            Load::Closed(_) | Load::Open(_) => 0,
        };
        Self { left: AtomicU64::new(stays), over: Notify::new() }
    }

    /// Counts a user that will not come again.
    pub(crate) fn user_departed(&self) {
        let before = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        if before == Ok(1) {
            self.over.notify_waiters();
        }
    }
}

impl RunShared {
    /// The counts of a run that has not begun, in the process with the shards `range`.
    pub fn new(plan: &Plan, range: ShardRange, caches: Arc<CacheSet>) -> Self {
        let endpoints = Endpoints::new(plan);
        let zeros = || plan.workloads.iter().map(|_| AtomicU64::new(0)).collect();
        let limits_of = |workload| WorkloadLimits::new(workload, range);
        Self {
            range,
            limits_of: plan.workloads.iter().map(limits_of).collect(),
            users: zeros(),
            iterations: zeros(),
            uncounted: zeros(),
            populations: plan
                .workloads
                .iter()
                .map(|load| ClosedPopulation::new(load, range))
                .collect(),
            present: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            rendezvous: plan
                .archetypes
                .iter()
                .map(|kind| (0..kind.rendezvous).map(|_| RendezvousPoint::default()).collect())
                .collect(),
            board: BreakerBoard::new(plan, &endpoints),
            breakers: BreakerName::all(plan).iter().map(BreakerName::subject).collect(),
            backends: BackendBoard::new(plan),
            limits: RateLimits::new(plan, &endpoints, range),
            endpoints,
            caches,
            channels: Channels::default(),
            groups: ListenerGroups::default(),
            run_stamp: run_stamp(&plan.run_id),
            next_publisher: AtomicU32::new(0),
            publishing: AtomicU64::new(0),
        }
    }

    /// Reserves one of the users that a workload of the open model may have at once; `false` if all
    /// are busy.
    pub(crate) fn reserve_user(&self, workload: WorkloadId) -> bool {
        let most = self.most_users(workload);
        let users = &self.users[workload.index()];
        users.fetch_update(Relaxed, Relaxed, |now| (now < most).then_some(now + 1)).is_ok()
    }

    /// How many users a workload of the open model may have at once in this process.
    pub(crate) fn most_users(&self, workload: WorkloadId) -> u64 {
        self.limits_of[workload.index()].users.load(Relaxed)
    }

    /// Adds the part of the limits of concurrent users that goes with `slots`: the parts of all
    /// processes still add up to the limits.
    pub(crate) fn adopt(&self, plan: &Plan, slots: &SlotSet) {
        for (limits, workload) in self.limits_of.iter().zip(&plan.workloads) {
            let Load::Open(arrivals) = &workload.load else { continue };
            if arrivals.max_users != u64::MAX {
                limits.users.fetch_add(slots.count(0, arrivals.max_users, 0), Relaxed);
            }
        }
    }

    /// Whether all iterations of a workload that a count ends have been handed out.
    pub(crate) fn is_spent(&self, workload: WorkloadId, users: &Users) -> bool {
        match users.bound {
            LoadBound::Iterations(_) => {
                let most = self.limits_of[workload.index()].iterations;
                let uncounted = self.uncounted[workload.index()].load(Relaxed);
                self.iterations[workload.index()].load(Relaxed) >= most.saturating_add(uncounted)
            }
            LoadBound::Time | LoadBound::Once => false,
        }
    }

    /// Returns the number of the next iteration of a workload that a count ends; `None` if there is
    /// none left.
    pub(crate) fn take_iteration(
        &self,
        plan: &Plan,
        workload: WorkloadId,
        intended: RunOffset,
    ) -> Option<u64> {
        let most = self.limits_of[workload.index()].iterations;
        // Before the count is read: another user must not find all taken in between.
        let most = if plan.uncounted.is_zero() {
            most
        } else {
            self.with_uncounted(plan, workload, most, intended)
        };
        // One count for the whole process: each user that is free takes the next.
        let taken = self.iterations[workload.index()].fetch_add(1, Relaxed);
        if taken + 1 >= most {
            self.populations[workload].over.notify_waiters();
        }
        (taken < most).then(|| self.range.number_at(taken))
    }

    /// Returns how many iterations may start in total, including those that do not count towards
    /// `most`.
    #[cold]
    fn with_uncounted(
        &self,
        plan: &Plan,
        workload: WorkloadId,
        most: u64,
        intended: RunOffset,
    ) -> u64 {
        let uncounted = &self.uncounted[workload.index()];
        if intended.ns() < nanos(plan.uncounted) {
            uncounted.fetch_add(1, Relaxed);
        }
        most.saturating_add(uncounted.load(Relaxed))
    }
}

/// Counts a user as a publisher while it exists.
#[derive(Debug)]
pub(crate) struct PublishingGuard(Arc<RunShared>);

impl PublishingGuard {
    /// Counts one more publisher.
    pub(crate) fn new(shared: &Arc<RunShared>) -> Self {
        shared.publishing.fetch_add(1, Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for PublishingGuard {
    fn drop(&mut self) {
        self.0.publishing.fetch_sub(1, Relaxed);
    }
}

/// The number of a run in stamps: a hash of its id (FNV-1a), never zero.
fn run_stamp(run_id: &str) -> u32 {
    let hash = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    run_id.bytes().fold(0x811c_9dc5, hash).max(1)
}

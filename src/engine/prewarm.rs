//! Making ready: users in their seats, their connections open, before they are due.
//!
//! Starters seat users of the closed model ahead of time, and the open model's seats are made for
//! the load that the curve announces; where `prewarm` is not said nothing of this happens.
//! Invariant: being ready changes no schedule: nobody begins before its time, and what could not be
//! made ready is made when it is needed, as ever.

use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;

use super::shard::Shard;
use super::user::User;
use super::worker;
use crate::clock::{self, Time, Timer};
use crate::pace::Stay;
use crate::plan::policy::PoolStrategy;
use crate::plan::{Arrivals, Workload};
use crate::stats::sample::ConnectTimings;
use crate::units::nanos;
use crate::wire::{CaptureRequest, Outgoing};

/// How often it is looked at whether more seats will be needed, ns.
const LOOK_NS: u64 = 250_000_000;

/// Seats made at a time: they must not be in the way of the load that is there.
const AT_ONCE: u64 = 200;

/// Seats beyond what the curve announces: arrivals are not even.
const SPARE: f64 = 1.1;

/// The part of the time ahead over which a herd's connections are opened, in 256ths: the rest is
/// for those that take long.
const SPREAD: u64 = 192;

impl Shard {
    /// How long before they are due users are made ready, ns; zero: not at all.
    pub(super) fn prewarm_ns(&self) -> u64 {
        self.plan.policies.prewarm.map_or(0, nanos)
    }

    /// The services to which users of an archetype have connections of their own.
    fn own_services(&self, archetype: usize) -> Vec<usize> {
        let pools = &self.plan.policies.pools;
        let own =
            |pool: Option<usize>| pool.is_none_or(|at| pools[at].strategy == PoolStrategy::PerUser);
        let calls = self.flows[archetype].calls.iter();
        let mut services: Vec<usize> =
            calls.filter(|call| own(call.pool)).map(|call| call.call.service).collect();
        services.sort_unstable();
        services.dedup();
        services
    }

    /// Opens a user's own connections that are not open yet.
    async fn connect(&self, user: &mut User, number: u64, archetype: usize, due: Time) {
        let intended_ns = due.since(self.start);
        for service in self.own_services(archetype) {
            let timeout = self.plan.services[service].timeout;
            user.deadline.begin(clock::now() + timeout);
            let way = user.link();
            let outgoing = Outgoing {
                endpoint: service,
                bytes: &[],
                capture: CaptureRequest::NOTHING,
                idempotent: true,
                user: number,
                link: way.as_deref(),
                number,
                intended_ns,
            };
            let line = &mut user.slots[service];
            let opening: Option<ConnectTimings> =
                self.wire.prewarm(line, &outgoing, &user.deadline).await;
            user.deadline.end();
            if let Some(opening) = opening {
                self.recorder.borrow_mut().made_ready(&opening, intended_ns);
            }
        }
    }

    /// Makes a user of the closed model ready and waits until it is due; false when it is not to
    /// come any more.
    pub(super) async fn prewarm_user(&self, user: &mut User, index: usize, stay: &Stay) -> bool {
        let workload = &self.plan.workloads[index];
        let (seed, due) = (self.plan.seed, self.zero(workload).after(stay.enter_ns));
        let archetype = workload.share_of(seed, index, stay.number).archetype;
        user.deadline.set_hard_end(due + self.plan.grace);
        user.set_link(self.plan.archetypes[archetype].link);
        // Many may be due at once: that is what this is for. They get ready one after the other.
        let ahead_ns = due.since(clock::now());
        let turn = stay.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        let begin = clock::now().after(ahead_ns / 256 * turn * SPREAD / 256);
        let over = || self.is_draining();
        if user.deadline.idle_until(begin, over).await.is_ok() {
            self.connect(user, stay.number, archetype, due).await;
        }
        let _ = user.deadline.idle_until(due, over).await;
        // Who is ready is held like everybody else, as long as it was to stay.
        user.deadline.set_hard_end(self.zero(workload).after(stay.leave_ns));
        let let_in = || self.is_draining() || !self.is_admission_closed(index);
        let _ = user.deadline.idle_until(Time::NEVER, let_in).await;
        !self.is_draining() && !self.is_admission_closed(index)
    }

    /// Makes seats for a workload of the open model as its curve announces them, until it is over.
    pub(super) async fn prewarm_arrivals(self: Rc<Self>, index: usize) {
        let (workload, timer) = (&self.plan.workloads[index], Timer::new());
        let crate::plan::Load::Open(arrivals) = &workload.load else { return };
        let end = self.zero(workload).after(arrivals.curve.end_ns());
        while clock::now() < end && !self.is_draining() && !arrivals.fresh_connections {
            for _ in 0..self.missing_seats(index, workload, arrivals).min(AT_ONCE) {
                worker::prewarm_task(&self, index);
            }
            timer.wait_until(clock::now().after(LOOK_NS).min(end)).await;
        }
    }

    /// How many seats there are too few for the load to come: by Little's law as many users will be
    /// there as are now, times how much higher the rate will be.
    fn missing_seats(&self, index: usize, workload: &Workload, arrivals: &Arrivals) -> u64 {
        let live = self.schedules[index].curve_override();
        let curve = live.as_ref().map_or(&arrivals.curve, |(curve, _)| &**curve);
        let at = clock::now().since(self.zero(workload));
        let (now, soon) = (curve.level(at), curve.level(at + self.prewarm_ns()));
        if now == 0 || soon <= now {
            return 0;
        }
        let users = self.shared.users[index].load(Relaxed);
        let growth = (soon - now) as f64 / now as f64;
        let more = (users as f64 * growth * SPARE / self.segment.shards as f64).ceil() as u64;
        let most = arrivals.max_users.saturating_sub(users) / self.segment.shards;
        // Where connections take long to open, or never do, those under way are enough.
        let there = self.idle_tasks.borrow().len() as u64 + self.prewarming.get();
        more.min(most).saturating_sub(there)
    }

    /// Opens the connections of a seat that nobody sits in yet.
    pub(super) async fn prewarm(&self, user: &mut User, index: usize) {
        for share in &self.plan.workloads[index].shares {
            // A user with a way of its own opens its own.
            if self.plan.archetypes[share.archetype].link.is_none() {
                self.connect(user, 0, share.archetype, clock::now()).await;
            }
        }
    }
}

//! A shard's part of a pool: idle connections, and a queue of calls that wait for one.
//!
//! `engine::resilience` leases a slot before an attempt and returns it afterwards.
//! Invariant: slots in use, idle slots and shared connections together do not exceed the pool's
//! size, except until slots in use are returned after a shrink; waiting calls are served in order,
//! and no call overtakes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::clock::Time;
use crate::ids::ServiceId;
use crate::plan::policy;
use crate::plan::slots::Segment;
use crate::stats::PoolUse;
use crate::units::nanos;
use crate::wire::deadline::{CallDeadline, WaitEnded};
use crate::wire::shared_connections::SharedConnections;
use crate::wire::{ConnectionSlot, Wire};

/// One shard's part of a connection pool.
#[derive(Debug)]
pub struct ConnectionPool {
    policy: policy::PoolPolicy,
    /// This shard's part of the pool's size, and of its minimum of idle connections.
    size: Cell<u64>,
    least: u64,
    /// Slots in use that have a connection of their own, or open one.
    in_use: Cell<u64>,
    /// Calls that have a place on a shared connection.
    sharing: Cell<u64>,
    /// Connections of HTTP/2 that calls share.
    shared: SharedConnections,
    /// Free slots that may have a connection, with their service; the one used last is at the back.
    idle: RefCell<VecDeque<(ServiceId, ConnectionSlot, Time)>>,
    queue: RefCell<VecDeque<Rc<Waiter>>>,
    /// Counts since the last `take_use`.
    used: RefCell<PoolUse>,
    since: Cell<Time>,
}

/// A call's place in the queue.
#[derive(Debug, Default)]
struct Waiter {
    slot: RefCell<Option<ConnectionSlot>>,
    waker: RefCell<Option<Waker>>,
    service: ServiceId,
    has_left: Cell<bool>,
}

/// Why a wait for a slot ended without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireError {
    /// The wait exceeded the pool's `wait`.
    Timeout,
    /// The user was cancelled, or its hard end came.
    Cancelled,
}

impl ConnectionPool {
    /// Creates the part of the shard that owns `segment`: its share of the policy's connections, at
    /// least one.
    pub fn new(policy: &policy::PoolPolicy, segment: Segment, now: Time) -> Self {
        Self {
            size: Cell::new(shard_share(policy.connections, segment)),
            least: policy.min / segment.shards,
            policy: policy.clone(),
            in_use: Cell::new(0),
            sharing: Cell::new(0),
            shared: SharedConnections::new(policy.streams),
            idle: RefCell::default(),
            queue: RefCell::default(),
            used: RefCell::default(),
            since: Cell::new(now),
        }
    }

    /// The pool's policy.
    pub fn policy(&self) -> &policy::PoolPolicy {
        &self.policy
    }

    /// Leases a slot to `service` if one is free and no call waits: the one used last, whose
    /// connection is warm.
    #[inline]
    pub fn lease(&self, service: ServiceId, wire: &Wire, now: Time) -> Option<ConnectionSlot> {
        if !self.queue.borrow().is_empty() {
            return None;
        }
        let slot = self.free(service, wire, now)?;
        let mut used = self.used.borrow_mut();
        used.leases += 1;
        used.waits.record_ns(0);
        Some(slot)
    }

    /// Takes a free slot, or a place on a shared connection, and counts it as in use.
    fn free(&self, service: ServiceId, wire: &Wire, now: Time) -> Option<ConnectionSlot> {
        if self.shared.are_shared()
            && let Some(slot) =
                self.shared.lease(service, now, |slot| is_over(slot, &self.policy, now))
        {
            self.integrate(now);
            self.sharing.set(self.sharing.get() + 1);
            return Some(slot);
        }
        let mut idle = self.idle.borrow_mut();
        if self.busy() >= self.size.get() && !self.shared.close_unused() {
            return None;
        }
        let slot = match idle.iter().rposition(|(its, ..)| *its == service) {
            Some(at) => idle.remove(at)?.1,
            None => {
                // An idle slot of another service makes room: the one that was used longest ago.
                if self.busy() + idle.len() as u64 >= self.size.get() {
                    idle.pop_front();
                }
                wire.new_slot()
            }
        };
        drop(idle);
        self.integrate(now);
        self.in_use.set(self.in_use.get() + 1);
        Some(slot)
    }

    /// Slots in use, and shared connections.
    fn busy(&self) -> u64 {
        self.in_use.get() + self.shared.count()
    }

    /// Waits in the queue until a connection slot is free, first come, first served, for at most
    /// the policy's `wait`.
    ///
    /// # Errors
    /// If the wait took too long or the user was cancelled.
    pub async fn wait(
        &self,
        service: ServiceId,
        deadline: &CallDeadline,
        now: Time,
    ) -> Result<ConnectionSlot, AcquireError> {
        let waiter = Rc::new(Waiter { service, ..Waiter::default() });
        self.queue.borrow_mut().push_back(Rc::clone(&waiter));
        let until = self.policy.wait.map_or(Time::NEVER, |wait| now + wait);
        let slot = deadline.wait_until(until, |cx| match waiter.slot.borrow_mut().take() {
            Some(slot) => Poll::Ready(slot),
            None => {
                *waiter.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        });
        match slot.await {
            Ok(slot) => {
                let mut used = self.used.borrow_mut();
                used.leases += 1;
                used.waits.record_ns(crate::clock::now().since(now));
                Ok(slot)
            }
            Err(why) => {
                waiter.has_left.set(true);
                self.queue.borrow_mut().retain(|other| !other.has_left.get());
                self.used.borrow_mut().gave_up += u64::from(why == WaitEnded::Timeout);
                Err(match why {
                    WaitEnded::Timeout => AcquireError::Timeout,
                    WaitEnded::Cancelled => AcquireError::Cancelled,
                })
            }
        }
    }

    /// Returns a slot after an attempt; `failed`: the target made the attempt fail.
    pub fn give_back(
        &self,
        service: ServiceId,
        mut slot: ConnectionSlot,
        wire: &Wire,
        failed: bool,
        now: Time,
    ) {
        self.integrate(now);
        self.used.borrow_mut().failed += u64::from(failed);
        if slot.is_shared() {
            self.sharing.set(self.sharing.get() - 1);
            self.shared.give_back(slot, now, |slot| is_over(slot, &self.policy, now));
            return self.serve(wire, now);
        }
        self.in_use.set(self.in_use.get() - 1);
        slot.close_open_transaction();
        retire(&mut slot, &self.policy, now);
        let mut idle = self.idle.borrow_mut();
        if slot.is_open() && self.busy() + (idle.len() as u64) < self.size.get() {
            if self.shared.are_shared() && slot.speaks_h2() {
                self.shared.add(service, slot, now);
            } else {
                idle.push_back((service, slot, now));
            }
        }
        drop(idle);
        self.serve(wire, now);
    }

    /// Hands free slots to waiting calls.
    fn serve(&self, wire: &Wire, now: Time) {
        loop {
            let Some(service) = self.queue.borrow().front().map(|waiter| waiter.service) else {
                return;
            };
            let Some(slot) = self.free(service, wire, now) else { return };
            let Some(waiter) = self.queue.borrow_mut().pop_front() else { return };
            *waiter.slot.borrow_mut() = Some(slot);
            if let Some(waker) = waiter.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// Sets the number of connections of the whole pool.
    pub fn resize(&self, size: u64, segment: Segment, wire: &Wire, now: Time) {
        self.integrate(now);
        self.size.set(shard_share(size, segment));
        let mut idle = self.idle.borrow_mut();
        let has_too_many = |idle: usize| self.busy() + idle as u64 > self.size.get();
        while has_too_many(idle.len()) && (idle.pop_front().is_some() || self.shared.close_unused())
        {
        }
        drop(idle);
        self.serve(wire, now);
    }

    /// Closes connections that have been idle too long, except the pool's minimum.
    pub fn sweep(&self, now: Time) {
        let Some(most) = self.policy.idle.map(nanos) else { return };
        let mut idle = self.idle.borrow_mut();
        let is_old = |since: Time| now.since(since) >= most;
        while idle.len() as u64 + self.shared.idle() > self.least
            && idle.front().is_some_and(|(_, _, since)| is_old(*since))
        {
            idle.pop_front();
        }
        let spare = Cell::new((idle.len() as u64 + self.shared.idle()).saturating_sub(self.least));
        self.shared.close_where(|_, since| {
            let closes = is_old(since) && spare.get() > 0;
            spare.set(spare.get() - u64::from(closes));
            closes
        });
    }

    /// Closes all idle connections, or those to one service; returns how many.
    pub fn close_idle(&self, service: Option<ServiceId>) -> usize {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        let is_meant = |its: ServiceId| service.is_none_or(|service| its == service);
        idle.retain(|(its, ..)| !is_meant(*its));
        before - idle.len() + self.shared.close_where(|its, _| is_meant(its))
    }

    /// Takes the counts since the last call, with the current numbers of slots.
    pub fn take_use(&self, now: Time) -> PoolUse {
        self.integrate(now);
        let mut used = self.used.take();
        used.size = self.size.get();
        used.in_use = self.in_use.get() + self.sharing.get();
        used.idle = self.idle.borrow().len() as u64 + self.shared.idle();
        used.waiting = self.queue.borrow().len() as u64;
        used
    }

    /// How many calls a connection carries at a time: 1, until there is one that is shared.
    fn calls_each(&self) -> u64 {
        if self.shared.count() > 0 { self.policy.streams } else { 1 }
    }

    /// Advances the time integrals to `now`.
    fn integrate(&self, now: Time) {
        let ns = u128::from(now.since(self.since.get()));
        self.since.set(self.since.get().max(now));
        let mut used = self.used.borrow_mut();
        used.busy += u128::from(self.in_use.get() + self.sharing.get()) * ns;
        used.room += u128::from(self.size.get() * self.calls_each()) * ns;
    }
}

/// Whether a connection has reached the policy's age or number of requests.
fn is_over(slot: &ConnectionSlot, policy: &policy::PoolPolicy, now: Time) -> bool {
    let old = policy.max_age.is_some_and(|most| now.since(slot.opened()) >= nanos(most));
    old || policy.max_requests.is_some_and(|most| slot.requests() >= most)
}

/// Closes a slot's connection if it has reached the policy's age or number of requests, or if the
/// policy wants a new connection per request.
pub fn retire(slot: &mut ConnectionSlot, policy: &policy::PoolPolicy, now: Time) {
    if is_over(slot, policy, now) || policy.strategy == policy::PoolStrategy::PerRequest {
        slot.close();
    }
}

/// A shard's share of a total: the first shards take the remainder.
fn shard_share(whole: u64, segment: Segment) -> u64 {
    let Segment { shard, shards } = segment;
    (whole / shards + u64::from(shard < whole % shards)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fake::{self, FakeArrival, FakeReply, LatencyModel};
    use proptest::prelude::*;

    const SERVICE: ServiceId = ServiceId::new(0);

    struct Nothing;

    impl LatencyModel for Nothing {
        fn reply(&mut self, now: Time, _: &FakeArrival) -> FakeReply {
            FakeReply::At(now, 200)
        }
    }

    fn policy(connections: u64) -> policy::PoolPolicy {
        policy::PoolPolicy::shared("p", Vec::new(), connections)
    }

    #[test]
    fn shares_of_all_shards_sum_to_the_total() {
        for (whole, shards) in [(10, 3), (7, 7), (100, 1), (5, 2)] {
            let parts = (0..shards).map(|shard| shard_share(whole, Segment { shard, shards }));
            assert_eq!(parts.sum::<u64>(), whole, "{whole} over {shards}");
        }
    }

    #[test]
    fn waiting_calls_are_served_in_order() {
        crate::clock::block_on_virtual(async {
            let wire = Rc::new(Wire::fake(fake::FakeTarget::new(Nothing)));
            let pool = Rc::new(ConnectionPool::new(&policy(1), Segment::WHOLE, Time(0)));
            let slot = pool.lease(SERVICE, &wire, Time(0)).unwrap();
            let served = Rc::new(RefCell::new(Vec::new()));
            let mut tasks = Vec::new();
            for number in 0..3 {
                let (pool, served) = (Rc::clone(&pool), Rc::clone(&served));
                let wire = Rc::clone(&wire);
                tasks.push(tokio::task::spawn_local(async move {
                    let deadline = CallDeadline::new(Rc::default());
                    let slot = pool.wait(SERVICE, &deadline, crate::clock::now()).await.unwrap();
                    served.borrow_mut().push(number);
                    pool.give_back(SERVICE, slot, &wire, false, crate::clock::now());
                }));
                tokio::task::yield_now().await;
            }
            // A lease does not overtake waiting calls.
            assert!(pool.lease(SERVICE, &wire, Time(1)).is_none());
            pool.give_back(SERVICE, slot, &wire, false, crate::clock::now());
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*served.borrow(), [0, 1, 2]);
            let used = pool.take_use(crate::clock::now());
            assert_eq!((used.in_use, used.waiting, used.leases), (0, 0, 4));
        });
    }

    proptest! {
        /// The slots in use never exceed the pool's size, in any order of leases, returns and
        /// resizes.
        #[test]
        fn slots_in_use_never_exceed_size(
            operations in prop::collection::vec((0u8..4, 1u64..6), 0..200),
        ) {
            let wire = Wire::fake(fake::FakeTarget::new(Nothing));
            let pool = ConnectionPool::new(&policy(3), Segment::WHOLE, Time(0));
            let (mut in_use, mut size) = (Vec::new(), 3);
            for (at, (what, n)) in operations.into_iter().enumerate() {
                let now = Time(at as u64);
                match what {
                    0 | 1 => match pool.lease(ServiceId::new(n as usize % 2), &wire, now) {
                        Some(slot) => {
                            prop_assert!((in_use.len() as u64) < size);
                            in_use.push(slot);
                        }
                        None => prop_assert!(in_use.len() as u64 >= size),
                    },
                    2 => {
                        if let Some(slot) = in_use.pop() {
                            pool.give_back(SERVICE, slot, &wire, false, now);
                        }
                    }
                    _ => {
                        size = n;
                        pool.resize(n, Segment::WHOLE, &wire, now);
                    }
                }
            }
            let used = pool.take_use(Time(1_000));
            prop_assert_eq!((used.in_use, used.size), (in_use.len() as u64, size));
        }
    }
}

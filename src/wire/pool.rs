//! A shard's part of a pool: connections lent to calls, a queue of those who wait for one.
//!
//! `engine::caution` leases a line before an attempt and gives it back after it.
//! Invariant: lent and idle lines together are no more than its size, but for the moment after it
//! was made smaller; who waits is served in order, and nobody overtakes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::deadline::{CallDeadline, WaitEnded};
use super::{ConnectionSlot, Wire};
use crate::clock::Time;
use crate::plan::policy;
use crate::stats::PoolUse;
use crate::units::nanos;

/// A pool, as one shard has it.
#[derive(Debug)]
pub struct ConnectionPool {
    law: policy::PoolPolicy,
    /// Its part of the pool's size, and of what stays open when idle.
    size: Cell<u64>,
    least: u64,
    lent: Cell<u64>,
    /// Free lines that may have a connection, with their service; the one used last is at the back.
    idle: RefCell<VecDeque<(usize, ConnectionSlot, Time)>>,
    queue: RefCell<VecDeque<Rc<Waiter>>>,
    /// Counted since the last shed.
    used: RefCell<PoolUse>,
    since: Cell<Time>,
}

/// A place in the queue.
#[derive(Debug, Default)]
struct Waiter {
    given: RefCell<Option<ConnectionSlot>>,
    waker: RefCell<Option<Waker>>,
    service: usize,
    left: Cell<bool>,
}

/// Why a wait for a line ended without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireError {
    /// It would wait no longer.
    TooLong,
    /// The run's time is over.
    Cut,
}

impl ConnectionPool {
    /// Shard number `shard` of `shards` has its part of `law`; at least one connection.
    pub fn new(law: &policy::PoolPolicy, shard: u64, shards: u64, now: Time) -> Self {
        Self {
            size: Cell::new(part(law.connections, shard, shards)),
            least: law.min / shards,
            law: law.clone(),
            lent: Cell::new(0),
            idle: RefCell::default(),
            queue: RefCell::default(),
            used: RefCell::default(),
            since: Cell::new(now),
        }
    }

    /// What was asked for.
    pub fn policy(&self) -> &policy::PoolPolicy {
        &self.law
    }

    /// A line to `service`, if one is free and nobody is before us: the one used last, whose
    /// connection is warm.
    #[inline]
    pub fn lease(&self, service: usize, wire: &Wire, now: Time) -> Option<ConnectionSlot> {
        if !self.queue.borrow().is_empty() {
            return None;
        }
        let line = self.free(service, wire)?;
        self.integrate(now);
        self.lent.set(self.lent.get() + 1);
        let mut used = self.used.borrow_mut();
        used.leases += 1;
        used.waits.record_ns(0);
        Some(line)
    }

    /// A free line, not yet counted as lent.
    fn free(&self, service: usize, wire: &Wire) -> Option<ConnectionSlot> {
        let mut idle = self.idle.borrow_mut();
        if self.lent.get() >= self.size.get() {
            return None;
        }
        if let Some(at) = idle.iter().rposition(|(its, ..)| *its == service) {
            return idle.remove(at).map(|(_, line, _)| line);
        }
        // One of another service makes room; the one that was used longest ago.
        if self.lent.get() + idle.len() as u64 >= self.size.get() {
            idle.pop_front();
        }
        Some(wire.slot())
    }

    /// Waits for a line in the queue's order, no longer than the pool says.
    ///
    /// # Errors
    /// When the wait was too long, or the run is over.
    pub async fn wait(
        &self,
        service: usize,
        patience: &CallDeadline,
        now: Time,
    ) -> Result<ConnectionSlot, AcquireError> {
        let place = Rc::new(Waiter { service, ..Waiter::default() });
        self.queue.borrow_mut().push_back(Rc::clone(&place));
        let until = self.law.wait.map_or(Time::NEVER, |wait| now + wait);
        let given = patience.wait_until(until, |cx| match place.given.borrow_mut().take() {
            Some(line) => Poll::Ready(line),
            None => {
                *place.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        });
        match given.await {
            Ok(line) => {
                let mut used = self.used.borrow_mut();
                used.leases += 1;
                used.waits.record_ns(crate::clock::now().since(now));
                Ok(line)
            }
            Err(why) => {
                place.left.set(true);
                self.queue.borrow_mut().retain(|other| !other.left.get());
                self.used.borrow_mut().gave_up += u64::from(why == WaitEnded::Timeout);
                Err(match why {
                    WaitEnded::Timeout => AcquireError::TooLong,
                    WaitEnded::Cut => AcquireError::Cut,
                })
            }
        }
    }

    /// A lent line comes back after an attempt; `failed`: as the target's doing.
    pub fn give_back(
        &self,
        service: usize,
        mut line: ConnectionSlot,
        wire: &Wire,
        failed: bool,
        now: Time,
    ) {
        self.integrate(now);
        self.used.borrow_mut().failed += u64::from(failed);
        self.lent.set(self.lent.get() - 1);
        retire(&mut line, &self.law, now);
        let mut idle = self.idle.borrow_mut();
        if line.is_open() && self.lent.get() + (idle.len() as u64) < self.size.get() {
            idle.push_back((service, line, now));
        }
        drop(idle);
        self.serve(wire, now);
    }

    /// Gives what is free to those who wait.
    fn serve(&self, wire: &Wire, now: Time) {
        loop {
            let Some(service) = self.queue.borrow().front().map(|place| place.service) else {
                return;
            };
            let Some(line) = self.free(service, wire) else { return };
            self.integrate(now);
            self.lent.set(self.lent.get() + 1);
            let Some(place) = self.queue.borrow_mut().pop_front() else { return };
            *place.given.borrow_mut() = Some(line);
            if let Some(waker) = place.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// The whole pool may have so many connections from now on.
    pub fn resize(&self, size: u64, shard: u64, shards: u64, wire: &Wire, now: Time) {
        self.integrate(now);
        self.size.set(part(size, shard, shards));
        let mut idle = self.idle.borrow_mut();
        while self.lent.get() + idle.len() as u64 > self.size.get() && idle.pop_front().is_some() {}
        drop(idle);
        self.serve(wire, now);
    }

    /// Closes what has been idle too long, but for what is to stay open.
    pub fn sweep(&self, now: Time) {
        let Some(most) = self.law.idle.map(nanos) else { return };
        let mut idle = self.idle.borrow_mut();
        while idle.len() as u64 > self.least
            && idle.front().is_some_and(|(_, _, since)| now.since(*since) >= most)
        {
            idle.pop_front();
        }
    }

    /// Closes all idle connections, or those to one service; how many.
    pub fn close_idle(&self, service: Option<usize>) -> usize {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        idle.retain(|(its, ..)| service.is_some_and(|service| *its != service));
        before - idle.len()
    }

    /// What it went through since the last call of this, and how it stands.
    pub fn take_use(&self, now: Time) -> PoolUse {
        self.integrate(now);
        let mut used = self.used.take();
        used.size = self.size.get();
        used.lent = self.lent.get();
        used.idle = self.idle.borrow().len() as u64;
        used.waiting = self.queue.borrow().len() as u64;
        used
    }

    /// Brings the integrals up to `now`.
    fn integrate(&self, now: Time) {
        let ns = u128::from(now.since(self.since.get()));
        self.since.set(self.since.get().max(now));
        let mut used = self.used.borrow_mut();
        used.busy += u128::from(self.lent.get()) * ns;
        used.room += u128::from(self.size.get()) * ns;
    }
}

/// Closes a line's connection when it has done its part.
pub fn retire(line: &mut ConnectionSlot, law: &policy::PoolPolicy, now: Time) {
    let old = law.max_age.is_some_and(|most| now.since(line.opened()) >= nanos(most));
    let used = law.max_requests.is_some_and(|most| line.requests() >= most);
    if old || used || law.strategy == policy::PoolStrategy::PerRequest {
        line.close();
    }
}

/// A shard's part of a whole: the first ones take what does not go even.
fn part(whole: u64, shard: u64, shards: u64) -> u64 {
    (whole / shards + u64::from(shard < whole % shards)).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::fake::{self, FakeArrival, FakeReply, LatencyModel};
    use super::*;
    use proptest::prelude::*;

    struct Nothing;

    impl LatencyModel for Nothing {
        fn answer(&mut self, now: Time, _: &FakeArrival) -> FakeReply {
            FakeReply::At(now, 200)
        }
    }

    fn law(connections: u64) -> policy::PoolPolicy {
        policy::PoolPolicy::shared("p", Vec::new(), connections)
    }

    #[test]
    fn the_parts_of_all_shards_are_the_whole() {
        for (whole, shards) in [(10, 3), (7, 7), (100, 1), (5, 2)] {
            let parts = (0..shards).map(|shard| part(whole, shard, shards));
            assert_eq!(parts.sum::<u64>(), whole, "{whole} over {shards}");
        }
    }

    #[test]
    fn who_waits_is_served_in_order() {
        crate::clock::block_on_virtual(async {
            let wire = Rc::new(Wire::fake(fake::FakeTarget::new(Nothing)));
            let pool = Rc::new(ConnectionPool::new(&law(1), 0, 1, Time(0)));
            let line = pool.lease(0, &wire, Time(0)).unwrap();
            let served = Rc::new(RefCell::new(Vec::new()));
            let mut tasks = Vec::new();
            for number in 0..3 {
                let (pool, served) = (Rc::clone(&pool), Rc::clone(&served));
                let wire = Rc::clone(&wire);
                tasks.push(tokio::task::spawn_local(async move {
                    let patience = CallDeadline::new(Rc::default());
                    let line = pool.wait(0, &patience, crate::clock::now()).await.unwrap();
                    served.borrow_mut().push(number);
                    pool.give_back(0, line, &wire, false, crate::clock::now());
                }));
                tokio::task::yield_now().await;
            }
            // Nobody overtakes those who wait.
            assert!(pool.lease(0, &wire, Time(1)).is_none());
            pool.give_back(0, line, &wire, false, crate::clock::now());
            for task in tasks {
                task.await.unwrap();
            }
            assert_eq!(*served.borrow(), [0, 1, 2]);
            let used = pool.take_use(crate::clock::now());
            assert_eq!((used.lent, used.waiting, used.leases), (0, 0, 4));
        });
    }

    proptest! {
        /// Never more lent than its size, whatever is lent, given back and resized.
        #[test]
        fn never_more_than_its_size(walk in prop::collection::vec((0u8..4, 1u64..6), 0..200)) {
            let wire = Wire::fake(fake::FakeTarget::new(Nothing));
            let pool = ConnectionPool::new(&law(3), 0, 1, Time(0));
            let (mut lent, mut size) = (Vec::new(), 3);
            for (at, (what, n)) in walk.into_iter().enumerate() {
                let now = Time(at as u64);
                match what {
                    0 | 1 => match pool.lease(n as usize % 2, &wire, now) {
                        Some(line) => {
                            prop_assert!((lent.len() as u64) < size);
                            lent.push(line);
                        }
                        None => prop_assert!(lent.len() as u64 >= size),
                    },
                    2 => {
                        if let Some(line) = lent.pop() {
                            pool.give_back(0, line, &wire, false, now);
                        }
                    }
                    _ => {
                        size = n;
                        pool.resize(n, 0, 1, &wire, now);
                    }
                }
            }
            let used = pool.take_use(Time(1_000));
            prop_assert_eq!((used.lent, used.size), (lent.len() as u64, size));
        }
    }
}

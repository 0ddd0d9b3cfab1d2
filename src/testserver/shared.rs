//! What all connections of a target share: its laws, its counts, its log.
//!
//! `mod` builds it, `connection` takes every request through it.
//! Invariant: latency and fault of request n are a function of (seed, n); every request that
//! arrived ends exactly once, in the counts and in the log.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt;

use super::TestServerConfig;
use super::counts::{RequestEnd, ServerCounts};
use super::fault::{FaultShare, InjectedFault, ServerStall};
use super::head::IntendedStart;
use super::log::{ArrivalLog, LogRecord};
use super::shop::Route;
use crate::clock::{self, Time};
use crate::curve::queue::QueueTicket;
use crate::curve::{Distribution, ServiceQueue};
use crate::seed::{Seed, Stream};

/// The shared part of a target.
#[derive(Debug)]
pub(super) struct ServerShared {
    seed: Seed,
    latency: Option<Distribution>,
    fail: Vec<FaultShare>,
    law: Mutex<ServiceModel>,
    pub counts: ServerCounts,
    pub log: Option<ArrivalLog>,
}

/// When work is done.
#[derive(Debug)]
struct ServiceModel {
    queue: ServiceQueue,
    /// Stalls that wait for the first request, which is their zero.
    planned: Vec<ServerStall>,
}

/// A request that has arrived and not ended. Dropped without an end, it was cut.
#[derive(Debug)]
pub(super) struct PendingRequest {
    shared: Arc<ServerShared>,
    ticket: QueueTicket,
    /// What is to happen instead of an answer.
    pub fault: Option<InjectedFault>,
    record: LogRecord,
}

impl ServerShared {
    pub fn new(config: &TestServerConfig) -> io::Result<Self> {
        Ok(Self {
            seed: config.seed,
            latency: config.latency.clone(),
            fail: config.fail.clone(),
            law: Mutex::new(ServiceModel {
                queue: ServiceQueue::new(config.servers),
                planned: config.stalls.clone(),
            }),
            counts: ServerCounts::new(),
            log: config.log.as_deref().map(ArrivalLog::create).transpose()?,
        })
    }

    /// Takes a request in; `hash` is asked only when there is a log.
    pub fn arrive(
        self: &Arc<Self>,
        route: Route,
        intended: Option<IntendedStart>,
        hash: impl FnOnce() -> u64,
    ) -> PendingRequest {
        let number = self.counts.arrived(route);
        let (fault, service) = self.draw(number);
        let mut law = self.law();
        // Read under the lock: the queue's time must not go back.
        let now = clock::now();
        let ServiceModel { queue, planned } = &mut *law;
        for stall in planned.drain(..) {
            queue.stall((now + stall.at).0, stall.length);
        }
        let ticket = queue.admit(now.0, service);
        drop(law);
        let record = LogRecord {
            arrived: now.0,
            done: 0,
            service: u64::try_from(service.as_nanos()).unwrap_or(u64::MAX),
            route,
            answer: RequestEnd::Cut,
            intended,
            request: if self.log.is_some() { hash() } else { 0 },
        };
        PendingRequest { shared: Arc::clone(self), ticket, fault, record }
    }

    /// Stalls from now on; false when there are too many stalls already.
    pub fn stall_now(&self, length: Duration) -> bool {
        self.law().queue.stall(clock::now().0, length)
    }

    /// What `/stats` says.
    pub fn stats(&self) -> String {
        let (written, lost) = self.log.as_ref().map_or((0, 0), ArrivalLog::counts);
        self.counts.document(written, lost)
    }

    fn draw(&self, number: u64) -> (Option<InjectedFault>, Duration) {
        if self.fail.is_empty() && self.latency.is_none() {
            return (None, Duration::ZERO);
        }
        let mut rng = self.seed.rng(Stream::Target, 0, number);
        let mut left: f64 = rng.random();
        // One draw against the shares in turn: they exclude each other and add up.
        let fault = self.fail.iter().find_map(|failure| {
            left -= failure.share;
            (left < 0.0).then_some(failure.fault)
        });
        let service = self.latency.as_ref().map_or(Duration::ZERO, |law| law.sample(&mut rng));
        (fault, service)
    }

    fn law(&self) -> MutexGuard<'_, ServiceModel> {
        // Nothing panics while holding it; if something did, the queue is still a queue.
        self.law.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingRequest {
    /// When the answer is due, by the stalls known now; `None` when that is not in the future.
    pub fn due(&self) -> Option<Time> {
        let due = self.shared.law().queue.due(self.ticket);
        // Most requests of a target without latency: due when they came, no need for the time.
        (due > self.record.arrived && due > clock::now().0).then_some(Time(due))
    }

    /// It ended like this, now.
    pub fn end(mut self, answer: RequestEnd) {
        self.record.answer = answer;
        // `drop` does the rest, as it does for what is cut.
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        self.shared.counts.ended(self.record.answer);
        if let Some(log) = &self.shared.log {
            if let RequestEnd::Status(_) = self.record.answer {
                self.record.done = clock::now().0;
            }
            log.push(self.record);
        }
    }
}

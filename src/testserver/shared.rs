//! State that all connections of a test server share: its latency model, its counters, its log.
//!
//! `server` creates it, `connection` passes every request through it.
//! Invariant: latency and fault of request n are a function of (seed, n); every request that
//! arrived ends exactly once, in the counters and in the log.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::RngExt;

use super::bus::{BusMessage, BusSender};
use super::config::TestServerConfig;
use super::counts::{RequestEnd, ServerCounts};
use super::events::channels::EventChannels;
use super::fault::{FaultShare, InjectedFault, ServerStall};
use super::head::IntendedStart;
use super::log::{ArrivalLog, LogRecord};
use super::rate_limit::RequestRateLimiter;
use super::route::Route;
use super::streams::counts::ServerStreamCount;
use super::streams::limits::ConnectionLimiter;
use super::streams::presence::PresenceBoard;
use super::streams::queue::Packet;
use super::streams::topic::{Broadcast, BroadcastTopics};
use super::tokens::TokenLaws;
use crate::clock::{self, Time};
use crate::curve::queue::QueueTicket;
use crate::curve::{Distribution, ServiceQueue};
use crate::seed::{Seed, Stream};

/// The state of a server that all its connections share.
#[derive(Debug)]
pub(super) struct ServerShared {
    pub seed: Seed,
    /// When the server started; schedules of streams count from it.
    pub started: Time,
    /// The subscribers of each topic of the broadcast.
    pub topics: Arc<BroadcastTopics>,
    /// The channels of event streams.
    pub events: EventChannels,
    /// Limits of connections.
    pub limiter: Arc<ConnectionLimiter>,
    /// Rate limit of requests, if there is one.
    pub rate_limiter: Option<RequestRateLimiter>,
    /// To other instances; `None`: there are none.
    bus: Option<BusSender>,
    /// The users present in each channel.
    pub presence: PresenceBoard,
    /// The laws of token streams.
    pub token_laws: TokenLaws,
    token_streams: AtomicU64,
    /// The key of the tokens of private channels.
    pub channel_secret: String,
    latency: Option<Distribution>,
    fail: Vec<FaultShare>,
    model: Mutex<ServiceModel>,
    pub counts: ServerCounts,
    pub log: Option<ArrivalLog>,
}

/// When work is done.
#[derive(Debug)]
struct ServiceModel {
    queue: ServiceQueue,
    /// Stalls that wait for the first request, from which they are measured.
    planned: Vec<ServerStall>,
}

/// A request that has arrived and not ended. Dropping it without an end counts it as cut.
#[derive(Debug)]
pub(super) struct PendingRequest {
    shared: Arc<ServerShared>,
    ticket: QueueTicket,
    /// The fault in place of a response, if any.
    pub fault: Option<InjectedFault>,
    record: LogRecord,
}

impl ServerShared {
    pub fn new(config: &TestServerConfig, bus: Option<BusSender>) -> io::Result<Self> {
        Ok(Self {
            seed: config.seed,
            started: clock::now(),
            topics: Arc::default(),
            events: EventChannels::default(),
            limiter: Arc::new(ConnectionLimiter::new(config.limits)),
            rate_limiter: config.rate_limit.map(RequestRateLimiter::new),
            bus,
            presence: PresenceBoard::default(),
            token_laws: config.tokens.clone(),
            token_streams: AtomicU64::new(0),
            channel_secret: config.channel_secret.clone(),
            latency: config.latency.clone(),
            fail: config.fail.clone(),
            model: Mutex::new(ServiceModel {
                queue: ServiceQueue::new(config.servers),
                planned: config.stalls.clone(),
            }),
            counts: ServerCounts::new(),
            log: config.log.as_deref().map(ArrivalLog::create).transpose()?,
        })
    }

    /// Admits a request; `hash` is called only if there is a log.
    pub fn arrive(
        self: &Arc<Self>,
        route: Route,
        intended: Option<IntendedStart>,
        hash: impl FnOnce() -> u64,
    ) -> PendingRequest {
        let number = self.counts.arrived(route);
        let (fault, service) = self.draw(number);
        let mut model = self.model();
        // Read under the lock: the queue's time must not go back.
        let now = clock::now();
        let ServiceModel { queue, planned } = &mut *model;
        for stall in planned.drain(..) {
            queue.stall((now + stall.at).0, stall.length);
        }
        let ticket = queue.admit(now.0, service);
        drop(model);
        let record = LogRecord {
            arrived: now.0,
            done: 0,
            service: u64::try_from(service.as_nanos()).unwrap_or(u64::MAX),
            route,
            end: RequestEnd::Cut,
            intended,
            request: if self.log.is_some() { hash() } else { 0 },
        };
        PendingRequest { shared: Arc::clone(self), ticket, fault, record }
    }

    /// Stalls from now on; returns false if there are too many stalls already.
    pub fn stall_now(&self, length: Duration) -> bool {
        self.model().queue.stall(clock::now().0, length)
    }

    /// Sends a packet to all members of a topic but `except`, on all instances.
    pub fn broadcast(&self, topic: &str, packet: Packet, except: Option<u64>) {
        match &self.bus {
            None => self.broadcast_here(topic, &packet, except),
            Some(bus) => {
                let topic = topic.to_owned();
                self.count_lost(bus.send(BusMessage::Packet { topic, packet, except }));
            }
        }
    }

    /// Publishes an event to the listeners of a channel, on all instances; returns the number of
    /// those of this instance. `received` is when a client sent it.
    pub fn publish(
        &self,
        channel: &str,
        event: Option<String>,
        data: String,
        received: Option<Time>,
    ) -> usize {
        match &self.bus {
            None => self.events.publish(channel, event, data, received, &self.counts.streams),
            Some(bus) => {
                let (name, is_posted) = (channel.to_owned(), received.is_some());
                let message = BusMessage::Event { channel: name, event, data, is_posted };
                self.count_lost(bus.send(message));
                self.events.listeners(channel)
            }
        }
    }

    fn count_lost(&self, is_sent: bool) {
        self.counts.streams.add(ServerStreamCount::BusLost, u64::from(!is_sent));
    }

    /// Queues a packet for all members of a topic but `except` of this instance.
    pub fn broadcast_here(&self, topic: &str, packet: &Packet, except: Option<u64>) {
        let Broadcast { overflowed, .. } = self.topics.broadcast(topic, packet, except);
        let messages = overflowed * u64::from(packet.messages);
        self.counts.streams.add(ServerStreamCount::Overflowed, messages);
    }

    /// The number of the next token stream, from 0.
    pub fn next_token_stream(&self) -> u64 {
        self.token_streams.fetch_add(1, Relaxed)
    }

    /// Returns the document behind `/stats`.
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
        // One draw against the cumulated shares: they are exclusive and add up.
        let fault = self.fail.iter().find_map(|failure| {
            left -= failure.share;
            (left < 0.0).then_some(failure.fault)
        });
        let service = self.latency.as_ref().map_or(Duration::ZERO, |model| model.sample(&mut rng));
        (fault, service)
    }

    fn model(&self) -> MutexGuard<'_, ServiceModel> {
        // Nothing panics while holding the lock; if it did, the queue would still be valid.
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PendingRequest {
    /// When the request arrived.
    pub fn arrived(&self) -> Time {
        Time(self.record.arrived)
    }

    /// When the response is due, by the stalls known now; `None` if that is not in the future.
    pub fn due(&self) -> Option<Time> {
        let due = self.shared.model().queue.due(self.ticket);
        // Most requests of a server without latency are due when they arrive; reading the clock is
        // unnecessary.
        (due > self.record.arrived && due > clock::now().0).then_some(Time(due))
    }

    /// Ends the request now.
    pub fn end(mut self, end: RequestEnd) {
        self.record.end = end;
        // `drop` does the rest, as for a request that was cut.
    }
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        self.shared.counts.ended(self.record.end);
        if let Some(log) = &self.shared.log {
            if let RequestEnd::Status(_) = self.record.end {
                self.record.done = clock::now().0;
            }
            log.push(self.record);
        }
    }
}

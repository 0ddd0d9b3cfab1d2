//! One connection to a broker of a cluster: its requests, and their responses in order.
//!
//! `links` keeps them.
//! Invariant: a response belongs to the oldest request that waits for one; a connection that ends
//! while a request waits ends its session; nothing is sent while the broker throttles.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::api::{KafkaFrames, put_request};
use super::consumed_partition::PartitionPlace;
use super::partition::SentBatch;
use super::requests::KafkaRequest;
use crate::clock;
use crate::clock::Time;
use crate::stats::FailureKind;
use crate::stats::sample::ConnectTimings;
use crate::wire::connect::fault;
use crate::wire::link::out_queue::OutQueue;
use crate::wire::link::stream_connection::StreamConnection;
use crate::wire::open_count::OpenStreamCount;

/// A connection that is being opened.
pub(in crate::wire) type ConnectingBroker = Pin<Box<dyn Future<Output = OpenedBroker>>>;

/// A connection that was opened, or failed to open.
#[derive(Debug)]
pub(in crate::wire) struct OpenedBroker {
    pub(in crate::wire) connection: Result<(StreamConnection, OpenStreamCount), FailureKind>,
    /// Its phases; `None` if no connection was tried.
    pub(in crate::wire) timings: Option<ConnectTimings>,
}

/// What connections did since the last look.
#[derive(Debug, Default)]
pub(super) struct LinkActivity {
    /// Bytes handed to the kernel.
    pub(super) sent: u64,
    /// Bytes read.
    pub(super) received: u64,
    /// Connections that were opened, or failed to open.
    pub(super) opened: VecDeque<ConnectTimings>,
}

/// Takes a response that was read then, with its request.
pub(super) type TakeResponse<'a> =
    &'a mut dyn FnMut(Time, SentRequest, &[u8]) -> Result<(), FailureKind>;

/// What a connection is for. A broker handles the requests of a connection one after the other, and
/// a fetch waits for records: so what must not wait has connections of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkRole {
    /// Metadata, and records that are produced.
    Main,
    /// Records that are fetched.
    Fetch,
    /// Membership and offsets of a group.
    Group,
}

/// A request that waits for its response.
#[derive(Debug)]
pub(super) enum SentRequest {
    Metadata,
    InitProducer,
    Produce(Vec<SentBatch>),
    ListOffsets,
    /// With the partitions that it is for, and their positions.
    Fetch(Vec<(PartitionPlace, i64)>),
    /// A request of the group with this index.
    Group(usize, GroupRequest),
    /// A request to the coordinator of the producer's transactions.
    Transaction(TransactionRequest),
}

/// A request to the coordinator of transactions.
#[derive(Debug)]
pub(super) enum TransactionRequest {
    FindCoordinator,
    /// For the identity of the producer.
    Init,
    /// With the partitions that come into the transaction: topic and partition, by index.
    Add(Vec<(usize, usize)>),
    End,
}

/// A request of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupRequest {
    FindCoordinator,
    Join,
    Sync,
    Heartbeat,
    FetchOffsets,
    Commit,
    Leave,
}

impl SentRequest {
    /// How long the broker takes no further request, by its response: a quota (KIP-219). Before a
    /// response of an earlier version a broker waits itself.
    fn throttle(&self, body: &[u8]) -> Duration {
        let at_begin = || body.first_chunk();
        let found = match self {
            Self::Produce(_) => body.last_chunk(),
            Self::Fetch(_) => at_begin(),
            // Behind the tagged fields of its header.
            Self::InitProducer | Self::Transaction(TransactionRequest::Init) => {
                body.get(1..).and_then(<[u8]>::first_chunk)
            }
            Self::Group(_, GroupRequest::FetchOffsets) | Self::Metadata | Self::ListOffsets => None,
            Self::Group(..) | Self::Transaction(_) => at_begin(),
        };
        let ms = found.map_or(0, |bytes| i32::from_be_bytes(*bytes));
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }
}

/// A connection.
pub(super) struct BrokerLink {
    /// The broker; −1: the one of the URL, whose number is not known yet.
    pub(super) node: i32,
    pub(super) role: LinkRole,
    phase: LinkPhase,
    queue: OutQueue,
    /// Requests that wait until the broker takes some again.
    held: Vec<u8>,
    /// When the broker takes requests again.
    held_until: Time,
    frames: KafkaFrames,
    pending: VecDeque<(i32, SentRequest)>,
    /// Requests with records that wait for their response.
    pub(super) producing: usize,
    last_number: i32,
}

enum LinkPhase {
    Connecting(ConnectingBroker),
    Open { connection: StreamConnection, _count: OpenStreamCount },
}

/// Without the future that connects.
impl fmt::Debug for BrokerLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, role) = (self.node, self.role);
        let pending = self.pending.len();
        f.debug_struct("BrokerLink")
            .field("node", &node)
            .field("role", &role)
            .field("pending", &pending)
            .finish_non_exhaustive()
    }
}

impl BrokerLink {
    fn new((node, role): (i32, LinkRole), phase: LinkPhase, max_frame: usize) -> Self {
        Self {
            node,
            role,
            phase,
            queue: OutQueue::default(),
            held: Vec::new(),
            held_until: Time(0),
            frames: KafkaFrames::new(max_frame),
            pending: VecDeque::new(),
            producing: 0,
            last_number: 0,
        }
    }

    /// A connection that is open.
    pub(super) fn open(
        place: (i32, LinkRole),
        (connection, count): (StreamConnection, OpenStreamCount),
        max_frame: usize,
    ) -> Self {
        Self::new(place, LinkPhase::Open { connection, _count: count }, max_frame)
    }

    /// A connection that is being opened.
    pub(super) fn connecting(
        place: (i32, LinkRole),
        connecting: ConnectingBroker,
        max_frame: usize,
    ) -> Self {
        Self::new(place, LinkPhase::Connecting(connecting), max_frame)
    }

    /// When the broker takes requests again; `None`: it does now.
    pub(super) fn held_until(&self, now: Time) -> Option<Time> {
        (now < self.held_until).then_some(self.held_until)
    }

    /// When requests that wait are to be sent.
    pub(super) const fn deadline(&self) -> Time {
        if self.held.is_empty() { Time::NEVER } else { self.held_until }
    }

    /// Queues requests that waited for the broker, if it takes them now.
    fn release(&mut self, now: Time) {
        if !self.held.is_empty() && self.held_until(now).is_none() {
            self.queue.bytes.append(&mut self.held);
        }
    }

    /// Queues a request; its response is handed on with `pending`, `None`: there will be none.
    pub(super) fn request(&mut self, request: &KafkaRequest, pending: Option<SentRequest>) {
        let now = clock::now();
        self.release(now);
        let is_held = self.held_until(now).is_some();
        self.last_number = self.last_number.wrapping_add(1);
        let number = self.last_number;
        let out = if is_held { &mut self.held } else { &mut self.queue.bytes };
        put_request(out, request.api, number, |out| {
            out.extend_from_slice(&request.body);
        });
        if let Some(pending) = pending {
            self.producing += usize::from(matches!(pending, SentRequest::Produce(_)));
            self.pending.push_back((number, pending));
        }
    }

    /// Whether no request waits, for the kernel or for its response.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.queued() == 0
    }

    /// Whether a fetch waits for its response.
    pub(super) fn is_fetching(&self) -> bool {
        self.pending.iter().any(|(_, pending)| matches!(pending, SentRequest::Fetch(_)))
    }

    /// Bytes that wait for the kernel.
    pub(super) fn queued(&self) -> usize {
        self.queue.waiting() + self.held.len()
    }

    /// Opens the connection, and hands bytes to the kernel.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        activity: &mut LinkActivity,
    ) -> Result<(), FailureKind> {
        if let LinkPhase::Connecting(connecting) = &mut self.phase {
            match connecting.as_mut().poll(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(OpenedBroker { connection, timings }) => {
                    activity.opened.extend(timings);
                    let (connection, count) = connection?;
                    self.phase = LinkPhase::Open { connection, _count: count };
                }
            }
        }
        self.release(clock::now());
        let LinkPhase::Open { connection, .. } = &mut self.phase else { return Ok(()) };
        match self.queue.poll_write(cx, connection, &mut activity.sent) {
            Poll::Pending | Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(error)) => Err(fault::kind_of(&error)),
        }
    }

    /// Reads once. Ready with the number of bytes, which is 0 at the end of the connection; `take`
    /// gets each response with its request.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        take: TakeResponse<'_>,
    ) -> Poll<Result<usize, FailureKind>> {
        let LinkPhase::Open { connection, .. } = &mut self.phase else {
            return Poll::Pending;
        };
        let count = match connection.poll_read(cx, buffer) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(fault::kind_of(&error))),
            Poll::Ready(Ok(count)) => count,
        };
        // Taken before parsing: parsing is our work, not the target's.
        let now = clock::now();
        let Self { frames, pending, producing, held_until, .. } = self;
        let fed = frames.feed(&buffer[..count], &mut |number, body| match pending.pop_front() {
            Some((expected, request)) if expected == number => {
                *producing -= usize::from(matches!(request, SentRequest::Produce(_)));
                let throttle = request.throttle(body);
                *held_until = (*held_until).max(now + throttle);
                take(now, request, body)
            }
            _ => Err(FailureKind::BadReply),
        });
        Poll::Ready(fed.map(|()| count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_read_where_the_response_has_it() {
        let body = [0, 0, 1, 0, 0, 0, 0, 2];
        let of = |request: SentRequest| request.throttle(&body).as_millis();
        assert_eq!(of(SentRequest::Produce(Vec::new())), 2);
        assert_eq!(of(SentRequest::Fetch(Vec::new())), 256);
        assert_eq!(of(SentRequest::InitProducer), 65_536);
        assert_eq!(of(SentRequest::Group(0, GroupRequest::Commit)), 256);
        // Their brokers have waited.
        assert_eq!(of(SentRequest::Metadata), 0);
        assert_eq!(of(SentRequest::ListOffsets), 0);
        assert_eq!(of(SentRequest::Group(0, GroupRequest::FetchOffsets)), 0);
        // Damaged, and below zero.
        assert_eq!(SentRequest::Fetch(Vec::new()).throttle(&[0]), Duration::ZERO);
        assert_eq!(SentRequest::Fetch(Vec::new()).throttle(&[0xff; 4]), Duration::ZERO);
    }
}

//! One connection to a broker of a cluster: its requests, and their responses in order.
//!
//! `links` keeps them.
//! Invariant: a response belongs to the oldest request that waits for one; a connection that ends
//! while a request waits ends its session.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::api::{KafkaFrames, put_request};
use super::consumed_partition::PartitionPlace;
use super::partition::SentBatch;
use super::requests::KafkaRequest;
use crate::clock;
use crate::clock::Time;
use crate::stats::FailureKind;
use crate::wire::broker::out_queue::OutQueue;
use crate::wire::connect::fault;
use crate::wire::link::stream_connection::StreamConnection;
use crate::wire::open_count::OpenStreamCount;

/// A connection that is being opened.
pub(in crate::wire) type ConnectingBroker =
    Pin<Box<dyn Future<Output = Result<(StreamConnection, OpenStreamCount), FailureKind>>>>;

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

/// A connection.
pub(super) struct BrokerLink {
    /// The broker; −1: the one of the URL, whose number is not known yet.
    pub(super) node: i32,
    pub(super) role: LinkRole,
    phase: LinkPhase,
    queue: OutQueue,
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

    /// Queues a request; its response is handed on with `pending`, `None`: there will be none.
    pub(super) fn request(&mut self, request: &KafkaRequest, pending: Option<SentRequest>) {
        self.last_number = self.last_number.wrapping_add(1);
        let number = self.last_number;
        put_request(&mut self.queue.bytes, request.api, number, |out| {
            out.extend_from_slice(&request.body);
        });
        if let Some(pending) = pending {
            self.producing += usize::from(matches!(pending, SentRequest::Produce(_)));
            self.pending.push_back((number, pending));
        }
    }

    /// Whether no request waits, for the kernel or for its response.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.queue.waiting() == 0
    }

    /// Whether a fetch waits for its response.
    pub(super) fn is_fetching(&self) -> bool {
        self.pending.iter().any(|(_, pending)| matches!(pending, SentRequest::Fetch(_)))
    }

    /// Bytes that wait for the kernel.
    pub(super) fn queued(&self) -> usize {
        self.queue.waiting()
    }

    /// Opens the connection, and hands bytes to the kernel. Adds their number to `sent`.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        sent: &mut u64,
    ) -> Result<(), FailureKind> {
        if let LinkPhase::Connecting(connecting) = &mut self.phase {
            match connecting.as_mut().poll(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Err(kind)) => return Err(kind),
                Poll::Ready(Ok((connection, count))) => {
                    self.phase = LinkPhase::Open { connection, _count: count };
                }
            }
        }
        let LinkPhase::Open { connection, .. } = &mut self.phase else { return Ok(()) };
        match self.queue.poll_write(cx, connection, sent) {
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
        let Self { frames, pending, producing, .. } = self;
        let fed = frames.feed(&buffer[..count], &mut |number, body| match pending.pop_front() {
            Some((expected, request)) if expected == number => {
                *producing -= usize::from(matches!(request, SentRequest::Produce(_)));
                take(now, request, body)
            }
            _ => Err(FailureKind::BadReply),
        });
        Poll::Ready(fed.map(|()| count))
    }
}

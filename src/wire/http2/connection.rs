//! An HTTP/2 connection through the h2 crate.
//!
//! `client` opens it; `stream_exchange` runs exchanges on it: of its slot, and of the slots that
//! share it, each one at a time, beside the streams that hold it.
//! Invariant: what a target sends is bounded by flow-control windows; the connection closes when
//! neither its slot nor a stream holds it any more.

use std::cell::OnceCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::{self, Connection, SendRequest};
use http::uri::Scheme;
use tokio::task::JoinHandle;

use crate::clock::{self, Time};
use crate::plan::transport::PingInterval;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::connect::connection::OpenConnection;
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::deadline::CallDeadline;
use crate::wire::http1::limits::MAX_HEAD;
use crate::wire::http2::pings::ConnectionPings;
use crate::wire::http2::reason::{FailureContext, StreamFailure};
use crate::wire::http2::traffic::{CallInFlight, ConnectionTraffic, CountedIo};
use crate::wire::open_count::OpenStreamCount;

/// How much of a head h2 decodes before it fails. More than is accepted, so that a head over
/// [`MAX_HEAD`] can be told from malformed input, which h2 reports with the same code.
const MAX_DECODED_HEAD: u32 = 4 * MAX_HEAD as u32;

/// Receive window of a stream and of a connection, bytes.
const WINDOW: u32 = 256 << 10;

/// An open HTTP/2 connection, as its slot has it. A separate task drives it, so that pings are
/// answered and its end is noticed while its user thinks.
#[derive(Debug)]
pub(in crate::wire) struct Http2 {
    pub(super) sender: SendRequest<Bytes>,
    driver: Rc<DrivenConnection>,
    pub(in crate::wire) traffic: Rc<ConnectionTraffic>,
    pub(super) scheme: Scheme,
    /// When the last exchange on the connection ended; `NEVER` before the first.
    pub(in crate::wire) idle_since: Time,
}

/// The task that drives a connection; it ends with the last that holds it.
#[derive(Debug)]
struct DrivenConnection {
    task: JoinHandle<()>,
    /// Counts the connection as open.
    count: OnceCell<OpenStreamCount>,
}

/// A stream's hold on its connection.
#[derive(Debug)]
pub(in crate::wire) struct HeldConnection {
    pub(in crate::wire) traffic: Rc<ConnectionTraffic>,
    _call: CallInFlight,
    _driver: Rc<DrivenConnection>,
}

impl Http2 {
    pub(in crate::wire) async fn from_connection(
        connection: OpenConnection,
        endpoint: &ServiceEndpoint,
        deadline: &CallDeadline,
    ) -> Result<Box<Self>, AttemptOutcome> {
        let scheme = if endpoint.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let traffic = Rc::<ConnectionTraffic>::default();
        let io = CountedIo { connection, traffic: Rc::clone(&traffic), broken: None };
        let handshake = client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_header_list_size(MAX_DECODED_HEAD)
            .enable_push(false)
            .handshake(io);
        match deadline.wait(handshake).await {
            Ok(Ok((sender, connection))) => {
                let driving = drive(connection, endpoint.ping, Rc::clone(&traffic));
                let task = tokio::task::spawn_local(driving);
                let driver = Rc::new(DrivenConnection { task, count: OnceCell::new() });
                Ok(Box::new(Self { sender, driver, traffic, scheme, idle_since: Time::NEVER }))
            }
            Ok(Err(error)) => Err(StreamFailure::from_h2(&error, FailureContext::OPENING).outcome),
            Err(why) => Err(why.outcome(AttemptPhase::Send)),
        }
    }

    /// Counts the connection as open until it closes.
    pub(in crate::wire) fn count_until_closed(&self, count: OpenStreamCount) {
        let _ = self.driver.count.set(count);
    }

    /// Holds the connection for a stream on it.
    pub(super) fn hold(&self) -> HeldConnection {
        HeldConnection {
            traffic: Rc::clone(&self.traffic),
            _call: CallInFlight::begin(&self.traffic, clock::now()),
            _driver: Rc::clone(&self.driver),
        }
    }

    /// The same connection for another slot, which it is as if idle since then.
    pub(in crate::wire) fn share(&self, idle_since: Time) -> Self {
        Self {
            sender: self.sender.clone(),
            driver: Rc::clone(&self.driver),
            traffic: Rc::clone(&self.traffic),
            scheme: self.scheme.clone(),
            idle_since,
        }
    }

    /// Whether the target allows another call at the same time.
    pub(super) fn has_room(&self) -> bool {
        self.has_room_for(0, u64::MAX)
    }

    /// Whether another call may begin beside the calls and streams that are open: at least `calls`.
    /// The target and `most` bound them.
    pub(in crate::wire) fn has_room_for(&self, calls: u64, most: u64) -> bool {
        let open = (self.traffic.calls() as u64).max(calls);
        open < most.min(self.sender.current_max_send_streams() as u64)
    }

    /// Whether the connection can carry another request: it has neither ended nor received a
    /// GOAWAY.
    pub(in crate::wire) fn is_fresh(&mut self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        !self.driver.task.is_finished()
            && !matches!(self.sender.poll_ready(&mut cx), Poll::Ready(Err(_)))
    }
}

/// Drives a connection until it ends, or a ping has no answer. The result is not needed: each
/// exchange gets the connection's error itself.
async fn drive(
    mut connection: Connection<CountedIo>,
    interval: Option<PingInterval>,
    traffic: Rc<ConnectionTraffic>,
) {
    let pings = interval.zip(connection.ping_pong());
    let Some((interval, pings)) = pings else {
        drop(connection.await);
        return;
    };
    let mut pings = ConnectionPings::new(interval, pings);
    poll_fn(|cx| {
        if Pin::new(&mut connection).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let silent = pings.poll(cx, &traffic);
        if silent.is_ready() {
            traffic.fault.set(Some(FailureKind::NoPong));
        }
        silent
    })
    .await;
}

impl HeldConnection {
    /// The kind of an error in the middle of a response.
    pub(in crate::wire) fn kind_of(&self, error: &h2::Error) -> FailureKind {
        let context = FailureContext {
            phase: AttemptPhase::Body,
            is_first: false,
            go_away: None,
            received: 0,
            tls: self.traffic.fault.get(),
        };
        match StreamFailure::from_h2(error, context).outcome {
            AttemptOutcome::Failed(_, kind) => kind,
            _ => FailureKind::Other,
        }
    }
}

impl Drop for DrivenConnection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

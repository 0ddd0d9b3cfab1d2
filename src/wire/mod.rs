//! The only folder that opens sockets to the target.
//!
//! `engine::attempt` hands it rendered requests and gets Exchanges back.
//! Invariant: a wire belongs to one shard; what it opens is counted by whoever asked.

pub mod bodies;
pub mod charset;
mod chunked;
pub mod coding;
mod connection;
pub mod cookie_date;
pub mod cookie_jar;
mod deadline;
mod dns;
mod emulated_link;
mod endpoint;
pub mod fake;
mod fault;
pub mod framing;
mod http1;
mod http2;
pub mod location;
mod message;
mod plain;
pub mod pool;
mod proxy;
mod race;
mod reason;
mod resend;
mod response_capture;
mod socket;
mod throttled_pipe;
mod tls;
mod tls_fault;
mod traffic;
mod verifier;

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::clock::Time;
use crate::plan::transport::HttpVersion;
use crate::stats::sample::{ConnectTimings, Exchange};
use crate::stats::{Addresses, AttemptOutcome};

use connection::OpenConnection;
pub use deadline::{CallDeadline, WaitEnded};
pub use emulated_link::EmulatedLink;
pub use endpoint::ServiceEndpoint;
pub use resend::Resend;
pub use response_capture::{CaptureRequest, ExchangeProgress, ResponseCapture};

/// A request ready to go, and what is wanted of its answer.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Index of the endpoint.
    pub endpoint: usize,
    /// Head and body.
    pub bytes: &'a [u8],
    /// What is wanted of the answer.
    pub capture: CaptureRequest,
    /// It may be sent twice without harm.
    pub idempotent: bool,
    /// The number of its user or arrival: whose address it goes out from.
    pub user: u64,
    /// Its user's own way to the network, where that is slower than ours.
    pub link: Option<&'a EmulatedLink>,
    /// The number of its item, for a target that logs it.
    pub number: u64,
    /// When it was intended, ns after the run's start.
    pub intended_ns: u64,
}

/// A user's way to one endpoint: at most one connection, kept between calls.
#[derive(Debug)]
pub struct ConnectionSlot {
    connection: Option<OpenConnection>,
    /// Or one that speaks HTTP/2.
    h2: Option<Box<http2::Http2>>,
    /// When that was opened, and how many requests it has carried.
    opened: Time,
    requests: u64,
    /// Open connections of the shard, and the most since it last looked.
    open: Rc<OpenCount>,
}

/// How many connections a shard has open.
#[derive(Debug, Default)]
pub struct OpenCount {
    now: Cell<u64>,
    peak: Cell<u64>,
}

/// A shard's wire. An enum, not a trait object: one match, no boxing on the hot path.
#[derive(Debug)]
pub struct Wire {
    endpoints: Vec<ServiceEndpoint>,
    kind: WireKind,
    open: Rc<OpenCount>,
}

#[derive(Debug)]
enum WireKind {
    Http1(http1::Http1),
    Fake(fake::FakeTarget),
}

impl Wire {
    /// A wire over real sockets.
    pub fn real(endpoints: Vec<ServiceEndpoint>) -> Self {
        Self { endpoints, kind: WireKind::Http1(http1::Http1::new()), open: Rc::default() }
    }

    /// A wire to a target that is a law, under virtual time.
    pub fn fake(target: fake::FakeTarget) -> Self {
        Self { endpoints: Vec::new(), kind: WireKind::Fake(target), open: Rc::default() }
    }

    /// A line without a connection.
    pub fn slot(&self) -> ConnectionSlot {
        let open = Rc::clone(&self.open);
        ConnectionSlot { connection: None, h2: None, opened: Time::NEVER, requests: 0, open }
    }

    /// One exchange on `line`, dispatched at `now`, and whether its request may be sent again on a
    /// fresh connection.
    #[inline]
    pub async fn exchange(
        &self,
        line: &mut ConnectionSlot,
        outgoing: &Outgoing<'_>,
        now: Time,
        patience: &CallDeadline,
        kept: &mut ResponseCapture,
    ) -> (Exchange, Resend) {
        match &self.kind {
            WireKind::Http1(http1) => {
                let endpoint = &self.endpoints[outgoing.endpoint];
                // A slow way is simulated over HTTP/1.1 alone.
                if endpoint.version != HttpVersion::Http1 && outgoing.link.is_none() {
                    let two = http2::boxed(http1, endpoint, line, outgoing, now, patience, kept);
                    return two.await;
                }
                http1.exchange(endpoint, line, outgoing, now, patience, kept).await
            }
            WireKind::Fake(target) => {
                (target.exchange(outgoing, now, patience, kept).await, Resend::No)
            }
        }
    }

    /// Why a safety limit kept a connection from being opened, if one did.
    pub fn refusal(&self) -> Option<String> {
        self.endpoints.iter().find_map(ServiceEndpoint::refusal)
    }

    /// What a library said of the connection to an endpoint that could not be opened, if that was
    /// how the last one failed.
    pub fn said(&self, endpoint: usize, outcome: AttemptOutcome) -> Option<String> {
        self.endpoints.get(endpoint).and_then(|endpoint| endpoint.said(outcome))
    }

    /// Opens a line's connection before it is needed; how that went, where there was one to open.
    pub async fn prewarm(
        &self,
        line: &mut ConnectionSlot,
        outgoing: &Outgoing<'_>,
        patience: &CallDeadline,
    ) -> Option<ConnectTimings> {
        let endpoint = self.endpoints.get(outgoing.endpoint).filter(|_| !line.is_open())?;
        let mut opening = ConnectTimings::default();
        // What went wrong the first call will meet again, and tell.
        let _ = if endpoint.version == HttpVersion::Http1 || outgoing.link.is_some() {
            http1::open(endpoint, line, outgoing, patience, &mut opening).await
        } else {
            http2::open(endpoint, line, outgoing, patience, &mut opening).await
        };
        Some(opening)
    }

    /// Closes a kept connection that has shown its end since it was used last. An exchange does so
    /// itself; who asks before needs to know whether it will open one.
    pub fn drop_if_dead(&self, line: &mut ConnectionSlot) {
        let WireKind::Http1(http1) = &self.kind else { return };
        if line.connection.is_some() {
            // Nobody waits here: it is only asked what the kernel has reported so far.
            http1.drop_if_seen_dead(&mut Context::from_waker(Waker::noop()), line);
        }
        if line.h2.as_mut().is_some_and(|two| !two.is_fresh()) {
            line.close();
        }
    }

    /// What came of each address since the last call of this.
    pub fn take_addresses(&self) -> Addresses {
        let mut all = Addresses::default();
        for (service, endpoint) in self.endpoints.iter().enumerate() {
            for (address, used) in endpoint.take_uses() {
                all.add(service, address, &used);
            }
        }
        all
    }

    /// A service's name is looked up again before the next connection.
    pub fn forget(&self, endpoint: usize) {
        if let Some(endpoint) = self.endpoints.get(endpoint) {
            endpoint.forget();
        }
    }

    /// The most connections open since the last look.
    pub fn take_peak(&self) -> u64 {
        self.open.peak.replace(self.open.now.get())
    }
}

impl ConnectionSlot {
    /// Whether it has a connection.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.connection.is_some() || self.h2.is_some()
    }

    /// When its connection was opened; means nothing without one.
    pub fn opened(&self) -> Time {
        self.opened
    }

    /// How many requests its connection has carried.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Another request goes over it.
    #[inline]
    fn carry(&mut self) {
        self.requests += 1;
    }

    /// Closes its connection, if any.
    pub fn close(&mut self) {
        if self.connection.take().is_some() || self.h2.take().is_some() {
            self.open.now.set(self.open.now.get() - 1);
        }
    }

    fn open(&mut self, connection: OpenConnection) {
        self.connection = Some(connection);
        self.count();
    }

    fn open_h2(&mut self, two: Box<http2::Http2>) {
        self.h2 = Some(two);
        self.count();
    }

    fn count(&mut self) {
        (self.opened, self.requests) = (crate::clock::now(), 0);
        let now = self.open.now.get() + 1;
        self.open.now.set(now);
        self.open.peak.set(self.open.peak.get().max(now));
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.close();
    }
}

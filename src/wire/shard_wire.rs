//! A shard's wire: exchanges over real sockets, or with a simulated target.
//!
//! `engine` creates one for each shard and runs all exchanges through it.
//! Invariant: a wire belongs to one shard; the caller counts the connections that it opens.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_util::future::Either;

use crate::clock::{self, Time};
use crate::ids::{ServiceId, indexed_by};
use crate::plan::transport::HttpVersion;
use crate::protocol::Protocol;
use crate::stats::sample::{ConnectTimings, Exchange};
use crate::stats::{Addresses, AttemptOutcome, FailureKind};
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::broker::amqp::queue_depths::QueueDepthsByService;
use crate::wire::broker::cluster_connector::ClusterConnector;
use crate::wire::cluster::nodes::ClusterNodes;
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::deadline::CallDeadline;
use crate::wire::exchange_context::ExchangeContext;
use crate::wire::message_stream::{Message, MessageStream, StreamEnd, StreamOffer, StreamSettings};
use crate::wire::open_count::OpenCount;
use crate::wire::outgoing::Outgoing;
use crate::wire::resend::Resend;
use crate::wire::slot::ConnectionSlot;
use crate::wire::{fake, framed, http1, http2, opening};

/// A shard's access to the network. An enum, not a trait object: one match, no boxing on the hot
/// path.
#[derive(Debug)]
pub struct Wire {
    endpoints: Vec<ServiceEndpoint>,
    /// The nodes of those that are clusters.
    clusters: BTreeMap<ServiceId, ClusterNodes>,
    kind: WireKind,
    open: Rc<OpenCount>,
    /// The brokers of those that speak Kafka.
    brokers: RefCell<BTreeMap<ServiceId, Rc<ClusterConnector>>>,
    /// The queues of those that speak AMQP.
    queues: QueueDepthsByService,
}

#[derive(Debug)]
enum WireKind {
    Http1(http1::client::Http1),
    Fake(fake::FakeTarget),
}

indexed_by! {
    ServiceId: ServiceEndpoint;
}

impl Wire {
    /// Creates a wire over real sockets.
    pub fn real(endpoints: Vec<ServiceEndpoint>) -> Self {
        let clusters = ServiceId::number(&endpoints).filter(|(_, endpoint)| endpoint.is_cluster());
        let clusters = clusters.map(|(service, _)| (service, ClusterNodes::new())).collect();
        Self::new(endpoints, clusters, WireKind::Http1(http1::client::Http1::new()))
    }

    /// Creates a wire to a simulated target, under virtual time.
    pub fn fake(target: fake::FakeTarget) -> Self {
        Self::new(Vec::new(), BTreeMap::new(), WireKind::Fake(target))
    }

    fn new(
        endpoints: Vec<ServiceEndpoint>,
        clusters: BTreeMap<ServiceId, ClusterNodes>,
        kind: WireKind,
    ) -> Self {
        Self {
            endpoints,
            clusters,
            kind,
            open: Rc::default(),
            brokers: RefCell::default(),
            queues: QueueDepthsByService::default(),
        }
    }

    /// The brokers of a service that speaks Kafka.
    fn brokers_of(&self, service: ServiceId) -> Option<Rc<ClusterConnector>> {
        let endpoint = self.endpoints.get(service.index())?;
        let origin =
            endpoint.cluster.as_deref().filter(|_| endpoint.protocol == Protocol::Kafka)?;
        let make = || Rc::new(ClusterConnector::new(origin.clone(), Rc::clone(&self.open)));
        Some(Rc::clone(self.brokers.borrow_mut().entry(service).or_insert_with(make)))
    }

    /// Creates a slot without a connection.
    pub fn new_slot(&self) -> ConnectionSlot {
        ConnectionSlot::new(Rc::clone(&self.open))
    }

    /// Runs one exchange. Returns whether its request may be sent again on a fresh connection.
    ///
    /// All but HTTP/1.1 is boxed: the tasks of its users hold no room for the others.
    #[inline]
    pub fn exchange<'a>(
        &'a self,
        context: &'a mut ExchangeContext<'_>,
    ) -> impl Future<Output = Resend> {
        match &self.kind {
            WireKind::Http1(http1) => {
                let endpoint = &self.endpoints[context.outgoing.service];
                if let Some(operation) = context.outgoing.operation
                    && endpoint.protocol != Protocol::Grpc
                {
                    return Either::Right(if endpoint.is_cluster() {
                        let nodes = self.clusters.get(&context.outgoing.service);
                        framed::cluster_client::boxed(http1, (endpoint, nodes), operation, context)
                    } else {
                        framed::client::boxed(http1, endpoint, operation, context)
                    });
                }
                if endpoint.version != HttpVersion::Http1 && !context.outgoing.is_http1_only() {
                    return Either::Right(http2::client::boxed(http1, endpoint, context));
                }
                Either::Left(http1.exchange(endpoint, context))
            }
            WireKind::Fake(target) => Either::Right(target.exchange(context)),
        }
    }

    /// Runs exchanges until one is not to be sent again: a kept connection that the target closed
    /// meanwhile is no failure. For calls beside the load.
    pub async fn complete(
        &self,
        slot: &mut ConnectionSlot,
        outgoing: &Outgoing<'_>,
        deadline: &CallDeadline,
        capture: &mut ResponseCapture,
    ) -> AttemptOutcome {
        let mut resends = 0;
        loop {
            let mut exchange = Exchange::begun(clock::now());
            let mut context = ExchangeContext {
                slot: &mut *slot,
                outgoing,
                deadline,
                capture: &mut *capture,
                exchange: &mut exchange,
            };
            let resend = self.exchange(&mut context).await;
            if !resend.is_due(&mut resends) {
                return exchange.outcome;
            }
        }
    }

    /// Opens the stream that an exchange left behind, if its response is what the protocol demands;
    /// the connection leaves the slot, and counts as open until the stream is dropped. One of
    /// HTTP/2 stays, and carries both the stream and later exchanges. Without a stream the
    /// connection closes.
    ///
    /// # Errors
    /// `BadHandshake` if no response was taken over, and the kinds of each protocol.
    pub fn open_stream(
        &self,
        capture: &mut ResponseCapture,
        settings: &StreamSettings,
        offer: &StreamOffer<'_>,
    ) -> Result<Box<dyn MessageStream>, FailureKind> {
        let brokers = self.brokers_of(offer.service);
        opening::open(capture, settings, offer, (brokers.as_ref(), &self.queues))
    }

    /// Polls a stream with the shard's read buffer: see `MessageStream::poll_receive`. `receive`
    /// must not call the wire.
    #[inline]
    pub fn poll_stream(
        &self,
        stream: &mut dyn MessageStream,
        cx: &mut Context<'_>,
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Poll<StreamEnd> {
        match &self.kind {
            WireKind::Http1(http1) => stream.poll_receive(cx, &mut http1.buffer(), receive),
            WireKind::Fake(_) => stream.poll_receive(cx, &mut [], receive),
        }
    }

    /// Returns why a safety limit prevented a connection, if one did.
    pub fn refusal(&self) -> Option<String> {
        let nodes = self.clusters.values().flat_map(ClusterNodes::all);
        let of_node = || nodes.into_iter().find_map(|node| node.refusal());
        let of_broker = || {
            let mut found = None;
            for brokers in self.brokers.borrow().values() {
                brokers.each_endpoint(&mut |endpoint| found = found.take().or(endpoint.refusal()));
            }
            found
        };
        let own = self.endpoints.iter().find_map(ServiceEndpoint::refusal);
        own.or_else(of_node).or_else(of_broker)
    }

    /// Returns the error text of the last connection to a service that could not be opened, if it
    /// failed with `outcome`.
    pub fn last_error(&self, service: ServiceId, outcome: AttemptOutcome) -> Option<String> {
        let nodes = self.clusters.get(&service).map(ClusterNodes::all).unwrap_or_default();
        let of_node = || nodes.iter().find_map(|node| node.last_error(outcome));
        let own = self.endpoints.get(service.index());
        own.and_then(|endpoint| endpoint.last_error(outcome)).or_else(of_node)
    }

    /// Opens the slot's connection before it is needed. Returns its timings; `None` if the slot is
    /// open already or the target is simulated.
    pub async fn prewarm(
        &self,
        slot: &mut ConnectionSlot,
        outgoing: &Outgoing<'_>,
        deadline: &CallDeadline,
    ) -> Option<ConnectTimings> {
        let endpoint = self.endpoints.get(outgoing.service.index()).filter(|_| !slot.is_open())?;
        let mut exchange = Exchange::begun(clock::now());
        let mut capture = ResponseCapture::default();
        let context = &mut ExchangeContext {
            slot,
            outgoing,
            deadline,
            capture: &mut capture,
            exchange: &mut exchange,
        };
        // A failure is not reported here: the first call meets it again and reports it.
        let _ = if let (WireKind::Http1(http1), true) =
            (&self.kind, !matches!(endpoint.protocol, Protocol::Http | Protocol::Grpc))
        {
            framed::client::open(http1, endpoint, context).await
        } else if endpoint.version == HttpVersion::Http1 || outgoing.is_http1_only() {
            http1::client::open(endpoint, context).await
        } else {
            http2::client::open(endpoint, context).await
        };
        exchange.connect
    }

    /// Closes a reused connection that has ended since its last use. An exchange does so itself;
    /// callers that need to know beforehand whether an exchange will open a connection call this
    /// first.
    pub fn drop_if_dead(&self, slot: &mut ConnectionSlot) {
        let WireKind::Http1(http1) = &self.kind else { return };
        if slot.connection.is_some() {
            // Nothing waits here: the poll only reads what the kernel has reported so far.
            http1.drop_if_seen_dead(&mut Context::from_waker(Waker::noop()), slot);
        }
        if slot.h2.as_mut().is_some_and(|h2| !h2.is_fresh()) {
            slot.close();
        }
    }

    /// Takes the uses of each address since the last call.
    pub fn take_addresses(&self) -> Addresses {
        let mut all = Addresses::default();
        for (service, endpoint) in ServiceId::number(&self.endpoints) {
            let nodes = self.clusters.get(&service).map(ClusterNodes::all).unwrap_or_default();
            let of_nodes = nodes.iter().flat_map(|node| node.take_uses());
            let further = endpoint.further.iter().flat_map(ServiceEndpoint::take_uses);
            let own = endpoint.take_uses().into_iter().chain(further);
            for (address, used) in own.chain(of_nodes) {
                all.add(service, address, &used);
            }
        }
        for (service, brokers) in &*self.brokers.borrow() {
            brokers.each_endpoint(&mut |endpoint| {
                for (address, used) in endpoint.take_uses() {
                    all.add(*service, address, &used);
                }
            });
        }
        all
    }

    /// Forgets a service's addresses: its name is looked up again before the next connection.
    pub fn forget(&self, service: ServiceId) {
        if let Some(endpoint) = self.endpoints.get(service.index()) {
            endpoint.forget();
        }
    }

    /// Takes the most connections that were open at once since the last call.
    pub fn take_peak(&self) -> u64 {
        self.open.take_peak()
    }
}

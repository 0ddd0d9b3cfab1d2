//! A service's endpoint, as one shard sees it: its addresses, how they are resolved and selected.
//!
//! `engine` creates one for each service of a shard; `connection` takes addresses from it.
//! Invariant: resolved addresses are used no longer than the service's `ttl`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rustls::pki_types::ServerName;
use tokio::sync::Mutex;

use crate::clock::{self, Time};
use crate::plan::transport::{
    AddressOrder, DnsConfig, DnsTtl, HttpVersion, PingInterval, Proxy, TransportConfig,
};
use crate::plan::{Address, Safety};
use crate::protocol::Protocol;
use crate::seed::{Seed, Stream};
use crate::stats::{AddressUse, AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::connect::refusal;
use crate::wire::deadline::CallDeadline;
use crate::wire::framed::login_request::LoginRequest;
use crate::wire::{connect::dns, connect::fault, connect::tls};

/// How long a look-up before the load may take.
const FORESIGHT: Duration = Duration::from_secs(5);

/// How long the reason of a failed look-up also counts for later failures, ns.
const WHY_NS: u64 = 10_000_000_000;

/// Maximum addresses that are kept of one name.
const MAX_ADDRESSES: usize = 256;

/// A service's endpoint.
#[derive(Debug)]
pub struct ServiceEndpoint {
    /// Host to request from a proxy: the URL's, or the one of `connect_to`.
    pub(in crate::wire) host: String,
    /// Port to request from a proxy.
    pub(in crate::wire) port: u16,
    /// TLS settings; `None` for plain TCP.
    pub(in crate::wire) tls: Option<tls::TlsClient>,
    /// Unix socket to connect to instead.
    pub(in crate::wire) unix: Option<PathBuf>,
    pub(in crate::wire) proxy: Option<Proxy>,
    /// What the service speaks.
    pub(in crate::wire) protocol: Protocol,
    /// What a connection says first; `None`: nothing.
    pub(in crate::wire) login: Option<LoginRequest>,
    /// `Auto` only over TLS.
    pub(in crate::wire) version: HttpVersion,
    /// Pings of HTTP/2; `None`: none are sent.
    pub(in crate::wire) ping: Option<PingInterval>,
    sources: Vec<IpAddr>,
    /// Host and port to connect to: the URL's, those of `connect_to`, or the proxy's.
    next_hop: (String, u16),
    dns: DnsConfig,
    seed: Seed,
    /// Connections begun so far; addresses are rotated by it.
    connections_begun: Cell<u64>,
    /// The address that accepted last, which is tried first.
    last_accepted: Cell<Option<SocketAddr>>,
    /// Uses of each address since the last `take_uses`.
    uses: RefCell<BTreeMap<SocketAddr, AddressUse>>,
    /// Why look-ups fail, and until when that is not queried again.
    failure_reason: Cell<Option<(FailureKind, Time)>>,
    /// Held while one call queries the reason.
    explaining: Mutex<()>,
    /// The addresses resolved last, and until when they are valid.
    known: RefCell<Option<Resolved>>,
    safety: Arc<Safety>,
    /// Why the service may not be reached, if that is so.
    refusal: RefCell<Option<String>>,
    /// What the endpoints of a cluster's other brokers are made of.
    pub(in crate::wire) cluster: Option<Box<EndpointOrigin>>,
    /// The endpoints of further addresses of the same cluster of Kafka.
    pub(in crate::wire) further: Vec<Self>,
    /// The number of the address that accepted last, which is tried first: 0 for its own.
    pub(in crate::wire) accepted_place: Cell<usize>,
    /// The last failure to open a connection for which a library has an error text, and that text.
    last_error: RefCell<Option<(AttemptOutcome, String)>>,
}

/// What an endpoint is made of.
#[derive(Clone, Debug)]
pub(in crate::wire) struct EndpointOrigin {
    transport: TransportConfig,
    pub(in crate::wire) address: Address,
    /// Further addresses of the same cluster of Kafka.
    bootstrap: Vec<(String, u16)>,
    seed: Seed,
    safety: Arc<Safety>,
}

impl EndpointOrigin {
    fn new(own: &TransportConfig, at: &Address, seed: Seed, safety: &Arc<Safety>) -> Box<Self> {
        // `connect_to` stands for the host of the URL alone.
        let alone = TransportConfig { connect_to: None, unix: None, ..own.clone() };
        let transport = TransportConfig { cluster: false, bootstrap: Vec::new(), ..alone };
        let (address, bootstrap) = (at.clone(), own.bootstrap.clone());
        Box::new(Self { transport, address, bootstrap, seed, safety: Arc::clone(safety) })
    }

    /// Host and port of an address of the cluster: 0 for the one of the URL.
    pub(in crate::wire) fn place(&self, place: usize) -> (&str, u16) {
        let further = place.checked_sub(1).and_then(|place| self.bootstrap.get(place));
        further.map_or((&self.address.host, self.address.port), |(host, port)| (host, *port))
    }

    /// The endpoints of further addresses.
    fn further(&self) -> io::Result<Vec<ServiceEndpoint>> {
        let further = self.bootstrap.iter().map(|(host, port)| {
            let (host, port) = (host.clone(), *port);
            self.sibling(&Address { host, port, ..self.address.clone() })
        });
        further.collect()
    }

    /// The endpoint of another host with the same settings.
    ///
    /// # Errors
    /// As of [`ServiceEndpoint::new`].
    pub(in crate::wire) fn sibling(&self, address: &Address) -> io::Result<ServiceEndpoint> {
        ServiceEndpoint::new(&self.transport, address, self.seed, Arc::clone(&self.safety))
    }
}

/// A result of the resolver.
#[derive(Debug)]
struct Resolved {
    addresses: Arc<[SocketAddr]>,
    until: Time,
}

impl ServiceEndpoint {
    /// Creates the endpoint of a service at `address`.
    ///
    /// # Errors
    /// If TLS cannot be set up: the system's trust store is unreadable.
    pub fn new(
        transport: &TransportConfig,
        address: &Address,
        seed: Seed,
        safety: Arc<Safety>,
    ) -> io::Result<Self> {
        let tls = if address.tls {
            let name = transport.tls.server_name.as_ref().unwrap_or(&address.host).clone();
            let name = ServerName::try_from(name).map_err(io::Error::other)?;
            Some(
                tls::TlsClient::new(&transport.tls, transport.version, name)
                    .map_err(io::Error::other)?,
            )
        } else {
            None
        };
        // Plain TCP has no negotiation: HTTP/2 is used only where it is configured.
        let version = match transport.version {
            HttpVersion::Auto if tls.is_none() => HttpVersion::Http1,
            version => version,
        };
        let proxy = transport.proxy.as_ref().map(|proxy| (proxy.host.clone(), proxy.port));
        let own = || (address.host.clone(), address.port);
        let (host, port) = transport.connect_to.clone().unwrap_or_else(own);
        let next_hop = proxy.unwrap_or_else(|| (host.clone(), port));
        // A literal address needs no look-up.
        let known = next_hop.0.parse().ok().map(|ip| {
            let addresses = Arc::from([SocketAddr::new(ip, next_hop.1)]);
            Resolved { addresses, until: Time::NEVER }
        });
        let refusal = RefCell::new(refusal::by_names(transport, (&host, port), &next_hop, &safety));
        let has_nodes = transport.cluster || address.protocol == Protocol::Kafka;
        let cluster = has_nodes.then(|| EndpointOrigin::new(transport, address, seed, &safety));
        let further = cluster.as_ref().map_or_else(|| Ok(Vec::new()), |own| own.further())?;
        Ok(Self {
            further,
            accepted_place: Cell::new(0),
            cluster,
            safety,
            refusal,
            host,
            port,
            tls,
            unix: transport.unix.clone(),
            proxy: transport.proxy.clone(),
            protocol: address.protocol,
            login: LoginRequest::new(address, transport),
            version,
            ping: transport.ping,
            sources: transport.sources.clone(),
            next_hop,
            dns: transport.dns,
            seed,
            last_error: RefCell::default(),
            last_accepted: Cell::default(),
            uses: RefCell::default(),
            failure_reason: Cell::default(),
            explaining: Mutex::default(),
            connections_begun: Cell::new(0),
            known: RefCell::new(known),
        })
    }

    /// Whether its service is a cluster of Redis.
    pub(in crate::wire) fn is_cluster(&self) -> bool {
        self.cluster.is_some() && self.protocol == Protocol::Redis
    }

    /// The endpoint of another node of its cluster; `None` if TLS to it cannot be set up.
    pub(in crate::wire) fn node(&self, host: &str, port: u16) -> Option<Self> {
        let origin = self.cluster.as_deref()?;
        let address = Address { host: host.to_owned(), port, ..origin.address.clone() };
        origin.sibling(&address).ok()
    }

    /// Returns the host and port to request from a proxy, as a request target.
    pub(in crate::wire) fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }

    /// Returns the local address of a user's connections to an address of this family.
    pub(in crate::wire) fn source(&self, user: u64, to: SocketAddr) -> Option<IpAddr> {
        let fits = |ip: &&IpAddr| ip.is_ipv4() == to.is_ipv4();
        let count = self.sources.iter().filter(fits).count() as u64;
        let index = user.checked_rem(count)?;
        self.sources.iter().filter(fits).nth(index as usize).copied()
    }

    /// Returns why the service may not be reached, or one of its addresses, if that is so.
    pub fn refusal(&self) -> Option<String> {
        let own = self.refusal.borrow().clone();
        own.or_else(|| self.further.iter().find_map(Self::refusal))
    }

    /// Stores a library's error text for a failure; returns the outcome.
    pub(in crate::wire) fn remember_error(
        &self,
        outcome: AttemptOutcome,
        error: &io::Error,
    ) -> AttemptOutcome {
        *self.last_error.borrow_mut() = Some((outcome, fault::words(error)));
        outcome
    }

    /// Returns the error text of the last connection that failed to open, if it failed with
    /// `outcome`.
    pub(in crate::wire) fn last_error(&self, outcome: AttemptOutcome) -> Option<String> {
        let last_error = self.last_error.borrow();
        let own = last_error.as_ref().filter(|(last, _)| *last == outcome);
        let further = || self.further.iter().find_map(|one| one.last_error(outcome));
        own.map(|(_, words)| words.clone()).or_else(further)
    }

    /// Resolves the name before the load begins; returns why the service may not be reached, if
    /// that is so. A name that is not found is reported by the run, not here.
    pub async fn foresee(&self) -> Option<String> {
        let deadline = CallDeadline::new(Rc::default());
        deadline.begin(clock::now() + FORESIGHT);
        for one in std::iter::once(self).chain(&self.further) {
            if one.refusal.borrow().is_none() && one.unix.is_none() && one.addresses().is_none() {
                let _ = one.look_up(&deadline).await;
            }
        }
        self.refusal()
    }

    /// Forgets resolved addresses; a literal address is kept.
    pub(in crate::wire) fn forget(&self) {
        if self.next_hop.0.parse::<IpAddr>().is_err() {
            *self.known.borrow_mut() = None;
        }
        self.further.iter().for_each(Self::forget);
    }

    /// Returns the addresses if they are known and still valid.
    pub(in crate::wire) fn addresses(&self) -> Option<Arc<[SocketAddr]>> {
        let known = self.known.borrow();
        let known = known.as_ref()?;
        // Addresses without an expiry save the read of the clock.
        let good = known.until == Time::NEVER || clock::now() < known.until;
        good.then(|| Arc::clone(&known.addresses))
    }

    /// Returns the address if it is known, valid, the only one, and all that a connection needs:
    /// the endpoint has neither TLS nor a proxy, and no safety limit forbids it.
    pub(in crate::wire) fn only_plain_address(&self) -> Option<SocketAddr> {
        let is_more = self.tls.is_some() || self.proxy.is_some() || self.unix.is_some();
        if is_more || self.refusal.borrow().is_some() {
            return None;
        }
        match *self.addresses()? {
            [address] => Some(address),
            _ => None,
        }
    }

    /// Resolves the name.
    pub(in crate::wire) async fn look_up(
        &self,
        deadline: &CallDeadline,
    ) -> Result<Arc<[SocketAddr]>, AttemptOutcome> {
        let (host, port) = &self.next_hop;
        let found = deadline.wait(dns::look_up(host, *port, self.dns.family)).await;
        let found = match found.map_err(|why| why.outcome(AttemptPhase::Dns))? {
            Ok(found) => self.allowed(found.into_iter().take(MAX_ADDRESSES))?,
            Err(failed) => {
                let kind = if failed.is_vague {
                    self.failure_reason(deadline).await?
                } else {
                    failed.kind
                };
                return Err(self.remember_error(
                    AttemptOutcome::Failed(AttemptPhase::Dns, kind),
                    &failed.error,
                ));
            }
        };
        let until = match self.dns.ttl {
            DnsTtl::Run => Time::NEVER,
            DnsTtl::For(ttl) => clock::now() + ttl,
            // Valid only for the connection that requested the look-up.
            DnsTtl::Connection => Time(0),
        };
        *self.known.borrow_mut() = Some(Resolved { addresses: Arc::clone(&found), until });
        Ok(found)
    }

    /// Returns why the resolver has no address. The name servers are queried once in a while, not
    /// for each call.
    async fn failure_reason(&self, deadline: &CallDeadline) -> Result<FailureKind, AttemptOutcome> {
        let explain = async {
            let _guard = self.explaining.lock().await;
            match self.failure_reason.get().filter(|(_, until)| clock::now() < *until) {
                Some((kind, _)) => kind,
                None => {
                    let kind = dns::explain(&self.next_hop.0).await;
                    self.failure_reason.set(Some((kind, clock::now().after(WHY_NS))));
                    kind
                }
            }
        };
        let kind = deadline.wait(explain).await.map_err(|why| why.outcome(AttemptPhase::Dns))?;
        Ok(kind)
    }

    /// Returns the addresses that may be connected to; keeps why none is.
    fn allowed(
        &self,
        found: impl Iterator<Item = SocketAddr>,
    ) -> Result<Arc<[SocketAddr]>, AttemptOutcome> {
        refusal::allowed(&self.safety, &self.next_hop.0, found).map_err(|why| {
            *self.refusal.borrow_mut() = Some(why);
            AttemptOutcome::Failed(AttemptPhase::Connect, FailureKind::Forbidden)
        })
    }

    /// Returns the index of the address that the next connection tries first.
    pub(in crate::wire) fn first_of(&self, addresses: &[SocketAddr], user: u64) -> usize {
        let connections_begun = self.connections_begun.replace(self.connections_begun.get() + 1);
        let count = addresses.len();
        match self.dns.pick {
            AddressOrder::First => {
                let last_accepted = self.last_accepted.get();
                addresses.iter().position(|one| Some(*one) == last_accepted).unwrap_or(0)
            }
            AddressOrder::Rotate => (connections_begun % count.max(1) as u64) as usize,
            AddressOrder::Random => self
                .seed
                .rng(Stream::Address, user, connections_begun)
                .random_range(0..count.max(1)),
        }
    }

    /// Notes that an address has accepted; the next connection tries it first if the order is
    /// `First`.
    pub(in crate::wire) fn prefer(&self, address: SocketAddr) {
        self.last_accepted.set(Some(address));
    }

    /// Counts a use of an address.
    pub(in crate::wire) fn count(&self, address: SocketAddr, used: &AddressUse) {
        self.uses.borrow_mut().entry(address).or_default().add(used);
    }

    /// Takes the uses of each address since the last call.
    pub(in crate::wire) fn take_uses(&self) -> BTreeMap<SocketAddr, AddressUse> {
        std::mem::take(&mut self.uses.borrow_mut())
    }
}

//! Where a service is, as a shard sees it: its addresses, and how they are looked up and taken.
//!
//! `engine` makes one for each service of a shard, `connection` asks it for addresses.
//! Invariant: an answer of the resolver is used no longer than the service's `ttl` says.

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

use super::connection::gave_up;
use super::deadline::CallDeadline;
use super::{dns, fault, tls};
use crate::clock::{self, Time};
use crate::plan::transport::{
    AddressOrder, DnsConfig, DnsTtl, HttpVersion, Proxy, TransportConfig,
};
use crate::plan::{Address, Safety};
use crate::seed::{Seed, Stream};
use crate::stats::{AddressUse, AttemptOutcome, AttemptPhase, FailureKind};

/// How long a look-up before the load may take.
const FORESIGHT: Duration = Duration::from_secs(5);

/// How long the reason of a failed look-up is taken for that of the next ones, ns.
const WHY_NS: u64 = 10_000_000_000;

/// The most addresses of one name that are kept.
const MAX_ADDRESSES: usize = 256;

/// Where a service is.
#[derive(Debug)]
pub struct ServiceEndpoint {
    /// The name or address that a proxy is asked for: the URL's, or its stand-in.
    pub(super) host: String,
    /// And the port.
    pub(super) port: u16,
    /// TLS settings; `None` for plain TCP.
    pub(super) tls: Option<tls::TlsClient>,
    /// A socket of the file system to connect to instead.
    pub(super) unix: Option<PathBuf>,
    pub(super) proxy: Option<Proxy>,
    /// `Auto` only over TLS.
    pub(super) version: HttpVersion,
    sources: Vec<IpAddr>,
    /// Where connections go: the host, its stand-in or its proxy.
    next_hop: (String, u16),
    dns: DnsConfig,
    seed: Seed,
    /// Connections opened so far: whose turn it is among the addresses.
    turn: Cell<u64>,
    /// The address that answered last: it is tried first.
    answered: Cell<Option<SocketAddr>>,
    /// What came of each address since it was last asked.
    uses: RefCell<BTreeMap<SocketAddr, AddressUse>>,
    /// Why look-ups fail, and until when that is not asked again.
    why: Cell<Option<(FailureKind, Time)>>,
    /// One call at a time asks why.
    asking: Mutex<()>,
    /// What the resolver said last, and until when that is good.
    known: RefCell<Option<Resolved>>,
    safety: Arc<Safety>,
    /// Why it may not be reached.
    refusal: RefCell<Option<String>>,
    /// The last failure to open a connection that a library has words for, and these.
    said: RefCell<Option<(AttemptOutcome, String)>>,
}

/// What the resolver said.
#[derive(Debug)]
struct Resolved {
    addresses: Arc<[SocketAddr]>,
    until: Time,
}

impl ServiceEndpoint {
    /// The endpoint of a service at `address`.
    ///
    /// # Errors
    /// When TLS cannot be set up: the system's trust store is unreadable.
    pub fn new(
        reach: &TransportConfig,
        address: &Address,
        seed: Seed,
        safety: Arc<Safety>,
    ) -> io::Result<Self> {
        let tls = if address.tls {
            let name = reach.tls.server_name.as_ref().unwrap_or(&address.host).clone();
            let name = ServerName::try_from(name).map_err(io::Error::other)?;
            Some(tls::TlsClient::new(&reach.tls, reach.version, name).map_err(io::Error::other)?)
        } else {
            None
        };
        // Over plain TCP nobody negotiates: HTTP/2 is spoken where it is known to be understood.
        let version = match reach.version {
            HttpVersion::Auto if tls.is_none() => HttpVersion::Http1,
            version => version,
        };
        let proxy = reach.proxy.as_ref().map(|proxy| (proxy.host.clone(), proxy.port));
        let own = || (address.host.clone(), address.port);
        let (host, port) = reach.connect_to.clone().unwrap_or_else(own);
        let next_hop = proxy.unwrap_or_else(|| (host.clone(), port));
        // A literal address needs no look-up.
        let known = next_hop.0.parse().ok().map(|ip| {
            let addresses = Arc::from([SocketAddr::new(ip, next_hop.1)]);
            Resolved { addresses, until: Time::NEVER }
        });
        let refusal = RefCell::new(refusal(reach, &host, &next_hop.0, &safety));
        Ok(Self {
            safety,
            refusal,
            host,
            port,
            tls,
            unix: reach.unix.clone(),
            proxy: reach.proxy.clone(),
            version,
            sources: reach.sources.clone(),
            next_hop,
            dns: reach.dns,
            seed,
            said: RefCell::default(),
            answered: Cell::default(),
            uses: RefCell::default(),
            why: Cell::default(),
            asking: Mutex::default(),
            turn: Cell::new(0),
            known: RefCell::new(known),
        })
    }

    /// The host and port that a proxy is asked for, as a request's target.
    pub(super) fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }

    /// The local address of a user's connections to an address of this kind.
    pub(super) fn source(&self, user: u64, to: SocketAddr) -> Option<IpAddr> {
        let fits = |ip: &&IpAddr| ip.is_ipv4() == to.is_ipv4();
        let count = self.sources.iter().filter(fits).count() as u64;
        let index = user.checked_rem(count)?;
        self.sources.iter().filter(fits).nth(index as usize).copied()
    }

    /// Why it may not be reached, if that is so.
    pub fn refusal(&self) -> Option<String> {
        self.refusal.borrow().clone()
    }

    /// Remembers what a library said of a failure; the outcome.
    pub(super) fn hear(&self, outcome: AttemptOutcome, error: &io::Error) -> AttemptOutcome {
        *self.said.borrow_mut() = Some((outcome, fault::words(error)));
        outcome
    }

    /// What a library said of a connection that could not be opened, if the last failure was this.
    pub(super) fn said(&self, outcome: AttemptOutcome) -> Option<String> {
        let said = self.said.borrow();
        said.as_ref().filter(|(last, _)| *last == outcome).map(|(_, words)| words.clone())
    }

    /// Looks its name up before the load begins; why it may not be reached, if that is so. A name
    /// that is not found is for the run to tell.
    pub async fn foresee(&self) -> Option<String> {
        if self.refusal.borrow().is_none() && self.unix.is_none() && self.addresses().is_none() {
            let patience = CallDeadline::new(Rc::default());
            patience.begin(clock::now() + FORESIGHT);
            let _ = self.look_up(&patience).await;
        }
        self.refusal()
    }

    /// What the resolver said is forgotten; a literal address stays what it is.
    pub(super) fn forget(&self) {
        if self.next_hop.0.parse::<IpAddr>().is_err() {
            *self.known.borrow_mut() = None;
        }
    }

    /// Its addresses, if they are known and still good.
    pub(super) fn addresses(&self) -> Option<Arc<[SocketAddr]>> {
        let known = self.known.borrow();
        let known = known.as_ref()?;
        // What never grows old is not worth a look at the clock.
        let good = known.until == Time::NEVER || clock::now() < known.until;
        good.then(|| Arc::clone(&known.addresses))
    }

    /// Looks its name up.
    pub(super) async fn look_up(
        &self,
        patience: &CallDeadline,
    ) -> Result<Arc<[SocketAddr]>, AttemptOutcome> {
        let (host, port) = &self.next_hop;
        let found = patience.wait(dns::look_up(host, *port, self.dns.family)).await;
        let found = match found.map_err(|why| gave_up(why, AttemptPhase::Dns))? {
            Ok(found) => self.allowed(found.into_iter().take(MAX_ADDRESSES))?,
            Err(failed) => {
                let kind = if failed.is_vague { self.why(patience).await? } else { failed.kind };
                return Err(
                    self.hear(AttemptOutcome::Failed(AttemptPhase::Dns, kind), &failed.error)
                );
            }
        };
        let until = match self.dns.ttl {
            DnsTtl::Run => Time::NEVER,
            DnsTtl::For(ttl) => clock::now() + ttl,
            // Good for the connection that asked, and for no other.
            DnsTtl::Connection => Time(0),
        };
        *self.known.borrow_mut() = Some(Resolved { addresses: Arc::clone(&found), until });
        Ok(found)
    }

    /// Why the resolver has no address. A name server is asked once in a while, not for each call.
    async fn why(&self, patience: &CallDeadline) -> Result<FailureKind, AttemptOutcome> {
        let explain = async {
            let _turn = self.asking.lock().await;
            match self.why.get().filter(|(_, until)| clock::now() < *until) {
                Some((kind, _)) => kind,
                None => {
                    let kind = dns::explain(&self.next_hop.0).await;
                    self.why.set(Some((kind, clock::now().after(WHY_NS))));
                    kind
                }
            }
        };
        let kind = patience.wait(explain).await.map_err(|why| gave_up(why, AttemptPhase::Dns))?;
        Ok(kind)
    }

    /// Those addresses that may be connected to: load goes nowhere else, whatever is resolved.
    fn allowed(
        &self,
        found: impl Iterator<Item = SocketAddr>,
    ) -> Result<Arc<[SocketAddr]>, AttemptOutcome> {
        let (mut allowed, mut refusal) = (Vec::new(), None);
        for address in found {
            match self.safety.refusal(&self.next_hop.0, address.ip()) {
                None => allowed.push(address),
                Some(why) => refusal = Some(why),
            }
        }
        match refusal {
            Some(why) if allowed.is_empty() => {
                *self.refusal.borrow_mut() = Some(why);
                Err(AttemptOutcome::Failed(AttemptPhase::Connect, FailureKind::Forbidden))
            }
            _ => Ok(allowed.into()),
        }
    }

    /// Which of its addresses the next connection tries first.
    pub(super) fn first_of(&self, addresses: &[SocketAddr], user: u64) -> usize {
        let turn = self.turn.replace(self.turn.get() + 1);
        let count = addresses.len();
        match self.dns.pick {
            AddressOrder::First => {
                let answered = self.answered.get();
                addresses.iter().position(|one| Some(*one) == answered).unwrap_or(0)
            }
            AddressOrder::Rotate => (turn % count.max(1) as u64) as usize,
            AddressOrder::Random => {
                self.seed.rng(Stream::Address, user, turn).random_range(0..count.max(1))
            }
        }
    }

    /// An address has answered: the next connection tries it first, unless they take turns.
    pub(super) fn prefer(&self, address: SocketAddr) {
        self.answered.set(Some(address));
    }

    /// Counts what came of an address.
    pub(super) fn count(&self, address: SocketAddr, used: &AddressUse) {
        self.uses.borrow_mut().entry(address).or_default().add(used);
    }

    /// What came of each address since the last call of this.
    pub(super) fn take_uses(&self) -> BTreeMap<SocketAddr, AddressUse> {
        std::mem::take(&mut self.uses.borrow_mut())
    }
}

/// Why a service may not be reached as far as names tell: its own, which only a proxy looks up, and
/// that of where its connections go.
fn refusal(reach: &TransportConfig, host: &str, next_hop: &str, safety: &Safety) -> Option<String> {
    if reach.unix.is_some() {
        return None;
    }
    let behind_proxy = reach.proxy.as_ref().and_then(|_| safety.refusal_by_name(host, true));
    behind_proxy.or_else(|| safety.refusal_by_name(next_hop, false))
}

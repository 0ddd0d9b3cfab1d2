//! Opens connections to the brokers that a cluster names, as those to its service are opened.
//!
//! `shard_wire` makes one for each service that is a cluster; a session has its part of it.
//! Invariant: a broker that a safety limit forbids is not connected to, whatever names it; its
//! endpoint has the settings of the service, but not its `connect_to`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::clock::{self, RunOffset};
use crate::ids::ServiceId;
use crate::plan::Address;
use crate::stats::sample::Exchange;
use crate::stats::{AttemptOutcome, FailureKind};
use crate::wire::body::capture_request::CaptureRequest;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::broker::kafka::link::{ConnectingBroker, OpenedBroker};
use crate::wire::broker::kafka::links::ConnectsBrokers;
use crate::wire::connect::connection::OpenConnection;
use crate::wire::connect::endpoint::{EndpointOrigin, ServiceEndpoint};
use crate::wire::connect::open;
use crate::wire::deadline::CallDeadline;
use crate::wire::exchange_context::ExchangeContext;
use crate::wire::framed::login_reply::LoginReply;
use crate::wire::framed::login_request::LoginRequest;
use crate::wire::link::emulated_link::EmulatedLink;
use crate::wire::link::stream_connection::StreamConnection;
use crate::wire::open_count::OpenCount;
use crate::wire::outgoing::Outgoing;
use crate::wire::slot::ConnectionSlot;

/// How long a connection may take to open, its login included.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// The most brokers of a cluster.
const MAX_BROKERS: usize = 1_000;

/// The brokers of a cluster, for all sessions of a shard.
#[derive(Debug)]
pub(in crate::wire) struct ClusterConnector {
    origin: EndpointOrigin,
    known: RefCell<BTreeMap<(String, u16), Rc<ServiceEndpoint>>>,
    open: Rc<OpenCount>,
}

/// What one session connects with.
#[derive(Debug)]
struct SessionConnector {
    cluster: Rc<ClusterConnector>,
    /// The number of the address of its first connection.
    place: usize,
    user: u64,
    link: Option<Rc<EmulatedLink>>,
}

impl ClusterConnector {
    pub(in crate::wire) fn new(origin: EndpointOrigin, open: Rc<OpenCount>) -> Self {
        Self { origin, known: RefCell::default(), open }
    }

    /// The connector of a session of this user, whose first connection is `first`.
    pub(in crate::wire) fn of_session(
        self: &Rc<Self>,
        user: u64,
        first: &StreamConnection,
    ) -> Rc<dyn ConnectsBrokers> {
        let (place, link) = (first.bootstrap_place(), first.link());
        Rc::new(SessionConnector { cluster: Rc::clone(self), place, user, link })
    }

    /// Calls `each` with the endpoints that are known.
    pub(in crate::wire) fn each_endpoint(&self, each: &mut dyn FnMut(&ServiceEndpoint)) {
        self.known.borrow().values().for_each(|endpoint| each(endpoint));
    }

    fn endpoint(&self, host: &str, port: u16) -> Result<Rc<ServiceEndpoint>, FailureKind> {
        let mut known = self.known.borrow_mut();
        let place = (host.to_owned(), port);
        if let Some(endpoint) = known.get(&place) {
            return Ok(Rc::clone(endpoint));
        }
        if known.len() >= MAX_BROKERS {
            return Err(FailureKind::BadReply);
        }
        let address = Address { host: host.to_owned(), port, ..self.origin.address.clone() };
        // A name of a host that TLS cannot verify.
        let made = self.origin.sibling(&address).map_err(|_| FailureKind::BadReply)?;
        let endpoint = Rc::new(made);
        known.insert(place, Rc::clone(&endpoint));
        Ok(endpoint)
    }
}

impl ConnectsBrokers for SessionConnector {
    fn connect(&self, host: &str, port: u16) -> ConnectingBroker {
        let endpoint = self.cluster.endpoint(host, port);
        let (user, link) = (self.user, self.link.clone());
        let slot = ConnectionSlot::new(Rc::clone(&self.cluster.open));
        Box::pin(async move {
            match endpoint {
                Ok(endpoint) => connect(&endpoint, (user, link), slot).await,
                Err(kind) => OpenedBroker { connection: Err(kind), timings: None },
            }
        })
    }

    fn first_address(&self) -> (String, u16) {
        let (host, port) = self.cluster.origin.place(self.place);
        (host.to_owned(), port)
    }
}

async fn connect(
    endpoint: &ServiceEndpoint,
    (user, link): (u64, Option<Rc<EmulatedLink>>),
    mut slot: ConnectionSlot,
) -> OpenedBroker {
    let outgoing = Outgoing {
        service: ServiceId::new(0),
        bytes: &[],
        capture: &CaptureRequest::NOTHING,
        operation: None,
        idempotent: true,
        user,
        link: link.as_ref(),
        number: 0,
        intended: RunOffset::from_ns(0),
    };
    let deadline = CallDeadline::new(Rc::default());
    deadline.begin(clock::now() + OPEN_TIMEOUT);
    let mut exchange = Exchange::begun(clock::now());
    let mut capture = ResponseCapture::default();
    let context = &mut ExchangeContext {
        slot: &mut slot,
        outgoing: &outgoing,
        deadline: &deadline,
        capture: &mut capture,
        exchange: &mut exchange,
    };
    let connection = match open::open(endpoint, context).await {
        Ok(connection) => log_in(endpoint, connection, &deadline).await,
        Err(outcome) => Err(kind_of(outcome)),
    };
    // A connection that a safety limit forbids is not tried.
    let is_tried = !matches!(connection, Err(FailureKind::Forbidden));
    let timings = exchange.connect.filter(|_| is_tried);
    let connection = connection.and_then(|connection| {
        slot.open(connection);
        let (connection, count) = slot.take().ok_or(FailureKind::Closed)?;
        Ok((StreamConnection::new(connection, link.as_ref()), count))
    });
    OpenedBroker { connection, timings }
}

/// Logs in on a connection, if its endpoint has a login.
async fn log_in(
    endpoint: &ServiceEndpoint,
    mut connection: OpenConnection,
    deadline: &CallDeadline,
) -> Result<OpenConnection, FailureKind> {
    if let Some(LoginRequest::Kafka(login)) = &endpoint.login {
        let mut words = String::new();
        let exchange = login.exchange(&mut connection, &mut words);
        match deadline.wait(exchange).await {
            Ok(Ok(LoginReply::Accepted { .. })) => {}
            Ok(Ok(LoginReply::Refused)) => return Err(FailureKind::LoginRefused),
            Ok(Ok(LoginReply::Broken(kind))) => return Err(kind),
            Ok(Err(_)) => return Err(FailureKind::Closed),
            Err(_) => return Err(FailureKind::Unreachable),
        }
    }
    Ok(connection)
}

/// The kind under which a session ends whose connection could not be opened.
const fn kind_of(outcome: AttemptOutcome) -> FailureKind {
    match outcome {
        AttemptOutcome::Failed(_, kind) => kind,
        AttemptOutcome::Timeout(_) => FailureKind::Unreachable,
        _ => FailureKind::Other,
    }
}

//! The connections of a session to the brokers of its cluster.
//!
//! `session` polls them, `producer`, `consumer` and `group` send requests by them.
//! Invariant: a session has one connection at most to each broker and for each role.

use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::cluster::ClusterLayout;
use super::link::{
    BrokerLink, ConnectingBroker, LinkActivity, LinkRole, SentRequest, TakeResponse,
};
use super::requests::KafkaRequest;
use crate::clock::Time;
use crate::stats::FailureKind;
use crate::wire::link::stream_connection::StreamConnection;
use crate::wire::open_count::OpenStreamCount;

/// Opens connections to the brokers that a cluster names: host and port.
pub(in crate::wire) trait ConnectsBrokers: fmt::Debug {
    fn connect(&self, host: &str, port: u16) -> ConnectingBroker;
    /// Host and port of the address that the first connection was opened to.
    fn first_address(&self) -> (String, u16);
}

/// The connections.
#[derive(Debug)]
pub(super) struct BrokerLinks {
    all: Vec<BrokerLink>,
    connector: Rc<dyn ConnectsBrokers>,
    max_frame: usize,
    pub(super) activity: LinkActivity,
}

impl BrokerLinks {
    /// Begins with the connection to the broker of the URL.
    pub(super) fn new(
        first: (StreamConnection, OpenStreamCount),
        connector: Rc<dyn ConnectsBrokers>,
        max_frame: usize,
    ) -> Self {
        let first = BrokerLink::open((-1, LinkRole::Main), first, max_frame);
        Self { all: vec![first], connector, max_frame, activity: LinkActivity::default() }
    }

    /// Gives the connection to the broker of the URL the number that the cluster has for it.
    pub(super) fn name_first(&mut self, cluster: &ClusterLayout) {
        let Some(first) = self.all.iter_mut().find(|link| link.node < 0) else { return };
        let (host, port) = self.connector.first_address();
        let mut nodes = cluster.nodes.iter();
        if let Some(node) = nodes.find(|node| node.host == host && node.port == port) {
            first.node = node.id;
        }
    }

    /// The connection to a broker; begins to open one if there is none. `None` if the cluster does
    /// not name the broker.
    pub(super) fn link_to(
        &mut self,
        cluster: &ClusterLayout,
        node: i32,
        role: LinkRole,
    ) -> Option<&mut BrokerLink> {
        let known = self.all.iter().position(|link| link.node == node && link.role == role);
        let place = match known {
            Some(place) => place,
            None => {
                let node = cluster.node(node)?;
                let connecting = self.connector.connect(&node.host, node.port);
                let link = BrokerLink::connecting((node.id, role), connecting, self.max_frame);
                self.all.push(link);
                self.all.len() - 1
            }
        };
        self.all.get_mut(place)
    }

    /// Sends a request that any broker answers.
    pub(super) fn request_of_any(
        &mut self,
        cluster: &ClusterLayout,
        request: &KafkaRequest,
        pending: SentRequest,
    ) {
        let open = self.all.iter().position(|link| link.role == LinkRole::Main);
        let link = match (open, cluster.nodes.first()) {
            (Some(place), _) => self.all.get_mut(place),
            (None, Some(node)) => self.link_to(cluster, node.id, LinkRole::Main),
            (None, None) => None,
        };
        if let Some(link) = link {
            link.request(request, Some(pending));
        }
    }

    /// Bytes that wait for the kernel.
    pub(super) fn queued(&self) -> usize {
        self.all.iter().map(BrokerLink::queued).sum()
    }

    /// When requests are to be sent that a broker does not take now.
    pub(super) fn deadline(&self) -> Time {
        self.all.iter().map(BrokerLink::deadline).min().unwrap_or(Time::NEVER)
    }

    /// Whether a broker takes no records now.
    pub(super) fn holds_records(&self, now: Time) -> bool {
        let mut main = self.all.iter().filter(|link| link.role == LinkRole::Main);
        main.any(|link| link.held_until(now).is_some())
    }

    /// Whether a request of a group waits for its response.
    pub(super) fn has_group_requests(&self) -> bool {
        self.all.iter().any(|link| link.role == LinkRole::Group && !link.is_idle())
    }

    /// Opens connections, and hands bytes to the kernel.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), FailureKind> {
        let Self { all, activity, .. } = self;
        all.iter_mut().try_for_each(|link| link.poll_write(cx, activity))
    }

    /// Reads what has arrived on all connections, each at most once. Returns whether any brought
    /// something.
    ///
    /// # Errors
    /// Why the session ends: a connection ended while a request waited, the last one ended, or a
    /// broker violated the protocol.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        take: TakeResponse<'_>,
    ) -> Result<bool, FailureKind> {
        let mut has_read = false;
        let mut place = 0;
        while let Some(link) = self.all.get_mut(place) {
            match link.poll_read(cx, buffer, take) {
                Poll::Pending => {}
                Poll::Ready(Err(kind)) => return Err(kind),
                // Brokers close connections that were idle for long.
                Poll::Ready(Ok(0)) if link.is_idle() && self.all.len() > 1 => {
                    self.all.remove(place);
                    has_read = true;
                    continue;
                }
                Poll::Ready(Ok(0)) => return Err(FailureKind::AbnormalClose),
                Poll::Ready(Ok(count)) => {
                    self.activity.received += count as u64;
                    has_read = true;
                }
            }
            place += 1;
        }
        Ok(has_read)
    }
}

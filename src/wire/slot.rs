//! A user's place for a connection, and the shard's count of open connections.
//!
//! A user or a pool owns slots; `http1` and `http2` open connections in them.
//! Invariant: a slot holds at most one connection, and each open one is counted once.

use std::cell::Cell;
use std::rc::Rc;

use crate::clock::Time;
use crate::trace::trace_event;
use crate::wire::cluster::node_connections::{NodeConnections, NodeNumber};
use crate::wire::connect::connection::OpenConnection;
use crate::wire::connection_share::ConnectionShare;
use crate::wire::http2::connection::Http2;
use crate::wire::open_count::{OpenCount, OpenStreamCount};

/// A user's place for one connection to one endpoint, kept between calls.
#[derive(Debug)]
pub struct ConnectionSlot {
    pub(super) connection: Option<OpenConnection>,
    /// A connection that speaks HTTP/2, in place of `connection`.
    pub(super) h2: Option<Box<Http2>>,
    /// The connections to other nodes of a cluster. Boxed: few services are clusters.
    pub(super) nodes: Option<Box<NodeConnections>>,
    /// When the connection was opened, and how many requests it has carried.
    opened: Time,
    pub(super) requests: u64,
    /// The call's place on a connection that others share. Boxed: few pools share connections.
    share: Option<Box<ConnectionShare>>,
    /// The shard's count of open connections.
    open: Rc<OpenCount>,
}

impl ConnectionSlot {
    /// Creates a slot without a connection; `open` counts the connections of its shard.
    pub(super) fn new(open: Rc<OpenCount>) -> Self {
        Self {
            connection: None,
            h2: None,
            nodes: None,
            opened: Time::NEVER,
            requests: 0,
            share: None,
            open,
        }
    }

    /// Whether the slot has a connection.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.connection.is_some() || self.h2.is_some()
    }

    /// When the connection was opened; meaningless without one.
    pub fn opened(&self) -> Time {
        self.opened
    }

    /// Requests that the connection has carried.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Counts another request on the connection.
    #[inline]
    pub(super) fn carry(&mut self) {
        self.requests += 1;
    }

    /// Whether the slot has a place on a connection that others share, or had one.
    pub(super) const fn is_shared(&self) -> bool {
        self.share.is_some()
    }

    /// Takes the place on a shared connection.
    pub(super) fn take_share(&mut self) -> Option<Box<ConnectionShare>> {
        self.share.take()
    }

    /// Whether its connection speaks HTTP/2.
    pub(super) const fn speaks_h2(&self) -> bool {
        self.h2.is_some()
    }

    /// Whether its connection of HTTP/2 can carry another request.
    pub(super) fn is_fresh_h2(&mut self) -> bool {
        self.h2.as_mut().is_some_and(|h2| h2.is_fresh())
    }

    /// Whether another call may begin on its connection of HTTP/2, which has at least `calls` of
    /// them and may have `most`.
    pub(super) fn has_room_for(&self, calls: u64, most: u64) -> bool {
        self.h2.as_ref().is_some_and(|h2| h2.has_room_for(calls, most))
    }

    /// Bytes that its connection of HTTP/2 has received.
    pub(super) fn received_h2(&self) -> Option<u64> {
        self.h2.as_ref().map(|h2| h2.traffic.received.get())
    }

    /// A slot with a place on the connection of HTTP/2, which has these calls.
    pub(super) fn share(&mut self, idle_since: Time, calls: &Rc<Cell<u64>>) -> Option<Self> {
        let h2 = self.h2.as_ref()?;
        let mut slot = Self::new(Rc::clone(&self.open));
        (slot.opened, slot.requests) = (self.opened, self.requests);
        slot.share = Some(Box::new(ConnectionShare::new(calls, h2.traffic.received.get())));
        slot.h2 = Some(Box::new(h2.share(idle_since)));
        self.requests += 1;
        Some(slot)
    }

    /// Closes the connection, if there is one; of a shared one, its own place.
    pub fn close(&mut self) {
        let (connection, h2) = (self.connection.take(), self.h2.take());
        if connection.is_some() || h2.is_some() {
            if connection.is_some() {
                self.open.remove();
            }
            // It is counted until the last stream on it ends.
            drop(h2);
            trace_event!(
                DEBUG,
                "connection closed",
                requests = self.requests,
                open = self.open.now(),
            );
        }
    }

    /// Closes a connection on which a transaction is open, or has failed and was not ended: the
    /// server rolls it back, and no other user or iteration continues it.
    #[inline]
    pub fn close_open_transaction(&mut self) {
        if self.has_open_transaction() {
            self.close();
        }
    }

    /// Whether a transaction is open on the connection, or has failed and was not ended.
    #[inline]
    pub fn has_open_transaction(&self) -> bool {
        let session = self.connection.as_ref().and_then(OpenConnection::sql_session);
        session.is_some_and(|session| session.is_in_transaction)
    }

    /// Uses the connection to this node of a cluster, or none if there is none yet.
    pub(super) fn switch_to(&mut self, node: NodeNumber) {
        let nodes = self.nodes.get_or_insert_default();
        let before = std::mem::replace(&mut nodes.current, node);
        if before == node {
            return;
        }
        if let Some(connection) = self.connection.take() {
            nodes.others.push((before, connection));
        }
        let known = nodes.others.iter().position(|(other, _)| *other == node);
        self.connection = known.map(|place| nodes.others.swap_remove(place).1);
    }

    /// Whether the node that was asked last has sent the request on: its next exchange goes there.
    pub fn is_redirected(&self) -> bool {
        self.nodes.as_ref().is_some_and(|nodes| nodes.redirect.is_some())
    }

    /// Forgets where the request was sent on to.
    pub fn forget_redirect(&mut self) {
        if let Some(nodes) = &mut self.nodes {
            nodes.redirect = None;
        }
    }

    /// Takes the connection out of the slot, for a stream; it stays counted until the stream ends.
    pub(super) fn take(&mut self) -> Option<(OpenConnection, OpenStreamCount)> {
        let connection = self.connection.take()?;
        Some((connection, OpenStreamCount::of(&self.open)))
    }

    pub(super) fn open(&mut self, connection: OpenConnection) {
        self.connection = Some(connection);
        self.count();
    }

    pub(super) fn open_h2(&mut self, h2: Box<Http2>) {
        h2.count_until_closed(OpenStreamCount::of(&self.open));
        self.h2 = Some(h2);
        self.count();
    }

    fn count(&mut self) {
        (self.opened, self.requests) = (crate::clock::now(), 0);
        self.open.add();
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.close();
        let others = self.nodes.take().map_or(0, |nodes| nodes.others.len());
        (0..others).for_each(|_| self.open.remove());
    }
}

//! The nodes of a cluster as one shard knows them, and which of them has a slot.
//!
//! `Wire` keeps one for each service that is a cluster; `framed::client` asks it before each
//! exchange, and tells it what a node answered.
//! Invariant: at most [`MAX_NODES`] nodes are known; the address of the service is asked whenever
//! nothing better is known.

use std::cell::RefCell;
use std::rc::Rc;

use super::key_slot::{KeySlot, SLOTS};
use super::node_connections::{NextNode, NodeNumber, OWN};
use super::slot_map::{ClusterRedirect, slot_ranges};
use crate::clock::Time;
use crate::wire::connect::endpoint::ServiceEndpoint;

/// Maximum nodes.
const MAX_NODES: usize = 1_024;

/// After a redirect all slots are asked for again, but not more often than this, ns.
const REFRESH_NS: u64 = 100_000_000;

/// The nodes of a cluster.
#[derive(Debug)]
pub(in crate::wire) struct ClusterNodes(RefCell<NodeMap>);

#[derive(Debug)]
struct NodeMap {
    nodes: Vec<Rc<ServiceEndpoint>>,
    /// The node of each slot; [`OWN`]: not known.
    slots: Vec<NodeNumber>,
    /// Whether slots may have moved.
    is_stale: bool,
    /// When all slots were last asked for.
    asked: Option<Time>,
}

impl ClusterNodes {
    pub(in crate::wire) fn new() -> Self {
        let slots = vec![OWN; usize::from(SLOTS)];
        Self(RefCell::new(NodeMap { nodes: Vec::new(), slots, is_stale: true, asked: None }))
    }

    /// Where a request of this slot goes.
    pub(in crate::wire) fn node_of(&self, slot: KeySlot) -> NextNode {
        let map = self.0.borrow();
        let node = match slot {
            KeySlot::One(slot) => map.slots.get(usize::from(slot)).copied().unwrap_or(OWN),
            KeySlot::Any | KeySlot::Several => OWN,
        };
        NextNode { node, is_ask: false }
    }

    /// The endpoint of a node; `None` for the service's own.
    pub(in crate::wire) fn endpoint(&self, node: NodeNumber) -> Option<Rc<ServiceEndpoint>> {
        self.0.borrow().nodes.get(usize::from(node)).cloned()
    }

    /// All nodes that are known.
    pub(in crate::wire) fn all(&self) -> Vec<Rc<ServiceEndpoint>> {
        self.0.borrow().nodes.clone()
    }

    /// Whether all slots are to be asked for now. Says so once.
    pub(in crate::wire) fn begin_refresh(&self, now: Time) -> bool {
        let mut map = self.0.borrow_mut();
        let is_due = map.is_stale && map.asked.is_none_or(|asked| now.since(asked) >= REFRESH_NS);
        if is_due {
            (map.is_stale, map.asked) = (false, Some(now));
        }
        is_due
    }

    /// Takes the reply to CLUSTER SLOTS of `asked`.
    pub(in crate::wire) fn refresh(
        &self,
        own: &ServiceEndpoint,
        asked: &ServiceEndpoint,
        reply: &[u8],
    ) {
        for range in slot_ranges(reply) {
            let host = if range.host.is_empty() { &asked.host } else { &range.host };
            let Some(node) = self.find(own, host, range.port) else { continue };
            for slot in range.slots {
                self.0.borrow_mut().slots[usize::from(slot)] = node;
            }
        }
    }

    /// Takes a redirect of `asked`; returns where it leads. `None` if it is none, or leads nowhere.
    pub(in crate::wire) fn redirect(
        &self,
        own: &ServiceEndpoint,
        asked: &ServiceEndpoint,
        text: &[u8],
    ) -> Option<NextNode> {
        let redirect = ClusterRedirect::read(text)?;
        let host = if redirect.host.is_empty() { &asked.host } else { &redirect.host };
        let node = self.find(own, host, redirect.port)?;
        if !redirect.is_ask {
            let mut map = self.0.borrow_mut();
            map.slots[usize::from(redirect.slot)] = node;
            map.is_stale = true;
        }
        Some(NextNode { node, is_ask: redirect.is_ask })
    }

    /// Forgets the slots of a node that cannot be reached: the service's address knows who took
    /// them over.
    pub(in crate::wire) fn forget(&self, node: NodeNumber) {
        if node == OWN {
            return;
        }
        let mut map = self.0.borrow_mut();
        map.is_stale = true;
        map.slots.iter_mut().filter(|own| **own == node).for_each(|own| *own = OWN);
    }

    /// The number of the node at this address, which may be new.
    fn find(&self, own: &ServiceEndpoint, host: &str, port: u16) -> Option<NodeNumber> {
        if own.host == host && own.port == port {
            return Some(OWN);
        }
        let mut map = self.0.borrow_mut();
        let known = map.nodes.iter().position(|node| node.host == host && node.port == port);
        let place = match known {
            Some(place) => place,
            None if map.nodes.len() >= MAX_NODES => return None,
            None => {
                map.nodes.push(Rc::new(own.node(host, port)?));
                map.nodes.len() - 1
            }
        };
        NodeNumber::try_from(place).ok()
    }
}

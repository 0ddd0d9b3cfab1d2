//! The connections of a user to the nodes of a cluster.
//!
//! `slot` keeps them; `nodes` chooses among them.
//! Invariant: the connection to the current node is that of the slot, those to the others are here.

use crate::wire::connect::connection::OpenConnection;

/// The number of a node; [`OWN`] for the address of the service.
pub(in crate::wire) type NodeNumber = u16;

/// The address of the service itself.
pub(in crate::wire) const OWN: NodeNumber = NodeNumber::MAX;

/// The connections.
#[derive(Debug)]
pub(in crate::wire) struct NodeConnections {
    pub(in crate::wire) current: NodeNumber,
    pub(in crate::wire) others: Vec<(NodeNumber, OpenConnection)>,
    /// Where the next request goes; `None`: where its key is.
    pub(in crate::wire) redirect: Option<NextNode>,
}

/// Where a node sends the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) struct NextNode {
    pub(in crate::wire) node: NodeNumber,
    /// Whether the node takes it only after ASKING.
    pub(in crate::wire) is_ask: bool,
}

impl Default for NodeConnections {
    fn default() -> Self {
        Self { current: OWN, others: Vec::new(), redirect: None }
    }
}

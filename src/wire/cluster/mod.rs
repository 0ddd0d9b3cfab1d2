//! Clusters of Redis: which node has a key, and where a node sends a client that asks the wrong
//! one.
//!
//! `framed::client` directs each exchange with it; `engine::attempt` follows what a node redirects.
//! Invariant: a node that another one names is connected to only if the safety limits allow it.

pub(in crate::wire) mod key_slot;
pub(in crate::wire) mod node_connections;
pub(in crate::wire) mod nodes;
pub(in crate::wire) mod slot_map;

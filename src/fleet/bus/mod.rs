//! The bus of a fleet on Redis from 7.0 on, or Valkey: a client that carries out the requests of
//! `fleet::protocol`, and the plain values that processes of a fleet share.
//!
//! `run` drives an agent or a coordinator with it. docs/fleet.md says how to set a bus up.
//! Invariant: a request is one atomic step (a transaction or a script) with the semantics of the
//! model that the simulator tests the protocol with (`tests/fleet/model_bus.rs`). What comes from
//! the bus is bounded and checked; what is damaged is left out and counted.

mod acl;
mod address;
mod client;
mod connection;
mod envelope;
mod error;
mod failure;
mod forms;
mod hints;
mod keys;
mod limits;
mod plain;
mod poll;
mod replies;
mod scripts;
mod trouble;
mod values;

pub use acl::{agent_rule, coordinator_rule};
pub use address::{BusAddress, BusOptions, PASSWORD_VARIABLE};
pub use client::BusClient;
pub use connection::BusConnection;
pub use error::BusError;
pub use forms::BusPayload;
pub use hints::BusHints;
pub use keys::check_run_id;
pub use limits::BusLimits;
pub use trouble::BusTrouble;

//! Archetypes and their flows: steps, requests, captures, checks, data.
//!
//! `load::workload` and `compile` compile archetypes here.
//! Invariant: a compiled archetype refers only to existing services and variables.

mod amqp;
mod amqp_steps;
pub(crate) mod archetype;
mod assembly;
mod body;
mod broker;
mod broker_messages;
mod cached;
mod capture;
mod channels;
mod check;
mod close;
mod columns;
mod compiled_operation;
mod consumer;
pub(crate) mod context;
mod control;
mod copy;
mod data;
mod grpc;
mod grpc_stream;
pub(crate) mod kafka;
mod kafka_transaction;
pub(crate) mod kinds;
mod link;
pub(crate) mod message;
mod operation;
mod reconnect;
pub(crate) mod sanitize;
mod sections;
mod sql;
mod states;
pub(crate) mod step;
pub(crate) mod stream;
pub(crate) mod tags;
mod transaction;

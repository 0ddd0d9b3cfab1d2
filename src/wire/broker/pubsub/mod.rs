//! Channels of Redis and PostgreSQL: publish and subscribe, over one connection that holds both.
//!
//! `session` is what both have in common, `redis` and `postgres` are what they say, and `beginning`
//! reads the response that begins a session.
//! Invariant: a server answers the commands of a connection in their order.

pub mod beginning;
mod command_queue;
mod dialect;
pub mod postgres;
pub(in crate::wire) mod redis;
pub(in crate::wire) mod session;
#[cfg(test)]
mod tests;

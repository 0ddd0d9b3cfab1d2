//! AMQP 0-9-1, as RabbitMQ speaks it.
//!
//! `framed::amqp_login` opens a connection and its one channel, `framed::reader` reads replies with
//! `reply`, `opening` makes a `session` of the connection, and `engine` encodes with `declare`.
//! Invariant: what a broker sends is bounded by the largest frame and the largest message, and a
//! frame that breaks the rules of the protocol ends the connection.

pub(in crate::wire) mod channel;
#[cfg(test)]
mod confirm_tests;
pub(in crate::wire) mod confirms;
pub(in crate::wire) mod consumers;
pub(in crate::wire) mod content;
pub(in crate::wire) mod content_header;
pub mod declare;
pub(in crate::wire) mod depth_questions;
pub(in crate::wire) mod encode;
pub(in crate::wire) mod fault;
pub(in crate::wire) mod frames;
pub(in crate::wire) mod limits;
#[cfg(test)]
mod login_tests;
pub(in crate::wire) mod methods;
pub(in crate::wire) mod publish;
pub(in crate::wire) mod queue_depths;
pub(in crate::wire) mod reply;
pub(in crate::wire) mod reply_code;
pub(in crate::wire) mod session;
#[cfg(test)]
mod session_tests;
pub(in crate::wire) mod table;
#[cfg(test)]
mod tests;

//! Messages out of the body of a response as it comes: server-sent events, and lines.
//!
//! `Wire::open_stream` makes a stream of a response whose body was taken over.
//! Invariant: an event and a line have a bound; between two events nothing is held but the last
//! event id.

pub(in crate::wire) mod body;
pub mod lines;
pub mod parser;
#[cfg(test)]
mod parser_tests;
pub(in crate::wire) mod stream;

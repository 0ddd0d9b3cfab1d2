//! Streams of users: connections that live across steps, their messages, and the users that wait
//! for them.
//!
//! `iteration` runs their steps; a reader task per stream hands each message to a listener, to the
//! user that waits for it, or to the inbox.
//! Invariant: a message is stamped with its receipt in the reader, never when a step gets its turn;
//! it is counted once.

mod answers;
mod backlog;
mod captured_values;
mod conditions;
mod connected_stream;
mod consumer;
mod end;
mod exchange_end;
mod finish;
mod handshake;
mod held_streams;
mod inbox;
mod listener;
mod live_stream;
mod open;
mod publish;
mod publisher;
mod reader;
mod replies;
mod send;
mod settle;
mod stamping;
mod step;
mod step_end;
mod stream_state;
mod streamed;
mod subscribe;
mod transact;
mod user_streams;
mod wait;

pub(crate) use backlog::BacklogByStep;
pub(crate) use exchange_end::{end_call, end_exchange};
pub(crate) use held_streams::HeldByStep;
pub(crate) use stamping::complete;
pub(crate) use step::step;
pub(crate) use user_streams::UserStreams;

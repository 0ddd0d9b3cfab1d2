//! The link between the coordinator of a run and a worker process: messages in checked frames, down
//! and up.
//!
//! `fleet` speaks it over pipes.
//! Invariant: both sides are of the same build: the first line has the hash of the shapes of all
//! messages. What a frame may take is bounded by its kind.

mod commands;
mod messages;
mod stream;

pub use messages::{FromWorker, ToWorker, WorkerEnd, WorkerSetup, manifest_hash};
pub use stream::{LinkError, LinkReader, LinkWriter};

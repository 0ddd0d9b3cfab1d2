//! Event streams of the test server (`text/event-stream` of the HTML standard).
//!
//! `connection` opens them for `/sse/{name}`, and publishes for `/publish/{name}`.
//! Invariant: every event has an id, one more than the last of its channel; a listener gets all
//! events from its joining on, after those that it asked to be replayed, each once.

pub(super) mod channels;
pub(super) mod encoding;
mod request;
mod session;

pub(super) use request::EventRequest;
pub(super) use session::{publish, serve};

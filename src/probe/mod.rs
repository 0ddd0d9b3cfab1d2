//! Finds the rate limit of a target: how many requests it admits, per which time, and for whom.
//!
//! `cli` makes a [`RequestSender`] for real requests and calls [`search::search`]; tests call it
//! with simulated limiters.
//! Invariant: the search reads no clock: times come with the replies, and it says when to send.

mod advertised;
mod agreement;
mod bounds;
mod bucket;
mod connections;
mod finding;
mod json;
mod requests;
mod rest;
mod search;
mod sender;
mod session;
mod text;
mod trial;
mod window;
#[cfg(test)]
mod world_tests;
#[cfg(test)]
mod worlds;

pub use advertised::{Advertised, AdvertisedLimit, Reset};
pub use agreement::{Agreement, HeaderCheck};
pub use bounds::Bounds;
pub use connections::{ConnectionFinding, SourceConnections, count_connections};
pub use finding::{LimitScope, ProbeFinding, ProbeStop, RateFinding, ScopeDimension, WindowKind};
pub use json::json;
pub use requests::{ProbeRequest, ProbeRequests};
pub use search::search;
pub use sender::{RequestSender, SendLimits};
pub use session::{ProbeReply, ProbeSubject, ProbedTarget, SearchOptions};
pub use text::text;

//! The options of `manada hit`.
//!
//! `cli` fills them in.
//! Invariant: no option is a template; the given bytes are sent.

use std::time::Duration;

use crate::files::Files;
use crate::plan::stream::{AnswerFormat, GoodAnswer};
use crate::scenario::hit::client::HitClient;
use crate::seed::Seed;
use crate::units::Rate;

/// Default duration, without a duration or a number of requests.
pub const DURATION: Duration = Duration::from_secs(10);

/// Default number of users, without a rate.
pub const CONNECTIONS: u64 = 50;

/// The options of `manada hit`.
#[derive(Clone, Debug)]
pub struct HitOptions {
    /// Where files are read from.
    pub files: Files,
    /// The URLs, with queries. Each request picks one at random; a URL given twice is picked twice
    /// as often.
    pub urls: Vec<String>,
    /// Number of connections, each with one user; `None`: [`CONNECTIONS`]. With a rate, the
    /// maximum of concurrent users; `None`: as many as the rate needs, up to 10,000.
    pub connections: Option<u64>,
    /// Duration; `None`: [`DURATION`], or until all requests are sent.
    pub duration: Option<Duration>,
    /// Total number of requests after the warm-up.
    pub requests: Option<u64>,
    /// Requests per second, whatever the target does.
    pub rate: Option<Rate>,
    /// The method; those of RFC 9110 and 5789 are sent in capitals, others as given. `None`: GET,
    /// or POST for a response in pieces to a body.
    pub method: Option<String>,
    /// Headers as name and value.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<Vec<u8>>,
    /// The message that is sent over a WebSocket; `None`: a stamp.
    pub message: Option<Vec<u8>>,
    /// Whether streams are only opened, held and listened to.
    pub listen: bool,
    /// How the response is observed as it comes; `None`: it is not.
    pub stream: Option<AnswerFormat>,
    /// What makes such a response good; `None`: it is not judged.
    pub good: Option<GoodAnswer>,
    /// Client options.
    pub client: HitClient,
    /// Timeout of a request; `None`: `plan::Service::TIMEOUT`.
    pub timeout: Option<Duration>,
    /// The seed; `None`: a random one.
    pub seed: Option<Seed>,
    /// Thresholds.
    pub thresholds: Vec<String>,
    /// Load due before this offset counts only in the ledgers.
    pub warmup: Duration,
}

//! What a search found.
//!
//! `search` fills it in, `agreement` compares it with headers, `text` and `json` show it.
//! Invariant: a figure that was not measured is `None`.

use std::collections::BTreeMap;

use super::advertised::Advertised;
use super::bounds::Bounds;

/// What limits the requests of a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RateFinding {
    /// The search ended before it could tell.
    Unknown,
    /// No request was refused, at this rate per second.
    NoLimit {
        /// The highest rate that was reached.
        fastest: f64,
    },
    /// A bucket: its allowance returns steadily.
    Bucket {
        /// Requests per second.
        rate: Bounds,
        /// Requests that are admitted at once after a pause.
        burst: Bounds,
    },
    /// A number of requests in each window, which is whole again when the window is over.
    Window {
        /// Requests per window.
        requests: Bounds,
        /// Length of the window, seconds.
        window: Bounds,
        /// How the window moves.
        kind: WindowKind,
    },
    /// Requests wait until the rate admits them.
    Delay {
        /// Requests per second.
        rate: Bounds,
        /// Requests that may wait; `None` if none was refused.
        waiting: Option<u64>,
    },
    /// A number of requests at the same time, whatever their rate.
    Concurrency {
        /// Requests at the same time.
        requests: u64,
    },
    /// Refusals that follow no limit: they do not depend on the rate.
    Unrelated,
    /// All requests were refused.
    Closed,
}

/// How a window moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// The kind was not found out.
    Unknown,
    /// It begins at fixed times, such as each full minute.
    Aligned,
    /// It begins with the first request.
    FromFirst,
    /// Each request counts until it is as old as the window.
    Sliding,
    /// The count of the window before fades out, as in HAProxy.
    Fading,
}

impl WindowKind {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "window",
            Self::Aligned => "fixed_window",
            Self::FromFirst => "window_from_first_request",
            Self::Sliding => "sliding_window",
            Self::Fading => "fading_window",
        }
    }

    /// Its description.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unknown => "window",
            Self::Aligned => "fixed window",
            Self::FromFirst => "window that begins with the first request",
            Self::Sliding => "sliding window",
            Self::Fading => "sliding window by two counters",
        }
    }
}

/// What other requests share the limit, or have one of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScopeDimension {
    /// Another path.
    Endpoint,
    /// Other headers, such as another Authorization.
    User,
    /// Another source address.
    Address,
}

impl ScopeDimension {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::User => "user",
            Self::Address => "address",
        }
    }
}

/// Whether other requests share the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitScope {
    /// They are refused while the first ones are.
    Shared,
    /// They are admitted while the first ones are refused.
    Separate,
    /// The limit is too fast, or the time was over.
    Unknown,
}

impl LimitScope {
    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Separate => "separate",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a search ends before it has found all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeStop {
    /// The number of requests is used up.
    Requests,
    /// The time is over.
    Time,
    /// A signal.
    Interrupted,
    /// The target does not respond any more.
    Unreachable(String),
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct ProbeFinding {
    /// The limit.
    pub limit: RateFinding,
    /// Whether the target followed the limit when it was tried: no refusal below it, and, where
    /// that was tried, refusals above it; `None`: not tried.
    pub confirmed: Option<bool>,
    /// Other requests, and whether they share the limit.
    pub scope: BTreeMap<ScopeDimension, LimitScope>,
    /// Requests by status; 0: without a response.
    pub statuses: BTreeMap<u16, u64>,
    /// Status of the first refusal.
    pub refusal: Option<u16>,
    /// Headers of the first response.
    pub first_headers: Advertised,
    /// Headers of the first refusal.
    pub refusal_headers: Advertised,
    /// Time from the first refusal to the first response that was no refusal, seconds.
    pub reopened: Option<Bounds>,
    /// Requests that were sent.
    pub requests: u64,
    /// From the first request to the end, seconds.
    pub seconds: f64,
    /// Why the search ended before its end.
    pub stopped: Option<ProbeStop>,
}

impl Default for ProbeFinding {
    fn default() -> Self {
        Self {
            limit: RateFinding::Unknown,
            confirmed: None,
            scope: BTreeMap::new(),
            statuses: BTreeMap::new(),
            refusal: None,
            first_headers: Advertised::default(),
            refusal_headers: Advertised::default(),
            reopened: None,
            requests: 0,
            seconds: 0.0,
            stopped: None,
        }
    }
}

impl ProbeFinding {
    /// The long-run rate, requests per second.
    pub fn rate(&self) -> Option<Bounds> {
        match self.limit {
            RateFinding::Bucket { rate, .. } | RateFinding::Delay { rate, .. } => Some(rate),
            RateFinding::Window { requests, window, .. } if window.high.is_finite() => {
                Some(Bounds {
                    low: requests.low / window.high,
                    high: requests.high / window.low.max(f64::MIN_POSITIVE),
                })
            }
            _ => None,
        }
    }
}

//! The requests of a search: when they are sent, what came back, and what that adds up to.
//!
//! `search`, `bucket` and `window` send through it; `sender` and the simulated limiters answer.
//! Invariant: a request that was sent is counted once, whatever became of it.

use super::advertised::Advertised;
use super::finding::{ProbeFinding, ProbeStop, ScopeDimension};
use crate::units::counted;

/// Number of the variant of the request: 0 is the request that is searched with.
pub type ProbeSubject = usize;

/// What came back of a request.
#[derive(Clone, Debug)]
pub struct ProbeReply {
    /// When it was sent, ns.
    pub sent: u64,
    /// When its response was complete, or it failed, ns.
    pub received: u64,
    /// Status of its response; 0: there is none.
    pub status: u16,
    /// What its headers say of a limit.
    pub headers: Advertised,
}

/// A target as a search sees it.
pub trait ProbedTarget {
    /// Sends requests, the first not before `at` (ns), and waits for all replies, in any order.
    /// `spread`: their number, and the ns from one to the next, without a wait for its reply.
    fn send(
        &mut self,
        at: u64,
        subject: ProbeSubject,
        spread: (u32, u64),
    ) -> impl Future<Output = Result<Vec<ProbeReply>, ProbeStop>>;
}

/// The bounds of a search.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// Maximum number of requests.
    pub max_requests: u64,
    /// Maximum time, ns.
    pub max_ns: u64,
    /// Maximum number of requests at the same time.
    pub parallel: u32,
    /// Statuses of refusals.
    pub refusals: Vec<u16>,
    /// What the subjects 1, 2, … vary.
    pub subjects: Vec<ScopeDimension>,
}

/// Failures in a row after which the target counts as unreachable.
const MAX_FAILURES: u32 = 3;

/// A search in progress.
pub(super) struct ProbeSession<'a, T> {
    target: &'a mut T,
    pub options: &'a SearchOptions,
    pub finding: ProbeFinding,
    /// Number of requests that are sent at once; the search raises it for slow targets.
    pub width: u32,
    /// Shortest response time so far, ns.
    pub fastest_ns: u64,
    /// When the first request was sent, and when the last response came.
    pub begun: u64,
    pub now: u64,
    failures: u32,
}

/// Replies to requests that were sent together, or one after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Burst {
    pub admitted: u64,
    pub refused: u64,
    /// When the first was sent.
    pub first_sent: u64,
    /// The last request that was admitted.
    pub last_admitted: Option<Span>,
    /// The first request that was refused.
    pub refusal: Option<Span>,
    /// All of them, in the order in which they were sent, and whether each was refused.
    pub replies: Vec<(Span, bool)>,
}

/// From the sending of a request to its reply: the target saw it within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub sent: u64,
    pub received: u64,
}

impl Span {
    /// The shortest and longest time from `earlier` to this, seconds.
    pub fn since(self, earlier: Self) -> (f64, f64) {
        let shortest = self.sent.saturating_sub(earlier.received);
        let longest = self.received.saturating_sub(earlier.sent);
        (seconds(shortest), seconds(longest))
    }
}

/// Nanoseconds as seconds.
pub(super) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// Seconds as nanoseconds.
pub(super) fn nanoseconds(seconds: f64) -> u64 {
    // Saturates; what is not a number is 0.
    (seconds * 1e9) as u64
}

impl<'a, T: ProbedTarget> ProbeSession<'a, T> {
    pub fn new(target: &'a mut T, options: &'a SearchOptions) -> Self {
        let finding = ProbeFinding::default();
        let (width, fastest_ns) = (1, u64::MAX);
        Self { target, options, finding, width, fastest_ns, begun: 0, now: 0, failures: 0 }
    }

    /// Whether a status is that of a refusal.
    pub fn is_refusal(&self, status: u16) -> bool {
        self.options.refusals.contains(&status)
    }

    /// Seconds until the time is over.
    pub fn seconds_left(&self) -> f64 {
        let used = self.now.saturating_sub(self.begun);
        seconds(self.options.max_ns.saturating_sub(used))
    }

    /// Requests that may still be sent.
    pub fn requests_left(&self) -> u64 {
        self.options.max_requests.saturating_sub(self.finding.requests)
    }

    /// Sends `count` requests at once, not before `at`, and counts them into `burst`.
    pub async fn send(
        &mut self,
        at: u64,
        subject: ProbeSubject,
        count: u32,
        burst: &mut Burst,
    ) -> Result<(), ProbeStop> {
        self.send_spread(at, subject, (count, 0), burst).await
    }

    /// As `send`, each request `gap` ns after the one before, without waiting for its reply.
    pub async fn send_spread(
        &mut self,
        at: u64,
        subject: ProbeSubject,
        (count, gap): (u32, u64),
        burst: &mut Burst,
    ) -> Result<(), ProbeStop> {
        let left = u32::try_from(self.requests_left()).unwrap_or(u32::MAX);
        let count = count.min(left);
        if count == 0 {
            return Err(ProbeStop::Requests);
        }
        if self.finding.requests > 0 && at.saturating_sub(self.begun) > self.options.max_ns {
            return Err(self.out_of_time());
        }
        let mut replies = self.target.send(at, subject, (count, gap)).await?;
        replies.sort_by_key(|reply| reply.sent);
        for reply in &replies {
            if self.finding.requests == 0 {
                self.begun = reply.sent;
                self.finding.first_headers = reply.headers.clone();
            }
            self.take(reply, burst);
        }
        self.finding.seconds = seconds(self.now.saturating_sub(self.begun));
        if self.failures >= MAX_FAILURES {
            let times = self.failures;
            return Err(ProbeStop::Unreachable(format!("{times} requests in a row failed")));
        }
        if self.now.saturating_sub(self.begun) > self.options.max_ns {
            return Err(self.out_of_time());
        }
        Ok(())
    }

    /// Whether the last request had no response.
    pub fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Why the search ends when its time is over: if no request had a response, that is the reason.
    fn out_of_time(&self) -> ProbeStop {
        if self.finding.statuses.keys().any(|status| *status > 0) {
            return ProbeStop::Time;
        }
        let sent = counted(self.finding.requests, "request");
        ProbeStop::Unreachable(format!("no response to {sent} before the time was over"))
    }

    fn take(&mut self, reply: &ProbeReply, burst: &mut Burst) {
        let is_first_in_burst = burst.admitted + burst.refused == 0;
        if is_first_in_burst {
            burst.first_sent = reply.sent;
        }
        self.finding.requests += 1;
        *self.finding.statuses.entry(reply.status).or_default() += 1;
        self.now = self.now.max(reply.received);
        let span = Span { sent: reply.sent, received: reply.received };
        if reply.status == 0 {
            // Nothing is known of it: it neither shows nor refutes a limit.
            self.failures += 1;
            return;
        }
        self.failures = 0;
        self.fastest_ns = self.fastest_ns.min(reply.received.saturating_sub(reply.sent));
        burst.replies.push((span, self.is_refusal(reply.status)));
        if self.is_refusal(reply.status) {
            burst.refused += 1;
            burst.refusal.get_or_insert(span);
            if self.finding.refusal.is_none() {
                self.finding.refusal = Some(reply.status);
                self.finding.refusal_headers = reply.headers.clone();
            }
        } else {
            burst.admitted += 1;
            burst.last_admitted = Some(span);
        }
    }

    /// Sends requests from `at` on until one is refused, or `most` were admitted: first a single
    /// one, then as many at once as the search has found to be needed.
    pub async fn until_refused(&mut self, at: u64, most: u64) -> Result<Burst, ProbeStop> {
        let mut burst = Burst::default();
        self.send(at, 0, 1, &mut burst).await?;
        while burst.refused == 0 && burst.admitted < most {
            self.send(self.now, 0, self.width, &mut burst).await?;
        }
        Ok(burst)
    }
}

//! A bucket that others have used is measured from a rest on: it fills, and is used up.
//!
//! `search` calls it before it measures.
//! Invariant: a burst is exact only if two in a row, each after a rest, admitted the same.

use super::bounds::Bounds;
use super::bucket::RefillCounts;
use super::finding::ProbeStop;
use super::session::{Burst, ProbeSession, ProbedTarget, Span, nanoseconds};
use super::window::FirstOpening;

/// Responses that take longer make the search send several requests at once, ns.
pub(super) const SLOW_NS: u64 = 10_000_000;

/// How often a bucket is left to fill: it doubles at least each time.
const MAX_RESTS: u32 = 8;

/// What the first phase found.
#[derive(Clone, Debug)]
pub(super) struct Drained {
    /// The first request of all.
    pub first: Span,
    pub burst: Burst,
    /// Requests per second at each width, in order.
    pub throughput: Vec<f64>,
    /// Requests admitted in the batch with the first refusal.
    pub last_batch: u64,
}

/// A bucket that was full when it was used up, as far as can be told.
pub(super) struct RestedBucket {
    pub drained: Drained,
    pub counts: RefillCounts,
    /// What is known of its rate.
    pub rate: Bounds,
    /// The last request that was admitted.
    pub last: Span,
    /// Whether it was certainly full.
    pub is_full: bool,
}

/// Lets a bucket fill and uses it up, until it admits no more than before: its allowance may have
/// been used by something else when the search began. `None`: it is no bucket.
pub(super) async fn rest<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    drained: &Drained,
    counts: RefillCounts,
    opening: &FirstOpening,
) -> Result<Option<RestedBucket>, ProbeStop> {
    let last = opening.burst.last_admitted.unwrap_or(drained.first);
    let known = counts.rate();
    let (drained, is_full) = (drained.clone(), true);
    let mut rested = RestedBucket { drained, counts, rate: known, last, is_full };
    if session.width > 1 || session.fastest_ns > SLOW_NS {
        return Ok(Some(rested));
    }
    let first_refusal = rested.drained.burst.refusal.unwrap_or(rested.drained.first);
    let came_back = opening.burst.admitted.max(1) as f64;
    let open = Span { sent: opening.burst.first_sent, received: opening.burst.first_sent };
    let rate = came_back / open.since(first_refusal).1.max(1e-6);
    for _ in 0..MAX_RESTS {
        let size = rested.drained.burst.admitted;
        let wait = (3.0 * size as f64 + 3.0) / rate;
        let needed = 2 * size + 20;
        if wait > session.seconds_left() / 4.0 || needed > session.requests_left() / 4 {
            rested.is_full = false;
            break;
        }
        let begun = session.now.saturating_add(nanoseconds(wait));
        let burst = session.until_refused(begun, needed.max(100)).await?;
        let Some(refusal) = burst.refusal else {
            rested.is_full = false;
            break;
        };
        let first = Span { sent: burst.first_sent, received: burst.first_sent };
        rested.last = burst.last_admitted.unwrap_or(rested.last);
        rested.counts = RefillCounts::since(refusal);
        if (burst.admitted as f64) < size as f64 * 0.9 - 1.0 {
            // A bucket that has rested admits what it did before.
            return Ok(None);
        }
        let is_larger = burst.admitted > size + 1;
        rested.is_full = !is_larger;
        if burst.admitted > size {
            (rested.drained.first, rested.drained.burst) = (first, burst);
        }
        if !is_larger {
            break;
        }
    }
    Ok(Some(rested))
}

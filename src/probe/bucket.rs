//! Measures a bucket: its allowance returns steadily, so what is admitted between two refusals
//! bounds the rate from both sides.
//!
//! `search` calls it if the allowance comes back piece by piece.
//! Invariant: the bounds follow from the times of sending and of replies, so neither latency nor a
//! late timer makes them wrong, only wide.

use super::bounds::Bounds;
use super::finding::ProbeStop;
use super::session::{Burst, ProbeSession, ProbedTarget, Span, nanoseconds, seconds};

/// Admitted requests after which the rate is known well enough: to 2.5 %.
const ENOUGH: u64 = 40;

/// Admitted requests, for each that is on its way, after which the rate is known to 5 %.
const CERTAIN: f64 = 25.0;

/// Refusals that tell a fast limit from chance.
const MANY_ROUNDS: u32 = 8;

/// How often a bucket may be full although little of it can have returned.
const MAX_FULL: u32 = 5;

/// Share of a bucket that may return before the next burst; a full bucket would hide the rest.
const FILL: f64 = 0.6;

/// Trials of a bucket of one request.
const MAX_TRIALS: u32 = 24;

/// Ratio of longest and shortest pause at which a bucket of one is known well enough.
const CLOSE: f64 = 1.03;

/// How far bounds may contradict each other: targets count in ticks, such as 1 ms.
const TOLERANCE: f64 = 0.04;

/// A moment at which a number of requests had been admitted.
#[derive(Clone, Copy, Debug)]
struct CountAt {
    at: Span,
    admitted: u64,
    is_refusal: bool,
}

/// Counts since the last time that the bucket was empty for sure.
#[derive(Debug, Default)]
pub(super) struct RefillCounts {
    points: Vec<CountAt>,
    admitted: u64,
}

impl RefillCounts {
    /// Begins at a refusal.
    pub fn since(refusal: Span) -> Self {
        let points = vec![CountAt { at: refusal, admitted: 0, is_refusal: true }];
        Self { points, admitted: 0 }
    }

    /// Adds a burst that a refusal ended.
    pub fn add(&mut self, burst: &Burst) {
        self.admitted += burst.admitted;
        let point = |at, is_refusal| CountAt { at, admitted: self.admitted, is_refusal };
        self.points.extend(burst.last_admitted.map(|at| point(at, false)));
        self.points.extend(burst.refusal.map(|at| point(at, true)));
    }

    /// Adds each reply of requests that did not wait for one another.
    pub fn add_each(&mut self, burst: &Burst) {
        for (at, is_refusal) in burst.replies.iter().copied() {
            self.admitted += u64::from(!is_refusal);
            self.points.push(CountAt { at, admitted: self.admitted, is_refusal });
        }
    }

    /// The rates per second that explain all counts: at a refusal less than one request is in the
    /// bucket.
    pub fn rate(&self) -> Bounds {
        let mut rate = Bounds::UNKNOWN;
        for (index, later) in self.points.iter().enumerate() {
            for earlier in self.points[..index].iter().filter(|point| point.is_refusal) {
                let count = (later.admitted - earlier.admitted) as f64;
                let (shortest, longest) = later.at.since(earlier.at);
                if longest > 0.0 {
                    rate.at_least((count - 1.0) / longest);
                }
                if later.is_refusal && shortest > 0.0 {
                    rate.at_most((count + 1.0) / shortest);
                }
            }
        }
        rate
    }
}

/// Measures the rate of a bucket that `counts` begins with, and of which `rate` is known; `size` is
/// what was admitted before the first refusal. `None`: no rate explains what was observed.
pub(super) async fn measure<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    mut counts: RefillCounts,
    size: u64,
    rate: &mut Bounds,
) -> Result<Option<()>, ProbeStop> {
    let found = counts.rate();
    rate.at_least(found.low);
    rate.at_most(found.high);
    let mut goal = 1.0_f64;
    let (mut rounds, mut refilled) = (0, 0);
    let until = session.seconds_left() * 0.6;
    let begun = session.now;
    // More refusals distinguish a limit that is nearly as fast as the requests from chance.
    let needed = |rate: &Bounds, fastest_ns: u64| {
        if rate.low * seconds(fastest_ns) > 0.05 { MANY_ROUNDS } else { 1 }
    };
    while counts.admitted < ENOUGH || rounds < needed(rate, session.fastest_ns) {
        let most = (size as f64 * FILL).min(size as f64 - 1.1).max(0.5);
        // As long as little is known, the shorter wait: it fills no bucket.
        let guess = match rate.uncertainty() {
            wide if wide.is_infinite() => rate.low,
            wide if wide > 0.2 => rate.high,
            _ => rate.middle(),
        };
        let wait = (goal.min(most) / guess.max(1e-3)).min(session.seconds_left() / 2.0);
        let at = session.now.saturating_add(nanoseconds(wait));
        let burst = session.until_refused(at, 2 * size + 100).await?;
        rounds += 1;
        if burst.refused == 0 {
            return Ok(None);
        }
        // A bucket that was full has lost what came after: the count begins again.
        if burst.admitted >= size.max(2) {
            let now = Span { sent: session.now, received: session.now };
            counts = RefillCounts::since(burst.refusal.unwrap_or(now));
            goal = (goal / 2.0).max(0.5);
            refilled += 1;
            if refilled > MAX_FULL {
                return Ok(None);
            }
        } else {
            counts.add(&burst);
            let found = counts.rate();
            if found.is_contradictory(TOLERANCE) {
                return Ok(None);
            }
            *rate = ordered(found);
            goal = (goal * 2.0).min(16.0);
        }
        if seconds(session.now - begun) > until {
            break;
        }
    }
    Ok(Some(()))
}

/// Measures the rate of a bucket behind long response times: with a stream of requests that does
/// not wait for replies, at about twice the rate. `None`: no rate explains what was observed.
pub(super) async fn measure_stream<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    (guess, size): (f64, u64),
    rate: &mut Bounds,
) -> Result<Option<()>, ProbeStop> {
    let response = seconds(session.fastest_ns.max(1));
    let fastest = f64::from(session.options.parallel) / response;
    let (mut pace, mut count) = (2.0 * guess, 24.0_f64);
    let mut slowest_ns = session.fastest_ns;
    for _ in 0..8 {
        pace = pace.clamp(0.01, fastest);
        count = count.min(pace * session.seconds_left() * 0.4).max(4.0);
        let most = session.requests_left();
        let empty = session.until_refused(session.now, most).await?;
        let Some(refusal) = empty.refusal else { return Ok(None) };
        let mut counts = RefillCounts::since(refusal);
        let mut burst = Burst::default();
        let spread = (count as u32, nanoseconds(1.0 / pace));
        session.send_spread(session.now, 0, spread, &mut burst).await?;
        counts.add_each(&burst);
        let mut found = counts.rate();
        if size == 1 {
            // A bucket of one is full before the next request comes: that much is lost each time.
            let times = burst.replies.iter().map(|(at, _)| at.received - at.sent);
            slowest_ns = times.max().unwrap_or(0).max(slowest_ns);
            let lost = 1.0 / pace + seconds(slowest_ns - session.fastest_ns);
            found.high = 1.0 / (1.0 / found.high - lost).max(1e-9);
        }
        let share = burst.admitted as f64 / count;
        rate.at_least(found.low);
        rate.at_most(found.high);
        if rate.is_contradictory(2.0 * TOLERANCE) {
            return Ok(None);
        }
        *rate = ordered(*rate);
        if share > 0.8 && pace >= fastest {
            // The requests are not fast enough to reach the limit steadily.
            *rate = Bounds::UNKNOWN;
            return Ok(Some(()));
        }
        // What is on its way makes the count uncertain, too.
        let enough = (CERTAIN * (1.0 + rate.middle() * response)).max(ENOUGH as f64);
        let enough = enough.min(session.requests_left() as f64 / 3.0);
        let is_even = (0.3..0.8).contains(&share);
        if is_even && burst.admitted as f64 >= enough {
            return Ok(Some(()));
        }
        count = if is_even { 1.25 * enough / share } else { 24.0 };
        pace *= (2.0 * share).clamp(0.1, 2.0);
    }
    Ok(Some(()))
}

/// Measures a bucket of one request by the shortest pause after which the next is admitted. `last`
/// is the last admitted request, `refused` the last refused one after it.
pub(super) async fn measure_pause<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    mut pause: Bounds,
    mut last: Span,
    rate: &mut Bounds,
) -> Result<Option<()>, ProbeStop> {
    let until = session.seconds_left() * 0.6;
    let begun = session.now;
    for _ in 0..MAX_TRIALS {
        *rate = ordered(pause).divide(1.0);
        if pause.is_contradictory(TOLERANCE) {
            return Ok(None);
        }
        let spent = seconds(session.now - begun);
        if pause.high <= pause.low * CLOSE || spent > until {
            break;
        }
        let trial = (pause.low * pause.high).sqrt().max(pause.high / 4.0);
        let mut at = middle(last) + nanoseconds(trial);
        let mut burst = Burst::default();
        session.send(at, 0, 1, &mut burst).await?;
        if let Some(refused) = burst.refusal {
            pause.at_least(refused.since(last).0);
            // The next admitted request is the one that later pauses count from.
            at = middle(last) + nanoseconds(pause.high * 1.01);
            let mut more = 0;
            while burst.last_admitted.is_none() {
                session.send(at, 0, 1, &mut burst).await?;
                at = session.now + nanoseconds(pause.high * 0.3);
                more += 1;
                if more > 8 {
                    return Ok(None);
                }
            }
        }
        let Some(admitted) = burst.last_admitted else { continue };
        pause.at_most(admitted.since(last).1);
        last = admitted;
    }
    *rate = ordered(pause).divide(1.0);
    Ok(if pause.is_contradictory(TOLERANCE) { None } else { Some(()) })
}

/// Bounds that contradict each other within the tolerance are exchanged.
fn ordered(bounds: Bounds) -> Bounds {
    Bounds { low: bounds.low.min(bounds.high), high: bounds.low.max(bounds.high) }
}

/// When the target saw a request, about, ns.
fn middle(span: Span) -> u64 {
    span.sent.midpoint(span.received)
}

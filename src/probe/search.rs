//! The search: send until requests are refused, see how the allowance returns, measure that, try
//! the limit that was found, and see which other requests share it.
//!
//! `cli` calls it with real requests, tests with simulated limiters.
//! Invariant: a limit is named only if refusals depend on the rate; else it says that they do not.

use super::bounds::Bounds;
use super::bucket::{self, RefillCounts};
use super::finding::{ProbeFinding, ProbeStop, RateFinding, WindowKind};
use super::rest::{Drained, RestedBucket, SLOW_NS, rest};
use super::session::{
    Burst, ProbeSession, ProbedTarget, SearchOptions, Span, nanoseconds, seconds,
};
use super::trial;
use super::window::{self, FirstOpening};

/// Growth of the pauses while everything is refused.
const GROWTH: f64 = 1.4;

/// Batches at a width before the next one is tried.
const BATCHES: u32 = 4;

/// Bounds that are wider than this share of their middle are no result.
const MOST_UNCERTAIN: f64 = 0.34;

/// How much the throughput of three widths may differ if something delays the responses.
const EVEN: f64 = 0.15;

/// Searches for the limit of a target, within the bounds of `options`.
pub async fn search<T: ProbedTarget>(target: &mut T, options: &SearchOptions) -> ProbeFinding {
    let mut session = ProbeSession::new(target, options);
    if let Err(why) = run(&mut session).await {
        session.finding.stopped = Some(why);
    }
    session.finding
}

async fn run<T: ProbedTarget>(session: &mut ProbeSession<'_, T>) -> Result<(), ProbeStop> {
    let mut drained = drain(session).await?;
    if drained.burst.refused > 0 && drained.burst.admitted == 0 {
        if !recovers(session).await? {
            session.finding.limit = RateFinding::Closed;
            return Ok(());
        }
        drained = drain(session).await?;
    }
    let Some(refusal) = drained.burst.refusal.filter(|_| drained.burst.admitted > 0) else {
        return Ok(());
    };
    if let Some(rate) = delayed(session, &drained.throughput) {
        let waiting = Some(drained.last_batch.saturating_sub(1));
        session.finding.limit = RateFinding::Delay { rate, waiting };
        return Ok(());
    }
    if session.width > 1 && is_concurrency(session, &drained).await? {
        return Ok(());
    }
    refill(session, &drained, refusal).await?;
    if session.finding.rate().is_some() {
        trial::scope(session).await?;
        trial::confirm(session).await?;
    }
    Ok(())
}

/// Waits for the allowance of a target that refused the first request, since something else has
/// used it up, and then as long again. Returns whether it came back within a quarter of the time.
async fn recovers<T: ProbedTarget>(session: &mut ProbeSession<'_, T>) -> Result<bool, ProbeStop> {
    let (mut wait, most) = (0.25, seconds(session.options.max_ns) / 4.0);
    let mut waited = 0.0;
    while waited + wait <= most {
        let mut burst = Burst::default();
        session.send(session.now + nanoseconds(wait), 0, 1, &mut burst).await?;
        waited += wait;
        if burst.admitted > 0 {
            let mut last = Burst::default();
            let rest = waited.clamp(1.0, most);
            session.send(session.now + nanoseconds(rest), 0, 1, &mut last).await?;
            return Ok(last.admitted > 0);
        }
        wait *= 2.0;
    }
    Ok(false)
}

/// Sends until a request is refused; slow targets get more and more requests at once.
async fn drain<T: ProbedTarget>(session: &mut ProbeSession<'_, T>) -> Result<Drained, ProbeStop> {
    let mut burst = Burst::default();
    session.send(session.now, 0, 1, &mut burst).await?;
    let first = Span { sent: burst.first_sent, received: session.now };
    let (mut throughput, mut last_batch) = (Vec::new(), 0);
    let (mut batches, mut begun, mut sent) = (0, session.now, 0);
    // What is not refused within half of the time leaves time to say so with certainty.
    while burst.refused == 0 {
        let before = burst.admitted;
        if let Err(why) = session.send(session.now, 0, session.width, &mut burst).await {
            return unlimited(session, &burst, first, &throughput, why);
        }
        last_batch = burst.admitted - before;
        sent += last_batch;
        batches += 1;
        let took = session.now - begun;
        let is_slow = took / u64::from(batches) > SLOW_NS;
        if burst.refused == 0 && batches >= BATCHES && is_slow {
            throughput.push(sent as f64 / seconds(took));
            if session.width < session.options.parallel {
                session.width = (session.width * 2).min(session.options.parallel);
                (batches, begun, sent) = (0, session.now, 0);
            } else if batches >= 4 * BATCHES {
                return unlimited(session, &burst, first, &throughput, ProbeStop::Requests);
            }
        }
        if session.seconds_left() < seconds(session.options.max_ns) / 2.0 {
            return unlimited(session, &burst, first, &throughput, ProbeStop::Time);
        }
    }
    Ok(Drained { first, burst, throughput, last_batch })
}

/// The end of a search without a refusal.
fn unlimited<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    burst: &Burst,
    first: Span,
    throughput: &[f64],
    why: ProbeStop,
) -> Result<Drained, ProbeStop> {
    // Without a response to the last requests, nothing says that they were admitted.
    let is_silent = matches!(why, ProbeStop::Unreachable(_)) || session.has_failed();
    if burst.refused == 0 && burst.admitted > 0 && !is_silent {
        let took = seconds(session.now.saturating_sub(first.sent)).max(1e-9);
        let all = burst.admitted as f64 / took;
        let fastest = throughput.iter().copied().fold(all, f64::max);
        session.finding.limit = match delayed(session, throughput) {
            Some(rate) => RateFinding::Delay { rate, waiting: None },
            None => RateFinding::NoLimit { fastest },
        };
    }
    match why {
        ProbeStop::Interrupted | ProbeStop::Unreachable(_) => Err(why),
        ProbeStop::Requests | ProbeStop::Time => {
            let (throughput, last_batch) = (throughput.to_vec(), 0);
            Ok(Drained { first, burst: burst.clone(), throughput, last_batch })
        }
    }
}

/// The rate to which responses are delayed: the throughput does not grow with the number of
/// requests at once, although a single request is faster than that.
fn delayed<T: ProbedTarget>(session: &ProbeSession<'_, T>, throughput: &[f64]) -> Option<Bounds> {
    let [.., a, b, c] = throughput else { return None };
    let (low, high) = (a.min(*b).min(*c), a.max(*b).max(*c));
    let alone = 1.0 / seconds(session.fastest_ns.max(1));
    (high <= low * (1.0 + EVEN) && alone > 2.0 * high).then_some(Bounds { low, high })
}

/// Whether requests at the same time are limited, not their rate: one after the other all are
/// admitted, and three batches in a row admit the same number.
async fn is_concurrency<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    drained: &Drained,
) -> Result<bool, ProbeStop> {
    let mut alone = Burst::default();
    for _ in 0..8 {
        session.send(session.now, 0, 1, &mut alone).await?;
    }
    if alone.refused > 0 {
        return Ok(false);
    }
    let mut admitted = Vec::new();
    for _ in 0..3 {
        let mut batch = Burst::default();
        session.send(session.now, 0, session.width, &mut batch).await?;
        if batch.refused == 0 {
            return Ok(false);
        }
        admitted.push(batch.admitted);
    }
    let most = admitted[0];
    if admitted.iter().any(|count| *count != most) || drained.last_batch > most {
        return Ok(false);
    }
    // A fast bucket is full again when a batch is answered. So more are sent while the first ones
    // are at work: a bucket has admitted some more by then.
    let share = if most > 2 { 0.5 } else { 0.9 };
    let count = u32::try_from(2 * most + 2).unwrap_or(u32::MAX).min(2 * session.options.parallel);
    let gap = (session.fastest_ns as f64 * share) as u64 / u64::from(count.max(2) - 1);
    let mut spread = Burst::default();
    session.send_spread(session.now, 0, (count, gap), &mut spread).await?;
    let is_concurrency = spread.admitted <= most;
    if is_concurrency {
        session.finding.limit = RateFinding::Concurrency { requests: most };
    }
    Ok(is_concurrency)
}

/// Sees how the allowance comes back, and measures that.
async fn refill<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    drained: &Drained,
    refusal: Span,
) -> Result<(), ProbeStop> {
    let size = drained.burst.admitted;
    let mut counts = RefillCounts::since(refusal);
    let opened = reopening(session, (drained.first, size), refusal, &mut counts).await?;
    let found = match opened {
        None => None,
        Some((opening, true)) if opening.burst.admitted >= 4 => {
            window::measure(session, &opening).await?
        }
        Some((opening, was_closed)) => {
            let found = match rest(session, drained, counts, &opening).await? {
                Some(rested) => bucket(session, rested, &opening).await?,
                None => None,
            };
            let is_bucket = found.is_some() && session.finding.limit != RateFinding::Unknown;
            // A small window may look like a bucket at first.
            if was_closed && !is_bucket { small_window(session, &opening).await? } else { found }
        }
    };
    if found.is_none() {
        session.finding.limit = RateFinding::Unrelated;
    }
    Ok(())
}

/// Uses a small window up once more after a rest, and measures it.
async fn small_window<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    before: &FirstOpening,
) -> Result<Option<()>, ProbeStop> {
    let open = Span { sent: before.burst.first_sent, received: before.burst.first_sent };
    // If its count fades, it was over long before.
    let (low, high) = (before.closed.since(before.first).0 / 2.0, open.since(before.first).1);
    session.finding.limit = RateFinding::Window {
        requests: Bounds::exact(before.admitted as f64),
        window: Bounds { low, high },
        kind: WindowKind::Unknown,
    };
    let rest = nanoseconds(2.2 * open.since(before.first).1);
    let most = 2 * before.admitted + 20;
    let burst = session.until_refused(session.now + rest, most).await?;
    let Some(refusal) = burst.refusal.filter(|_| burst.admitted > 1) else { return Ok(None) };
    let first = Span { sent: burst.first_sent, received: burst.first_sent };
    let mut counts = RefillCounts::since(refusal);
    match reopening(session, (first, burst.admitted), refusal, &mut counts).await? {
        Some((opening, true)) => window::measure(session, &opening).await,
        _ => Ok(None),
    }
}

/// Waits until the allowance is back after `refusal`; returns also whether it stayed away for a
/// while. `None`: more come back than there were. `size` requests were admitted from `first` on.
async fn reopening<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    (first, size): (Span, u64),
    refusal: Span,
    counts: &mut RefillCounts,
) -> Result<Option<(FirstOpening, bool)>, ProbeStop> {
    let mut wait = seconds((2 * session.fastest_ns).clamp(10_000_000, 500_000_000));
    let (mut closed, mut sent) = (refusal, size + 1);
    let is_first = session.finding.reopened.is_none();
    loop {
        let at = session.now.saturating_add(nanoseconds(wait));
        let burst = session.until_refused(at, 2 * size + 20).await?;
        if burst.refused == 0 {
            return Ok(None);
        }
        counts.add(&burst);
        if burst.admitted > 0 {
            let open = Span { sent: burst.first_sent, received: burst.first_sent };
            let (low, high) = (closed.since(refusal).0, open.since(refusal).1);
            session.finding.reopened.get_or_insert(Bounds { low, high });
            if is_first {
                session.finding.limit = RateFinding::Unknown;
            }
            let was_closed = closed != refusal;
            let opening = FirstOpening { first, admitted: size, sent, closed, burst };
            return Ok(Some((opening, was_closed)));
        }
        sent += burst.refused;
        closed = burst.refusal.unwrap_or(closed);
        let from_start = session.now.saturating_sub(refusal.received);
        wait = (seconds(from_start) * (GROWTH - 1.0)).max(wait.min(0.01));
        if is_first {
            // What is known so far, if the time ends before the allowance is back.
            let (low, high) = (closed.since(first).0, f64::INFINITY);
            session.finding.limit = RateFinding::Window {
                requests: Bounds::exact(size as f64),
                window: Bounds { low, high },
                kind: WindowKind::Unknown,
            };
        }
    }
}

/// Measures a bucket, and from its rate the requests that it admits at once.
async fn bucket<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    rested: RestedBucket,
    opening: &FirstOpening,
) -> Result<Option<()>, ProbeStop> {
    let RestedBucket { drained, counts, mut rate, last, is_full } = rested;
    let size = drained.burst.admitted.max(opening.burst.admitted);
    let mut result = if session.width > 1 || session.fastest_ns > SLOW_NS && size > 1 {
        let throughput = drained.throughput.last().copied().unwrap_or(0.0);
        let known = if rate.high.is_finite() { rate.middle() } else { rate.low };
        let guess = known.max(throughput);
        // After a rest, a bucket of one admits one of a batch.
        let mut rested = Burst::default();
        let at =
            session.now + nanoseconds((4.0 / guess.max(0.1)).min(session.seconds_left() / 8.0));
        session.send(at, 0, 4, &mut rested).await?;
        let guess = (guess, rested.admitted);
        rate = Bounds::UNKNOWN;
        bucket::measure_stream(session, guess, &mut rate).await
    } else if size == 1 {
        let open = Span { sent: opening.burst.first_sent, received: opening.burst.first_sent };
        let mut pause = Bounds {
            low: opening.closed.since(opening.first).0.max(1e-6),
            high: open.since(opening.first).1 + seconds(session.fastest_ns),
        };
        if let (Some(refused), Some(admitted)) =
            (opening.burst.refusal, opening.burst.last_admitted)
        {
            pause.at_least(refused.since(admitted).0);
        }
        bucket::measure_pause(session, pause, last, &mut rate).await
    } else {
        bucket::measure(session, counts, size, &mut rate).await
    };
    if rate.is_contradictory(0.0) {
        result = result.map(|_| None);
    }
    if let Some(refusal) = drained.burst.refusal {
        let size = drained.burst.admitted;
        let (shortest, longest) = refusal.since(drained.first);
        let burst = Bounds {
            low: (size as f64 - rate.high.min(1e9) * longest).ceil().max(1.0),
            high: if is_full {
                (size as f64 - rate.low * shortest).ceil().max(1.0)
            } else {
                f64::INFINITY
            },
        };
        session.finding.limit = match rate.uncertainty() {
            // Too little was admitted to tell how the allowance returns.
            wide if wide > MOST_UNCERTAIN => RateFinding::Unknown,
            _ => RateFinding::Bucket { rate, burst },
        };
    }
    result
}

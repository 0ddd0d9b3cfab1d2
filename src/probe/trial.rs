//! Tries the limit that was found: below it and above it, and with other requests.
//!
//! `search` calls it at its end.
//! Invariant: refusals below the limit that come again take the limit back.

use super::finding::{LimitScope, ProbeStop, RateFinding};
use super::session::{Burst, ProbeSession, ProbeSubject, ProbedTarget, nanoseconds, seconds};

/// How often other requests have to be admitted while the first ones are refused: the allowance of
/// both may come back just in between.
const ADMISSIONS: u32 = 3;

/// Tries of each of them.
const TRIES: u32 = 9;

/// Sends other requests while the first ones are refused.
pub(super) async fn scope<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
) -> Result<(), ProbeStop> {
    let dimensions = session.options.subjects.clone();
    for (index, dimension) in dimensions.into_iter().enumerate() {
        session.finding.scope.insert(dimension, LimitScope::Unknown);
        let found = scope_of(session, index + 1).await?;
        session.finding.scope.insert(dimension, found);
    }
    Ok(())
}

/// Whether a subject shares the limit. One refusal says that it does.
async fn scope_of<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    subject: ProbeSubject,
) -> Result<LimitScope, ProbeStop> {
    // A limit of its own may admit a single request at once: the next one comes after a while.
    let rate = session.finding.rate().map_or(f64::INFINITY, |rate| rate.low.max(1e-3));
    let needed = match session.finding.limit {
        RateFinding::Window { requests, .. } => ADMISSIONS.min(requests.low as u32).max(1),
        _ => ADMISSIONS,
    };
    let mut admitted = 0;
    for _ in 0..TRIES {
        if admitted > 0 {
            let wait = nanoseconds((1.2 / rate).min(session.seconds_left() / 20.0));
            session.send(session.now.saturating_add(wait), 0, 1, &mut Burst::default()).await?;
        }
        session.until_refused(session.now, session.requests_left()).await?;
        let (mut other, mut own) = (Burst::default(), Burst::default());
        session.send(session.now, subject, 1, &mut other).await?;
        session.send(session.now, 0, 1, &mut own).await?;
        // Counts only if the first requests were refused before and after it.
        if own.refused == 0 {
            continue;
        }
        if other.refused > 0 {
            return Ok(LimitScope::Shared);
        }
        admitted += u32::from(other.admitted > 0);
        if admitted >= needed {
            return Ok(LimitScope::Separate);
        }
    }
    Ok(LimitScope::Unknown)
}

/// Sends for a moment just below the limit, and above it where that costs little.
pub(super) async fn confirm<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
) -> Result<(), ProbeStop> {
    let Some(rate) = session.finding.rate().filter(|rate| rate.uncertainty() < 0.3) else {
        return Ok(());
    };
    let (RateFinding::Bucket { .. }, false) = (session.finding.limit, rate.low <= 0.0) else {
        return Ok(());
    };
    let count = 20.min((session.seconds_left() * 0.3 * rate.low) as u64);
    if count < 4 {
        return Ok(());
    }
    // A pace that the target's latency does not let be kept shows something only far below.
    if 0.5 / rate.high < seconds(session.fastest_ns) {
        let (below, _) = paced(session, 0.3 * rate.low, count).await?;
        if below.refused > 0 {
            session.finding.confirmed = Some(false);
            session.finding.limit = RateFinding::Unrelated;
        } else if session.width == 1 && rate.high * seconds(session.fastest_ns) > 0.8 {
            // Nearly as fast as the requests: it may be chance as well.
            session.finding.limit = RateFinding::Unknown;
        }
        return Ok(());
    }
    let most = session.requests_left();
    session.until_refused(session.now, most).await?;
    // One refusal may be that of a late request; if it is not, there are more of them.
    for attempt in 0..2 {
        let (below, _) = paced(session, 0.9 * rate.low, count).await?;
        if below.refused == 0 {
            break;
        }
        if attempt > 0 || below.refused > 2 {
            session.finding.confirmed = Some(false);
            session.finding.limit = RateFinding::Unrelated;
            return Ok(());
        }
    }
    session.until_refused(session.now, session.requests_left()).await?;
    let (above, pace) = paced(session, 1.4 * rate.high, count).await?;
    if above.refused > 0 {
        session.finding.confirmed = Some(true);
    } else if pace > 1.2 * rate.high {
        session.finding.confirmed = Some(false);
        session.finding.limit = RateFinding::Unrelated;
    }
    Ok(())
}

/// Sends `count` requests at an even pace, each not before its time; returns also the rate that
/// this was.
async fn paced<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    rate: f64,
    count: u64,
) -> Result<(Burst, f64), ProbeStop> {
    let mut burst = Burst::default();
    let (begun, mut at) = (session.now, session.now);
    for _ in 0..count {
        // A late one does not hurry those after it.
        at = at.max(session.now.saturating_sub(nanoseconds(0.1 / rate))) + nanoseconds(1.0 / rate);
        session.send(at, 0, 1, &mut burst).await?;
    }
    Ok((burst, count as f64 / seconds((session.now - begun).max(1))))
}

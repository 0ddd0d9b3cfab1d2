//! Measures a window: nothing returns until it is over, or until the count before it fades.
//!
//! `search` calls it if the allowance stays away, and then comes back in a piece.
//! Invariant: the length of a window is bounded by the last refusal before and the first admission
//! after its end.

use super::bounds::Bounds;
use super::bucket::RefillCounts;
use super::finding::{ProbeStop, RateFinding, WindowKind};
use super::session::{Burst, ProbeSession, ProbedTarget, Span, nanoseconds};

/// What is known when the allowance comes back for the first time.
#[derive(Clone, Debug)]
pub(super) struct FirstOpening {
    /// The first request of all.
    pub first: Span,
    /// Requests that were admitted before the first refusal.
    pub admitted: u64,
    /// All requests until the opening.
    pub sent: u64,
    /// The last refusal before it.
    pub closed: Span,
    /// What was sent when it was found open.
    pub burst: Burst,
}

/// Share of the first count from which an opening is a whole one.
const WHOLE: f64 = 0.85;

/// Admitted requests after which the rate of a fading window is known well enough.
const ENOUGH: u64 = 40;

/// Windows of fewer requests may be refusals by chance, and get more trials.
const FEW: u64 = 8;

/// Share of a window between two trials near its end.
const STEP: f64 = 0.03;

/// Share of the time so far between two trials after the expected end.
const COARSE: f64 = 0.05;

/// Measures the window; the limit of the session's finding is always the best known one.
pub(super) async fn measure<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    opening: &FirstOpening,
) -> Result<Option<()>, ProbeStop> {
    let open = Span { sent: opening.burst.first_sent, received: opening.burst.first_sent };
    let (shortest, longest) = (opening.closed.since(opening.first).0, open.since(opening.first).1);
    let first = Bounds { low: shortest, high: longest };
    let (all, again) = (opening.admitted as f64, opening.burst.admitted as f64);
    let set = |session: &mut ProbeSession<'_, T>, requests, window, kind| {
        session.finding.limit = RateFinding::Window { requests, window, kind };
    };
    set(session, Bounds::exact(all), snapped(first), WindowKind::Unknown);
    if again < all * WHOLE {
        let at = session.now + nanoseconds(first.low * 0.08);
        let burst = session.until_refused(at, 2 * opening.admitted + 20).await?;
        if burst.admitted > 0 {
            return fading(session, opening, first, &burst).await;
        }
    }
    // The requests of a window that began while they were sent may be those of two.
    let requests = Bounds::exact(again.min(all));
    set(session, requests, snapped(first), WindowKind::Unknown);
    let Some((second, mut burst)) = next_opening(session, open, first).await? else {
        // The count before may have begun to fade once more.
        return rested(session, opening, Bounds { low: first.low / 2.0, ..first }, true).await;
    };
    // The opening was found up to this late, and a window at fixed times had begun before.
    let late = first.high - first.low;
    let either = Bounds { low: second.low, high: second.high + late };
    let (mut window, mut kind) = (either, WindowKind::Unknown);
    if second.low > first.high * 1.02 {
        kind = WindowKind::Aligned;
    }
    set(session, requests, snapped(window), kind);
    if session.seconds_left() > window.high * 1.1 {
        let most = 2 * opening.admitted + 20;
        while burst.refused == 0 && burst.admitted < most {
            session.send(session.now, 0, session.width, &mut burst).await?;
        }
        let open = Span { sent: burst.first_sent, received: burst.first_sent };
        let Some((third, next)) = next_opening(session, open, either).await? else {
            return Ok(None);
        };
        let late = second.high - second.low;
        if third.low > second.high * 1.03 {
            kind = WindowKind::Aligned;
        }
        window.at_least(third.low);
        window.at_most((third.high + late).max(window.low));
        burst = next;
        set(session, requests, snapped(window), kind);
    }
    let is_open = burst.refused == 0 && kind == WindowKind::Unknown && requests.low >= 4.0;
    // A window that stays closed for longer than there is time left is not watched again.
    if is_open && session.seconds_left() > window.high * 1.2 {
        let kind = moves(session, &burst, snapped(window), requests.low as u64).await?;
        set(session, requests, snapped(window), kind);
    }
    Ok(Some(()))
}

/// Finds when the allowance, which was found open at `start` and used up, is back. `None`: it comes
/// back at once, so that there is no window.
async fn next_opening<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    start: Span,
    expected: Bounds,
) -> Result<Option<(Bounds, Burst)>, ProbeStop> {
    let mut closed = Span { sent: session.now, received: session.now };
    let mut wait = expected.low * 0.5;
    loop {
        let at = start.sent + nanoseconds(wait);
        let mut burst = Burst::default();
        session.send(at.max(session.now), 0, 1, &mut burst).await?;
        if let Some(refused) = burst.refusal {
            closed = refused;
            let step = if wait < expected.low * 0.9 { 0.45 * expected.low } else { 0.0 };
            let fine = STEP * expected.low;
            let coarse = if wait > expected.high * 1.05 { wait * COARSE } else { 0.0 };
            wait += step.max(fine).max(coarse);
            continue;
        }
        let Some(open) = burst.last_admitted else { continue };
        if wait <= expected.low * 0.5 {
            return Ok(None);
        }
        let window = Bounds { low: closed.since(start).0, high: open.since(start).1 };
        return Ok(Some((window, burst)));
    }
}

/// Tells a sliding window from one that begins with its first request: after half of the requests
/// early and half late in a window, only the early half of a sliding one returns at its end.
async fn moves<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    open: &Burst,
    window: Bounds,
    requests: u64,
) -> Result<WindowKind, ProbeStop> {
    let begun = open.first_sent;
    let mut early = open.clone();
    while early.admitted < requests / 2 && early.refused == 0 {
        session.send(session.now, 0, 1, &mut early).await?;
    }
    let half =
        session.until_refused(begun + nanoseconds(window.middle() / 2.0), requests + 1).await?;
    if early.refused > 0 || half.refused == 0 {
        return Ok(WindowKind::Unknown);
    }
    let at = begun + nanoseconds(window.high * 1.03);
    let burst = session.until_refused(at, 2 * requests).await?;
    let share = burst.admitted as f64 / requests as f64;
    Ok(match share {
        share if share > 0.8 => WindowKind::FromFirst,
        share if (0.2..0.75).contains(&share) => WindowKind::Sliding,
        _ => WindowKind::Unknown,
    })
}

/// Measures a window whose count before fades out: its allowance returns steadily from the end of
/// that window on. Refused requests may count in it, too.
async fn fading<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    opening: &FirstOpening,
    first: Bounds,
    burst: &Burst,
) -> Result<Option<()>, ProbeStop> {
    let Some(start) = opening.burst.refusal else { return Ok(None) };
    let mut counts = RefillCounts::since(start);
    counts.add(burst);
    let (mut admitted, mut refused) = (burst.admitted, burst.refused);
    let mut end = burst.refusal.unwrap_or(start);
    // If refused requests count, too, it is over before the first is admitted again.
    let earliest = first.low / (2.0 - opening.admitted as f64 / opening.sent as f64);
    let until = opening.first.sent + nanoseconds(earliest * 1.8);
    while admitted < ENOUGH {
        let guess = counts.rate().middle().max(1e-3);
        let at = session.now + nanoseconds(8.0_f64.min(0.5 * opening.admitted as f64) / guess);
        if at > until {
            break;
        }
        let more = session.until_refused(at, 2 * opening.admitted + 20).await?;
        counts.add(&more);
        let Some(refusal) = more.refusal else { return Ok(None) };
        (admitted, refused, end) = (admitted + more.admitted, refused + more.refused, refusal);
    }
    let (shortest, longest) = end.since(start);
    let window = |requests: f64, back: f64, earliest: f64| {
        let mut window = Bounds {
            low: requests * shortest / (back + 1.0),
            high: requests * longest / (back - 1.0).max(0.5),
        };
        // It is over when the first request is admitted again.
        let over = Bounds { low: earliest, high: first.high };
        if window.low > over.high || window.high < over.low {
            return over;
        }
        window.at_most(over.high);
        window.at_least(over.low);
        snapped(window)
    };
    let requests = opening.admitted as f64;
    let sent = opening.sent as f64;
    let plain = window(requests, admitted as f64, first.low);
    let counted = window(sent, (admitted + refused) as f64, earliest);
    let is_common = |window: Bounds| window.uncertainty() == 0.0;
    let found = match (is_common(plain), is_common(counted)) {
        (true, false) => plain,
        (false, true) => counted,
        _ => Bounds { low: plain.low.min(counted.low), high: plain.high.max(counted.high) },
    };
    rested(session, opening, found, false).await
}

/// Narrows a fading window by trials after a rest, as long as there is time for them. `None`: what
/// a rest brings back is not what there was at first. `needed`: nothing else shows that it fades.
async fn rested<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    opening: &FirstOpening,
    mut window: Bounds,
    needed: bool,
) -> Result<Option<()>, ProbeStop> {
    let requests = opening.admitted as f64;
    let limit = |window| {
        let (requests, kind) = (Bounds::exact(requests), WindowKind::Fading);
        RateFinding::Window { requests, window: snapped(window), kind }
    };
    let most = if opening.admitted < FEW { 5 } else { 3 };
    let mut trials = 0;
    session.finding.limit = limit(window);
    // Each trial needs two windows of rest.
    while trials < most && window.uncertainty() > 0.02 && session.seconds_left() > 3.8 * window.high
    {
        let Some(found) = faded(session, opening.admitted, window).await? else {
            return Ok(None);
        };
        window = found;
        trials += 1;
        session.finding.limit = limit(window);
    }
    if needed && trials == 0 {
        let (requests, kind) = (Bounds::exact(requests), WindowKind::Unknown);
        session.finding.limit = RateFinding::Window { requests, window, kind };
        return Err(ProbeStop::Time);
    }
    Ok(Some(()))
}

/// Uses the whole allowance up at once, and sees how much of it is back in the window after that.
async fn faded<T: ProbedTarget>(
    session: &mut ProbeSession<'_, T>,
    requests: u64,
    window: Bounds,
) -> Result<Option<Bounds>, ProbeStop> {
    let at = session.now + nanoseconds(2.05 * window.high);
    let all = session.until_refused(at, 2 * requests + 20).await?;
    let difference = all.admitted.abs_diff(requests);
    if difference > 1 + requests / 8 {
        return Ok(None);
    }
    let begun = Span { sent: all.first_sent, received: all.first_sent };
    let wait = 1.5 * (window.low * window.high).sqrt();
    let back = session.until_refused(begun.sent + nanoseconds(wait), 2 * requests + 20).await?;
    let (Some(open), Some(closed)) = (back.replies.first(), back.refusal) else {
        return Ok(Some(window));
    };
    let (shortest, longest) = (open.0.since(begun).0, closed.since(begun).1);
    let (count, back) = (all.admitted as f64, back.admitted as f64);
    let mut found = window;
    // Of `count` requests, and the refused one, the share that is not back still counts.
    let still = |back: f64, of: f64| (2.0 - ((count - back) / of).clamp(0.0, 1.0)).max(1.0);
    if back > 0.0 {
        found.at_most((longest / still(back - 1.0, count)).max(found.low));
    }
    // All of it is back: that may have been so for long.
    if back < count {
        found.at_least((shortest / still(back + 1.0, count + 1.0)).min(found.high));
    }
    Ok(Some(found))
}

/// The only common window within the bounds, else the bounds.
fn snapped(window: Bounds) -> Bounds {
    window.common_window().map_or(window, Bounds::exact)
}

//! What a world counts, and what it notices.
//!
//! `worlds` compares it with what the world's file says.
//! Invariant: a name that nothing counts is a mistake in the file, not a zero.

use std::collections::BTreeMap;

use manada::event::Report;
use manada::stats::{AttemptOutcome, BlockCause, Histogram, outcome};
use serde::Deserialize;

/// A count as it has to be.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
pub enum Count {
    Exactly(u64),
    Within([u64; 2]),
}

impl Count {
    fn holds(self, count: u64) -> bool {
        match self {
            Self::Exactly(wanted) => count == wanted,
            Self::Within([from, to]) => (from..=to).contains(&count),
        }
    }
}

pub fn counts(report: &Report) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> =
        ledgers(report).into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    // What was suppressed, by what: `by_breaker`, `by_pool`, …
    counts.extend(BlockCause::ALL.map(|cause| {
        let index = outcome::error_index(AttemptOutcome::Suppressed(cause));
        let errors = report.snapshot.errors.iter();
        let count = errors.filter(|(at, _)| Some(*at) == index).map(|(_, count)| count).sum();
        (format!("by_{}", cause.name()), count)
    }));
    // Calls that policy made wait, by what: `waits_pool`, `waits_parallel`, …
    counts.extend(BlockCause::ALL.map(|cause| {
        let waits = report.snapshot.measured.waits.get(&cause);
        (format!("waits_{}", cause.name()), waits.map_or(0, Histogram::count))
    }));
    counts
}

fn ledgers(report: &Report) -> BTreeMap<&'static str, u64> {
    let (iterations, calls) = (report.snapshot.iterations(), report.snapshot.calls());
    let attempts = report.snapshot.attempts;
    let breakers = &report.snapshot.resilience.breakers;
    let pools = &report.snapshot.pools;
    BTreeMap::from([
        ("due", iterations.due),
        ("started", iterations.started),
        ("completed", iterations.completed),
        ("ended_early", iterations.ended_early),
        ("interrupted", iterations.interrupted),
        ("dropped", iterations.dropped),
        ("held_back", iterations.suppressed),
        ("made", calls.made),
        ("ok", calls.ok),
        ("failed", calls.failed),
        ("timeout", calls.timeout),
        ("suppressed", calls.suppressed),
        ("muted", calls.muted),
        ("unfinished", calls.unfinished),
        ("generator_errors", calls.generator_errors),
        ("attempts", attempts.started),
        ("retries", attempts.retries),
        ("hedges", attempts.hedges),
        ("cancelled", attempts.cancelled),
        ("denied", attempts.denied),
        ("opened", breakers.iter().map(|breaker| breaker.opened).sum()),
        ("refused", breakers.iter().map(|breaker| breaker.refused).sum()),
        ("leases", pools.iter().map(|pool| pool.leases).sum()),
        ("gave_up", pools.iter().map(|pool| pool.gave_up).sum()),
        ("users", report.snapshot.users_peak),
    ])
}

/// The counts that are not as they have to be, in words.
pub fn wrong(wanted: &BTreeMap<String, Count>, report: &Report) -> Vec<String> {
    let counts = counts(report);
    let not = |(name, wanted): (&String, &Count)| {
        let count = counts[name.as_str()];
        (!wanted.holds(count)).then(|| match wanted {
            Count::Exactly(wanted) => format!("{name}: {count} instead of {wanted}"),
            Count::Within([from, to]) => format!("{name}: {count}, not from {from} to {to}"),
        })
    };
    wanted.iter().filter_map(not).collect()
}

/// Notices that did not come, or came when nobody expected them, in words.
pub fn wrong_notices(wanted: &[String], report: &Report) -> Option<String> {
    let mut came: Vec<(u64, String)> = (report.snapshot.changes.list.iter())
        .map(|notice| {
            let topic = notice.kind.name();
            let line = format!("{topic} {}: {} ({})", notice.subject, notice.change, notice.cause);
            (notice.at_ns, line)
        })
        .collect();
    // Shards tell each on its own.
    came.sort_by_key(|(at, _)| *at);
    let as_wanted = came.len() == wanted.len()
        && came.iter().zip(wanted).all(|((_, line), begin)| line.starts_with(begin));
    let lines = || {
        let lines = came.iter().map(|(at, line)| format!("\n    {:.3}s {line}", *at as f64 / 1e9));
        lines.collect::<String>()
    };
    (!as_wanted).then(|| format!("notices were:{}", lines()))
}

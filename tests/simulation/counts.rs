//! Counts and state changes of a world.
//!
//! `simulation` compares them with the world's file.
//! Invariant: an unknown count in the file is an error, not a zero.

use std::collections::BTreeMap;

use manada::clock::RunOffset;
use manada::event::Report;
use manada::stats::caches::{CacheUse, LayerUse};
use manada::stats::{AttemptOutcome, BlockCause, Histogram, MessageCounts, outcome};
use serde::Deserialize;

/// An expected count.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
pub enum Count {
    Exactly(u64),
    Within([u64; 2]),
}

impl Count {
    fn holds(self, count: u64) -> bool {
        match self {
            Self::Exactly(expected) => count == expected,
            Self::Within([from, to]) => (from..=to).contains(&count),
        }
    }
}

pub fn counts(report: &Report) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> =
        ledgers(report).into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    // The ledger of messages: `messages_sent`, `messages_lost`, …
    let mut messages = report.snapshot.measured.messages(|_| true).counts;
    messages.add(&report.snapshot.warmup.messages(|_| true).counts);
    let names = MessageCounts::NAMES.into_iter().zip(messages.all());
    counts.extend(names.map(|(name, count)| (format!("messages_{name}"), count)));
    // Suppressed calls by cause: `by_breaker`, `by_pool`, …
    counts.extend(BlockCause::ALL.map(|cause| {
        let index = outcome::error_index(AttemptOutcome::Suppressed(cause));
        let errors = report.snapshot.errors.iter();
        let count = errors.filter(|(at, _)| Some(*at) == index).map(|(_, count)| count).sum();
        (format!("by_{}", cause.name()), count)
    }));
    // Calls that a policy made wait, by cause: `waits_pool`, `waits_parallel`, …
    counts.extend(BlockCause::ALL.map(|cause| {
        let waits = report.snapshot.measured.waits.get(&cause);
        (format!("waits_{}", cause.name()), waits.map_or(0, Histogram::count))
    }));
    counts.extend(caches(report));
    counts
}

/// What caches did, all together, and by layer: `cache_hits`, `redis_hits`, …
fn caches(report: &Report) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    let all = &report.snapshot.caches.by_name;
    let sum = |of: fn(&CacheUse) -> u64| all.values().map(of).sum::<u64>();
    for (name, count) in [
        ("lookups", sum(|cache| cache.lookups)),
        ("hits", sum(|cache| cache.hits)),
        ("fills", sum(|cache| cache.fills)),
        ("failed_fills", sum(|cache| cache.failed_fills)),
        ("waits", sum(|cache| cache.waits)),
        ("wait_ms", sum(|cache| cache.wait_ns) / 1_000_000),
        ("forgotten", sum(|cache| cache.forgotten)),
    ] {
        counts.insert(format!("cache_{name}"), count);
    }
    for label in ["memory", "redis", "postgres"] {
        let layers = all.values().filter_map(|cache| cache.layers.get(label));
        let layers: Vec<&LayerUse> = layers.collect();
        let sum = |of: fn(&LayerUse) -> u64| layers.iter().map(|layer| of(layer)).sum::<u64>();
        for (name, count) in [
            ("hits", sum(|layer| layer.hits)),
            ("misses", sum(|layer| layer.misses)),
            ("expired", sum(|layer| layer.expired)),
            ("unreadable", sum(|layer| layer.unreadable)),
            ("promotions", sum(|layer| layer.promotions)),
            ("writes", sum(|layer| layer.writes)),
            ("failed", sum(|layer| layer.failed)),
            ("timeouts", sum(|layer| layer.timeouts)),
            ("skipped", sum(|layer| layer.skipped)),
        ] {
            counts.insert(format!("{label}_{name}"), count);
        }
    }
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
        ("not_reached", iterations.not_reached),
        ("unserved", iterations.unserved),
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
        ("streams_opened", report.snapshot.streams.counts.opened),
        ("reconnects", report.snapshot.streams.counts.reconnects),
        ("streams_open", report.snapshot.streams.open),
    ])
}

/// Returns the counts that differ from the expected ones, as text.
pub fn deviations(expected: &BTreeMap<String, Count>, report: &Report) -> Vec<String> {
    let counts = counts(report);
    let not = |(name, expected): (&String, &Count)| {
        let count = counts[name.as_str()];
        (!expected.holds(count)).then(|| match expected {
            Count::Exactly(expected) => format!("{name}: {count} instead of {expected}"),
            Count::Within([from, to]) => format!("{name}: {count}, not from {from} to {to}"),
        })
    };
    expected.iter().filter_map(not).collect()
}

/// Returns the state changes as text, if they differ from the expected ones.
pub fn changed_differently(expected: &[String], report: &Report) -> Option<String> {
    let mut found: Vec<(RunOffset, String)> = (report.snapshot.changes.list.iter())
        .map(|change| {
            let kind = change.kind().name();
            let line = format!("{kind} {}: {} ({})", change.subject, change.change, change.cause);
            (change.at, line)
        })
        .collect();
    // Shards report them independently.
    found.sort_by_key(|(at, _)| *at);
    let is_as_expected = found.len() == expected.len()
        && found.iter().zip(expected).all(|((_, line), begin)| line.starts_with(begin));
    let lines = || {
        let lines =
            found.iter().map(|(at, line)| format!("\n    {:.3}s {line}", at.ns() as f64 / 1e9));
        lines.collect::<String>()
    };
    (!is_as_expected).then(|| format!("notices were:{}", lines()))
}

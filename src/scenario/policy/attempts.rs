//! Reads `timeouts:`, `retries:`, `connect_backoff:`, `hedging:`, `limits:`.
//!
//! Invariant: durations are in order (`min ≤ start ≤ max`), and every setting has an effect.

use super::breakers::failures_of;
use super::{
    Diagnostics, Fields, MAX_PATTERNS, Node, NodeKind, PlacedPattern, block, in_order, pattern,
    said,
};
use super::{fields, wrong};
use crate::plan::policy::{
    BackoffPolicy, HedgeAfter, HedgePolicy, RateLimitPolicy, RetryPolicy, TimeoutPolicy,
};

/// Maximum retries of a call.
pub(in crate::scenario) const MAX_RETRIES: u64 = 100;

/// Minimum and maximum window of adaptive timeouts, attempts.
pub(in crate::scenario) const WINDOWS: (u64, u64) = (10, 1_000);

/// Maximum factor of a timeout or backoff.
pub(in crate::scenario) const MAX_FACTOR: f64 = 100.0;

/// Default hedging.
const HEDGING: HedgePolicy = HedgePolicy { after: HedgeAfter::Percentile(95.0), budget: 0.05 };

pub(super) fn timeouts(review: &mut Diagnostics, node: &Node) -> Option<TimeoutPolicy> {
    let expected = "`{ adaptive: true, start: 5s }`";
    block(
        review,
        node,
        "`timeouts`",
        expected,
        TimeoutPolicy::default(),
        |review, fields, mut law| {
            let mut adaptive = true;
            fields.set(review, "adaptive", &mut adaptive, fields::truth);
            let start = said(review, fields, "start", fields::some_duration);
            let min = said(review, fields, "min", fields::some_duration);
            let max = said(review, fields, "max", fields::some_duration);
            in_order(review, ("min", min), ("start", start));
            in_order(review, ("start", start), ("max", max));
            if start.is_none() {
                in_order(review, ("min", min), ("max", max));
            }
            let [start, min, max] = [start, min, max].map(|said| said.map(|(_, time)| time));
            law.max = max.unwrap_or_else(|| law.max.max(start.or(min).unwrap_or_default()));
            law.min = min.unwrap_or_else(|| law.min.min(start.unwrap_or(law.max)).min(law.max));
            law.start = start.unwrap_or_else(|| law.start.min(law.max).max(law.min));
            fields.set(review, "percentile", &mut law.percentile, percentile);
            fields.set(review, "factor", &mut law.factor, factor);
            let window = |review: &mut Diagnostics, node: &Node| {
                fields::count(review, node, WINDOWS.0, WINDOWS.1).map(|window| window as usize)
            };
            fields.set(review, "window", &mut law.window, window);
            adaptive.then_some(law)
        },
    )
}

/// Reads a percentile from 50 to below 100, as `95` or `p95`.
fn percentile(review: &mut Diagnostics, node: &Node) -> Option<f64> {
    let text = fields::scalar(node).unwrap_or_default();
    let number: Option<f64> = text.strip_prefix('p').unwrap_or(text).parse().ok();
    match number.filter(|number| (50.0..100.0).contains(number)) {
        None => wrong(review, node, "a percentile from 50 to 99.9, such as 95"),
        found => found,
    }
}

fn factor(review: &mut Diagnostics, node: &Node) -> Option<f64> {
    match node.kind {
        NodeKind::Number(_, factor) if (1.0..=MAX_FACTOR).contains(&factor) => Some(factor),
        _ => wrong(review, node, format!("a factor from 1 to {MAX_FACTOR}, such as 1.5")),
    }
}

pub(super) fn retries(review: &mut Diagnostics, node: &Node) -> Option<RetryPolicy> {
    let default = RetryPolicy::default();
    if let NodeKind::Number(..) = node.kind {
        let max = max_retries(review, node)?;
        return (max > 0).then_some(RetryPolicy { max, ..default });
    }
    let expected = "how often, such as 2, or `{ max: 2, budget: 10% }`";
    block(review, node, "`retries`", expected, default, |review, fields, mut law| {
        fields.set(review, "max", &mut law.max, max_retries);
        fields.set(review, "backoff", &mut law.backoff, |review, node| {
            let mut fields = Fields::like(review, node, "a backoff", BACKOFF)?;
            let law = backoff(review, &mut fields, BackoffPolicy::default());
            fields.finish(review);
            Some(law)
        });
        fields.set(review, "budget", &mut law.budget, |review, node| match fields::scalar(node) {
            Some("none") => Some(None),
            _ => fields::share(review, node, "10%, or `none`").map(Some),
        });
        fields.set(review, "when", &mut law.when, failures_of);
        fields.set(review, "retry_after", &mut law.retry_after, fields::truth);
        fields.set(review, "max_retry_after", &mut law.max_retry_after, fields::some_duration);
        fields.set(review, "unsafe_methods", &mut law.unsafe_methods, fields::truth);
        (law.max > 0).then_some(law)
    })
}

fn max_retries(review: &mut Diagnostics, node: &Node) -> Option<u32> {
    fields::count(review, node, 0, MAX_RETRIES).and_then(|count| u32::try_from(count).ok())
}

/// The expected form of a backoff.
const BACKOFF: &str = "`{ base: 100ms, factor: 2, max: 10s, jitter: full }`";

pub(super) fn connect_backoff(review: &mut Diagnostics, node: &Node) -> Option<BackoffPolicy> {
    block(review, node, "a backoff", BACKOFF, BackoffPolicy::default(), |review, fields, law| {
        Some(backoff(review, fields, law))
    })
}

fn backoff(
    review: &mut Diagnostics,
    fields: &mut Fields<'_>,
    mut law: BackoffPolicy,
) -> BackoffPolicy {
    let base = said(review, fields, "base", fields::some_duration);
    let max = said(review, fields, "max", fields::some_duration);
    in_order(review, ("base", base), ("max", max));
    let [base, max] = [base, max].map(|said| said.map(|(_, time)| time));
    law.max = max.unwrap_or_else(|| law.max.max(base.unwrap_or_default()));
    law.base = base.unwrap_or_else(|| law.base.min(law.max));
    fields.set(review, "factor", &mut law.factor, factor);
    fields.set(review, "jitter", &mut law.jitter, |review, node| {
        fields::word(review, node, &[("full", true), ("none", false)])
    });
    law
}

pub(super) fn hedging(review: &mut Diagnostics, node: &Node) -> Option<HedgePolicy> {
    let expected = "`{ after: p95, budget: 5% }`";
    block(review, node, "`hedging`", expected, HEDGING, |review, fields, mut law| {
        fields.set(review, "after", &mut law.after, |review, node| {
            let text = fields::scalar(node).unwrap_or_default();
            if text.starts_with('p') {
                return percentile(review, node).map(HedgeAfter::Percentile);
            }
            match crate::units::parse_duration(text) {
                Ok(after) if !after.is_zero() => Some(HedgeAfter::Time(after)),
                _ => wrong(review, node, "a percentile such as p95, or a duration such as 200ms"),
            }
        });
        let share = |review: &mut Diagnostics, node: &Node| fields::share(review, node, "5%");
        fields.set(review, "budget", &mut law.budget, share);
        Some(law)
    })
}

pub(super) fn limits(
    review: &mut Diagnostics,
    node: &Node,
    patterns: &mut Vec<PlacedPattern>,
) -> RateLimitPolicy {
    let expected = "rates such as `{ global: 2000/s, per_user: 5/s }`, or `false`";
    let mut limits = RateLimitPolicy::default();
    if let NodeKind::Bool(false) = node.kind {
        return limits;
    }
    let Some(mut fields) = Fields::like(review, node, "`limits`", expected) else { return limits };
    let rate = |review: &mut Diagnostics, node: &Node| some_rate(review, node).map(Some);
    fields.set(review, "global", &mut limits.global, rate);
    fields.set(review, "per_user", &mut limits.per_user, rate);
    fields.set(review, "per_source", &mut limits.per_source, rate);
    if let Some(node) = fields.take("per_endpoint") {
        limits.per_endpoint = per_endpoint(review, node, patterns);
    }
    let wait = fields.entry("wait");
    limits.wait = wait.and_then(|(_, node)| fields::some_duration(review, node));
    let mistakes = review.count();
    fields.finish(review);
    if let Some((key, _)) = wait
        && !limits.is_any_set()
        && review.count() == mistakes
    {
        review.mistake(key.span, "there is no limit to wait for").expected(expected);
    }
    limits
}

fn per_endpoint(
    review: &mut Diagnostics,
    node: &Node,
    patterns: &mut Vec<PlacedPattern>,
) -> Vec<(crate::plan::EndpointPattern, u64)> {
    let expected = "a map of endpoints, such as `{ \"POST /login\": 50/s }`";
    let entries = fields::entries(review, node, expected).unwrap_or_default();
    if entries.len() > MAX_PATTERNS {
        review.mistake(node.span, format!("more than {MAX_PATTERNS} patterns of endpoints"));
        return Vec::new();
    }
    let mut limits = Vec::new();
    for (key, node) in entries {
        let pattern = pattern(review, &key.name, key.span);
        let rate = some_rate(review, node);
        if let (Some(pattern), Some(rate)) = (pattern, rate) {
            patterns.push((pattern.clone(), key.span));
            limits.push((pattern, rate));
        }
    }
    limits
}

/// Reads a rate above zero, in units of a `Rate`.
fn some_rate(review: &mut Diagnostics, node: &Node) -> Option<u64> {
    match fields::rate(review, node)?.units() {
        0 => wrong(review, node, "a rate above zero, such as 100/s"),
        units => Some(units),
    }
}

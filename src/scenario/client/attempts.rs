//! Reads `timeouts:`, `retries:`, `connect_backoff:`, `hedging:`, `limits:`.
//!
//! Invariant: durations are in order (`min ≤ start ≤ max`), and every setting has an effect.

use crate::plan::policy::{
    BackoffPolicy, HedgeAfter, HedgePolicy, RateLimitPolicy, RetryPolicy, TimeoutPolicy,
};
use crate::scenario::client::block::{MAX_PATTERNS, block, in_order, pattern};
use crate::scenario::client::breakers::failures_of;
use crate::scenario::nouns::attempts::{
    BACKOFF, HEDGING, JITTERS, LIMITS, RETRIES, RETRY_COUNT, TIMEOUTS,
};
use crate::scenario::nouns::noun::Noun;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::field_value::FieldValue;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::spans::PlacedPattern;
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;

/// Default hedging.
const DEFAULT_HEDGING: HedgePolicy =
    HedgePolicy { after: HedgeAfter::Percentile(95.0), budget: 0.05 };

pub(crate) fn timeouts(diagnostics: &mut Diagnostics, node: &Node) -> Option<TimeoutPolicy> {
    block(
        diagnostics,
        node,
        &TIMEOUTS,
        TimeoutPolicy::default(),
        |diagnostics, fields, mut policy| {
            let mut adaptive = true;
            fields.fill(diagnostics, "adaptive", &mut adaptive);
            let start = fields.placed(diagnostics, "start");
            let min = fields.placed(diagnostics, "min");
            let max = fields.placed(diagnostics, "max");
            in_order(diagnostics, ("min", min), ("start", start));
            in_order(diagnostics, ("start", start), ("max", max));
            if start.is_none() {
                in_order(diagnostics, ("min", min), ("max", max));
            }
            let [start, min, max] = [start, min, max].map(|given| given.map(|(_, time)| time));
            policy.max = max.unwrap_or_else(|| policy.max.max(start.or(min).unwrap_or_default()));
            policy.min =
                min.unwrap_or_else(|| policy.min.min(start.unwrap_or(policy.max)).min(policy.max));
            policy.start = start.unwrap_or_else(|| policy.start.min(policy.max).max(policy.min));
            fields.fill(diagnostics, "percentile", &mut policy.percentile);
            fields.fill(diagnostics, "factor", &mut policy.factor);
            fields.fill(diagnostics, "window", &mut policy.window);
            adaptive.then_some(policy)
        },
    )
}

pub(crate) fn retries(diagnostics: &mut Diagnostics, node: &Node) -> Option<RetryPolicy> {
    let default = RetryPolicy::default();
    if let NodeKind::Number(..) = node.kind {
        let max = u32::read(diagnostics, node, &RETRY_COUNT)?;
        return (max > 0).then_some(RetryPolicy { max, ..default });
    }
    block(diagnostics, node, &RETRIES, default, |diagnostics, fields, mut policy| {
        fields.fill(diagnostics, "max", &mut policy.max);
        fields.read_into(diagnostics, "backoff", &mut policy.backoff, |diagnostics, node| {
            backoff_map(diagnostics, node, &BACKOFF, BackoffPolicy::default())
        });
        fields.read_into(diagnostics, "budget", &mut policy.budget, |diagnostics, node| {
            match values::scalar(node) {
                Some("none") => Some(None),
                _ => values::share(diagnostics, node, "10%, or `none`").map(Some),
            }
        });
        fields.read_into(diagnostics, "when", &mut policy.when, failures_of);
        fields.fill(diagnostics, "retry_after", &mut policy.retry_after);
        fields.fill(diagnostics, "max_retry_after", &mut policy.max_retry_after);
        fields.fill(diagnostics, "unsafe_methods", &mut policy.unsafe_methods);
        (policy.max > 0).then_some(policy)
    })
}

pub(crate) fn connect_backoff(diagnostics: &mut Diagnostics, node: &Node) -> Option<BackoffPolicy> {
    block(diagnostics, node, &BACKOFF, BackoffPolicy::default(), |diagnostics, fields, policy| {
        Some(backoff(diagnostics, fields, policy))
    })
}

/// Reads a backoff: a map of the keys of `noun`, with these defaults.
pub(crate) fn backoff_map(
    diagnostics: &mut Diagnostics,
    node: &Node,
    noun: &'static Noun,
    default: BackoffPolicy,
) -> Option<BackoffPolicy> {
    let mut fields = Fields::read(diagnostics, node, noun)?;
    let policy = backoff(diagnostics, &mut fields, default);
    fields.finish(diagnostics);
    Some(policy)
}

fn backoff(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    mut policy: BackoffPolicy,
) -> BackoffPolicy {
    let base = fields.placed(diagnostics, "base");
    let max = fields.placed(diagnostics, "max");
    in_order(diagnostics, ("base", base), ("max", max));
    let [base, max] = [base, max].map(|given| given.map(|(_, time)| time));
    policy.max = max.unwrap_or_else(|| policy.max.max(base.unwrap_or_default()));
    policy.base = base.unwrap_or_else(|| policy.base.min(policy.max));
    fields.fill(diagnostics, "factor", &mut policy.factor);
    if let Some(jitter) = fields.word(diagnostics, "jitter", &JITTERS) {
        policy.jitter = jitter;
    }
    policy
}

pub(crate) fn hedging(diagnostics: &mut Diagnostics, node: &Node) -> Option<HedgePolicy> {
    block(diagnostics, node, &HEDGING, DEFAULT_HEDGING, |diagnostics, fields, mut policy| {
        fields.read_into(diagnostics, "after", &mut policy.after, |diagnostics, node| {
            let text = values::scalar(node).unwrap_or_default();
            if text.starts_with('p') {
                return values::percentile(diagnostics, node).map(HedgeAfter::Percentile);
            }
            match crate::units::parse_duration(text) {
                Ok(after) if !after.is_zero() => Some(HedgeAfter::Time(after)),
                _ => report_wrong(
                    diagnostics,
                    node,
                    "a percentile such as p95, or a duration such as 200ms",
                ),
            }
        });
        fields.fill(diagnostics, "budget", &mut policy.budget);
        Some(policy)
    })
}

pub(crate) fn limits(
    diagnostics: &mut Diagnostics,
    node: &Node,
    patterns: &mut Vec<PlacedPattern>,
) -> RateLimitPolicy {
    let mut limits = RateLimitPolicy::default();
    if let NodeKind::Bool(false) = node.kind {
        return limits;
    }
    let Some(mut fields) = Fields::read(diagnostics, node, &LIMITS) else {
        return limits;
    };
    let rate = |diagnostics: &mut Diagnostics, node: &Node| some_rate(diagnostics, node).map(Some);
    fields.read_into(diagnostics, "global", &mut limits.global, rate);
    fields.read_into(diagnostics, "per_user", &mut limits.per_user, rate);
    fields.read_into(diagnostics, "per_source", &mut limits.per_source, rate);
    if let Some(node) = fields.take("per_endpoint") {
        limits.per_endpoint = per_endpoint(diagnostics, node, patterns);
    }
    let wait = fields.entry("wait");
    fields.fill(diagnostics, "wait", &mut limits.wait);
    let mistakes = diagnostics.count();
    fields.finish(diagnostics);
    if let Some((key, _)) = wait
        && !limits.is_any_set()
        && diagnostics.count() == mistakes
    {
        diagnostics.mistake(key.span, "`wait` needs a limit").expected(LIMITS.form);
    }
    limits
}

fn per_endpoint(
    diagnostics: &mut Diagnostics,
    node: &Node,
    patterns: &mut Vec<PlacedPattern>,
) -> Vec<(crate::plan::EndpointPattern, u64)> {
    let expected = "a map of endpoints, such as `{ \"POST /login\": 50/s }`";
    let entries = values::entries(diagnostics, node, expected).unwrap_or_default();
    if entries.len() > MAX_PATTERNS {
        diagnostics.mistake(node.span, format!("more than {MAX_PATTERNS} endpoint patterns"));
        return Vec::new();
    }
    let mut limits = Vec::new();
    for (key, node) in entries {
        let pattern = pattern(diagnostics, &key.name, key.span);
        let rate = some_rate(diagnostics, node);
        if let (Some(pattern), Some(rate)) = (pattern, rate) {
            patterns.push((pattern.clone(), key.span));
            limits.push((pattern, rate));
        }
    }
    limits
}

/// Reads a rate above zero, in units of a `Rate`.
fn some_rate(diagnostics: &mut Diagnostics, node: &Node) -> Option<u64> {
    match values::rate(diagnostics, node)?.units() {
        0 => report_wrong(diagnostics, node, "a rate above zero, such as 100/s"),
        units => Some(units),
    }
}

//! Reads `timeouts:`, `retries:`, `connect_backoff:`, `hedging:`, `limits:`.
//!
//! Invariant: durations are in order (`min ≤ start ≤ max`), and every setting has an effect.

use crate::plan::policy::{
    BackoffPolicy, HedgeAfter, HedgePolicy, RateLimitPolicy, RetryPolicy, TimeoutPolicy,
};
use crate::scenario::client::block::{MAX_PATTERNS, block, given, in_order, pattern};
use crate::scenario::client::breakers::failures_of;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::spans::PlacedPattern;
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;

/// Maximum retries of a call.
pub(crate) const MAX_RETRIES: u64 = 100;

/// Minimum and maximum window of adaptive timeouts, attempts.
pub(crate) const WINDOWS: (u64, u64) = (10, 1_000);

/// Maximum factor of a timeout or backoff.
pub(crate) const MAX_FACTOR: f64 = 100.0;

/// Default hedging.
const HEDGING: HedgePolicy = HedgePolicy { after: HedgeAfter::Percentile(95.0), budget: 0.05 };

pub(crate) fn timeouts(diagnostics: &mut Diagnostics, node: &Node) -> Option<TimeoutPolicy> {
    let expected = "`{ adaptive: true, start: 5s }`";
    block(
        diagnostics,
        node,
        "`timeouts`",
        expected,
        TimeoutPolicy::default(),
        |diagnostics, fields, mut policy| {
            let mut adaptive = true;
            fields.read_into(diagnostics, "adaptive", &mut adaptive, values::boolean);
            let start = given(diagnostics, fields, "start", values::positive_duration);
            let min = given(diagnostics, fields, "min", values::positive_duration);
            let max = given(diagnostics, fields, "max", values::positive_duration);
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
            fields.read_into(diagnostics, "percentile", &mut policy.percentile, percentile);
            fields.read_into(diagnostics, "factor", &mut policy.factor, factor);
            let window = |diagnostics: &mut Diagnostics, node: &Node| {
                values::count(diagnostics, node, WINDOWS.0, WINDOWS.1).map(|window| window as usize)
            };
            fields.read_into(diagnostics, "window", &mut policy.window, window);
            adaptive.then_some(policy)
        },
    )
}

/// Reads a percentile from 50 to below 100, as `95` or `p95`.
fn percentile(diagnostics: &mut Diagnostics, node: &Node) -> Option<f64> {
    let text = values::scalar(node).unwrap_or_default();
    let number: Option<f64> = text.strip_prefix('p').unwrap_or(text).parse().ok();
    match number.filter(|number| (50.0..100.0).contains(number)) {
        None => report_wrong(diagnostics, node, "a percentile from 50 to 99.9, such as 95"),
        found => found,
    }
}

fn factor(diagnostics: &mut Diagnostics, node: &Node) -> Option<f64> {
    match node.kind {
        NodeKind::Number(_, factor) if (1.0..=MAX_FACTOR).contains(&factor) => Some(factor),
        _ => {
            report_wrong(diagnostics, node, format!("a factor from 1 to {MAX_FACTOR}, such as 1.5"))
        }
    }
}

pub(crate) fn retries(diagnostics: &mut Diagnostics, node: &Node) -> Option<RetryPolicy> {
    let default = RetryPolicy::default();
    if let NodeKind::Number(..) = node.kind {
        let max = max_retries(diagnostics, node)?;
        return (max > 0).then_some(RetryPolicy { max, ..default });
    }
    let expected = "how often, such as 2, or `{ max: 2, budget: 10% }`";
    block(diagnostics, node, "`retries`", expected, default, |diagnostics, fields, mut policy| {
        fields.read_into(diagnostics, "max", &mut policy.max, max_retries);
        fields.read_into(diagnostics, "backoff", &mut policy.backoff, |diagnostics, node| {
            let mut fields = Fields::read_as(diagnostics, node, "a backoff", BACKOFF)?;
            let policy = backoff(diagnostics, &mut fields, BackoffPolicy::default());
            fields.finish(diagnostics);
            Some(policy)
        });
        fields.read_into(diagnostics, "budget", &mut policy.budget, |diagnostics, node| {
            match values::scalar(node) {
                Some("none") => Some(None),
                _ => values::share(diagnostics, node, "10%, or `none`").map(Some),
            }
        });
        fields.read_into(diagnostics, "when", &mut policy.when, failures_of);
        fields.read_into(diagnostics, "retry_after", &mut policy.retry_after, values::boolean);
        fields.read_into(
            diagnostics,
            "max_retry_after",
            &mut policy.max_retry_after,
            values::positive_duration,
        );
        fields.read_into(
            diagnostics,
            "unsafe_methods",
            &mut policy.unsafe_methods,
            values::boolean,
        );
        (policy.max > 0).then_some(policy)
    })
}

fn max_retries(diagnostics: &mut Diagnostics, node: &Node) -> Option<u32> {
    values::count(diagnostics, node, 0, MAX_RETRIES).and_then(|count| u32::try_from(count).ok())
}

/// The expected form of a backoff.
const BACKOFF: &str = "`{ base: 100ms, factor: 2, max: 10s, jitter: full }`";

pub(crate) fn connect_backoff(diagnostics: &mut Diagnostics, node: &Node) -> Option<BackoffPolicy> {
    block(
        diagnostics,
        node,
        "a backoff",
        BACKOFF,
        BackoffPolicy::default(),
        |diagnostics, fields, policy| Some(backoff(diagnostics, fields, policy)),
    )
}

fn backoff(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    mut policy: BackoffPolicy,
) -> BackoffPolicy {
    let base = given(diagnostics, fields, "base", values::positive_duration);
    let max = given(diagnostics, fields, "max", values::positive_duration);
    in_order(diagnostics, ("base", base), ("max", max));
    let [base, max] = [base, max].map(|given| given.map(|(_, time)| time));
    policy.max = max.unwrap_or_else(|| policy.max.max(base.unwrap_or_default()));
    policy.base = base.unwrap_or_else(|| policy.base.min(policy.max));
    fields.read_into(diagnostics, "factor", &mut policy.factor, factor);
    fields.read_into(diagnostics, "jitter", &mut policy.jitter, |diagnostics, node| {
        values::one_of(diagnostics, node, &[("full", true), ("none", false)])
    });
    policy
}

pub(crate) fn hedging(diagnostics: &mut Diagnostics, node: &Node) -> Option<HedgePolicy> {
    let expected = "`{ after: p95, budget: 5% }`";
    block(diagnostics, node, "`hedging`", expected, HEDGING, |diagnostics, fields, mut policy| {
        fields.read_into(diagnostics, "after", &mut policy.after, |diagnostics, node| {
            let text = values::scalar(node).unwrap_or_default();
            if text.starts_with('p') {
                return percentile(diagnostics, node).map(HedgeAfter::Percentile);
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
        let share =
            |diagnostics: &mut Diagnostics, node: &Node| values::share(diagnostics, node, "5%");
        fields.read_into(diagnostics, "budget", &mut policy.budget, share);
        Some(policy)
    })
}

pub(crate) fn limits(
    diagnostics: &mut Diagnostics,
    node: &Node,
    patterns: &mut Vec<PlacedPattern>,
) -> RateLimitPolicy {
    let expected = "rates such as `{ global: 2000/s, per_user: 5/s }`, or `false`";
    let mut limits = RateLimitPolicy::default();
    if let NodeKind::Bool(false) = node.kind {
        return limits;
    }
    let Some(mut fields) = Fields::read_as(diagnostics, node, "`limits`", expected) else {
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
    limits.wait = wait.and_then(|(_, node)| values::positive_duration(diagnostics, node));
    let mistakes = diagnostics.count();
    fields.finish(diagnostics);
    if let Some((key, _)) = wait
        && !limits.is_any_set()
        && diagnostics.count() == mistakes
    {
        diagnostics.mistake(key.span, "there is no limit to wait for").expected(expected);
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
        diagnostics.mistake(node.span, format!("more than {MAX_PATTERNS} patterns of endpoints"));
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

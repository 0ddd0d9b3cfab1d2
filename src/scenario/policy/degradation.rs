//! Reads `degradation:`, `healing:`, `admission:`, `memory:`: reactions to trouble at the target
//! or in the generator.
//!
//! Invariant: levels are in order: a worse level never starts before a better one.

use std::time::Duration;

use super::{Diagnostics, Fields, Node, NodeKind, block, fields, wrong};
use crate::plan::policy::{AdmissionPolicy, DegradationPolicy, HealingPolicy, MemoryPolicy};

pub(super) fn degradation(review: &mut Diagnostics, node: &Node) -> Option<DegradationPolicy> {
    let (what, expected) = ("`degradation`", "`{ errors: [5%, 15%, 30%], p95: [2s, 5s] }`");
    block(review, node, what, expected, DegradationPolicy::default(), |review, fields, mut law| {
        let mut enabled = true;
        fields.set(review, "enabled", &mut enabled, fields::truth);
        fields.set(review, "errors", &mut law.errors, |review, node| {
            let expected = "three rising shares, from light to emergency, such as [5%, 15%, 30%]";
            let share = |review: &mut Diagnostics, node: &Node| fields::share(review, node, "5%");
            rising(review, node, expected, share)
        });
        fields.set(review, "p95", &mut law.p95, |review, node| {
            let expected = "two rising durations, for light and heavy, such as [2s, 5s]";
            rising::<Duration, 2>(review, node, expected, fields::some_duration)
        });
        let share = |review: &mut Diagnostics, node: &Node| fields::share(review, node, "90%");
        fields.set(review, "memory", &mut law.memory, share);
        fields.set(review, "window", &mut law.window, fields::some_duration);
        fields.set(review, "recover", &mut law.recover, fields::some_duration);
        enabled.then_some(law)
    })
}

/// Reads `N` values in rising order.
fn rising<T: PartialOrd + Copy, const N: usize>(
    review: &mut Diagnostics,
    node: &Node,
    expected: &str,
    read: impl Fn(&mut Diagnostics, &Node) -> Option<T>,
) -> Option<[T; N]> {
    let items = fields::list(review, node, expected)?;
    let before = review.count();
    let values: Vec<T> = items.iter().filter_map(|item| read(review, item)).collect();
    if review.count() > before {
        return None;
    }
    match <[T; N]>::try_from(values) {
        Ok(values) if values.is_sorted() => Some(values),
        _ => wrong(review, node, expected),
    }
}

pub(super) fn healing(review: &mut Diagnostics, node: &Node) -> Option<HealingPolicy> {
    let (what, expected) = ("`healing`", "`{ every: 10s }`");
    block(review, node, what, expected, HealingPolicy::default(), |review, fields, mut law| {
        fields.set(review, "every", &mut law.every, fields::some_duration);
        Some(law)
    })
}

pub(super) fn admission(review: &mut Diagnostics, node: &Node) -> Option<AdmissionPolicy> {
    let (what, expected) = ("`admission`", "`{ lag: 100ms, cpu: 97% }`");
    block(review, node, what, expected, AdmissionPolicy::default(), |review, fields, mut law| {
        fields.set(review, "lag", &mut law.lag, fields::some_duration);
        let share = |review: &mut Diagnostics, node: &Node| fields::share(review, node, "97%");
        fields.set(review, "cpu", &mut law.cpu, share);
        fields.set(review, "after", &mut law.after, fields::some_duration);
        fields.set(review, "recover", &mut law.recover, fields::some_duration);
        Some(law)
    })
}

pub(super) fn memory(review: &mut Diagnostics, node: &Node) -> Option<MemoryPolicy> {
    match node.kind {
        NodeKind::Bool(on) => on.then_some(MemoryPolicy::default()),
        NodeKind::Map(_) => {
            let mut fields = Fields::of(review, node, "`memory`")?;
            let mut law = MemoryPolicy::default();
            let budget = |review: &mut Diagnostics, node: &Node| budget(review, node).map(Some);
            fields.set(review, "budget", &mut law.budget, budget);
            fields.finish(review);
            Some(law)
        }
        _ => budget(review, node).map(|bytes| MemoryPolicy { budget: Some(bytes) }),
    }
}

/// Reads a memory budget, bytes.
fn budget(review: &mut Diagnostics, node: &Node) -> Option<u64> {
    match fields::size(review, node)? {
        0..MIN_BUDGET => wrong(review, node, "at least 16MiB: the program itself takes most of it"),
        bytes => Some(bytes),
    }
}

/// Minimum memory budget of a run, bytes.
const MIN_BUDGET: u64 = 16 << 20;

//! Reads `degradation:`, `healing:`, `admission:`, `memory:`: reactions to trouble at the target
//! or in the generator.
//!
//! Invariant: levels are in order: a worse level never starts before a better one.

use std::time::Duration;

use crate::plan::policy::{AdmissionPolicy, DegradationPolicy, HealingPolicy, MemoryPolicy};
use crate::scenario::client::block::block;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;

pub(crate) fn degradation(diagnostics: &mut Diagnostics, node: &Node) -> Option<DegradationPolicy> {
    let (what, expected) = ("`degradation`", "`{ errors: [5%, 15%, 30%], p95: [2s, 5s] }`");
    block(
        diagnostics,
        node,
        what,
        expected,
        DegradationPolicy::default(),
        |diagnostics, fields, mut policy| {
            let mut enabled = true;
            fields.read_into(diagnostics, "enabled", &mut enabled, values::boolean);
            fields.read_into(diagnostics, "errors", &mut policy.errors, |diagnostics, node| {
                let expected =
                    "three rising shares, from light to emergency, such as [5%, 15%, 30%]";
                let share = |diagnostics: &mut Diagnostics, node: &Node| {
                    values::share(diagnostics, node, "5%")
                };
                rising(diagnostics, node, expected, share)
            });
            fields.read_into(diagnostics, "p95", &mut policy.p95, |diagnostics, node| {
                let expected = "two rising durations, for light and heavy, such as [2s, 5s]";
                rising::<Duration, 2>(diagnostics, node, expected, values::positive_duration)
            });
            let share = |diagnostics: &mut Diagnostics, node: &Node| {
                values::share(diagnostics, node, "90%")
            };
            fields.read_into(diagnostics, "memory", &mut policy.memory, share);
            fields.read_into(diagnostics, "window", &mut policy.window, values::positive_duration);
            fields.read_into(
                diagnostics,
                "recover",
                &mut policy.recover,
                values::positive_duration,
            );
            enabled.then_some(policy)
        },
    )
}

/// Reads `N` values in rising order.
fn rising<T: PartialOrd + Copy, const N: usize>(
    diagnostics: &mut Diagnostics,
    node: &Node,
    expected: &str,
    read: impl Fn(&mut Diagnostics, &Node) -> Option<T>,
) -> Option<[T; N]> {
    let items = values::list(diagnostics, node, expected)?;
    let before = diagnostics.count();
    let values: Vec<T> = items.iter().filter_map(|item| read(diagnostics, item)).collect();
    if diagnostics.count() > before {
        return None;
    }
    match <[T; N]>::try_from(values) {
        Ok(values) if values.is_sorted() => Some(values),
        _ => report_wrong(diagnostics, node, expected),
    }
}

pub(crate) fn healing(diagnostics: &mut Diagnostics, node: &Node) -> Option<HealingPolicy> {
    let (what, expected) = ("`healing`", "`{ every: 10s }`");
    block(
        diagnostics,
        node,
        what,
        expected,
        HealingPolicy::default(),
        |diagnostics, fields, mut policy| {
            fields.read_into(diagnostics, "every", &mut policy.every, values::positive_duration);
            Some(policy)
        },
    )
}

pub(crate) fn admission(diagnostics: &mut Diagnostics, node: &Node) -> Option<AdmissionPolicy> {
    let (what, expected) = ("`admission`", "`{ lag: 100ms, cpu: 97% }`");
    block(
        diagnostics,
        node,
        what,
        expected,
        AdmissionPolicy::default(),
        |diagnostics, fields, mut policy| {
            fields.read_into(diagnostics, "lag", &mut policy.lag, values::positive_duration);
            let share = |diagnostics: &mut Diagnostics, node: &Node| {
                values::share(diagnostics, node, "97%")
            };
            fields.read_into(diagnostics, "cpu", &mut policy.cpu, share);
            fields.read_into(diagnostics, "after", &mut policy.after, values::positive_duration);
            fields.read_into(
                diagnostics,
                "recover",
                &mut policy.recover,
                values::positive_duration,
            );
            Some(policy)
        },
    )
}

pub(crate) fn memory(diagnostics: &mut Diagnostics, node: &Node) -> Option<MemoryPolicy> {
    match node.kind {
        NodeKind::Bool(on) => on.then_some(MemoryPolicy::default()),
        NodeKind::Map(_) => {
            let mut fields = Fields::read(diagnostics, node, "`memory`")?;
            let mut policy = MemoryPolicy::default();
            let budget =
                |diagnostics: &mut Diagnostics, node: &Node| budget(diagnostics, node).map(Some);
            fields.read_into(diagnostics, "budget", &mut policy.budget, budget);
            fields.finish(diagnostics);
            Some(policy)
        }
        _ => budget(diagnostics, node).map(|bytes| MemoryPolicy { budget: Some(bytes) }),
    }
}

/// Reads a memory budget, bytes.
fn budget(diagnostics: &mut Diagnostics, node: &Node) -> Option<u64> {
    match values::size(diagnostics, node)? {
        0..MIN_BUDGET => {
            report_wrong(diagnostics, node, "at least 16MiB: the program itself takes most of it")
        }
        bytes => Some(bytes),
    }
}

/// Minimum memory budget of a run, bytes.
const MIN_BUDGET: u64 = 16 << 20;

//! Reads `degradation:`, `healing:`, `admission:`, `memory:`, `prewarm:`: reactions to trouble at
//! the target or in the generator, and what prevents it.
//!
//! Invariant: levels are in order: a worse level never starts before a better one.

use std::time::Duration;

use crate::plan::policy::{
    AdmissionPolicy, DegradationPolicy, HealingPolicy, MemoryPolicy, PrewarmPolicy,
};
use crate::scenario::client::block::{block, settings};
use crate::scenario::nouns::reactions::{ADMISSION, DEGRADATION, HEALING, MEMORY, PREWARM};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;

pub(crate) fn degradation(diagnostics: &mut Diagnostics, node: &Node) -> Option<DegradationPolicy> {
    block(
        diagnostics,
        node,
        &DEGRADATION,
        DegradationPolicy::default(),
        |diagnostics, fields, mut policy| {
            let mut enabled = true;
            fields.fill(diagnostics, "enabled", &mut enabled);
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
            fields.fill(diagnostics, "memory", &mut policy.memory);
            fields.fill(diagnostics, "window", &mut policy.window);
            fields.fill(diagnostics, "recover", &mut policy.recover);
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
    let default = HealingPolicy::default();
    block(diagnostics, node, &HEALING, default, |diagnostics, fields, mut policy| {
        fields.fill(diagnostics, "every", &mut policy.every);
        Some(policy)
    })
}

pub(crate) fn admission(diagnostics: &mut Diagnostics, node: &Node) -> Option<AdmissionPolicy> {
    let default = AdmissionPolicy::default();
    block(diagnostics, node, &ADMISSION, default, |diagnostics, fields, mut policy| {
        fields.fill(diagnostics, "lag", &mut policy.lag);
        fields.fill(diagnostics, "cpu", &mut policy.cpu);
        fields.fill(diagnostics, "after", &mut policy.after);
        fields.fill(diagnostics, "recover", &mut policy.recover);
        Some(policy)
    })
}

pub(crate) fn memory(diagnostics: &mut Diagnostics, node: &Node) -> Option<MemoryPolicy> {
    let default = MemoryPolicy::default();
    if let NodeKind::Bool(on) = node.kind {
        return on.then_some(default);
    }
    let budget = |diagnostics: &mut Diagnostics, node: &Node, policy: &mut MemoryPolicy| {
        policy.budget = Some(budget(diagnostics, node)?);
        Some(())
    };
    settings(diagnostics, node, &MEMORY, default, ("budget", budget), |_, _, _| ())
}

pub(crate) fn prewarm(diagnostics: &mut Diagnostics, node: &Node) -> Option<PrewarmPolicy> {
    let default = PrewarmPolicy { lead: Duration::from_secs(2), predict: false };
    let lead = |diagnostics: &mut Diagnostics, node: &Node, policy: &mut PrewarmPolicy| {
        policy.lead = lead(diagnostics, node)?;
        Some(())
    };
    let predict = |diagnostics: &mut Diagnostics, fields: &mut Fields<'_>, policy: &mut _| {
        let PrewarmPolicy { predict, .. } = policy;
        fields.fill(diagnostics, "predict", predict);
    };
    let policy = settings(diagnostics, node, &PREWARM, default, ("lead", lead), predict);
    policy.filter(|policy| !policy.lead.is_zero())
}

/// Reads how long before they are due users are prepared.
fn lead(diagnostics: &mut Diagnostics, node: &Node) -> Option<Duration> {
    match values::duration(diagnostics, node)? {
        lead if lead > MAX_LEAD => {
            report_wrong(diagnostics, node, "at most 10m: the load begins that much later")
        }
        lead => Some(lead),
    }
}

/// The longest time ahead, since the load begins that much later.
const MAX_LEAD: Duration = Duration::from_mins(10);

/// Reads a memory budget, bytes.
fn budget(diagnostics: &mut Diagnostics, node: &Node) -> Option<u64> {
    match values::size(diagnostics, node)? {
        0..MIN_BUDGET => report_wrong(
            diagnostics,
            node,
            "at least 16MiB, since the program itself needs most of that",
        ),
        bytes => Some(bytes),
    }
}

/// Minimum memory budget of a run, bytes.
pub(crate) const MIN_BUDGET: u64 = 16 << 20;

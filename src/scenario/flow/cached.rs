//! Compiles the steps that use a cache: `cached` and `forget`.
//!
//! `control` calls it, and gives what compiles the steps inside.
//! Invariant: each kept variable is captured or set by one of the steps inside, and a `cached` is
//! never inside another one.

use crate::plan::Call;
use crate::plan::cache::{CachedStep, ForgetStep};
use crate::plan::flow::Step;
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::{templates, values};
use crate::template::{Encoding, Template};

/// Compiles a list of steps.
pub(super) type CompileList = fn(&mut Assembly<'_>, &mut Diagnostics, &Node);

/// Compiles `cached`.
pub(crate) fn cached(
    flow: &mut Assembly<'_>,
    diagnostics: &mut Diagnostics,
    name: &Node,
    fields: &mut Fields<'_>,
    compile_list: CompileList,
) {
    let cache = cache(flow, diagnostics, name);
    let key = key(flow, diagnostics, fields);
    let keep = fields.take("keep").map(|node| keep(flow, diagnostics, node)).unwrap_or_default();
    let Some(steps) = fields.take("do") else { return };
    if flow.is_cached {
        diagnostics
            .mistake(name.span, "`cached` is inside another `cached`")
            .help("put it before the other one, or keep the values of both in one");
        return;
    }
    let (first_step, first_call) = (flow.steps.len(), flow.calls.len());
    let at = flow.push(Step::Jump(0));
    flow.is_cached = true;
    compile_list(flow, diagnostics, steps);
    flow.is_cached = false;
    let sets = |slot: usize| {
        captures(&flow.calls[first_call..], slot) || assigns(&flow.steps[first_step..], slot)
    };
    for (node, name, slot) in &keep {
        if !sets(*slot) {
            diagnostics
                .mistake(node.span, format!("no step of this `cached` captures `{name}`"))
                .expected("a variable of a `capture` or `set` in its `do`");
        }
    }
    let keep = keep.into_iter().map(|(_, name, slot)| (name, slot)).collect();
    flow.push(Step::Fill);
    if let (Some(cache), Some(key)) = (cache, key) {
        flow.cached_places.push((at, name.span));
        let to = flow.steps.len();
        flow.steps[at] = Step::Cached(Box::new(CachedStep { cache, key, keep, to }));
    }
}

/// Compiles `forget`.
pub(crate) fn forget(
    flow: &mut Assembly<'_>,
    diagnostics: &mut Diagnostics,
    name: &Node,
    fields: &mut Fields<'_>,
) {
    let cache = cache(flow, diagnostics, name);
    let key = key(flow, diagnostics, fields);
    if let (Some(cache), Some(key)) = (cache, key) {
        flow.push(Step::Forget(Box::new(ForgetStep { cache, key })));
    }
}

/// Reads the name of a cache.
fn cache(flow: &Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) -> Option<usize> {
    let name = values::plain_text(diagnostics, node, "the name of a cache")?;
    let known = &flow.flow_context.context.caches;
    if let Some(cache) = known.iter().position(|cache| cache == name) {
        return Some(cache);
    }
    let mistake = diagnostics.mistake(node.span, format!("unknown cache `{name}`"));
    if known.is_empty() {
        mistake.expected("a cache of the scenario's `cache:`, which it does not have");
    } else {
        let known = known.iter().map(String::as_str);
        mistake
            .expected(format!("one of {}", known.clone().collect::<Vec<_>>().join(", ")))
            .did_you_mean(name, known);
    }
    None
}

fn key(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
) -> Option<Template> {
    let node = fields.take("key")?;
    let names = flow.flow_context.names;
    templates::template(
        diagnostics,
        node,
        Encoding::Plain,
        names,
        "a text such as '{{ row.user }}'",
    )
}

/// Reads the names of variables, with their slots.
fn keep<'n>(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    node: &'n Node,
) -> Vec<(&'n Node, String, usize)> {
    let mut keep: Vec<(&Node, String, usize)> = Vec::new();
    for item in values::one_or_more(node) {
        let expected = "the name of a variable that a step captures";
        let Some(name) = values::plain_text(diagnostics, item, expected) else { continue };
        let names = flow.flow_context.names;
        match names.iter().position(|known| known == name) {
            Some(slot) if keep.iter().all(|(_, _, other)| *other != slot) => {
                keep.push((item, name.to_owned(), slot));
            }
            Some(_) => {}
            None => {
                diagnostics
                    .mistake(item.span, format!("unknown variable `{name}`"))
                    .expected("a variable of a `capture` or `set` in its `do`")
                    .did_you_mean(name, names.iter().map(String::as_str));
            }
        }
    }
    keep
}

fn captures(calls: &[Call], slot: usize) -> bool {
    let in_replies = calls.iter().flat_map(Call::replies).flat_map(|reply| &reply.captures);
    let mut all = calls.iter().flat_map(|call| &call.captures).chain(in_replies);
    all.any(|capture| capture.variable == slot)
}

fn assigns(steps: &[Step], slot: usize) -> bool {
    steps.iter().any(|step| match step {
        Step::Set(values) => values.iter().any(|(set, _)| *set == slot),
        _ => false,
    })
}

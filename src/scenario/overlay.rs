//! Overlays on a scenario before compilation: an environment, then `--set`.
//!
//! `load` applies them to the nodes, so that later mistakes show where the value was written.
//! Invariant: only paths are checked here; `compile` checks the values.

use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::parse_value;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::values;
use crate::suggest::nearest;

/// The flag's name, as mistakes show it.
const SET: &str = "--set";

/// Applies the environment `wanted` from the scenario's `environments`.
pub(crate) fn environment(diagnostics: &mut Diagnostics, root: &mut Node, wanted: Option<&str>) {
    let NodeKind::Map(entries) = &root.kind else { return };
    let all = entries.iter().find(|(key, _)| key.name == "environments");
    let mut names: Vec<&str> = Vec::new();
    let mut chosen = None;
    if let Some((_, node)) = all {
        let expected = "a map of environments, each with what it changes in the scenario";
        let Some(all) = values::entries(diagnostics, node, expected) else { return };
        for (key, node) in all {
            let Some(changes) = values::entries(diagnostics, node, "a map of what it changes")
            else {
                continue;
            };
            if let Some((key, _)) = changes.iter().find(|(key, _)| key.name == "environments") {
                diagnostics.mistake(key.span, "an environment cannot contain `environments`");
            }
            names.push(&key.name);
            if wanted == Some(key.name.as_str()) {
                chosen = Some(node.clone());
            }
        }
    }
    let Some(wanted) = wanted else { return };
    if let Some(chosen) = chosen {
        merge(root, chosen);
        return;
    }
    let suggestion = nearest(wanted, names.iter().copied()).map(str::to_owned);
    let flag = format!("--environment {}", truncate(wanted));
    let mistake = diagnostics.global_mistake(flag, "unknown environment");
    if names.is_empty() {
        mistake.expected("`environments:` in the scenario, with one of that name");
    } else {
        mistake.expected(format!("one of {}", names.join(", ")));
    }
    if let Some(suggestion) = suggestion {
        mistake.help(format!("did you mean `{suggestion}`?"));
    }
}

/// Returns the names of a scenario's environments.
pub(crate) fn names(root: &Node) -> Vec<String> {
    match root.get("environments").map(|node| &node.kind) {
        Some(NodeKind::Map(entries)) => entries.iter().map(|(key, _)| key.name.clone()).collect(),
        _ => Vec::new(),
    }
}

/// Merges `over` into `under`: maps merge key by key, other values replace, and null removes.
fn merge(under: &mut Node, over: Node) {
    match (&mut under.kind, over.kind) {
        (NodeKind::Map(mine), NodeKind::Map(theirs)) => {
            for (key, value) in theirs {
                put(mine, key, value, merge);
            }
        }
        (_, kind) => *under = Node { span: over.span, kind },
    }
}

/// Puts a value under a key; `both` combines it with an existing one, and null removes the key.
fn put(
    entries: &mut Vec<(NodeKey, Node)>,
    key: NodeKey,
    value: Node,
    both: impl FnOnce(&mut Node, Node),
) {
    let place = entries.iter().position(|(mine, _)| mine.name == key.name);
    match place {
        Some(place) if matches!(value.kind, NodeKind::Null) => drop(entries.remove(place)),
        Some(place) => both(&mut entries[place].1, value),
        None if matches!(value.kind, NodeKind::Null) => {}
        None => entries.push((key, value)),
    }
}

/// Changes one value: `workloads.api.arrivals.max_users=100`.
pub(crate) fn set(diagnostics: &mut Diagnostics, root: &mut Node, words: &str) {
    let Some((path, _)) = words.split_once('=').filter(|(path, _)| !path.trim().is_empty()) else {
        diagnostics
            .global_mistake(format!("{SET} {}", truncate(words)), "no PATH before `=`")
            .expected("a path and a value, such as workloads.api.arrivals.max_users=100");
        return;
    };
    let source = diagnostics.open(SET.to_owned(), words.to_owned());
    // Padding gives the value its position in the whole argument.
    let from = path.len() + 1;
    let padded = format!("{}{}", " ".repeat(from), &words[from..]);
    let Some(value) = parse_value(diagnostics, source, &padded) else { return };
    let mut parts = Vec::new();
    let mut at = 0;
    for part in path.split('.') {
        parts.push((part.trim(), SourceSpan { source, start: at, end: at + part.len() }));
        at += part.len() + 1;
    }
    walk(diagnostics, root, &parts, value);
}

fn walk(diagnostics: &mut Diagnostics, node: &mut Node, path: &[(&str, SourceSpan)], value: Node) {
    let [(name, span), rest @ ..] = path else {
        *node = value;
        return;
    };
    match &mut node.kind {
        NodeKind::Map(entries) => {
            // A name may contain dots: the longest existing name matches.
            let (taken, name) = (1..=path.len())
                .rev()
                .map(|n| (n, path[..n].iter().map(|(part, _)| *part).collect::<Vec<_>>().join(".")))
                .find(|(_, name)| entries.iter().any(|(key, _)| key.name == *name))
                .unwrap_or((1, (*name).to_owned()));
            let rest = &path[taken..];
            let key = NodeKey { name, span: *span };
            if rest.is_empty() {
                put(entries, key, value, |mine, value| *mine = value);
                return;
            }
            let place = entries.iter().position(|(mine, _)| mine.name == key.name);
            let place = place.unwrap_or_else(|| {
                // `compile` reports the key if it is unknown.
                entries.push((key, Node { span: *span, kind: NodeKind::Map(Vec::new()) }));
                entries.len() - 1
            });
            walk(diagnostics, &mut entries[place].1, rest, value);
        }
        NodeKind::List(items) => {
            let length = items.len();
            let item = name.parse().ok().and_then(|index: usize| items.get_mut(index));
            match item {
                Some(item) => walk(diagnostics, item, rest, value),
                None => {
                    diagnostics
                        .mistake(*span, format!("`{}` is not an item of this list", truncate(name)))
                        .expected(format!("a number from 0, below {length}"));
                }
            }
        }
        _ => {
            diagnostics
                .mistake(*span, "the value at this path has no keys")
                .help("set the value as a whole, such as `services.shop={ builtin: {} }`");
        }
    }
}

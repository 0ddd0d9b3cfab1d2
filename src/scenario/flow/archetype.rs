//! Archetypes: the behaviour of one kind of user.
//!
//! `workload` compiles archetypes of files, inline ones, and a workload's own `flow`; `compile`
//! the scenario's `setup` and `teardown`.
//! Invariant: a compiled flow has at least one step, and its series are numbered in order.

use crate::plan::Archetype;
use crate::plan::flow::{DataDraw, Session};
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::flow::context::{FlowContext, FlowForm, ScenarioContext};
use crate::scenario::flow::{columns, control, data, link, sections, stream, tags};
use crate::scenario::nouns::steps::STEPS_FORM;
use crate::scenario::nouns::users::SESSION;
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::include::KEYS_WITHOUT_STEPS;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::spans::ArchetypeSpans;
use crate::scenario::syntax::values::report_wrong;
use crate::scenario::syntax::{distribution, values};
use crate::template::RESERVED;

/// Maximum variables of an archetype, because each user holds them all.
const MAX_VARIABLES: usize = 1_000;

/// Compiles the fields of an archetype; the caller finishes `fields`.
pub(crate) fn archetype(
    diagnostics: &mut Diagnostics,
    name: &str,
    fields: &mut Fields<'_>,
    context: &ScenarioContext,
) -> Option<(Archetype, ArchetypeSpans)> {
    let description = fields.take("description");
    let about = "a sentence about these users";
    let description = description.and_then(|node| values::text(diagnostics, node, about));
    let think = fields.take("think").map(|node| distribution::distribution(diagnostics, node));
    let pace_span = fields.entry("pace").map(|(key, _)| key.span);
    let pace = fields.value(diagnostics, "pace");
    let own_tags =
        fields.take("tags").map(|node| tags::tags(diagnostics, node)).unwrap_or_default();
    let session = fields.entry("session");
    let session_span = session.map(|(key, _)| key.span);
    let session = session.map(|(_, node)| self::session(diagnostics, node));
    let link = fields.entry("network");
    let network_span = link.map(|(key, _)| key.span);
    let link = link.map(|(_, node)| link::link(diagnostics, node));
    let vars = fields.take("vars");
    let data = fields.take("data");
    let (on_start, on_stop) = (fields.take("on_start"), fields.take("on_stop"));
    let form = form(diagnostics, fields)?;
    let (FlowForm::Steps(form_node) | FlowForm::States(form_node, _)) = form;
    let sections: Vec<&Node> = [on_start, Some(form_node), on_stop].into_iter().flatten().collect();
    let mut names =
        VariableNames { known: context.globals.clone(), first_set: Vec::new(), full: false };
    [vars, data].into_iter().flatten().for_each(|node| names.keys(diagnostics, node));
    sections.iter().for_each(|node| names.collect(diagnostics, node));
    let status = names.status(&sections);
    let VariableNames { known: names, first_set, .. } = names;
    let before = diagnostics.count();
    let flow_context =
        FlowContext { context, services: &context.services, names: &names, alone: true };
    let mut flow = Assembly::new(flow_context);
    flow.streams = stream::declared(context, [on_start, Some(form_node), on_stop]);
    let bounds = sections::sections(&mut flow, diagnostics, on_start, form, on_stop);
    let set = vars.map(|node| control::values(diagnostics, node, &names)).unwrap_or_default();
    let draws = data.map(|node| data::feeds(diagnostics, node, &names)).unwrap_or_default();
    read_columns(diagnostics, &names, &draws, (&sections, vars));
    if diagnostics.count() > before {
        return None;
    }
    let spans = ArchetypeSpans {
        variables: first_set,
        feeds: data_places(data),
        pace: pace_span,
        session: session_span,
        network: network_span,
        timeouts: std::mem::take(&mut flow.timeouts),
        streams: std::mem::take(&mut flow.stream_places),
        cached: std::mem::take(&mut flow.cached_places),
    };
    let compiled = Archetype {
        name: name.to_owned(),
        description: description.map(str::to_owned),
        think: think.flatten(),
        pace,
        link: link.flatten(),
        session: session.unwrap_or(Some(Session::Endless))?,
        sections: bounds,
        calls: flow.calls,
        steps: flow.steps,
        tags: flow.tags.iter().map(|own| tags::all(&own_tags, own)).collect(),
        series: flow.series,
        groups: flow.groups,
        counters: flow.counters,
        rendezvous: flow.rendezvous_count,
        streams: flow.streams,
        vars: set,
        status,
        data: draws,
        variables: names,
    };
    Some((compiled, spans))
}

/// Reports columns that sections or variables read but no feed has.
fn read_columns(
    diagnostics: &mut Diagnostics,
    names: &[String],
    draws: &[DataDraw],
    (sections, vars): (&[&Node], Option<&Node>),
) {
    let nodes: Vec<&Node> = sections.iter().copied().chain(vars).collect();
    let is_set = |name: &str| sections.iter().any(|node| sets(node, name));
    columns::check(diagnostics, names, draws, &nodes, is_set);
}

/// Returns the places of the feeds.
fn data_places(node: Option<&Node>) -> Vec<SourceSpan> {
    match node.map(|node| &node.kind) {
        Some(NodeKind::Map(entries)) => entries.iter().map(|(key, _)| key.span).collect(),
        _ => Vec::new(),
    }
}

/// Reads either `flow` or `states`.
fn form<'n>(diagnostics: &mut Diagnostics, fields: &mut Fields<'n>) -> Option<FlowForm<'n>> {
    if let Some((_, states)) = fields.entry("states") {
        // A workload has a `start`, too, but that is a time.
        let is_workload = fields.noun().key("archetypes").is_some();
        let start = if is_workload { None } else { fields.take("start") };
        if let Some((key, _)) = fields.entry("flow") {
            diagnostics.mistake(key.span, "an archetype has either `states` or a `flow`");
        }
        return Some(FlowForm::States(states, start));
    }
    let node = fields.require("flow", STEPS_FORM)?;
    let items = values::list(diagnostics, node, STEPS_FORM)?;
    if items.is_empty() {
        return report_wrong(diagnostics, node, STEPS_FORM);
    }
    Some(FlowForm::Steps(node))
}

fn session(diagnostics: &mut Diagnostics, node: &Node) -> Option<Session> {
    let mut fields = Fields::read(diagnostics, node, &SESSION)?;
    let iterations = fields.has("iterations").then(|| fields.value(diagnostics, "iterations"));
    let duration =
        fields.take("duration").map(|node| distribution::distribution(diagnostics, node));
    fields.finish(diagnostics);
    match (iterations, duration) {
        (Some(count), None) => count.map(Session::Iterations),
        (None, Some(duration)) => duration.map(Session::Duration),
        _ => report_wrong(diagnostics, node, SESSION.form),
    }
}

/// Collects the variables of an archetype, in the order of their slots.
struct VariableNames {
    known: Vec<String>,
    /// The first assignment of each of its own variables.
    first_set: Vec<(String, SourceSpan)>,
    full: bool,
}

impl VariableNames {
    /// Collects all variables that a capture or `set` below `node` assigns.
    fn collect(&mut self, diagnostics: &mut Diagnostics, node: &Node) {
        match &node.kind {
            NodeKind::List(items) => items.iter().for_each(|item| self.collect(diagnostics, item)),
            NodeKind::Map(entries) => {
                for (key, value) in entries {
                    match key.name.as_str() {
                        "capture" | "set" => self.keys(diagnostics, value),
                        name if KEYS_WITHOUT_STEPS.contains(&name) => {}
                        _ => self.collect(diagnostics, value),
                    }
                }
            }
            _ => {}
        }
    }

    /// Collects the keys of a map as variables.
    fn keys(&mut self, diagnostics: &mut Diagnostics, node: &Node) {
        let NodeKind::Map(entries) = &node.kind else { return };
        for (key, _) in entries {
            if !is_variable(&key.name) {
                bad_variable(diagnostics, key);
            } else if !self.known.contains(&key.name) && !self.full {
                if self.known.len() >= MAX_VARIABLES {
                    let message = format!("more than {MAX_VARIABLES} variables in one archetype");
                    diagnostics.mistake(key.span, message);
                    self.full = true;
                }
                self.known.push(key.name.clone());
                self.first_set.push((key.name.clone(), key.span));
            }
        }
    }

    /// Adds a slot for the status of the last response, if a template may read it and the user has
    /// no variable of that name.
    fn status(&mut self, sections: &[&Node]) -> Option<usize> {
        if self.known.iter().any(|name| name == STATUS)
            || !sections.iter().any(|node| mentions(node, STATUS))
        {
            return None;
        }
        self.known.push(STATUS.to_owned());
        Some(self.known.len() - 1)
    }
}

/// The variable for the status of the last response.
const STATUS: &str = "status";

/// Whether a capture or `set` below `node` assigns `name`.
fn sets(node: &Node, name: &str) -> bool {
    match &node.kind {
        NodeKind::List(items) => items.iter().any(|item| sets(item, name)),
        NodeKind::Map(entries) => entries.iter().any(|(key, value)| match key.name.as_str() {
            "capture" | "set" => value.get(name).is_some(),
            key if KEYS_WITHOUT_STEPS.contains(&key) => false,
            _ => sets(value, name),
        }),
        _ => false,
    }
}

/// Whether a template below `node` may read `name`.
fn mentions(node: &Node, name: &str) -> bool {
    match &node.kind {
        NodeKind::Text(text) => text.contains("{{") && text.contains(name),
        NodeKind::List(items) => items.iter().any(|item| mentions(item, name)),
        NodeKind::Map(entries) => entries.iter().any(|(_, value)| mentions(value, name)),
        NodeKind::Null | NodeKind::Bool(_) | NodeKind::Number(..) => false,
    }
}

fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    starts && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') && !RESERVED.contains(&name)
}

fn bad_variable(diagnostics: &mut Diagnostics, key: &NodeKey) {
    let name = &key.name;
    if RESERVED.contains(&name.as_str()) {
        diagnostics
            .mistake(key.span, format!("`{name}` is a reserved word of templates"))
            .help(format!("choose another name, such as `my_{name}`"));
    } else {
        diagnostics
            .mistake(key.span, format!("`{}` is not a valid variable name", truncate(name)))
            .expected("letters, digits and `_`, starting with a letter");
    }
}

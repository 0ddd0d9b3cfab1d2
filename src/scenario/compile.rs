//! Compiles the nodes of a scenario to a plan.
//!
//! `load` passes the scenario's root; archetypes come from the library.
//! Invariant: compilation continues after every mistake, so that all of them are found at once.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::plan::cache::CachePlan;
use crate::plan::shift::ShiftPlan;
use crate::plan::{Archetype, Plan, Service, Workload};
use crate::scenario::client::policies;
use crate::scenario::flow::archetype::archetype;
use crate::scenario::flow::context::ScenarioContext;
use crate::scenario::library::ArchetypeLibrary;
use crate::scenario::load::bounds::bounded;
use crate::scenario::load::workload::Compiler;
use crate::scenario::nouns::scenario::SCENARIO;
use crate::scenario::nouns::users::ARCHETYPE;
use crate::scenario::safety::SafetyReader;
use crate::scenario::service::services;
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::names::is_name;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::spans::{ArchetypeSpans, SourceSpans};
use crate::scenario::syntax::values::report_wrong;
use crate::scenario::syntax::{include, spans, values};
use crate::scenario::thresholds;
use crate::scenario::{cache, shift};
use crate::seed::Seed;
use crate::suggest::nearest;

/// Default grace period for iterations after the end of the load.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// A plan, with the places of some of its parts in the file.
#[derive(Debug)]
pub(crate) struct CompiledScenario {
    pub plan: Plan,
    pub spans: SourceSpans,
    /// The limits from the scenario and the user.
    pub limits: SafetyReader,
}

/// Compiles a scenario; `stem` is its name unless it has one of its own.
pub(crate) fn scenario(
    diagnostics: &mut Diagnostics,
    root: &Node,
    stem: &str,
    library: ArchetypeLibrary,
    mut limits: SafetyReader,
) -> Option<CompiledScenario> {
    let mut fields = fields_of(diagnostics, root)?;
    let (name, description, seed) = identity(diagnostics, &mut fields);
    let targets = targets(diagnostics, &mut fields);
    if let Some(node) = fields.take("safety") {
        limits.read(diagnostics, node, "the scenario", false);
    }
    let mut context = scenario_context(&targets, &limits);
    let parts = [("vars", fields.take("vars")), ("flow", fields.take("setup"))];
    let (setup, setup_spans) = section(diagnostics, "setup", root, parts, &context).unzip();
    context.globals = setup.as_ref().map(|setup| setup.variables.clone()).unwrap_or_default();
    let parts = [("flow", fields.take("teardown")), ("vars", None)];
    let teardown = section(diagnostics, "teardown", root, parts, &context);
    let (teardown, teardown_spans) = teardown.unzip();
    let expected = "a map of archetypes, each with a `flow`";
    let inline =
        fields.take("archetypes").and_then(|node| values::entries(diagnostics, node, expected));
    let workloads = fields.take("workloads");
    let warmup = fields.take("warmup").map(|node| (node.span, bounded(diagnostics, node)));
    let grace = fields.take("grace").map(|node| bounded(diagnostics, node));
    let (policies, patterns) = policies::client(diagnostics, &mut fields);
    // Environments and includes were applied before; here they only count as known keys.
    let _ = (fields.take("environments"), fields.take(include::KEY));
    let thresholds =
        fields.take("thresholds").map(|node| thresholds::parse_list(diagnostics, node));
    fields.finish(diagnostics);

    let mut compiler = Compiler::new(library, context);
    compiler.compile_inline(diagnostics, inline.unwrap_or_default());
    let workloads = workloads.map(|node| compiler.workloads(diagnostics, node)).unwrap_or_default();
    if diagnostics.count() > 0 {
        return None;
    }
    let (rules, rule_spans) = thresholds.unwrap_or_default().into_iter().unzip();
    let spans = SourceSpans {
        unused: compiler.unused(),
        archetypes: compiler.spans,
        setup: setup_spans,
        teardown: teardown_spans,
        services: targets.spans,
        caches: targets.caches.1,
        shift: targets.shift.as_ref().map(|(_, span)| *span),
        warmup: warmup.map(|(span, _)| span),
        thresholds: rule_spans,
        patterns,
    };
    let plan = Plan {
        run_id: crate::plan::run_id(),
        scenario: name.unwrap_or(stem).to_owned(),
        description: description.map(str::to_owned),
        seed: seed.unwrap_or_else(Seed::draw),
        services: targets.services,
        caches: targets.caches.0,
        archetypes: compiler.archetypes,
        workloads,
        steps: compiler.steps,
        groups: compiler.groups,
        setup,
        teardown,
        thresholds: rules,
        warmup: warmup.and_then(|(_, warmup)| warmup).unwrap_or_default(),
        uncounted: Duration::ZERO,
        grace: grace.flatten().unwrap_or(GRACE),
        safety: Arc::default(),
        policies,
        shift: targets.shift.map(|(shift, _)| shift),
        call_records: None,
        trace_url: None,
        sources: Vec::new(),
    };
    Some(CompiledScenario { plan, spans, limits })
}

/// Reads the name, the description and the seed of a scenario.
fn identity<'n>(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'n>,
) -> (Option<&'n str>, Option<&'n str>, Option<Seed>) {
    let name = fields.take("scenario").and_then(|node| scenario_name(diagnostics, node));
    let expected = "a sentence about this scenario";
    let description =
        fields.take("description").and_then(|node| values::text(diagnostics, node, expected));
    let seed = fields.value(diagnostics, "seed").and_then(Seed::new);
    (name, description, seed)
}

/// The services of a scenario, what becomes of one of them, and caches of what they return.
struct CompiledTargets {
    services: Vec<Service>,
    spans: Vec<(SourceSpan, Option<SourceSpan>)>,
    /// The shift, with its place.
    shift: Option<(ShiftPlan, SourceSpan)>,
    /// The names of all caches.
    cache_names: Vec<String>,
    /// The caches, with their places.
    caches: (Vec<CachePlan>, Vec<SourceSpan>),
}

fn targets(diagnostics: &mut Diagnostics, fields: &mut Fields<'_>) -> CompiledTargets {
    let node = fields.take("services");
    let spans = node.map(spans::service_spans).unwrap_or_default();
    let mut services = node.map(|node| services::services(diagnostics, node)).unwrap_or_default();
    let shift = shift::read(diagnostics, fields.take("shift"), &mut services);
    let node = fields.take("cache");
    let (cache_names, caches) = (cache::names(node), cache::read(diagnostics, node));
    CompiledTargets { services, spans, shift, cache_names, caches }
}

/// Reads the fields of a scenario; an archetype file is reported as a mistake.
fn fields_of<'n>(diagnostics: &mut Diagnostics, root: &'n Node) -> Option<Fields<'n>> {
    let fields = Fields::read(diagnostics, root, &SCENARIO)?;
    if fields.has("archetype") && !fields.has("workloads") {
        diagnostics.mistake(root.span, "this file is an archetype, not a scenario").help(
            "use it in a scenario: `workloads: { w: { archetypes: { NAME: 1 }, users: 1 } }`",
        );
        return None;
    }
    Some(fields)
}

/// Builds the context of all archetypes; the variables of `setup` are added later.
fn scenario_context(targets: &CompiledTargets, limits: &SafetyReader) -> ScenarioContext {
    // Steps name no backend of a service; these are the last ones.
    let named = || targets.services.iter().filter(|service| service.backend_of.is_none());
    ScenarioContext {
        services: named().map(|service| service.name.clone()).collect(),
        globals: Vec::new(),
        caches: targets.cache_names.clone(),
        prefixes: named().map(Service::prefixes).collect(),
        protocols: named().map(Service::protocol).collect(),
        grpc: named().map(|service| service.grpc.clone()).collect(),
        mqtt: named().map(|service| service.mqtt).collect(),
        kafka: named().map(|service| service.kafka).collect(),
        logins: named().map(|service| service.transport.login.clone()).collect(),
        websockets: named().map(|service| service.is_websocket).collect(),
        safety: Rc::new(limits.safety.clone()),
    }
}

/// Compiles `setup` or `teardown` as an archetype of its own; `None` if it has no part.
fn section(
    diagnostics: &mut Diagnostics,
    name: &str,
    root: &Node,
    parts: [(&'static str, Option<&Node>); 2],
    context: &ScenarioContext,
) -> Option<(Archetype, ArchetypeSpans)> {
    let entry = |(part, node): (&str, Option<&Node>)| {
        node.map(|node| (NodeKey { name: part.to_owned(), span: node.span }, node.clone()))
    };
    let mut entries: Vec<(NodeKey, Node)> = parts.into_iter().filter_map(entry).collect();
    let first = entries.first()?.0.span;
    if !entries.iter().any(|(key, _)| key.name == "flow") {
        // Variables alone need no request step.
        let nothing = Node { span: first, kind: NodeKind::Map(Vec::new()) };
        let set = Node {
            span: first,
            kind: NodeKind::Map(vec![(NodeKey { name: "set".to_owned(), span: first }, nothing)]),
        };
        let flow = Node { span: first, kind: NodeKind::List(vec![set]) };
        entries.push((NodeKey { name: "flow".to_owned(), span: first }, flow));
    }
    let node = Node { span: root.span, kind: NodeKind::Map(entries) };
    let mut fields = Fields::read(diagnostics, &node, &ARCHETYPE)?;
    archetype(diagnostics, name, &mut fields, context)
}

fn scenario_name<'n>(diagnostics: &mut Diagnostics, node: &'n Node) -> Option<&'n str> {
    let expected = "letters, digits, `-`, `_` and `.`, since it names the report folder";
    let name = values::plain_text(diagnostics, node, expected)?;
    if is_name(name) { Some(name) } else { report_wrong(diagnostics, node, expected) }
}

/// Finds the workload that a command-line flag names.
pub(crate) fn workload_named<'a>(
    diagnostics: &mut Diagnostics,
    plan: &'a mut Plan,
    flag: &str,
    name: Option<&str>,
) -> Option<&'a mut Workload> {
    let names: Vec<String> = plan.workloads.iter().map(|w| w.name.clone()).collect();
    let index = match name {
        Some(name) => names.iter().position(|known| known == name),
        None if names.len() == 1 => Some(0),
        None => {
            let flag_name = flag.split(' ').next().unwrap_or(flag);
            diagnostics
                .global_mistake(flag, "the workload is missing: this scenario has several")
                .expected(format!("a workload name: `{flag_name} {}=…`", names[0]))
                .help(format!("workloads: {}", names.join(", ")));
            return None;
        }
    };
    if index.is_none() {
        let name = name.unwrap_or_default();
        let suggestion = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
        let mistake = diagnostics.global_mistake(flag, format!("unknown workload `{name}`"));
        mistake.expected(format!("one of {}", names.join(", ")));
        if let Some(suggestion) = suggestion {
            mistake.help(format!("did you mean `{suggestion}`?"));
        }
    }
    index.map(|index| &mut plan.workloads[index])
}

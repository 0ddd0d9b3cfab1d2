//! `workloads:` and `archetypes:` — the load and its users.
//!
//! `compile` calls it; it compiles each archetype of the library once.
//! Invariant: the plan contains only archetypes that a workload names, but mistakes of all are
//! reported.

use std::time::Duration;

use crate::ids::{ArchetypeId, GroupId, StepId, WorkloadId};
use crate::plan::mix::Mix;
use crate::plan::policy::Priority;
use crate::plan::{Archetype, MAX_STEPS, Series, Share, Workload};
use crate::scenario::flow::archetype::archetype;
use crate::scenario::flow::context::ScenarioContext;
use crate::scenario::flow::tags::Tags;
use crate::scenario::library::ArchetypeLibrary;
use crate::scenario::load::bounds::bounded;
use crate::scenario::load::model;
use crate::scenario::nouns::k6::K6_WORKLOAD;
use crate::scenario::nouns::load::WORKLOAD;
use crate::scenario::nouns::users::{ARCHETYPE, ARCHETYPE_FILE, BEHAVIOUR};
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::names::{is_name, report_bad_name};
use crate::scenario::syntax::node::{Node, NodeKey};
use crate::scenario::syntax::spans::ArchetypeSpans;
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;

/// Spreads the workloads' numbers over the slots.
pub(crate) const SLOT_STRIDE: u64 = 1031;

/// An inline archetype.
struct Inline {
    name: String,
    span: SourceSpan,
    /// The archetype until a workload takes it; `None` if it has mistakes.
    compiled: Option<(Archetype, ArchetypeSpans)>,
    used: bool,
}

/// The workloads and archetypes compiled so far.
pub(crate) struct Compiler {
    library: ArchetypeLibrary,
    context: ScenarioContext,
    /// Inline archetypes that no workload has taken yet; unused ones do not enter the plan.
    inline: Vec<Inline>,
    pub(crate) archetypes: Vec<Archetype>,
    /// The places of the parts of each archetype.
    pub(crate) spans: Vec<ArchetypeSpans>,
    /// Every name looked up, with its index; `None` if it did not compile.
    known: Vec<(String, Option<usize>)>,
    pub(crate) steps: Vec<Series>,
    pub(crate) groups: Vec<Series>,
}

impl Compiler {
    /// Starts without any archetype.
    pub(crate) fn new(library: ArchetypeLibrary, context: ScenarioContext) -> Self {
        Self {
            library,
            context,
            inline: Vec::new(),
            archetypes: Vec::new(),
            spans: Vec::new(),
            known: Vec::new(),
            steps: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Compiles the inline archetypes, including unused ones, to report their mistakes.
    pub(crate) fn compile_inline(
        &mut self,
        diagnostics: &mut Diagnostics,
        entries: &[(NodeKey, Node)],
    ) {
        for (key, node) in entries {
            if !is_name(&key.name) {
                report_bad_name(diagnostics, key);
            }
            let compiled = Fields::read(diagnostics, node, &ARCHETYPE).and_then(|mut fields| {
                let compiled = archetype(diagnostics, &key.name, &mut fields, &self.context);
                fields.finish(diagnostics);
                compiled
            });
            let (name, span) = (key.name.clone(), key.span);
            self.inline.push(Inline { name, span, compiled, used: false });
        }
    }

    /// Returns the inline archetypes that no workload uses.
    pub(crate) fn unused(&self) -> Vec<(String, SourceSpan)> {
        let unused = self.inline.iter().filter(|inline| !inline.used);
        unused.map(|inline| (inline.name.clone(), inline.span)).collect()
    }

    /// Compiles the workloads and the archetypes that they name.
    pub(crate) fn workloads(
        &mut self,
        diagnostics: &mut Diagnostics,
        node: &Node,
    ) -> Vec<Workload> {
        let expected = "a map of workloads, each with `archetypes` or `flow`, and a load";
        let Some(entries) = values::entries(diagnostics, node, expected) else { return Vec::new() };
        if entries.is_empty() {
            report_wrong::<()>(diagnostics, node, expected);
        }
        let mut workloads = Vec::new();
        for (key, node) in entries {
            if !is_name(&key.name) {
                report_bad_name(diagnostics, key);
            }
            workloads.extend(self.workload(diagnostics, key, node, workloads.len()));
        }
        workloads
    }

    fn workload(
        &mut self,
        diagnostics: &mut Diagnostics,
        key: &NodeKey,
        node: &Node,
        index: usize,
    ) -> Option<Workload> {
        let noun = if node.get("executor").is_some() { &K6_WORKLOAD } else { &WORKLOAD };
        let mut fields = Fields::read(diagnostics, node, noun)?;
        let start = if fields.has("executor") { "startTime" } else { "start" };
        let start = fields.take(start).map(|node| bounded(diagnostics, node));
        let load = model::load(diagnostics, &mut fields);
        let priority = fields.word(diagnostics, "priority", &Priority::NAMES);
        let shares = self.shares(diagnostics, key, &mut fields);
        report_unread(diagnostics, &mut fields);
        fields.finish(diagnostics);
        let shares = self.series(diagnostics, key, index, &shares?)?;
        Some(Workload {
            name: key.name.clone(),
            priority: priority.unwrap_or_default(),
            shares,
            start: start.unwrap_or(Some(Duration::ZERO))?,
            load: load?,
            slot_offset: index as u64 * SLOT_STRIDE,
            mix: Mix::default(),
        })
    }

    /// Reads the archetypes of a workload, by index, with their weights.
    fn shares(
        &mut self,
        diagnostics: &mut Diagnostics,
        key: &NodeKey,
        fields: &mut Fields<'_>,
    ) -> Option<Vec<(usize, f64)>> {
        if fields.has("flow") || fields.has("states") {
            if let Some((second, _)) = fields.entry("archetypes") {
                diagnostics.mistake(second.span, "a workload has either `archetypes` or a `flow`");
            }
            let (own, spans) = archetype(diagnostics, &key.name, fields, &self.context)?;
            self.archetypes.push(own);
            self.spans.push(spans);
            return Some(vec![(self.archetypes.len() - 1, 1.0)]);
        }
        let expected = "archetypes with their weights, such as `{ browser: 80, buyer: 20 }`";
        let node = fields.take("archetypes");
        let Some(node) = node else {
            diagnostics
                .mistake(fields.span(), "this workload has no flow")
                .expected(format!("`archetypes:` with {expected}, or `flow:`"));
            return None;
        };
        let entries = values::entries(diagnostics, node, expected)?;
        if entries.is_empty() {
            return report_wrong(diagnostics, node, expected);
        }
        let mut shares = Vec::new();
        for (key, node) in entries {
            let weight = values::weight(diagnostics, node);
            let index = self.find_archetype(diagnostics, key);
            if let (Some(index), Some(weight)) = (index, weight) {
                shares.push((index, weight));
            }
        }
        (shares.len() == entries.len()).then_some(shares)
    }

    /// Returns the archetype of this name, and compiles it at first use.
    fn find_archetype(&mut self, diagnostics: &mut Diagnostics, key: &NodeKey) -> Option<usize> {
        let name = &key.name;
        if let Some((_, index)) = self.known.iter().find(|(known, _)| known == name) {
            return *index;
        }
        let inline = self.inline.iter_mut().find(|inline| inline.name == *name);
        let compiled = if let Some(inline) = inline {
            inline.used = true;
            inline.compiled.take()
        } else if is_name(name) {
            self.read_archetype(diagnostics, key)
        } else {
            report_bad_name(diagnostics, key);
            None
        };
        let index = compiled.map(|(archetype, spans)| {
            self.archetypes.push(archetype);
            self.spans.push(spans);
            self.archetypes.len() - 1
        });
        self.known.push((name.clone(), index));
        index
    }

    fn read_archetype(
        &self,
        diagnostics: &mut Diagnostics,
        key: &NodeKey,
    ) -> Option<(Archetype, ArchetypeSpans)> {
        let inline: Vec<&str> = self.inline.iter().map(|inline| inline.name.as_str()).collect();
        let document = self.library.archetype(diagnostics, &key.name, key.span, &inline)?;
        let mut fields = Fields::read(diagnostics, &document.node, &ARCHETYPE_FILE)?;
        if fields.has("scenario") || fields.has("workloads") {
            diagnostics
                .mistake(document.node.span, "this file is a scenario, not an archetype")
                .help(format!("`{}` was read as the archetype `{}`", document.name, key.name));
            return None;
        }
        if let Some(node) = fields.take("archetype")
            && values::scalar(node) != Some(key.name.as_str())
        {
            let expected = format!("`{}`, the name of the file", key.name);
            report_wrong::<()>(diagnostics, node, expected);
        }
        let compiled = archetype(diagnostics, &key.name, &mut fields, &self.context);
        fields.finish(diagnostics);
        compiled
    }

    /// Assigns series numbers to the steps of a workload.
    fn series(
        &mut self,
        diagnostics: &mut Diagnostics,
        key: &NodeKey,
        workload: usize,
        shares: &[(usize, f64)],
    ) -> Option<Vec<Share>> {
        let mut numbered = Vec::new();
        for &(archetype, weight) in shares {
            let first = self.steps.len();
            let kind = &self.archetypes[archetype];
            let names = &kind.series;
            if first + names.len() > MAX_STEPS {
                diagnostics
                    .mistake(key.span, format!("more than {MAX_STEPS} steps in all workloads"))
                    .help("give related steps the same `name:`");
                return None;
            }
            let series = |(name, tags): (&String, &Tags)| Series {
                name: name.clone(),
                archetype: ArchetypeId::new(archetype),
                workload: WorkloadId::new(workload),
                tags: tags.clone(),
            };
            let first_group = GroupId::new(self.groups.len());
            self.steps.extend(names.iter().zip(&kind.tags).map(series));
            let group = |name| series((name, &Vec::new()));
            self.groups.extend(kind.groups.iter().map(group));
            let archetype = ArchetypeId::new(archetype);
            let first_step = StepId::new(first);
            numbered.push(Share { archetype, weight, first_step, first_group });
        }
        Some(numbered)
    }
}

/// Reports keys that this workload does not use: those of an archetype beside `archetypes`, and
/// those of another executor.
fn report_unread(diagnostics: &mut Diagnostics, fields: &mut Fields<'_>) {
    let takes_archetypes = fields.has("archetypes");
    for key in fields.take_unread() {
        let message = format!("`{}` has no effect in this workload", key.name);
        let mistake = diagnostics.mistake(key.span, message);
        if !BEHAVIOUR.iter().any(|spec| spec.name == key.name) {
            mistake.help("this `executor` does not use it");
        } else if takes_archetypes {
            mistake.help("set it in the workload's archetypes");
        }
    }
}

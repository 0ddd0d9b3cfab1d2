//! `workloads:` and `archetypes:` — the load and its users.
//!
//! `compile` calls it; it compiles each archetype of the library once.
//! Invariant: the plan contains only archetypes that a workload names, but mistakes of all are
//! reported.

use std::time::Duration;

use super::archetype::{ScenarioContext, archetype, is_name};
use super::compile::SLOT_STRIDE;
use super::diagnostics::{Diagnostics, SourceSpan};
use super::fields::{self, Fields, wrong};
use super::library::ArchetypeLibrary;
use super::lint::ArchetypeSpans;
use super::node::{Node, NodeKey};
use super::{load, tags};
use crate::plan::mix::Mix;
use crate::plan::policy::Priority;
use crate::plan::{Archetype, MAX_STEPS, Series, Share, StepId, Workload};

/// An inline archetype.
struct Inline {
    name: String,
    span: SourceSpan,
    /// The archetype until a workload takes it; `None` if it has mistakes.
    compiled: Option<(Archetype, ArchetypeSpans)>,
    used: bool,
}

/// The workloads and archetypes compiled so far.
pub(super) struct Compiler {
    library: ArchetypeLibrary,
    around: ScenarioContext,
    /// Inline archetypes that no workload has taken yet; unused ones do not enter the plan.
    inline: Vec<Inline>,
    pub(super) archetypes: Vec<Archetype>,
    /// The places of the parts of each archetype.
    pub(super) marks: Vec<ArchetypeSpans>,
    /// Every name looked up, with its index; `None` if it did not compile.
    known: Vec<(String, Option<usize>)>,
    pub(super) steps: Vec<Series>,
    pub(super) groups: Vec<Series>,
}

impl Compiler {
    /// Starts without any archetype.
    pub(super) fn new(library: ArchetypeLibrary, around: ScenarioContext) -> Self {
        Self {
            library,
            around,
            inline: Vec::new(),
            archetypes: Vec::new(),
            marks: Vec::new(),
            known: Vec::new(),
            steps: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Compiles the inline archetypes, including unused ones, to report their mistakes.
    pub(super) fn compile_inline(&mut self, review: &mut Diagnostics, entries: &[(NodeKey, Node)]) {
        for (key, node) in entries {
            if !is_name(&key.name) {
                bad_name(review, key);
            }
            let compiled = Fields::of(review, node, "an archetype").and_then(|mut fields| {
                let compiled = archetype(review, &key.name, &mut fields, &self.around);
                fields.finish(review);
                compiled
            });
            let (name, span) = (key.name.clone(), key.span);
            self.inline.push(Inline { name, span, compiled, used: false });
        }
    }

    /// Returns the inline archetypes that no workload uses.
    pub(super) fn unused(&self) -> Vec<(String, SourceSpan)> {
        let unused = self.inline.iter().filter(|inline| !inline.used);
        unused.map(|inline| (inline.name.clone(), inline.span)).collect()
    }

    /// Compiles the workloads and the archetypes that they name.
    pub(super) fn workloads(&mut self, review: &mut Diagnostics, node: &Node) -> Vec<Workload> {
        let expected = "a map of workloads, each with `archetypes` or `flow`, and a load";
        let Some(entries) = fields::entries(review, node, expected) else { return Vec::new() };
        if entries.is_empty() {
            wrong::<()>(review, node, expected);
        }
        let mut workloads = Vec::new();
        for (key, node) in entries {
            if !is_name(&key.name) {
                bad_name(review, key);
            }
            workloads.extend(self.workload(review, key, node, workloads.len()));
        }
        workloads
    }

    fn workload(
        &mut self,
        review: &mut Diagnostics,
        key: &NodeKey,
        node: &Node,
        index: usize,
    ) -> Option<Workload> {
        let mut fields = Fields::of(review, node, "a workload")?;
        let start = if fields.has("executor") { "startTime" } else { "start" };
        let start = fields.take(start).map(|node| load::bounded(review, node));
        let load = load::load(review, &mut fields);
        let mut priority = Priority::default();
        fields.set(review, "priority", &mut priority, |review, node| {
            fields::word(review, node, &Priority::NAMES)
        });
        let shares = self.shares(review, key, &mut fields);
        fields.finish(review);
        let shares = self.series(review, key, index, &shares?)?;
        Some(Workload {
            name: key.name.clone(),
            priority,
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
        review: &mut Diagnostics,
        key: &NodeKey,
        fields: &mut Fields<'_>,
    ) -> Option<Vec<(usize, f64)>> {
        if fields.has("flow") || fields.has("states") {
            if let Some((second, _)) = fields.entry("archetypes") {
                review.mistake(second.span, "a workload has either `archetypes` or a `flow`");
            }
            let (own, marks) = archetype(review, &key.name, fields, &self.around)?;
            self.archetypes.push(own);
            self.marks.push(marks);
            return Some(vec![(self.archetypes.len() - 1, 1.0)]);
        }
        let expected = "archetypes with their weights, such as `{ browser: 80, buyer: 20 }`";
        let node = fields.take("archetypes");
        // Read only so that a misspelt key gets a suggestion.
        fields.take("flow");
        let Some(node) = node else {
            review
                .mistake(fields.span(), "this workload has no users' flow")
                .expected(format!("`archetypes:` with {expected}, or `flow:`"));
            return None;
        };
        let entries = fields::entries(review, node, expected)?;
        if entries.is_empty() {
            return wrong(review, node, expected);
        }
        let mut shares = Vec::new();
        for (key, node) in entries {
            let weight = fields::weight(review, node);
            let index = self.named(review, key);
            if let (Some(index), Some(weight)) = (index, weight) {
                shares.push((index, weight));
            }
        }
        (shares.len() == entries.len()).then_some(shares)
    }

    /// Returns the archetype of this name, and compiles it at first use.
    fn named(&mut self, review: &mut Diagnostics, key: &NodeKey) -> Option<usize> {
        let name = &key.name;
        if let Some((_, index)) = self.known.iter().find(|(known, _)| known == name) {
            return *index;
        }
        let inline = self.inline.iter_mut().find(|inline| inline.name == *name);
        let compiled = if let Some(inline) = inline {
            inline.used = true;
            inline.compiled.take()
        } else if is_name(name) {
            self.read_archetype(review, key)
        } else {
            bad_name(review, key);
            None
        };
        let index = compiled.map(|(archetype, marks)| {
            self.archetypes.push(archetype);
            self.marks.push(marks);
            self.archetypes.len() - 1
        });
        self.known.push((name.clone(), index));
        index
    }

    fn read_archetype(
        &self,
        review: &mut Diagnostics,
        key: &NodeKey,
    ) -> Option<(Archetype, ArchetypeSpans)> {
        let inline: Vec<&str> = self.inline.iter().map(|inline| inline.name.as_str()).collect();
        let document = self.library.archetype(review, &key.name, key.span, &inline)?;
        let mut fields = Fields::of(review, &document.node, "an archetype")?;
        if fields.has("scenario") || fields.has("workloads") {
            review
                .mistake(document.node.span, "this is a scenario, not an archetype")
                .help(format!("`{}` was read for the archetype `{}`", document.name, key.name));
            return None;
        }
        let own = fields.need("archetype", &format!("its name, `{}`", key.name));
        if let Some(node) = own
            && fields::scalar(node) != Some(key.name.as_str())
        {
            let expected = format!("`{}`, as the file is called", key.name);
            wrong::<()>(review, node, expected);
        }
        let compiled = archetype(review, &key.name, &mut fields, &self.around);
        fields.finish(review);
        compiled
    }

    /// Assigns series numbers to the steps of a workload.
    fn series(
        &mut self,
        review: &mut Diagnostics,
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
                review
                    .mistake(key.span, format!("more than {MAX_STEPS} steps in all workloads"))
                    .help("give steps that belong together the same `name:`");
                return None;
            }
            let series = |(name, tags): (&String, &tags::Tags)| Series {
                name: name.clone(),
                archetype,
                workload,
                tags: tags.clone(),
            };
            let first_group = u16::try_from(self.groups.len()).ok()?;
            self.steps.extend(names.iter().zip(&kind.tags).map(series));
            let group = |name| series((name, &Vec::new()));
            self.groups.extend(kind.groups.iter().map(group));
            let first_step = StepId(u16::try_from(first).ok()?);
            numbered.push(Share { archetype, weight, first_step, first_group });
        }
        Some(numbered)
    }
}

pub(super) fn bad_name(review: &mut Diagnostics, key: &NodeKey) {
    review
        .mistake(key.span, format!("`{}` cannot be a name", fields::short(&key.name)))
        .expected("letters, digits, `-`, `_` and `.`, not beginning with `.`");
}

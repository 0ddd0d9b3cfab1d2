//! Flows: nested steps in the file, one flat list in the plan.
//!
//! `archetype` assembles its sections here; `control` compiles the control steps.
//! Invariant: a finished section ends with `Step::End`, and every jump targets a step of the list.

use std::time::Duration;

use super::archetype::ScenarioContext;
use super::diagnostics::{Diagnostics, SourceSpan};
use super::fields;
use super::node::{Node, NodeKind};
use super::step::{NamedStep, step};
use super::tags::{self, Tags};
use super::{control, states};
use crate::plan::flow::{Sections, Step};
use crate::plan::{Call, MAX_STEPS};

/// The context of the steps of an archetype.
#[derive(Debug)]
pub(super) struct FlowContext<'a> {
    /// The scenario's context.
    pub context: &'a ScenarioContext,
    /// The names of the services, in the order of the plan.
    pub services: &'a [String],
    /// The variables of the archetype by slot.
    pub names: &'a [String],
    /// Whether the current step is not a branch of parallel steps.
    pub alone: bool,
}

/// A flow under construction.
#[derive(Debug)]
pub(super) struct Assembly<'a> {
    pub flow_context: FlowContext<'a>,
    pub steps: Vec<Step>,
    pub calls: Vec<Call>,
    pub series: Vec<String>,
    /// The tags of the steps of each series.
    pub tags: Vec<Tags>,
    pub groups: Vec<String>,
    pub counters: usize,
    pub rendezvous_count: usize,
    /// Timeouts of steps, with their places.
    pub timeouts: Vec<(Duration, SourceSpan)>,
    /// Number of loops around the current step.
    depth: usize,
}

impl<'a> Assembly<'a> {
    /// Starts an empty flow.
    pub(super) fn new(flow_context: FlowContext<'a>) -> Self {
        Self {
            flow_context,
            steps: Vec::new(),
            calls: Vec::new(),
            series: Vec::new(),
            tags: Vec::new(),
            groups: Vec::new(),
            counters: 0,
            rendezvous_count: 0,
            timeouts: Vec::new(),
            depth: 0,
        }
    }

    /// Assembles the given sections.
    pub(super) fn sections(
        &mut self,
        diagnostics: &mut Diagnostics,
        on_start: Option<&Node>,
        flow: FlowForm<'_>,
        on_stop: Option<&Node>,
    ) -> Sections {
        Sections {
            on_start: on_start.map(|node| self.section(diagnostics, node)),
            flow: match flow {
                FlowForm::Steps(node) => self.section(diagnostics, node),
                FlowForm::States(states, start) => states::states(self, diagnostics, states, start),
            },
            on_stop: on_stop.map(|node| self.section(diagnostics, node)),
        }
    }

    fn section(&mut self, diagnostics: &mut Diagnostics, node: &Node) -> usize {
        let begin = self.steps.len();
        self.list(diagnostics, node);
        self.steps.push(Step::End);
        begin
    }

    /// Compiles a list of steps.
    pub(super) fn list(&mut self, diagnostics: &mut Diagnostics, node: &Node) {
        let Some(items) = fields::list(diagnostics, node, STEPS) else { return };
        for item in items {
            self.step(diagnostics, item);
        }
    }

    /// Compiles one step of any kind.
    fn step(&mut self, diagnostics: &mut Diagnostics, node: &Node) {
        if let Some(kind) = control::kind(node) {
            kind.compile(self, diagnostics, node);
            return;
        }
        let call = self.call(diagnostics, node);
        self.steps.extend(call.map(Step::Call));
        if let Some(fallback) = value_of(node, "fallback") {
            let rescue = self.push(Step::Rescue { to: 0 });
            self.list(diagnostics, fallback);
            self.set_target_here(rescue);
        }
    }

    /// Compiles a request step; returns its index among the calls.
    pub(super) fn call(&mut self, diagnostics: &mut Diagnostics, node: &Node) -> Option<usize> {
        let NamedStep { name, mut call, tags } = step(diagnostics, node, &self.flow_context)?;
        let timeout = value_of(node, "timeout").map(|node| node.span);
        self.timeouts.extend(call.timeout.zip(timeout));
        let series = self.series_of(diagnostics, node, &name)?;
        call.series = series;
        tags::add(&mut self.tags[usize::from(series)], &tags);
        let names_itself = value_of(node, "name");
        let other =
            |other: &Call| other.series == series && other.request.method != call.request.method;
        if let Some(node) = names_itself
            && self.calls.iter().any(other)
        {
            let message =
                format!("two different requests are called `{}`", fields::truncate(&name));
            diagnostics.warn(node.span, message, "they are counted together");
        }
        self.calls.push(call);
        Some(self.calls.len() - 1)
    }

    /// Returns the series of this name; steps of the same name share one.
    fn series_of(&mut self, diagnostics: &mut Diagnostics, node: &Node, name: &str) -> Option<u16> {
        let known = self.series.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            self.series.push(name.to_owned());
            self.tags.push(Tags::new());
            self.series.len() - 1
        });
        if index >= MAX_STEPS {
            if index == MAX_STEPS {
                diagnostics
                    .mistake(
                        node.span,
                        format!("more than {MAX_STEPS} steps with names of their own"),
                    )
                    .help("give steps that belong together the same `name:`");
            }
            return None;
        }
        u16::try_from(index).ok()
    }

    /// Adds a step; returns its index, for a jump whose target is set later.
    pub(super) fn push(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    /// Sets the target of the jump at `from` to the next step.
    pub(super) fn set_target_here(&mut self, from: usize) {
        let here = self.steps.len();
        match &mut self.steps[from] {
            Step::If { to, .. } | Step::Round { to, .. } | Step::Rescue { to } | Step::Jump(to) => {
                *to = here;
            }
            _ => {}
        }
    }

    /// Runs `body` with a counter for the loop that it adds.
    pub(super) fn with_counter(&mut self, body: impl FnOnce(&mut Self, usize)) {
        let counter = self.depth;
        self.depth += 1;
        self.counters = self.counters.max(self.depth);
        body(self, counter);
        self.depth -= 1;
    }
}

/// The form of an iteration.
#[derive(Clone, Copy, Debug)]
pub(super) enum FlowForm<'n> {
    /// Steps in order.
    Steps(&'n Node),
    /// States, and the start state.
    States(&'n Node, Option<&'n Node>),
}

/// The expected form of a list of steps.
pub(super) const STEPS: &str = "a list of steps, such as `- get: /`";

/// Returns the value of a key in a map.
pub(super) fn value_of<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let NodeKind::Map(entries) = &node.kind else { return None };
    entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
}

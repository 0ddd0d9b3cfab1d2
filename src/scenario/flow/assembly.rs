//! A flow under construction: one flat list of steps, with the tables that they refer to.
//!
//! `control`, `states` and `sections` add steps.
//! Invariant: steps of one name share a series; every jump targets a step of the list.

use std::time::Duration;

use crate::ids::ServiceId;
use crate::plan::flow::Step;
use crate::plan::stream::StreamPlan;
use crate::plan::{Call, MAX_STEPS};
use crate::scenario::flow::context::FlowContext;
use crate::scenario::flow::step::NamedStep;
use crate::scenario::flow::step::step;
use crate::scenario::flow::tags;
use crate::scenario::flow::tags::Tags;
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::Node;

/// A flow under construction.
#[derive(Debug)]
pub(crate) struct Assembly<'a> {
    pub flow_context: FlowContext<'a>,
    pub steps: Vec<Step>,
    pub calls: Vec<Call>,
    pub series: Vec<String>,
    /// The tags of the steps of each series.
    pub tags: Vec<Tags>,
    pub groups: Vec<String>,
    pub counters: usize,
    pub rendezvous_count: usize,
    pub streams: Vec<StreamPlan>,
    /// Timeouts of steps, with their places.
    pub timeouts: Vec<(Duration, SourceSpan)>,
    /// Steps of streams and with stamps, by their index among the calls.
    pub stream_places: Vec<(usize, SourceSpan)>,
    /// Steps that use a cache, by their index, with their places.
    pub cached_places: Vec<(usize, SourceSpan)>,
    /// Whether the current steps are those of a `cached`.
    pub is_cached: bool,
    /// The service of the transaction that the current steps belong to.
    pub transaction: Option<ServiceId>,
    /// Whether the current steps are part of a transaction of Kafka.
    pub is_transacted: bool,
    /// Number of loops around the current step.
    depth: usize,
}

impl<'a> Assembly<'a> {
    /// Starts an empty flow.
    pub(crate) fn new(flow_context: FlowContext<'a>) -> Self {
        Self {
            flow_context,
            steps: Vec::new(),
            calls: Vec::new(),
            series: Vec::new(),
            tags: Vec::new(),
            groups: Vec::new(),
            counters: 0,
            rendezvous_count: 0,
            streams: Vec::new(),
            timeouts: Vec::new(),
            stream_places: Vec::new(),
            cached_places: Vec::new(),
            is_cached: false,
            transaction: None,
            is_transacted: false,
            depth: 0,
        }
    }

    /// Compiles a request step; returns its index among the calls.
    pub(crate) fn call(&mut self, diagnostics: &mut Diagnostics, node: &Node) -> Option<usize> {
        let step = step(diagnostics, node, &self.flow_context)?;
        self.add(diagnostics, node, step)
    }

    /// Adds a compiled step; returns its index among the calls.
    pub(crate) fn add(
        &mut self,
        diagnostics: &mut Diagnostics,
        node: &Node,
        step: NamedStep,
    ) -> Option<usize> {
        let NamedStep { name, mut call, tags } = step;
        let timeout = node.get("timeout").map(|node| node.span);
        self.timeouts.extend(call.timeout.zip(timeout));
        let series = self.series_of(diagnostics, node, &name)?;
        call.series = series;
        tags::add(&mut self.tags[usize::from(series)], &tags);
        let names_itself = node.get("name");
        let other =
            |other: &Call| other.series == series && other.request.method != call.request.method;
        if let Some(node) = names_itself
            && self.calls.iter().any(other)
        {
            let message = format!("two different requests have the name `{}`", truncate(&name));
            diagnostics.warn(node.span, message, "they share one series in the report");
        }
        if call.stream.is_some() || call.stamp.is_some() {
            self.stream_places.push((self.calls.len(), node.span));
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
                    .mistake(node.span, format!("more than {MAX_STEPS} different step names"))
                    .help("give related steps the same `name:`");
            }
            return None;
        }
        u16::try_from(index).ok()
    }

    /// The group of this name.
    pub(crate) fn group(&mut self, name: &str) -> u16 {
        let known = self.groups.iter().position(|known| known == name);
        let index = known.unwrap_or_else(|| {
            self.groups.push(name.to_owned());
            self.groups.len() - 1
        });
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    /// Adds a step; returns its index, for a jump whose target is set later.
    pub(crate) fn push(&mut self, step: Step) -> usize {
        self.steps.push(step);
        self.steps.len() - 1
    }

    /// Sets the target of the jump at `from` to the next step.
    pub(crate) fn set_target_here(&mut self, from: usize) {
        let here = self.steps.len();
        match &mut self.steps[from] {
            Step::If { to, .. } | Step::Round { to, .. } | Step::Rescue { to } | Step::Jump(to) => {
                *to = here;
            }
            _ => {}
        }
    }

    /// Runs `body` with a counter for the loop that it adds.
    pub(crate) fn with_counter(&mut self, body: impl FnOnce(&mut Self, usize)) {
        let counter = self.depth;
        self.depth += 1;
        self.counters = self.counters.max(self.depth);
        body(self, counter);
        self.depth -= 1;
    }
}

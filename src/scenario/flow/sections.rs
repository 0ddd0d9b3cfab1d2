//! The sections of a flow: `on_start`, an iteration, `on_stop`.
//!
//! `archetype` calls it.
//! Invariant: a finished section ends with `Step::End`.

use crate::plan::flow::{Sections, Step};
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::flow::context::FlowForm;
use crate::scenario::flow::{control, states};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::node::Node;

/// Assembles the given sections.
pub(crate) fn sections(
    flow: &mut Assembly<'_>,
    diagnostics: &mut Diagnostics,
    on_start: Option<&Node>,
    form: FlowForm<'_>,
    on_stop: Option<&Node>,
) -> Sections {
    Sections {
        on_start: on_start.map(|node| section(flow, diagnostics, node)),
        flow: match form {
            FlowForm::Steps(node) => section(flow, diagnostics, node),
            FlowForm::States(states, start) => states::states(flow, diagnostics, states, start),
        },
        on_stop: on_stop.map(|node| section(flow, diagnostics, node)),
    }
}

fn section(flow: &mut Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) -> usize {
    let begin = flow.steps.len();
    control::compile_list(flow, diagnostics, node);
    flow.steps.push(Step::End);
    begin
}

//! A declaration at a broker of AMQP as bytes.
//!
//! `operation` prepares and renders it.
//! Invariant: one without variables is encoded once, when a shard starts.

use std::borrow::Cow;

use crate::plan::broker::{DeclareArgument, DeclareKind, DeclarePlan};
use crate::plan::safety::Safety;
use crate::template::{RenderError, RenderScope, Template};
use crate::wire::broker::amqp::declare::{ArgumentValue, DeclareParts, declare};

/// The bytes of a declaration that is the same for each call; `None` if it is not, or cannot be
/// encoded, which each call reports.
pub(super) fn encoded(plan: &DeclarePlan) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut text = |template: &Template| {
        let fixed = template.as_static().map(<[u8]>::to_vec);
        fixed.ok_or_else(|| RenderError::Invalid(String::new()))
    };
    encode(plan, &Safety::default(), &mut text, &mut bytes).ok()?;
    Some(bytes)
}

/// Renders a declaration.
pub(super) fn render(
    (plan, safety): (&DeclarePlan, &Safety),
    scope: &mut RenderScope<'_>,
    buffer: &mut Vec<u8>,
) -> Result<(), RenderError> {
    let mut text = |template: &Template| {
        let mut text = Vec::new();
        template.render(scope, &mut text).map(|()| text)
    };
    encode(plan, safety, &mut text, buffer)
}

fn encode(
    plan: &DeclarePlan,
    safety: &Safety,
    text: &mut dyn FnMut(&Template) -> Result<Vec<u8>, RenderError>,
    buffer: &mut Vec<u8>,
) -> Result<(), RenderError> {
    let name = text(&plan.name)?;
    let (exchange, key) = match &plan.kind {
        DeclareKind::Binding { exchange, key } => (text(exchange)?, text(key)?),
        _ => (Vec::new(), Vec::new()),
    };
    if let Some(why) = [&name, &exchange].into_iter().find_map(|one| safety.destination_denial(one))
    {
        return Err(RenderError::Denied(why));
    }
    let mut arguments = Vec::with_capacity(plan.arguments.len());
    for (name, argument) in &plan.arguments {
        let value = match argument {
            DeclareArgument::Text(template) => ArgumentValue::Text(Cow::Owned(text(template)?)),
            DeclareArgument::Number(number) => ArgumentValue::Number(*number),
            DeclareArgument::Truth(truth) => ArgumentValue::Truth(*truth),
        };
        arguments.push((name.as_str(), value));
    }
    let parts = DeclareParts {
        kind: &plan.kind,
        name: &name,
        binding: (&exchange, &key),
        is_durable: plan.is_durable,
        arguments: &arguments,
    };
    declare(buffer, &parts).map_err(|why| RenderError::Invalid(format!("the declaration {why}")))
}

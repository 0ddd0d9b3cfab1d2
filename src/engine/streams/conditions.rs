//! The conditions of a `match`, rendered for a user, and applied to messages.
//!
//! `wait` and `listener` render them when their step begins.
//! Invariant: a condition that cannot be rendered ends the step as any template does.

use crate::engine::streams::inbox::{KeptMessage, head_of};
use crate::extract::{BodyView, Check, CheckCondition, ParsedResponse, ResponseView};
use crate::plan::listener::MatchCondition;
use crate::template::{RenderError, RenderScope, exact_json};
use crate::wire::message_stream::Message;

/// The conditions; without one, every message matches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    all: Vec<Check>,
    reads_head: bool,
}

impl Conditions {
    /// Renders the conditions of a step.
    ///
    /// # Errors
    /// If a template reads an unset variable, or an expression fails.
    pub(crate) fn render(
        conditions: &[MatchCondition],
        scope: &mut RenderScope<'_>,
    ) -> Result<Self, RenderError> {
        let mut all = Vec::with_capacity(conditions.len());
        for condition in conditions {
            let mut text = Vec::new();
            let what = match condition {
                MatchCondition::Fixed(check) => {
                    all.push(check.clone());
                    continue;
                }
                MatchCondition::Json(path, value) => {
                    value.render(scope, &mut text)?;
                    let wanted = exact_json::parse(&text).unwrap_or_default();
                    CheckCondition::Json(path.clone(), wanted)
                }
                MatchCondition::Text(verb, template) => {
                    template.render(scope, &mut text)?;
                    let text = String::from_utf8_lossy(&text).into_owned();
                    CheckCondition::Body(verb.with(text))
                }
            };
            all.push(Check { name: String::new(), what });
        }
        let reads_head = all.iter().any(|check| check.what.needs_head());
        Ok(Self { all, reads_head })
    }

    /// Whether a message matches.
    pub(crate) fn hold(&self, message: &Message<'_>) -> bool {
        if self.all.is_empty() {
            return true;
        }
        let head = if self.reads_head { head_of(message) } else { Vec::new() };
        self.hold_for(message.payload, &head)
    }

    /// Whether a kept message matches.
    pub(crate) fn hold_kept(&self, message: &KeptMessage) -> bool {
        self.hold_for(&message.payload, &message.head)
    }

    fn hold_for(&self, payload: &[u8], head: &[u8]) -> bool {
        let response = ParsedResponse::new(view(payload, head));
        self.all.iter().all(|check| check.holds(&response))
    }
}

/// A message in the form that checks and captures read.
pub(crate) fn view<'a>(payload: &'a [u8], head: &'a [u8]) -> ResponseView<'a> {
    ResponseView {
        status: 0,
        head,
        body: Some(BodyView { bytes: payload, text: payload }),
        cookies: &[],
        service: std::time::Duration::ZERO,
        first_byte: std::time::Duration::ZERO,
        streamed: None,
    }
}

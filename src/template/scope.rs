//! What a template may read while it is rendered.
//!
//! `engine` fills it in for each call, slots and expressions read it.
//! Invariant: it borrows everything, so rendering allocates nothing for it.

use super::error::RenderError;
use crate::seed::Rng;
use minijinja::Value;

/// Everything that a template may read while it is rendered.
#[derive(Debug)]
pub struct RenderScope<'a> {
    /// The user's variables by slot; `None` if unset.
    pub variables: &'a [Option<Value>],
    /// The names of the slots, for messages.
    pub names: &'a [String],
    /// The iteration's own random generator.
    pub rng: &'a mut Rng,
    /// The number of the user (closed) or arrival (open).
    pub user: u64,
    /// The number of the iteration among those of the user.
    pub iteration: u64,
    /// The id of the run.
    pub run_id: &'a str,
    /// The request as far as it is rendered, for its own headers: a map of `method`, `path` and
    /// `body`.
    pub request: Option<Value>,
    /// Intended time of the call, by the wall clock: ms since the epoch.
    pub now_ms: u64,
    /// The work that expressions may still do in this iteration; starts at `MAX_ITERATION_WORK`.
    pub work: &'a mut u32,
    /// Whether the value of a variable comes from a response, by slot.
    pub from_responses: &'a [bool],
}

/// Returns the message that a value has no part of this name, and which parts it has.
pub(super) fn no_part(whole: &str, name: &str, value: &Value) -> String {
    /// More names are no help.
    const SHOWN: usize = 12;
    let keys: Vec<String> = match value.kind() {
        minijinja::value::ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten().take(SHOWN);
            keys.map(|key| format!("`{key}`")).collect()
        }
        _ => Vec::new(),
    };
    let has = if keys.is_empty() { String::new() } else { format!("; it has {}", keys.join(", ")) };
    format!("`{whole}` has no `{name}`{has}")
}

/// Returns the error of an unset variable.
pub(super) fn unset(scope: &RenderScope<'_>, slot: usize) -> RenderError {
    RenderError::Unset(scope.names.get(slot).cloned().unwrap_or_default())
}

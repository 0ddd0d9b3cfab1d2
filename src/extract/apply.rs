//! Evaluates a call's checks and captures on its response.
//!
//! `engine` calls it for each complete response.
//! Invariant: captures run only if all expects held.

use super::capture::Capture;
use super::check::Check;
use super::response::{ParsedResponse, ResponseView};
use crate::seed::Rng;
use crate::template::Value;

/// The result of evaluating a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Whether all expects held.
    pub as_expected: bool,
    /// Whether some check or capture exceeded its work limit; it counts as failed.
    pub too_complex: bool,
}

/// The rule that a result belongs to, by its index in the call's own list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckPart {
    /// `Call::expects`
    Expect(usize),
    /// `Call::checks`
    Check(usize),
    /// `Call::captures`
    Capture(usize),
}

/// The rules for a call's response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseRules<'a> {
    /// Conditions without which the call fails.
    pub expects: &'a [Check],
    /// Conditions that are only counted.
    pub checks: &'a [Check],
    /// Values stored for later steps.
    pub captures: &'a [Capture],
}

/// Evaluates a complete response: expects, then checks, then captures; `each` is called for each of
/// them with whether it held. If an expect fails, the call fails, and its captures are skipped. A
/// capture without a match leaves its variable unset.
pub fn apply(
    rules: ResponseRules<'_>,
    view: ResponseView<'_>,
    variables: &mut [Option<Value>],
    rng: &mut Rng,
    mut each: impl FnMut(CheckPart, bool),
) -> Evaluation {
    let response = ParsedResponse::new(view);
    let mut as_expected = true;
    for (index, check) in rules.expects.iter().enumerate() {
        let held = check.holds(&response);
        as_expected &= held;
        each(CheckPart::Expect(index), held);
    }
    for (index, check) in rules.checks.iter().enumerate() {
        each(CheckPart::Check(index), check.holds(&response));
    }
    if as_expected {
        for (index, capture) in rules.captures.iter().enumerate() {
            let found = capture.find(&response, rng);
            each(CheckPart::Capture(index), found.is_some());
            if let Some(variable) = variables.get_mut(capture.variable) {
                *variable = found;
            }
        }
    }
    Evaluation { as_expected, too_complex: response.is_too_complex.get() }
}

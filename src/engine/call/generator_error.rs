//! Counts errors of the generator itself, and stops a run that a safety limit forbids.
//!
//! `conclude`, `redirect`, `iteration` and `identity` call it when an expression cannot be
//! evaluated or a connection is forbidden.
//! Invariant: each error is counted once; what can never become right stops the run.

use std::cell::RefCell;

use crate::stats::delta::Halt;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind, GeneratorError, Recorder};
use crate::template::RenderError;
use crate::wire::Wire;

/// The longest text kept of an expression that failed, bytes.
const MAX_TEXT: usize = 300;

/// Counts a template that could not be rendered, and returns the outcome of its call: a failure of
/// the target if a value from a response cannot be used, else a generator error.
pub(crate) fn template_error(
    recorder: &RefCell<Recorder>,
    step: Option<&str>,
    error: &RenderError,
) -> AttemptOutcome {
    let mut recorder = recorder.borrow_mut();
    record_failed_expression(&mut recorder, step, error);
    let generator_error = match error {
        RenderError::Response(_) => {
            let outcome = AttemptOutcome::Failed(AttemptPhase::Prepare, FailureKind::UnusableValue);
            recorder.record_error(outcome);
            return outcome;
        }
        RenderError::Unset(name) => {
            recorder.record_unset(name);
            GeneratorError::UnsetVariable
        }
        RenderError::Invalid(_) => GeneratorError::BadTemplate,
        RenderError::Limit(_) => GeneratorError::ExpressionLimit,
        RenderError::Denied(why) => {
            recorder.request_halt(|| Halt::Safety(format!("safety: {why}")));
            GeneratorError::Denied
        }
    };
    recorder.record_generator_error(generator_error);
    AttemptOutcome::Own(generator_error)
}

/// Keeps which expression failed, why and in which step: that depends on values, so no kind of
/// error can name it.
fn record_failed_expression(recorder: &mut Recorder, step: Option<&str>, error: &RenderError) {
    let (RenderError::Invalid(_) | RenderError::Limit(_) | RenderError::Response(_)) = error else {
        return;
    };
    let mut text = error.to_string();
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    if let Some(step) = step {
        text = format!("{text} (step `{step}`)");
    }
    recorder.record_failed_expression(&text);
}

/// Stops the run because a safety limit forbids a connection. `why` is `None` if the wire knows it.
#[cold]
pub(crate) fn forbid(recorder: &RefCell<Recorder>, wire: &Wire, why: Option<&str>) {
    let of_wire = || wire.refusal().unwrap_or_else(|| "connection refused".to_owned());
    let why = why.map_or_else(of_wire, str::to_owned);
    recorder.borrow_mut().request_halt(|| Halt::Safety(format!("safety: {why}")));
}

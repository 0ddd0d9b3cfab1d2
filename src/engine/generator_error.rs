//! What of a run is our own fault, and what may not be at all.
//!
//! `attempt`, `hop`, `walk` and `user` say it when it happens.
//! Invariant: each is counted where its call is, and what can never become right stops the run.

use super::shard::Shard;
use crate::stats::delta::Halt;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind, GeneratorError};
use crate::template::RenderError;

/// The longest text kept of an expression that failed, bytes.
const MAX_TEXT: usize = 300;

impl Shard {
    /// Counts an error of a template, and says what it comes to: the target's failure when a value
    /// from a response cannot be used, else our own.
    pub(super) fn template_error(&self, step: Option<&str>, error: &RenderError) -> AttemptOutcome {
        self.record_failed_expression(step, error);
        if matches!(error, RenderError::Response(_)) {
            let outcome = AttemptOutcome::Failed(AttemptPhase::Prepare, FailureKind::UnusableValue);
            self.recorder.borrow_mut().error(outcome);
            return outcome;
        }
        AttemptOutcome::Own(self.record_generator_error(error))
    }

    /// Keeps which expression failed, why and in which step: values decide it, so that no kind of
    /// error can say it.
    fn record_failed_expression(&self, step: Option<&str>, error: &RenderError) {
        let (RenderError::Invalid(_) | RenderError::Limit(_) | RenderError::Response(_)) = error
        else {
            return;
        };
        let mut text = error.to_string();
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        if let Some(step) = step {
            text = format!("{text} (step `{step}`)");
        }
        self.recorder.borrow_mut().failed_expression(&text);
    }

    /// Something of ours failed outside a call.
    fn record_generator_error(&self, error: &RenderError) -> GeneratorError {
        let mut recorder = self.recorder.borrow_mut();
        let fault = match error {
            RenderError::Unset(name) => {
                recorder.unset(name);
                GeneratorError::UnsetVariable
            }
            RenderError::Invalid(_) | RenderError::Response(_) => GeneratorError::BadTemplate,
            RenderError::Limit(_) => GeneratorError::ExpressionLimit,
            RenderError::Denied(why) => {
                recorder.halt(|| Halt::Safety(format!("safety: {why}")));
                GeneratorError::Denied
            }
        };
        recorder.own_fault(fault);
        fault
    }

    /// A safety limit stands in the way: the run ends, since that will not become right.
    #[cold]
    pub(super) fn forbid(&self, why: Option<&str>) {
        let own = || self.wire.refusal().unwrap_or_else(|| "a connection is refused".to_owned());
        let why = why.map_or_else(own, str::to_owned);
        self.recorder.borrow_mut().halt(|| Halt::Safety(format!("safety: {why}")));
    }
}

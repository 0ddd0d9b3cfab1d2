//! What spans and log records say of a call.
//!
//! `spans` and `failed_calls` call it.
//! Invariant: a call has the same attributes in both.

use super::messages::AttributeMessage;
use crate::plan::RunManifest;
use crate::protocol::status::{self, FIRST_NAMED};
use crate::stats::{AttemptOutcome, CallRecord, CallResult};

/// The attributes of a call.
pub(super) fn call_attributes(plan: &RunManifest, call: &CallRecord) -> Vec<AttributeMessage> {
    let series = &plan.steps[call.step];
    let archetype = plan.archetypes[series.archetype.index()].as_str();
    // Attempts after the first.
    let resends = u64::from(call.attempts.saturating_sub(1));
    let mut attributes = vec![
        AttributeMessage::new("manada.workload", plan.workloads[series.workload].name.as_str()),
        AttributeMessage::new("manada.archetype", archetype),
        AttributeMessage::new("manada.step", series.name.as_str()),
        AttributeMessage::new("manada.user", whole(call.user)),
        AttributeMessage::new("manada.iteration", whole(call.iteration.iteration)),
        AttributeMessage::new("manada.lag_us", whole(call.lag_ns / 1_000)),
        AttributeMessage::new("manada.blocked_us", whole(call.blocked_ns / 1_000)),
        AttributeMessage::new("manada.slowest", call.because.slowest),
        AttributeMessage::new("http.request.resend_count", whole(resends)),
    ];
    if let AttemptOutcome::Responded(status) = call.outcome {
        attributes.push(if status < FIRST_NAMED {
            AttributeMessage::new("http.response.status_code", i64::from(status))
        } else {
            AttributeMessage::new("manada.status", &*status::name(status))
        });
    }
    if let Some(error) = error_type(call) {
        attributes.push(AttributeMessage::new("error.type", error.as_str()));
    }
    attributes
}

/// Why a call has failed; `None` if it has not.
pub(super) fn error_type(call: &CallRecord) -> Option<String> {
    let has_failed = !matches!(call.result, CallResult::Ok | CallResult::Muted);
    has_failed.then(|| match call.outcome {
        AttemptOutcome::Done => "check".to_owned(),
        outcome => outcome.to_string(),
    })
}

/// A number as OTLP has it.
pub(super) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

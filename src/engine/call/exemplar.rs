//! Exemplars: the first call of each series that fails in some way, kept whole.
//!
//! `conclude` calls it for calls that failed.
//! Invariant: an exemplar holds no credentials or secrets, and what a target sent is bounded and
//! printable in it.

use super::checks::{self, FailedChecks};
use super::context::CallContext;
use super::curl;
use super::excerpt;
use super::redacted::redactor;
use super::repeat;
use crate::engine::users::user::User;
use crate::protocol::status::is_error;
use crate::redact::Redactor;
use crate::stats::exemplar::{Exemplar, FailureMode};
use crate::stats::{AttemptOutcome, AttemptPhase, Exchange, outcome};
use crate::wire::ResponseCapture;

/// Maximum bytes of a head, and of a body, that are kept.
const MAX_HEAD: usize = 2 << 10;
const MAX_BODY: usize = 512;
/// Maximum bytes of a library's error text that are kept.
const MAX_SAID: usize = 512;

/// Counts the failure, and keeps it if it is the first of its kind. `failed` are the checks that
/// failed, `bytes` is the call's first request.
#[cold]
pub(crate) fn keep(
    call: CallContext<'_>,
    user: &User,
    (exchange, capture): (&Exchange, &ResponseCapture),
    (failed, bytes): (FailedChecks, &[u8]),
) {
    let CallContext { shard, prepared, .. } = call;
    let status = match exchange.outcome {
        AttemptOutcome::Responded(status) => Some(status),
        _ => None,
    };
    let undecodable = checks::undecodable(&prepared.call, capture).filter(|_| status.is_some());
    let error = match undecodable {
        Some(kind) => outcome::error_index(AttemptOutcome::Failed(AttemptPhase::Body, kind)),
        None => outcome::error_index(exchange.outcome),
    };
    let wanted =
        status.is_some_and(|status| !is_error(status) || prepared.call.expects_status(status));
    let failing = match (error, status, failed.first()) {
        (Some(error), ..) => FailureMode::Error(error),
        (None, Some(status), _) if !wanted => FailureMode::Status(status),
        (None, _, Some(place)) => FailureMode::Check(prepared.check_ids[place]),
        (None, status, None) => FailureMode::Status(status.unwrap_or_default()),
    };
    let step = call.step(user);
    let intended = call.intended();
    shard.recorder.borrow_mut().record_failure(step, failing, || {
        let index = prepared.call.service;
        let redactor = redactor(shard, user);
        let (service, address) = (&shard.plan.services[index], &shard.addresses[index]);
        // A step that sends to a stream, or waits for it, sends no request of its own.
        let has_request = prepared.call.sends_request();
        let operation = prepared.call.operation.as_deref();
        let (curl, cut) = if let Some(operation) = operation {
            repeat::line((service, address), operation, bytes, &redactor)
        } else if has_request {
            curl::line(service, address, bytes, &redactor)
        } else {
            (String::new(), false)
        };
        // Without a response the capture is that of an earlier attempt.
        let answered = status.is_some();
        let part = |keeps: bool, text: String| if keeps && answered { text } else { String::new() };
        Exemplar {
            step,
            failing,
            intended,
            user: user.number,
            curl,
            cut,
            status,
            error,
            error_text: match (capture.not_followed(), exchange.outcome) {
                (Some(why), AttemptOutcome::Failed(AttemptPhase::Redirect, _)) => {
                    Some(why.to_owned())
                }
                _ => shard.wire.last_error(index, exchange.outcome),
            }
            .map_or_else(String::new, |said| excerpt::text(&redactor, said.as_bytes(), MAX_SAID)),
            failed: prepared
                .call
                .check_names()
                .enumerate()
                .filter(|(at, _)| failed.has(*at))
                .map(|(_, name)| name)
                .collect(),
            head: part(prepared.capture.keep_head, head(&redactor, &capture.head)),
            body: part(
                prepared.capture.keep_body || operation.is_some(),
                excerpt::text(&redactor, capture.text(), MAX_BODY),
            ),
        }
    });
}

/// A head without its credentials, a header to a line.
fn head(redactor: &Redactor<'_>, head: &[u8]) -> String {
    let mut shown = String::new();
    for line in head.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let line = excerpt::header(redactor, line, MAX_HEAD);
        if shown.len() + line.len() > MAX_HEAD {
            break;
        }
        shown.push_str(&line);
        shown.push('\n');
    }
    shown
}

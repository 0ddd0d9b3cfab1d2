//! What is kept of a call that failed, the first time one of its series failed so.
//!
//! `attempt` comes here when it has judged a call, and only when it failed.
//! Invariant: credentials and secrets are not in it; what a target sent is bounded, and can be
//! shown.

use super::attempt::CallTiming;
use super::checks::{self, FailedChecks};
use super::curl;
use super::prepared::PreparedCall;
use super::redacted::redactor;
use super::shard::Shard;
use super::user::User;
use crate::redact::{MASK, Redactor};
use crate::stats::exemplar::{Exemplar, FailureMode};
use crate::stats::{AttemptOutcome, AttemptPhase, Exchange, outcome};
use crate::wire::ResponseCapture;

/// The most bytes of a head, and of a body, that are kept.
const MAX_HEAD: usize = 2 << 10;
const MAX_BODY: usize = 512;
/// The most bytes of what a library said that are kept.
const MAX_SAID: usize = 512;

/// Counts the failure, and keeps it when it is the first of its kind. `failed` are the places of
/// what did not hold, `bytes` is the call's first request.
#[cold]
pub(super) fn keep(
    shard: &Shard,
    user: &User,
    prepared: &PreparedCall,
    turn: &CallTiming,
    (exchange, kept): (&Exchange, &ResponseCapture),
    (failed, bytes): (FailedChecks, &[u8]),
) {
    let status = match exchange.outcome {
        AttemptOutcome::Responded(status) => Some(status),
        _ => None,
    };
    let undecodable = checks::undecodable(&prepared.call, kept).filter(|_| status.is_some());
    let error = match undecodable {
        Some(kind) => outcome::error_index(AttemptOutcome::Failed(AttemptPhase::Body, kind)),
        None => outcome::error_index(exchange.outcome),
    };
    let wanted = status.is_some_and(|status| status < 400 || prepared.call.asks_for(status));
    let failing = match (error, status, failed.first()) {
        (Some(error), ..) => FailureMode::Error(error),
        (None, Some(status), _) if !wanted => FailureMode::Status(status),
        (None, _, Some(place)) => FailureMode::Check(prepared.check_ids[place]),
        (None, status, None) => FailureMode::Status(status.unwrap_or_default()),
    };
    let step = user.step(prepared.call.series);
    let intended_ns = turn.intended.since(shard.start);
    shard.recorder.borrow_mut().failure(step, failing, || {
        let index = prepared.call.service;
        let redactor = redactor(shard, user);
        let (service, address) = (&shard.plan.services[index], &shard.addresses[index]);
        let (curl, cut) = curl::line(service, address, bytes, &redactor);
        // Without an answer nothing is its own: what was kept is an earlier attempt's.
        let answered = status.is_some();
        let part = |keeps: bool, text: String| if keeps && answered { text } else { String::new() };
        Exemplar {
            step,
            failing,
            intended_ns,
            user: user.number,
            curl,
            cut,
            status,
            error,
            said: match (kept.not_followed(), exchange.outcome) {
                (Some(why), AttemptOutcome::Failed(AttemptPhase::Redirect, _)) => {
                    Some(why.to_owned())
                }
                _ => shard.wire.last_error(index, exchange.outcome),
            }
            .map_or_else(String::new, |said| text(&redactor, said.as_bytes(), MAX_SAID)),
            failed: prepared
                .call
                .checked()
                .enumerate()
                .filter(|(at, _)| failed.has(*at))
                .map(|(_, name)| name)
                .collect(),
            head: part(prepared.capture.keep_head, head(&redactor, &kept.head)),
            body: part(prepared.capture.keep_body, text(&redactor, kept.text(), MAX_BODY)),
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
        let line = header(redactor, line, MAX_HEAD);
        if shown.len() + line.len() > MAX_HEAD {
            break;
        }
        shown.push_str(&line);
        shown.push('\n');
    }
    shown
}

/// A line of a head; the value of a header with a sensitive name is not shown.
pub(super) fn header(redactor: &Redactor<'_>, line: &[u8], most: usize) -> String {
    let colon = line.iter().position(|&byte| byte == b':');
    let name = colon.map(|at| String::from_utf8_lossy(&line[..at]));
    // A request's own line is no header, whatever stands in its path.
    let is_header = |name: &str| !name.contains([' ', '/']) && redactor.is_sensitive(name);
    match name.filter(|name| is_header(name)) {
        Some(name) => format!("{name}: {MASK}"),
        None => text(redactor, line, most),
    }
}

/// The beginning of bytes as a text: credentials hidden, what is no UTF-8 as `\xNN`.
pub(super) fn text(redactor: &Redactor<'_>, bytes: &[u8], most: usize) -> String {
    body(redactor, bytes, "", most)
}

/// The same of a body whose head says what it is.
pub(super) fn body(
    redactor: &Redactor<'_>,
    bytes: &[u8],
    content_type: &str,
    most: usize,
) -> String {
    use std::fmt::Write;
    // A credential at the end of what is shown is hidden whole.
    let whole = redactor.body(&bytes[..bytes.len().min(most + (64 << 10))], content_type);
    let mut shown = String::new();
    for chunk in whole[..whole.len().min(most)].utf8_chunks() {
        shown.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

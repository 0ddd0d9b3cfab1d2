//! What is kept of a call that failed, the first time one of its series failed so.
//!
//! `attempt` comes here when it has judged a call, and only when it failed.
//! Invariant: logins and secrets are not in it; what a target sent is bounded and can be shown.

use super::attempt::Turn;
use super::checks::Failed;
use super::curl;
use super::prepared::PreparedCall;
use super::shard::Shard;
use super::user::User;
use crate::stats::exemplar::{Exemplar, Failing};
use crate::stats::{Exchange, Outcome, outcome};
use crate::wire::Kept;

/// The most bytes of a head, and of a body, that are kept.
const MAX_HEAD: usize = 2 << 10;
const MAX_BODY: usize = 512;

/// Counts the failure, and keeps it when it is the first of its kind. `failed` are the places of
/// what did not hold, `bytes` is the call's first request.
#[cold]
pub(super) fn keep(
    shard: &Shard,
    user: &User,
    prepared: &PreparedCall,
    turn: &Turn,
    (exchange, kept): (&Exchange, &Kept),
    (failed, bytes): (Failed, &[u8]),
) {
    let status = match exchange.outcome {
        Outcome::Answered(status) => Some(status),
        _ => None,
    };
    let error = outcome::error_index(exchange.outcome);
    let wanted = status.is_some_and(|status| status < 400 || prepared.call.asks_for(status));
    let failing = match (error, status, failed.first()) {
        (Some(error), ..) => Failing::Error(error),
        (None, Some(status), _) if !wanted => Failing::Status(status),
        (None, _, Some(place)) => Failing::Check(prepared.check_ids[place]),
        (None, status, None) => Failing::Status(status.unwrap_or_default()),
    };
    let step = user.step(prepared.call.series);
    let intended_ns = turn.intended.since(shard.start);
    shard.recorder.borrow_mut().failure(step, failing, || {
        let index = prepared.call.service;
        let (curl, cut) = curl::line(&shard.plan.services[index], &shard.addresses[index], bytes);
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
            failed: prepared
                .call
                .checked()
                .enumerate()
                .filter(|(at, _)| failed.has(*at))
                .map(|(_, name)| name)
                .collect(),
            head: part(prepared.wanted.keep_head, head(&kept.head)),
            body: part(prepared.wanted.keep_body, text(&kept.body, MAX_BODY)),
        }
    });
}

/// A head without its logins, a header to a line.
pub(super) fn head(head: &[u8]) -> String {
    let mut shown = String::new();
    for line in head.split(|&byte| byte == b'\n') {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let line = text(line, MAX_HEAD);
        let name = line.split(':').next().unwrap_or_default();
        let line = if crate::mask::is_login(name) { format!("{name}: ***") } else { line };
        if shown.len() + line.len() > MAX_HEAD {
            break;
        }
        shown.push_str(&line);
        shown.push('\n');
    }
    shown
}

/// The beginning of bytes as a text: secrets hidden, what is no UTF-8 as `\xNN`.
pub(super) fn text(bytes: &[u8], most: usize) -> String {
    use std::fmt::Write;
    // A secret at the end of what is shown is hidden whole.
    let whole = curl::hidden(&bytes[..bytes.len().min(most + (64 << 10))]);
    let mut shown = String::new();
    for chunk in whole[..whole.len().min(most)].utf8_chunks() {
        shown.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

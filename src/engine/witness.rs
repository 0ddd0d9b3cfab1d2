//! Who looks on while one user walks alone, and takes down all that happens.
//!
//! `once` brings it for `check --once`; a run has none, and pays one look at an `Option` per call.
//! Invariant: what it takes down is bounded and shows no secrets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::checks::{Failed, Judged};
use super::exemplar;
use super::prepared::PreparedCall;
use super::redacted::redactor;
use super::request::split_line;
use super::shard::Shard;
use super::user::User;
use crate::event::{SEEN, Seen, SeenCall};
use crate::redact::{MASK, Redactor};
use crate::stats::{Exchange, Fate, Outcome, outcome};

/// The most bytes of a body, a header or a value.
const MAX: usize = 512;

/// What was taken down.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) seen: Vec<Seen>,
    /// And how much more there was.
    pub(super) more: u64,
    /// Redirects of calls that have not ended, by where they are prepared.
    redirects: HashMap<usize, Vec<(u16, String)>>,
}

/// Whoever looks on.
#[derive(Clone, Debug, Default)]
pub struct Witness(Arc<Mutex<Notes>>);

impl Witness {
    /// What was taken down so far; nothing is left.
    pub(super) fn take(&self) -> Notes {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, seen: Seen) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.seen.len() < SEEN {
            notes.seen.push(seen);
        } else {
            notes.more += 1;
        }
    }

    /// A redirect is followed.
    #[cold]
    pub(super) fn redirect(
        &self,
        (shard, user): (&Shard, &User),
        prepared: &PreparedCall,
        status: u16,
        to: &str,
    ) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hops = notes.redirects.entry(std::ptr::from_ref(prepared) as usize).or_default();
        hops.push((status, exemplar::text(&redactor(shard, user), to.as_bytes(), MAX)));
    }

    /// Something could not be done.
    #[cold]
    pub(super) fn fault(&self, (shard, user): (&Shard, &User), call: Option<&str>, why: &str) {
        let why = exemplar::text(&redactor(shard, user), why.as_bytes(), MAX);
        self.note(Seen::Fault(call.map(str::to_owned), why));
    }

    /// A `log` step said it.
    #[cold]
    pub(super) fn said(&self, (shard, user): (&Shard, &User), line: &[u8]) {
        self.note(Seen::Said(exemplar::text(&redactor(shard, user), line, MAX)));
    }

    /// A call has ended; `bytes` is its first request.
    #[cold]
    pub(super) fn call(
        &self,
        (shard, user): (&Shard, &User),
        prepared: &PreparedCall,
        exchange: &Exchange,
        judged: &Judged,
        bytes: &[u8],
    ) {
        let call = &prepared.call;
        let kind = &shard.plan.archetypes[user.archetype];
        let looked_at = call.checks.len() + call.expects.len();
        let held = |place: usize| !judged.failed.has(place);
        let names = call.checked().enumerate();
        let redactor = redactor(shard, user);
        let value = |slot: usize| {
            let value = user.variables[slot].as_ref()?;
            if redactor.is_sensitive(&kind.variables[slot]) {
                return Some(MASK.to_owned());
            }
            let shown = serde_json::to_string(value).unwrap_or_else(|_| value.to_string());
            Some(exemplar::text(&redactor, shown.as_bytes(), MAX))
        };
        let (request, body) = shown(&redactor, bytes);
        let key = std::ptr::from_ref(prepared) as usize;
        let redirects = {
            let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            notes.redirects.remove(&key).unwrap_or_default()
        };
        self.note(Seen::Call(Box::new(SeenCall {
            step: kind.series[usize::from(call.series)].clone(),
            request,
            body,
            redirects,
            answer: match exchange.outcome {
                Outcome::Answered(status) => Ok(status),
                other => Err(outcome::error_index(other).unwrap_or_default()),
            },
            service_ns: exchange.done.since(exchange.dispatched),
            bytes: exchange.bytes_received,
            checks: names
                .take_while(|(place, _)| *place < looked_at)
                .map(|(place, name)| (name, held(place)))
                .collect(),
            captures: call
                .captures
                .iter()
                .map(|capture| (kind.variables[capture.variable].clone(), value(capture.variable)))
                .collect(),
            ok: judged.fate == Fate::Ok && judged.failed == Failed::NONE,
        })));
    }
}

/// A request as people read it: line and headers, the length of the body and its beginning.
fn shown(redactor: &Redactor<'_>, bytes: &[u8]) -> (Vec<String>, Option<(usize, String)>) {
    let (mut lines, mut rest, mut content_type) = (Vec::new(), bytes, String::new());
    while let Some((line, after)) = split_line(rest) {
        rest = after;
        if line.len() <= 2 {
            break;
        }
        let text = exemplar::header(redactor, line.trim_ascii_end(), MAX);
        if let Some((name, value)) = text.split_once(':')
            && name.eq_ignore_ascii_case("content-type")
        {
            value.clone_into(&mut content_type);
        }
        lines.push(text);
    }
    let body = (!rest.is_empty())
        .then(|| (rest.len(), exemplar::body(redactor, rest, &content_type, MAX)));
    (lines, body)
}

//! Who looks on while one user walks alone, and takes down all that happens.
//!
//! `once` brings it for `check --once`; a run has none, and pays one look at an `Option` per call.
//! Invariant: what it takes down is bounded and shows no secrets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::checks::{Failed, Judged};
use super::exemplar;
use super::prepared::PreparedCall;
use super::request::split_line;
use super::shard::Shard;
use super::user::User;
use crate::event::{SEEN, Seen, SeenCall};
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
    pub(super) fn redirect(&self, prepared: &PreparedCall, status: u16, to: &str) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hops = notes.redirects.entry(std::ptr::from_ref(prepared) as usize).or_default();
        hops.push((status, exemplar::text(to.as_bytes(), MAX)));
    }

    /// Something could not be done.
    #[cold]
    pub(super) fn fault(&self, call: Option<&str>, why: &str) {
        self.note(Seen::Fault(call.map(str::to_owned), exemplar::text(why.as_bytes(), MAX)));
    }

    /// A `log` step said it.
    #[cold]
    pub(super) fn said(&self, line: &[u8]) {
        self.note(Seen::Said(exemplar::text(line, MAX)));
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
        let value = |slot: usize| {
            let value = user.variables[slot].as_ref()?;
            let shown = serde_json::to_string(value).unwrap_or_else(|_| value.to_string());
            Some(exemplar::text(shown.as_bytes(), MAX))
        };
        let (request, body) = shown(bytes);
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
fn shown(bytes: &[u8]) -> (Vec<String>, Option<(usize, String)>) {
    let (mut lines, mut rest) = (Vec::new(), bytes);
    while let Some((line, after)) = split_line(rest) {
        rest = after;
        if line.len() <= 2 {
            break;
        }
        let text = exemplar::text(line.trim_ascii_end(), MAX);
        let name = text.split(':').next().unwrap_or_default();
        lines.push(if crate::mask::is_login(name) { format!("{name}: ***") } else { text });
    }
    let body = (!rest.is_empty()).then(|| (rest.len(), exemplar::text(rest, MAX)));
    (lines, body)
}

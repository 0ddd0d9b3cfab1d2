//! Who looks on while one user walks alone, and takes down all that happens.
//!
//! `once` brings it for `check --once`; a run has none, and pays one look at an `Option` per call.
//! Invariant: what it takes down is bounded and shows no secrets.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::checks::{self, CheckedResponse, FailedChecks};
use super::exemplar;
use super::prepared::PreparedCall;
use super::redacted::redactor;
use super::request::split_line;
use super::shard::Shard;
use super::user::User;
use crate::event::{MAX_TRACE_EVENTS, TraceEvent, TracedCall};
use crate::extract::{Check, CheckCondition, ParsedResponse};
use crate::plan::flow::Choice;
use crate::redact::{MASK, Redactor};
use crate::stats::{AttemptOutcome, CallResult, Exchange, outcome};
use crate::wire::ResponseCapture;

/// The most bytes of a body, a header or a value.
const MAX: usize = 512;

/// The most lines of a response's head.
const MAX_LINES: usize = 64;

/// What was taken down.
#[derive(Debug, Default)]
pub(super) struct RecordedTrace {
    pub(super) seen: Vec<TraceEvent>,
    /// And how much more there was.
    pub(super) more: u64,
    /// Redirects of calls that have not ended, by where they are prepared.
    redirects: HashMap<usize, Vec<(u16, String)>>,
}

/// Where walks of an archetype have been.
#[derive(Debug, Default)]
struct BranchCoverage {
    /// How often each way of a choice was taken, by the place of the choice.
    ways: HashMap<usize, Vec<u32>>,
    /// Walks since one took a way that no walk had taken before.
    repeats: usize,
    /// The names of the steps that were made, or tried.
    steps: HashSet<String>,
}

/// Takes down the walks of one archetype.
#[derive(Clone, Debug)]
pub struct TraceRecorder {
    notes: Arc<Mutex<RecordedTrace>>,
    branches: Arc<Mutex<BranchCoverage>>,
    /// Of the ways of a choice the one is taken that was taken least, not the one that is drawn.
    takes_each_way: bool,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TraceRecorder {
    /// Of walks that take each way of a choice in turn, or the way that is drawn.
    pub fn new(takes_each_way: bool) -> Self {
        Self { notes: Arc::default(), branches: Arc::default(), takes_each_way }
    }

    /// What was taken down so far; nothing is left.
    pub(super) fn take(&self) -> RecordedTrace {
        std::mem::take(&mut *lock(&self.notes))
    }

    /// Whether another walk may come to more: some way was not taken yet, and it is not so that a
    /// round through all known ways came to nothing new. Asked after each walk.
    pub fn has_more(&self) -> bool {
        let mut branches = lock(&self.branches);
        let ways: usize = branches.ways.values().map(Vec::len).sum();
        let is_open = branches.ways.values().flatten().any(|taken| *taken == 0);
        let repeats = branches.repeats;
        branches.repeats += 1;
        self.takes_each_way && is_open && repeats <= ways
    }

    /// Whether a step of this name was made or tried.
    pub fn came_to(&self, step: &str) -> bool {
        lock(&self.branches).steps.contains(step)
    }

    /// Which way is taken at a choice; `drawn` is what chance says.
    #[cold]
    pub(super) fn way(&self, at: usize, choice: &Choice, drawn: usize) -> usize {
        if !self.takes_each_way {
            return drawn;
        }
        let mut branches = lock(&self.branches);
        let ways = branches.ways.entry(at).or_insert_with(|| vec![0; choice.options.len()]);
        let Some(least) = (0..ways.len()).min_by_key(|way| ways[*way]) else { return drawn };
        ways[least] += 1;
        if ways[least] == 1 {
            branches.repeats = 0;
        }
        choice.options[least].1
    }

    fn record(&self, seen: TraceEvent) {
        let step = match &seen {
            TraceEvent::Call(call) => Some(call.step.clone()),
            TraceEvent::Fault(step, _) => step.clone(),
            TraceEvent::Logged(_) => None,
        };
        lock(&self.branches).steps.extend(step);
        let mut notes = lock(&self.notes);
        if notes.seen.len() < MAX_TRACE_EVENTS {
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
        let mut notes = lock(&self.notes);
        let hops = notes.redirects.entry(std::ptr::from_ref(prepared) as usize).or_default();
        hops.push((status, exemplar::text(&redactor(shard, user), to.as_bytes(), MAX)));
    }

    /// Something could not be done.
    #[cold]
    pub(super) fn fault(&self, (shard, user): (&Shard, &User), call: Option<&str>, why: &str) {
        let why = exemplar::text(&redactor(shard, user), why.as_bytes(), MAX);
        self.record(TraceEvent::Fault(call.map(str::to_owned), why));
    }

    /// A `log` step said it.
    #[cold]
    pub(super) fn said(&self, (shard, user): (&Shard, &User), line: &[u8]) {
        self.record(TraceEvent::Logged(exemplar::text(&redactor(shard, user), line, MAX)));
    }

    /// A call has ended; `bytes` is its first request.
    #[cold]
    pub(super) fn call(
        &self,
        (shard, user): (&Shard, &User),
        prepared: &PreparedCall,
        (exchange, kept): (&Exchange, &ResponseCapture),
        judged: &CheckedResponse,
        bytes: &[u8],
    ) {
        let call = &prepared.call;
        let kind = &shard.plan.archetypes[user.archetype];
        let looked_at = call.checks.len() + call.expects.len();
        let held = |place: usize| !judged.failed.has(place);
        let names = call.check_names().enumerate();
        let redactor = redactor(shard, user);
        let found = |place: usize| {
            let AttemptOutcome::Responded(status) = exchange.outcome else { return None };
            let check = call.checks.iter().chain(&call.expects).nth(place)?;
            let answer = checks::answer(status, exchange, kept);
            let text = check.found(&ParsedResponse::new(answer)).filter(|_| !held(place))?;
            if is_sensitive(&redactor, check) {
                return Some(MASK.to_owned());
            }
            // A node of JSON may hold credentials under their keys.
            Some(exemplar::body(&redactor, text.as_bytes(), "application/json", MAX))
        };
        let value = |slot: usize| {
            let value = user.variables[slot].as_ref()?;
            if redactor.is_sensitive(&kind.variables[slot]) {
                return Some(MASK.to_owned());
            }
            let shown = serde_json::to_string(value).unwrap_or_else(|_| value.to_string());
            Some(exemplar::text(&redactor, shown.as_bytes(), MAX))
        };
        let (request, body) = shown(&redactor, bytes);
        // Without a response nothing is its own: what was kept is an earlier attempt's.
        let response = match exchange.outcome {
            AttemptOutcome::Responded(_) => response(&redactor, kept),
            _ => (Vec::new(), None),
        };
        let key = std::ptr::from_ref(prepared) as usize;
        let redirects = {
            let mut notes = lock(&self.notes);
            notes.redirects.remove(&key).unwrap_or_default()
        };
        self.record(TraceEvent::Call(Box::new(TracedCall {
            step: kind.series[usize::from(call.series)].clone(),
            request,
            body,
            redirects,
            status: match exchange.outcome {
                AttemptOutcome::Responded(status) => Ok(status),
                other => Err(outcome::error_index(other).unwrap_or_default()),
            },
            response: response.0,
            response_body: response.1,
            service_ns: exchange.done.since(exchange.dispatched),
            bytes: exchange.bytes_received,
            checks: names
                .take_while(|(place, _)| *place < looked_at)
                .map(|(place, name)| (name, held(place), found(place)))
                .collect(),
            captures: call
                .captures
                .iter()
                .map(|capture| (kind.variables[capture.variable].clone(), value(capture.variable)))
                .collect(),
            is_ok: judged.result == CallResult::Ok && judged.failed == FailedChecks::NONE,
        })));
    }
}

/// Whether what a check looks at has a sensitive name: a header, or a key of a path.
fn is_sensitive(redactor: &Redactor<'_>, check: &Check) -> bool {
    match &check.what {
        CheckCondition::Header(name, _) => redactor.is_sensitive(name),
        CheckCondition::Json(..) => {
            let is_part = |c: char| c.is_alphanumeric() || "_-".contains(c);
            check.name.split(|c| !is_part(c)).any(|word| redactor.is_sensitive(word))
        }
        _ => false,
    }
}

/// A response as people read it: its headers, the length of its body and its beginning.
fn response(
    redactor: &Redactor<'_>,
    kept: &ResponseCapture,
) -> (Vec<String>, Option<(usize, String)>) {
    let lines = kept.head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.filter(|line| !line.is_empty()).take(MAX_LINES);
    let lines: Vec<String> = lines.map(|line| exemplar::header(redactor, line, MAX)).collect();
    let content_type = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
    });
    let body = (!kept.body.is_empty()).then(|| {
        let content_type = content_type.unwrap_or_default();
        (kept.body.len(), exemplar::body(redactor, kept.text(), &content_type, MAX))
    });
    (lines, body)
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

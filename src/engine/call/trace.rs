//! Describes what happens on a dry run to its [`TraceRecorder`], as people read it.
//!
//! `conclude`, `redirect` and `iteration` call it where a recorder is there.
//! Invariant: each text is bounded and shows no secrets.

use super::checks::{self, CheckedResponse};
use super::excerpt;
use super::prepared::PreparedCall;
use super::redacted::redactor;
use super::repeat;
use super::request::split_line;
use crate::engine::iterations::trace_recorder::TraceRecorder;
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::event::{TraceEvent, TracedCall};
use crate::extract::{Check, CheckCondition, ParsedResponse};
use crate::plan::Call;
use crate::redact::{MASK, Redactor};
use crate::stats::{AttemptOutcome, Exchange, outcome};
use crate::wire::ResponseCapture;

/// Maximum bytes of a body, a header or a value.
const MAX: usize = 512;

/// Maximum lines of a response's head.
const MAX_LINES: usize = 64;

/// The key of a call that is under way.
fn key(prepared: &PreparedCall) -> usize {
    std::ptr::from_ref(prepared) as usize
}

/// Records a redirect that is followed.
#[cold]
pub(crate) fn redirect(
    recorder: &TraceRecorder,
    (shard, user): (&Shard, &User),
    prepared: &PreparedCall,
    status: u16,
    to: &str,
) {
    let target = excerpt::text(&redactor(shard, user), to.as_bytes(), MAX);
    recorder.record_redirect(key(prepared), status, target);
}

/// Records that a call, or another step without a name, could not be made.
#[cold]
pub(crate) fn fault(
    recorder: &TraceRecorder,
    (shard, user): (&Shard, &User),
    call: Option<&str>,
    why: &str,
) {
    let why = excerpt::text(&redactor(shard, user), why.as_bytes(), MAX);
    recorder.record(TraceEvent::Fault(call.map(str::to_owned), why));
}

/// Records the line of a `log` step.
#[cold]
pub(crate) fn log_line(recorder: &TraceRecorder, (shard, user): (&Shard, &User), line: &[u8]) {
    recorder.record(TraceEvent::Logged(excerpt::text(&redactor(shard, user), line, MAX)));
}

/// Records a call that has ended; `bytes` is its first request.
#[cold]
pub(crate) fn call(
    recorder: &TraceRecorder,
    (shard, user): (&Shard, &User),
    prepared: &PreparedCall,
    (exchange, capture): (&Exchange, &ResponseCapture),
    checked: &CheckedResponse,
    bytes: &[u8],
) {
    let call = &prepared.call;
    let kind = &shard.plan.archetypes[user.archetype];
    let checks = call.checks.len() + call.expects.len();
    let held = |place: usize| !checked.failed.has(place);
    let names = call.check_names().enumerate();
    let redactor = redactor(shard, user);
    let found = |place: usize| {
        let status = match exchange.outcome {
            AttemptOutcome::Responded(status) => status,
            AttemptOutcome::Done => 0,
            _ => return None,
        };
        let check = call.checks.iter().chain(&call.expects).nth(place)?;
        let response = checks::response_view(status, exchange, capture);
        let text = check.found(&ParsedResponse::new(response)).filter(|_| !held(place))?;
        if is_sensitive(&redactor, check) {
            return Some(MASK.to_owned());
        }
        // A node of JSON may hold credentials under their keys.
        Some(excerpt::body(&redactor, text.as_bytes(), "application/json", MAX))
    };
    let value = |slot: usize| {
        let value = user.variables[slot].as_ref()?;
        if redactor.is_sensitive(&kind.variables[slot]) {
            return Some(MASK.to_owned());
        }
        let shown = serde_json::to_string(value).unwrap_or_else(|_| value.to_string());
        Some(excerpt::text(&redactor, shown.as_bytes(), MAX))
    };
    let stream = call.stream.as_ref().and_then(|step| Some((step.act.verb()?, step.stream)));
    let (request, body) = match stream {
        Some((verb, stream)) => {
            let payload = (!bytes.is_empty())
                .then(|| (bytes.len(), excerpt::body(&redactor, bytes, "application/json", MAX)));
            (vec![format!("{verb} {}", kind.streams[stream].name)], payload)
        }
        None => describe_request(&redactor, call, bytes),
    };
    // Without a response the capture is that of an earlier attempt.
    let response = match exchange.outcome {
        AttemptOutcome::Responded(_) | AttemptOutcome::Done => {
            describe_response(&redactor, capture)
        }
        _ => (Vec::new(), None),
    };
    recorder.record(TraceEvent::Call(Box::new(TracedCall {
        step: kind.series[usize::from(call.series)].clone(),
        request,
        body,
        redirects: recorder.take_redirects(key(prepared)),
        status: match exchange.outcome {
            AttemptOutcome::Responded(status) => Ok(status),
            AttemptOutcome::Done => Ok(0),
            other => Err(outcome::error_index(other).unwrap_or_default()),
        },
        response: response.0,
        response_body: response.1,
        service_ns: exchange.done.since(exchange.dispatched),
        bytes: exchange.bytes_received,
        checks: names
            .take_while(|(place, _)| *place < checks)
            .map(|(place, name)| (name, held(place), found(place)))
            .collect(),
        captures: call
            .captures
            .iter()
            .map(|capture| (kind.variables[capture.variable].clone(), value(capture.variable)))
            .collect(),
        is_ok: !checked.has_failed(),
    })));
}

/// Whether a check reads a header or a key with a sensitive name.
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

/// The headers of a response, and the length and beginning of its body if it has one.
fn describe_response(
    redactor: &Redactor<'_>,
    capture: &ResponseCapture,
) -> (Vec<String>, Option<(usize, String)>) {
    let lines = capture.head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.filter(|line| !line.is_empty()).take(MAX_LINES);
    let lines: Vec<String> = lines.map(|line| excerpt::header(redactor, line, MAX)).collect();
    let content_type = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
    });
    let body = (!capture.body.is_empty()).then(|| {
        let content_type = content_type.unwrap_or_default();
        (capture.body.len(), excerpt::body(redactor, capture.text(), &content_type, MAX))
    });
    (lines, body)
}

/// The line and headers of a request, and the length and beginning of its body if it has one; of
/// another protocol what is sent.
fn describe_request(
    redactor: &Redactor<'_>,
    call: &Call,
    bytes: &[u8],
) -> (Vec<String>, Option<(usize, String)>) {
    if let Some(operation) = &call.operation {
        return (repeat::describe(operation, bytes, redactor), None);
    }
    let (mut lines, mut rest, mut content_type) = (Vec::new(), bytes, String::new());
    while let Some((line, after)) = split_line(rest) {
        rest = after;
        if line.len() <= 2 {
            break;
        }
        let text = excerpt::header(redactor, line.trim_ascii_end(), MAX);
        if let Some((name, value)) = text.split_once(':')
            && name.eq_ignore_ascii_case("content-type")
        {
            value.clone_into(&mut content_type);
        }
        lines.push(text);
    }
    let body =
        (!rest.is_empty()).then(|| (rest.len(), excerpt::body(redactor, rest, &content_type, MAX)));
    (lines, body)
}

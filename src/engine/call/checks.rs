//! Checks and captures of a call's response.
//!
//! `conclude` calls it for each call.
//! Invariant: a failed check is counted, a failed `expect` fails the call; neither is an error of
//! the program.

use super::context::CallContext;
use super::cookies;
use crate::clock::Time;
use crate::engine::users::user::User;
use crate::extract::{self, BodyView, ResponseView, StreamedView};
use crate::plan::{Call, OnFail};
use crate::protocol::status::is_error;
use crate::stats::delta::Halt;
use crate::stats::{AttemptOutcome, AttemptPhase, CallResult, Exchange, FailureKind};
use crate::wire::ResponseCapture;

/// The results of the checks of a response.
#[derive(Clone, Copy)]
pub(crate) struct CheckedResponse {
    /// How the call ended.
    pub(crate) result: CallResult,
    /// Whether the iteration continues.
    pub(crate) goes_on: bool,
    /// The failed checks.
    pub(crate) failed: FailedChecks,
}

impl CheckedResponse {
    /// Whether the call is not ok, or a check of it failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.result != CallResult::Ok || self.failed != FailedChecks::NONE
    }
}

/// The checks, expects and captures that failed, a bit for each; those beyond 63 share the last.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FailedChecks(u64);

impl FailedChecks {
    /// None failed.
    pub(crate) const NONE: Self = Self(0);

    fn add(&mut self, place: usize) {
        self.0 |= 1 << place.min(63);
    }

    /// Whether the one at this place failed.
    pub(crate) fn has(self, place: usize) -> bool {
        self.0 >> place.min(63) & 1 == 1
    }

    /// The place of the first that failed; `None` if none did.
    pub(crate) fn first(self) -> Option<usize> {
        (self != Self::NONE).then(|| self.0.trailing_zeros() as usize)
    }
}

/// Checks a response: counts checks and sets captured variables. A message has status 0.
#[inline]
pub(crate) fn check(
    context: CallContext<'_>,
    user: &mut User,
    exchange: &Exchange,
    capture: &ResponseCapture,
) -> CheckedResponse {
    let CallContext { shard, prepared, .. } = context;
    let call = &prepared.call;
    let status = match exchange.outcome {
        AttemptOutcome::Responded(status) => status,
        _ => 0,
    };
    if let Some(slot) = shard.plan.archetypes[user.archetype].status
        && status > 0
    {
        user.variables[slot] = Some(status.into());
    }
    let is_wanted = !is_error(status) || call.expects_status(status);
    if prepared.check_ids.is_empty() || call.has_message_rules() {
        let result = if is_wanted { CallResult::Ok } else { CallResult::Failed };
        return CheckedResponse { result, goes_on: true, failed: FailedChecks::NONE };
    }
    judge(context, user, (status, is_wanted), exchange, capture)
}

/// Evaluates the rules of a call on its response.
#[inline(never)]
fn judge(
    context: CallContext<'_>,
    user: &mut User,
    (status, is_wanted): (u16, bool),
    exchange: &Exchange,
    capture: &ResponseCapture,
) -> CheckedResponse {
    let CallContext { shard, prepared, .. } = context;
    let call = &prepared.call;
    let cookies = if call.captures_cookies() {
        cookies::readable(shard, user, call.service)
    } else {
        Vec::new()
    };
    let response = ResponseView { cookies: &cookies, ..response_view(status, exchange, capture) };
    let (step, intended) = (context.step(user), context.intended());
    let (mut failed, mut first) = (FailedChecks::NONE, None);
    let (variables, rng) = (&mut user.variables, &mut user.rng);
    let evaluation =
        extract::apply(call.response_rules(), response, variables, rng, |part, passed| {
            let place = call.place_of(part);
            shard.recorder.borrow_mut().record_check(
                step,
                intended,
                prepared.check_ids[place],
                passed,
            );
            if !passed {
                failed.add(place);
                first.get_or_insert(place);
            }
        });
    // Beside the failed checks: why they failed.
    let undecodable = undecodable(call, capture);
    let kind = undecodable.or(evaluation.too_complex.then_some(FailureKind::TooComplex));
    if let Some(kind) = kind {
        let outcome = AttemptOutcome::Failed(AttemptPhase::Body, kind);
        shard.recorder.borrow_mut().record_error(outcome);
    }
    let is_ok = is_wanted && undecodable.is_none() && evaluation.as_expected;
    let result = if is_ok { CallResult::Ok } else { CallResult::Failed };
    let goes_on = first.is_none_or(|place| goes_on_after(context, user, place));
    CheckedResponse { result, goes_on, failed }
}

/// Why the body of a response could not be decoded; `None` if it was, or if nothing looks at it.
pub(crate) fn undecodable(call: &Call, capture: &ResponseCapture) -> Option<FailureKind> {
    capture.undecodable().filter(|_| call.needs_body())
}

/// Returns a response in the form that checks read, without the user's cookies.
pub(crate) fn response_view<'a>(
    status: u16,
    exchange: &Exchange,
    capture: &'a ResponseCapture,
) -> ResponseView<'a> {
    let body = BodyView { bytes: &capture.body, text: capture.text() };
    ResponseView {
        status,
        cookies: &[],
        head: &capture.head,
        body: capture.undecodable().is_none().then_some(body),
        service: exchange.done - exchange.dispatched,
        first_byte: exchange.first_byte - exchange.dispatched,
        streamed: capture.streamed().map(|seen| StreamedView {
            finish: seen.finish.as_deref(),
            messages: seen.events,
            tokens: seen.tokens.unwrap_or(seen.content_chunks),
            first: (seen.first != Time::NEVER).then(|| seen.first - exchange.dispatched),
        }),
    }
}

/// Fails all checks of a call without a response, and unsets the variables of its captures.
pub(crate) fn fail_all(
    call: CallContext<'_>,
    user: &mut User,
    result: CallResult,
) -> CheckedResponse {
    let has_rules = !call.prepared.call.has_message_rules();
    let ids = if has_rules { call.prepared.check_ids.as_slice() } else { &[] };
    let step = call.step(user);
    for id in ids {
        call.shard.recorder.borrow_mut().record_check(step, call.intended(), *id, false);
    }
    unset_captures(call, user);
    let goes_on = ids.is_empty() || goes_on_after(call, user, 0);
    let mut failed = FailedChecks::NONE;
    (0..ids.len()).for_each(|place| failed.add(place));
    CheckedResponse { result, goes_on, failed }
}

/// Unsets the variables of the call's captures, so that no value of an earlier response is left.
pub(crate) fn unset_captures(call: CallContext<'_>, user: &mut User) {
    let captured = call.prepared.call.captures.iter().map(|capture| capture.variable);
    for slot in captured.chain(call.shard.plan.archetypes[user.archetype].status) {
        user.variables[slot] = None;
    }
}

/// Whether the iteration continues after the check at `place` failed.
fn goes_on_after(context: CallContext<'_>, user: &User, place: usize) -> bool {
    let call = &context.prepared.call;
    if call.on_fail == OnFail::Abort {
        let step = context.step_name(user);
        context.shard.recorder.borrow_mut().request_halt(|| {
            let name = call.check_names().nth(place).unwrap_or_default();
            Halt::Check(format!("step `{step}`: check `{name}` failed"))
        });
    }
    call.on_fail == OnFail::Count
}

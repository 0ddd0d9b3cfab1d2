//! Did the answer hold, and what is kept of it for the next step?
//!
//! `attempt` asks after each complete answer.
//! Invariant: a failed check is counted, a failed `expect` fails the call; neither is an error of
//! the program.

use super::prepared::PreparedCall;
use super::redirect;
use super::shard::Shard;
use super::user::User;
use crate::extract::{self, BodyView, CheckPart, ResponseView};
use crate::plan::{Call, OnFail};
use crate::stats::delta::Halt;
use crate::stats::{AttemptOutcome, AttemptPhase, CallResult, Exchange, FailureKind};
use crate::wire::ResponseCapture;

/// What was found of an answer.
#[derive(Clone, Copy)]
pub(super) struct CheckedResponse {
    /// How the call ended.
    pub(super) result: CallResult,
    /// Whether a failed check lets the iteration go on.
    pub(super) goes_on: bool,
    /// What did not hold.
    pub(super) failed: FailedChecks,
}

/// The places of what did not hold, a bit for each; those beyond 63 share the last.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FailedChecks(u64);

impl FailedChecks {
    /// Everything held.
    pub(super) const NONE: Self = Self(0);

    fn add(&mut self, place: usize) {
        self.0 |= 1 << place.min(63);
    }

    /// Whether what stands there did not hold.
    pub(super) fn has(self, place: usize) -> bool {
        self.0 >> place.min(63) & 1 == 1
    }

    /// The first of them.
    pub(super) fn first(self) -> Option<usize> {
        (self != Self::NONE).then(|| self.0.trailing_zeros() as usize)
    }
}

/// Looks at an answer: counts checks and sets variables.
pub(super) fn judge(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    intended_ns: u64,
    status: u16,
    exchange: &Exchange,
    kept: &ResponseCapture,
) -> CheckedResponse {
    let call = &prepared.call;
    if let Some(slot) = shard.plan.archetypes[user.archetype].status {
        user.variables[slot] = Some(status.into());
    }
    let wanted = status < 400 || call.expects_status(status);
    if prepared.check_ids.is_empty() {
        let fate = if wanted { CallResult::Ok } else { CallResult::Failed };
        return CheckedResponse { result: fate, goes_on: true, failed: FailedChecks::NONE };
    }
    let cookies = if call.captures_cookies() {
        redirect::cookies(shard, user, call.service)
    } else {
        Vec::new()
    };
    let answer = ResponseView { cookies: &cookies, ..answer(status, exchange, kept) };
    let step = user.step(call.series);
    let (mut failed, mut first) = (FailedChecks::NONE, None);
    let applied = extract::apply(
        call.response_rules(),
        answer,
        &mut user.variables,
        &mut user.rng,
        |part, passed| {
            let place = place(call, part);
            shard.recorder.borrow_mut().check(step, intended_ns, prepared.check_ids[place], passed);
            if !passed {
                failed.add(place);
                first.get_or_insert(place);
            }
        },
    );
    // Beside the failed checks: why they failed.
    let undecodable = undecodable(call, kept);
    let why = undecodable.or(applied.too_complex.then_some(FailureKind::TooComplex));
    if let Some(kind) = why {
        shard.recorder.borrow_mut().error(AttemptOutcome::Failed(AttemptPhase::Body, kind));
    }
    let wanted = wanted && undecodable.is_none();
    let fate = if wanted && applied.as_expected { CallResult::Ok } else { CallResult::Failed };
    let goes_on = first.is_none_or(|place| goes_on(shard, user, prepared, place));
    CheckedResponse { result: fate, goes_on, failed }
}

/// Why what looks at the body of a response finds none; `None` also where nothing does.
pub(super) fn undecodable(call: &Call, kept: &ResponseCapture) -> Option<FailureKind> {
    kept.undecodable().filter(|_| call.needs_body())
}

/// A response as checks look at it, without the user's cookies.
pub(super) fn answer<'a>(
    status: u16,
    exchange: &Exchange,
    kept: &'a ResponseCapture,
) -> ResponseView<'a> {
    ResponseView {
        status,
        cookies: &[],
        head: &kept.head,
        body: kept
            .undecodable()
            .is_none()
            .then(|| BodyView { bytes: &kept.body, text: kept.text() }),
        service: exchange.done - exchange.dispatched,
        first_byte: exchange.first_byte - exchange.dispatched,
    }
}

/// A call that got no answer: nothing that was looked for is there, and what an earlier answer left
/// is not this one's. Says whether the iteration may go on.
pub(super) fn nothing_to_judge(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    intended_ns: u64,
    fate: CallResult,
) -> CheckedResponse {
    let step = user.step(prepared.call.series);
    for id in &prepared.check_ids {
        shard.recorder.borrow_mut().check(step, intended_ns, *id, false);
    }
    forget(shard, user, prepared);
    let goes_on = prepared.check_ids.is_empty() || goes_on(shard, user, prepared, 0);
    let mut failed = FailedChecks::NONE;
    (0..prepared.check_ids.len()).for_each(|place| failed.add(place));
    CheckedResponse { result: fate, goes_on, failed }
}

/// Unsets what the call would have captured: an earlier response's values are not this one's.
pub(super) fn forget(shard: &Shard, user: &mut User, prepared: &PreparedCall) {
    let captured = prepared.call.captures.iter().map(|capture| capture.variable);
    for slot in captured.chain(shard.plan.archetypes[user.archetype].status) {
        user.variables[slot] = None;
    }
}

/// The place of a check, expect or capture among all that a call looks at.
fn place(call: &Call, part: CheckPart) -> usize {
    match part {
        CheckPart::Check(index) => index,
        CheckPart::Expect(index) => call.checks.len() + index,
        CheckPart::Capture(index) => call.checks.len() + call.expects.len() + index,
    }
}

/// Whether the iteration goes on after what stands at `place` did not hold.
fn goes_on(shard: &Shard, user: &User, prepared: &PreparedCall, place: usize) -> bool {
    if prepared.call.on_fail == OnFail::Abort {
        let series = &shard.plan.archetypes[user.archetype].series;
        let step = &series[usize::from(prepared.call.series)];
        shard.recorder.borrow_mut().halt(|| {
            let name = prepared.call.check_names().nth(place).unwrap_or_default();
            Halt::Check(format!("step `{step}`: {name} did not hold"))
        });
    }
    prepared.call.on_fail == OnFail::Count
}

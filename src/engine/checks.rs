//! Did the answer hold, and what is kept of it for the next step?
//!
//! `attempt` asks after each complete answer.
//! Invariant: a failed check is counted, a failed `expect` fails the call; neither is an error of
//! the program.

use super::hop;
use super::prepared::PreparedCall;
use super::shard::Shard;
use super::user::User;
use crate::plan::extract::{self, Answer, Part};
use crate::stats::{Exchange, Fate};
use crate::wire::Kept;

/// Looks at an answer: counts checks, sets variables, and says how the call ended.
pub(super) fn judge(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    intended_ns: u64,
    status: u16,
    exchange: &Exchange,
    kept: &Kept,
) -> Fate {
    let call = &prepared.call;
    let wanted = status < 400 || call.asks_for(status);
    if prepared.check_ids.is_empty() {
        return if wanted { Fate::Ok } else { Fate::Failed };
    }
    let cookies =
        if call.looks_at_cookies() { hop::cookies(shard, user, call.service) } else { Vec::new() };
    let answer = Answer {
        status,
        cookies: &cookies,
        head: &kept.head,
        body: &kept.body,
        service: exchange.done - exchange.dispatched,
    };
    let step = user.step(call.series);
    let (checks, expects) = (call.checks.len(), call.expects.len());
    let expected =
        extract::apply(call, answer, &mut user.variables, &mut user.rng, |part, passed| {
            let place = match part {
                Part::Check(index) => index,
                Part::Expect(index) => checks + index,
                Part::Capture(index) => checks + expects + index,
            };
            let id = prepared.check_ids[place];
            shard.recorder.borrow_mut().check(step, intended_ns, id, passed);
        });
    if wanted && expected { Fate::Ok } else { Fate::Failed }
}

/// A call that got no answer: nothing that was looked for is there, and what an earlier answer left
/// is not this one's.
pub(super) fn nothing_to_judge(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    intended_ns: u64,
) {
    let step = user.step(prepared.call.series);
    for id in &prepared.check_ids {
        shard.recorder.borrow_mut().check(step, intended_ns, *id, false);
    }
    for capture in &prepared.call.captures {
        user.variables[capture.variable] = None;
    }
}

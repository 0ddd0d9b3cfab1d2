//! Did the answer hold, and what is kept of it for the next step?
//!
//! `attempt` asks after each complete answer.
//! Invariant: a failed check is counted, a failed `expect` fails the call; neither is an error of
//! the program.

use super::shard::{PreparedCall, Shard};
use super::user::User;
use crate::plan::extract::Answer;
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
    let answer = Answer {
        status,
        head: &kept.head,
        body: &kept.body,
        service: exchange.done - exchange.dispatched,
    };
    let step = user.step(call.series);
    let mut ids = prepared.check_ids.iter().copied();
    let mut count = |passed: bool| {
        if let Some(id) = ids.next() {
            shard.recorder.borrow_mut().check(step, intended_ns, id, passed);
        }
        passed
    };
    for check in &call.checks {
        count(check.holds(&answer));
    }
    let mut expected = true;
    for expect in &call.expects {
        expected &= count(expect.holds(&answer));
    }
    for capture in &call.captures {
        let found = capture.find(&answer, &mut user.rng);
        count(found.is_some());
        user.variables[capture.variable] = found;
    }
    if wanted && expected { Fate::Ok } else { Fate::Failed }
}

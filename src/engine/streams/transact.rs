//! Begins and commits transactions at a broker.
//!
//! `step` runs it.
//! Invariant: the step ends with the answer of its session; a transaction that an iteration leaves
//! open is aborted by the next one, or when the session closes.

use std::rc::Rc;
use std::task::Poll;

use crate::clock;
use crate::engine::call::context::CallContext;
use crate::engine::call::timing::CallEnd;
use crate::engine::streams::live_stream::LiveStream;
use crate::engine::streams::publish::await_answer;
use crate::engine::streams::send::wait_for;
use crate::engine::streams::step_end;
use crate::engine::streams::stream_state::StreamPhase;
use crate::engine::users::user::User;
use crate::plan::broker::TransactPlan;
use crate::stats::{AttemptOutcome, FailureKind};
use crate::wire::broker::command::BrokerCommand;

/// Begins or commits a transaction.
pub(super) async fn transact(
    context: CallContext<'_>,
    user: &mut User,
    live: Option<Rc<LiveStream>>,
    plan: &TransactPlan,
) -> CallEnd {
    let Some(live) = live else { return step_end::not_open(context, user) };
    let (shard, prepared) = (context.shard, context.prepared);
    let begun = step_end::begin(context, user, clock::now());
    let mut id = Vec::new();
    if let TransactPlan::Begin(template) = plan
        && let Err(error) =
            template.render(&mut user.scope(shard, context.timing.intended), &mut id)
    {
        return step_end::fail_to_render(context, user, begun, &error);
    }
    let id = String::from_utf8_lossy(&id).into_owned();
    let command = match plan {
        TransactPlan::Begin(_) => BrokerCommand::BeginTransaction { id: &id },
        TransactPlan::Commit => BrokerCommand::CommitTransaction,
    };
    user.deadline.begin(begun.at.after(prepared.timeout_ns));
    let dispatched = clock::now();
    let mut outcome = begin(context, (user, &live), command).await;
    if outcome == AttemptOutcome::Done {
        outcome = await_answer(user, &live).await;
    }
    let answer = live.state.borrow_mut().answers.end_wait();
    user.deadline.end();
    let done = answer.as_ref().map_or_else(clock::now, |answer| answer.at);
    if let Some(answer) = answer {
        outcome = AttemptOutcome::Responded(answer.status);
        shard.recorder.borrow_mut().record_status(answer.status);
    }
    step_end::conclude(context, user, begun, (dispatched, done), outcome, (&[], None))
}

/// Hands the command to the session.
async fn begin(
    context: CallContext<'_>,
    (user, live): (&User, &LiveStream),
    command: BrokerCommand<'_>,
) -> AttemptOutcome {
    let mut is_given = false;
    wait_for(user, live, |cx, phase| {
        let mut state = live.state.borrow_mut();
        let number = state.answers.next_number();
        let Some(wire) = &mut state.wire else {
            return match phase {
                StreamPhase::Open | StreamPhase::Away if !is_given => Poll::Pending,
                _ => Poll::Ready(Err(FailureKind::Closed)),
            };
        };
        if !is_given {
            wire.command(number, command)?;
            is_given = true;
            context.shard.recorder.borrow_mut().record_command();
            state.answers.begin_wait(number);
        }
        state.poll_hand_over(cx)
    })
    .await
}

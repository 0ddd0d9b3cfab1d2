//! Runs a step of a stream.
//!
//! `iteration` calls it, boxed, for each of them.
//! Invariant: a step refers to a stream that is open, or fails as `not_open`.

use crate::clock;
use crate::engine::call::context::CallContext;
use crate::engine::call::timing::{CallEnd, CallTiming};
use crate::engine::shard::Shard;
use crate::engine::streams::{finish, open, publish, send, step_end, subscribe, transact, wait};
use crate::engine::users::user::User;
use crate::plan::stream::StreamAct;
use crate::stats::CallResult;

/// Runs the step `call` of the user's archetype.
pub(crate) async fn step(
    shard: &Shard,
    user: &mut User,
    call: usize,
    timing: &CallTiming,
) -> CallEnd {
    let prepared = &shard.flows[user.archetype].calls[call];
    let Some(step) = prepared.call.stream.as_deref() else {
        // The plan has no such step.
        let done = clock::now();
        return CallEnd { result: CallResult::Own, done, responded: false, goes_on: false };
    };
    let context = CallContext { shard, prepared, timing };
    let live = user.extras().streams.get(step.stream);
    match &step.act {
        StreamAct::Open(opened) => {
            open::open(shard, user, (call, prepared), (step, opened), timing).await
        }
        StreamAct::Send(message) => send::send(context, user, live, *message).await,
        StreamAct::Publish(plan) => publish::publish(context, user, live, plan).await,
        StreamAct::Subscribe(plan) => subscribe::subscribe(context, user, (call, live), plan).await,
        StreamAct::Transact(plan) => transact::transact(context, user, live, plan).await,
        StreamAct::Await(message) => wait::wait(context, user, live, message).await,
        StreamAct::Close { half: true, .. } => finish::finish(context, user, live).await,
        StreamAct::Close { code, reason, .. } => {
            send::close(context, user, live, *code, reason).await
        }
        StreamAct::Listen(listener) => {
            let Some(live) = live else { return step_end::not_open(context, user) };
            let begun =
                step_end::begin_listener(shard, user, (call, prepared), &live, (listener, None));
            match begun {
                // It takes no time, and is no call.
                Ok(()) => CallEnd {
                    result: CallResult::Ok,
                    done: timing.intended,
                    responded: true,
                    goes_on: true,
                },
                Err(error) => {
                    let begun = step_end::begin(context, user, timing.picked_up);
                    step_end::fail_to_render(context, user, begun, &error)
                }
            }
        }
    }
}

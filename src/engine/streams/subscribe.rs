//! Subscribes at a broker.
//!
//! `step` runs it.
//! Invariant: a listener is ready when the broker has accepted its subscription; messages that came
//! before are kept for it.

use std::rc::Rc;
use std::task::Poll;

use crate::clock;
use crate::engine::call::context::CallContext;
use crate::engine::call::timing::CallEnd;
use crate::engine::shard::Shard;
use crate::engine::streams::consumer::Consumer;
use crate::engine::streams::live_stream::LiveStream;
use crate::engine::streams::publish::{await_answer, channel_of};
use crate::engine::streams::send::wait_for;
use crate::engine::streams::step_end::{self, ListenerSource};
use crate::engine::streams::stream_state::{BrokerSubscription, StreamPhase};
use crate::engine::users::user::User;
use crate::plan::broker::SubscribePlan;
use crate::protocol::status;
use crate::stats::{AttemptOutcome, FailureKind};
use crate::wire::broker::command::BrokerCommand;

/// Subscribes, and begins the listener of the step.
pub(super) async fn subscribe(
    context: CallContext<'_>,
    user: &mut User,
    (call, live): (usize, Option<Rc<LiveStream>>),
    plan: &SubscribePlan,
) -> CallEnd {
    let Some(live) = live else { return step_end::not_open(context, user) };
    let (shard, prepared) = (context.shard, context.prepared);
    let begun = step_end::begin(context, user, clock::now());
    let mut source = Vec::new();
    if let Err(error) =
        plan.source.render(&mut user.scope(shard, context.timing.intended), &mut source)
    {
        return step_end::fail_to_render(context, user, begun, &error);
    }
    if let Err(error) = shard.check_destination(&source) {
        return step_end::fail_to_render(context, user, begun, &error);
    }
    let source = String::from_utf8_lossy(&source).into_owned();
    let mut group = Vec::new();
    if let Some(template) = &plan.group
        && let Err(error) =
            template.render(&mut user.scope(shard, context.timing.intended), &mut group)
    {
        return step_end::fail_to_render(context, user, begun, &error);
    }
    let group = plan.group.as_ref().map(|_| String::from_utf8_lossy(&group).into_owned());
    user.deadline.begin(begun.at.after(prepared.timeout_ns));
    let dispatched = clock::now();
    let (number, mut outcome) =
        begin(shard, (user, &live), (&source, group.as_deref()), plan).await;
    if outcome == AttemptOutcome::Done {
        outcome = await_answer(user, &live).await;
    }
    let answer = live.state.borrow_mut().answers.end_wait();
    user.deadline.end();
    let done = answer.as_ref().map_or_else(clock::now, |answer| answer.at);
    let mut begins = false;
    if let Some(answer) = answer {
        outcome = AttemptOutcome::Responded(answer.status);
        shard.recorder.borrow_mut().record_status(answer.status);
        begins = !status::is_error(answer.status);
    }
    let ended = step_end::conclude(context, user, begun, (dispatched, done), outcome, (&[], None));
    if !begins {
        let mut state = live.state.borrow_mut();
        state.subscriptions.retain(|known| known.number != number);
        return ended;
    }
    let Some(listener) = &plan.listener else { return ended };
    let acknowledges = plan.acknowledge.every > 0;
    let consumer = acknowledges.then(|| Box::new(Consumer::new(plan.acknowledge.clone())));
    let channel = channel_of(context, &source);
    let sharers = group.as_deref().unwrap_or_else(|| group_of(&source));
    let source = ListenerSource { subscription: number, channel, group: sharers, consumer };
    let place = (call, prepared);
    let listening = step_end::begin_listener(shard, user, place, &live, (listener, Some(source)));
    CallEnd { goes_on: ended.goes_on && listening.is_ok(), ..ended }
}

/// The group of the listeners that share the messages of a source: that of a shared subscription of
/// MQTT, else the source itself.
fn group_of(source: &str) -> &str {
    let shared = source.strip_prefix("$share/").and_then(|rest| rest.split_once('/'));
    shared.map_or(source, |(group, _)| group)
}

/// Hands the subscription to the kernel. Returns its number.
async fn begin(
    shard: &Shard,
    (user, live): (&User, &LiveStream),
    (source, group): (&str, Option<&str>),
    plan: &SubscribePlan,
) -> (u32, AttemptOutcome) {
    let subscription = {
        let state = live.state.borrow();
        let last = state.subscriptions.iter().map(|known| known.number).max();
        last.unwrap_or(0) + 1
    };
    let mut is_queued = false;
    let outcome = wait_for(user, live, |cx, phase| {
        let mut state = live.state.borrow_mut();
        let number = state.answers.next_number();
        let Some(wire) = &mut state.wire else {
            return match phase {
                StreamPhase::Open | StreamPhase::Away if !is_queued => Poll::Pending,
                _ => Poll::Ready(Err(FailureKind::Closed)),
            };
        };
        if !is_queued {
            let options = &plan.options;
            wire.command(
                number,
                BrokerCommand::Subscribe { source, options, subscription, group },
            )?;
            is_queued = true;
            shard.recorder.borrow_mut().record_command();
            state.answers.begin_wait(number);
            state.subscriptions.push(BrokerSubscription {
                number: subscription,
                command: number,
                source: source.to_owned(),
                group: group.map(str::to_owned),
                options: options.clone(),
            });
        }
        state.poll_hand_over(cx)
    })
    .await;
    (subscription, outcome)
}

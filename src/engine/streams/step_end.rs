//! The beginning and the end of a step that sends to a stream, waits for it or closes it.
//!
//! `send`, `wait` and `step` call it.
//! Invariant: such a step is recorded once, as a call is: in the same counts, times and checks.

use std::rc::Rc;

use crate::clock::{self, Time};
use crate::engine::call::checks;
use crate::engine::call::conclude::{self, BlockedTime, ShardDelays};
use crate::engine::call::context::CallContext;
use crate::engine::call::prepared::PreparedCall;
use crate::engine::call::timing::{CallEnd, CallTiming, unsent};
use crate::engine::shard::Shard;
use crate::engine::streams::conditions::Conditions;
use crate::engine::streams::consumer::Consumer;
use crate::engine::streams::inbox::KeptMessage;
use crate::engine::streams::listener::{DueMessages, Listener};
use crate::engine::streams::live_stream::LiveStream;
use crate::engine::streams::replies::{ListenerReplies, ReplyScope};
use crate::engine::streams::stamping;
use crate::engine::users::user::User;
use crate::plan::listener::ListenerPlan;
use crate::stats::{AttemptOutcome, AttemptPhase, BlockCause, CallResult, Exchange, FailureKind};
use crate::template::RenderError;
use crate::wire::ResponseCapture;
use crate::wire::message_stream::{Message, MessageKind};

/// A step that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepBegun {
    /// When the shard turned to it.
    pub(super) at: Time,
    /// How long the event loop had stalled then, ns.
    stalled_ns: u64,
    /// How long it waited for room at the broker, ns.
    blocked_ns: u64,
}

impl StepBegun {
    /// A step that waited this long for its stream or its broker.
    pub(super) fn blocked(
        self,
        context: CallContext<'_>,
        blocked_ns: u64,
        cause: BlockCause,
    ) -> Self {
        if blocked_ns > 0 {
            let mut recorder = context.shard.recorder.borrow_mut();
            recorder.record_blocked(context.intended(), cause, blocked_ns);
        }
        Self { blocked_ns, ..self }
    }
}

/// Begins a step that the shard turns to now.
pub(super) fn begin(context: CallContext<'_>, user: &User, now: Time) -> StepBegun {
    let (workload, step) = (user.workload, context.step(user));
    let mut recorder = context.shard.recorder.borrow_mut();
    let stalled_ns = recorder.begin_call(workload, step, context.intended(), now);
    StepBegun { at: now, stalled_ns, blocked_ns: 0 }
}

/// Ends a step that measured from `dispatched` to `done`; `payload` is what it sent, `found` what
/// it got.
pub(super) fn conclude(
    context: CallContext<'_>,
    user: &mut User,
    begun: StepBegun,
    (dispatched, done): (Time, Time),
    outcome: AttemptOutcome,
    (payload, found): (&[u8], Option<KeptMessage>),
) -> CallEnd {
    let mut capture = ResponseCapture::default();
    if let Some(message) = found {
        capture.head = message.head.into_vec();
        capture.body = message.payload.into_vec().into();
    }
    let exchange = exchange(outcome, dispatched, done);
    let blocked = blocked(context, begun, dispatched);
    let end = conclude::conclude(context, user, blocked, (&exchange, &capture), payload);
    CallEnd { done: done.max(begun.at), ..end }
}

/// Ends a step that may end without a message, and did.
pub(super) fn conclude_without(
    context: CallContext<'_>,
    user: &mut User,
    begun: StepBegun,
    done: Time,
) -> CallEnd {
    checks::unset_captures(context, user);
    let exchange = exchange(AttemptOutcome::Done, context.timing.picked_up, done);
    let blocked = blocked(context, begun, exchange.dispatched);
    conclude::record(context, user, blocked, &exchange, CallResult::Ok)
}

fn exchange(outcome: AttemptOutcome, dispatched: Time, done: Time) -> Exchange {
    Exchange { first_byte: done, done, sent: true, ..unsent(outcome, dispatched) }
}

fn blocked(context: CallContext<'_>, begun: StepBegun, dispatched: Time) -> BlockedTime {
    // What the shard did before the message could go out is its own delay.
    let blocked_ns = begun.blocked_ns;
    let prepared_ns = dispatched.since(context.timing.picked_up).saturating_sub(blocked_ns);
    let own = ShardDelays { prepared_ns, stalled_ns: begun.stalled_ns };
    // The reader stamps a message; its user gets its turn later.
    BlockedTime { blocked_ns, left: clock::now(), taken_up: begun.at, own, attempts: 1 }
}

/// Ends a step whose stream is not open: its opening failed, or it has not run.
pub(super) fn not_open(context: CallContext<'_>, user: &mut User) -> CallEnd {
    let now = context.timing.picked_up;
    let begun = begin(context, user, now);
    let outcome = AttemptOutcome::Failed(AttemptPhase::Message, FailureKind::NotOpen);
    context.shard.recorder.borrow_mut().record_error(outcome);
    conclude(context, user, begun, (now, now), outcome, (&[], None))
}

/// Ends a step whose message or conditions cannot be rendered.
pub(super) fn fail_to_render(
    context: CallContext<'_>,
    user: &mut User,
    begun: StepBegun,
    error: &RenderError,
) -> CallEnd {
    user.deadline.end();
    // It is in flight from the moment that `begin` noted.
    let timing = CallTiming { picked_up: begun.at, ..*context.timing };
    conclude::fail_to_render(CallContext { timing: &timing, ..context }, user, error)
}

/// Where the messages of a broker's listener come from.
#[derive(Debug)]
pub(super) struct ListenerSource<'a> {
    /// The number of its subscription.
    pub(super) subscription: u32,
    /// The default name of its channel.
    pub(super) channel: String,
    /// The group of listeners that share messages.
    pub(super) group: &'a str,
    /// What acknowledges messages; `None`: nothing does.
    pub(super) consumer: Option<Box<Consumer>>,
}

/// Begins a listener on an open stream; messages that were kept go to it first.
///
/// # Errors
/// If a template of its step cannot be rendered.
pub(super) fn begin_listener(
    shard: &Shard,
    user: &mut User,
    (call, prepared): (usize, &PreparedCall),
    live: &Rc<LiveStream>,
    (plan, broker): (&ListenerPlan, Option<ListenerSource<'_>>),
) -> Result<(), RenderError> {
    let now = clock::now();
    let conditions = Conditions::render(&plan.conditions, &mut user.scope(shard, now))?;
    let replies = replies(shard, user, now, plan)?;
    let mut due = None;
    if let Some(channel) = &plan.channel {
        let path = broker.as_ref().map_or(&live.path, |source| &source.channel);
        let name = stamping::channel_name(shard, user, channel, (now, path))?;
        let channel = shard.shared.channels.get(&name);
        let group = broker.as_ref().filter(|_| plan.shares);
        let group = group.map(|source| (&shard.shared.groups, source.group));
        due = channel.map(|channel| DueMessages::begin(channel, plan.own, group));
    }
    let step = user.step(prepared.call.series);
    let mut listener = Listener::new((step, call), conditions, replies, due);
    if let Some(source) = broker {
        (listener.subscription, listener.consumer) = (Some(source.subscription), source.consumer);
    }
    let mut state = live.state.borrow_mut();
    // Most streams have one: room for four would be wasted.
    state.listeners.reserve_exact(1);
    state.listeners.push(listener);
    let place = state.listeners.len() - 1;
    for kept in state.inbox.take_all() {
        if state.listeners[place].takes_kept(&kept) {
            let delivery = kept.place.map(|place| place.with_head(&kept.head));
            let message = Message::new(MessageKind::Text, &kept.payload);
            let message = Message { delivery: delivery.as_ref(), ..message };
            state.hand_over(shard, place, kept.at, &message, false);
        } else {
            state.inbox.push(kept);
        }
    }
    state.wake_reader();
    Ok(())
}

/// Renders the answers that can be rendered before a message.
fn replies(
    shard: &Shard,
    user: &mut User,
    now: Time,
    plan: &ListenerPlan,
) -> Result<ListenerReplies, RenderError> {
    let mut all = Vec::with_capacity(plan.replies.len());
    let mut scope = None;
    for reply in &plan.replies {
        let conditions = Conditions::render(&reply.conditions, &mut user.scope(shard, now))?;
        let mut text = None;
        if reply.captures.is_empty() {
            let mut rendered = Vec::new();
            reply.text.render(&mut user.scope(shard, now), &mut rendered)?;
            text = Some(rendered);
        } else if scope.is_none() {
            let (variables, iteration) = (user.variables.clone(), user.iteration);
            scope = Some(Box::new(ReplyScope { variables, user: user.number, iteration }));
        }
        all.push((conditions, text));
    }
    Ok(ListenerReplies::new(all, scope))
}

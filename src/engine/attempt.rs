//! One call, from the moment a user turns to it until it is counted: the one visible stack,
//! admit → lease → send under deadline → observe → record.
//!
//! `iteration` and `parallel` call it for each request.
//! Invariant: what an attempt acquires on its way to the wire is released on the way back, whatever
//! becomes of it; the order of the steps is here and nowhere else.

use std::num::NonZero;

use crate::clock::{self, RunOffset};
use crate::engine::call::attempts::{CallAttempts, NextAttempt};
use crate::engine::call::conclude::{BlockedTime, ShardDelays, conclude, fail_to_render, suppress};
use crate::engine::call::context::CallContext;
use crate::engine::call::prepared::PreparedCall;
use crate::engine::call::timing::{CallEnd, CallTiming, unsent};
use crate::engine::call::{body, call_record, cookies, hedge, redirect, transaction};
use crate::engine::resilience::{AdmissionDelay, AttemptPermit, CompletedAttempt};
use crate::engine::shard::Shard;
use crate::engine::streams;
use crate::engine::users::user::User;
use crate::ids::StepId;
use crate::stats::recorder::AttemptReason;
use crate::stats::{AttemptOutcome, BlockCause, Exchange};
use crate::template::RenderError;
use crate::wire::{ExchangeContext, Outgoing};

/// How often a request follows the nodes of a cluster to one another.
const MAX_HOPS: u8 = 5;

/// Makes one call.
///
/// No `async fn`: that would store each argument twice in every user's task.
#[expect(clippy::manual_async_fn, reason = "an async fn stores its arguments twice")]
pub(crate) fn call<'a>(
    context: CallContext<'a>,
    user: &'a mut User,
) -> impl Future<Output = CallEnd> {
    async move {
        let CallContext { shard, prepared, timing } = context;
        let (picked_up, intended) = (timing.picked_up, context.intended());
        let step = context.step(user);
        let stalled_ns = begin(context, user, step);
        let has_policies = !shard.resilience.is_passthrough();

        // Suppress first: what will not be sent is not rendered, and waits for nothing.
        if has_policies
            && let Some(cause) =
                shard.resilience.suppression_cause(&shard.shared.board, prepared, step, picked_up)
        {
            return suppress(context, user, AttemptOutcome::Suppressed(cause));
        }

        // Render before anything is sent: a call that cannot be made is the generator's error, not
        // the target's, and must not open a connection.
        let mut buffer = Vec::new();
        let bytes = match render(shard, user, prepared, timing, &mut buffer) {
            Ok(bytes) => bytes,
            Err(error) => return fail_to_render(context, user, &error),
        };
        // The first act outside comes now: rendering is the generator's work, not the target's.
        let at = if shard.flows[user.archetype].is_light { picked_up } else { clock::now() };
        let own = ShardDelays { prepared_ns: at.since(picked_up), stalled_ns };
        let link = user.link();
        let outgoing = Outgoing {
            service: prepared.call.service,
            bytes,
            capture: &prepared.capture,
            operation: prepared.call.operation.as_deref(),
            idempotent: prepared.idempotent,
            user: user.number,
            link: link.as_ref(),
            number: user.item,
            intended,
        };
        let mut attempts = CallAttempts::new(&context, outgoing, at);
        if prepared.call.transaction.is_some() {
            attempts.reason = transaction::attempt_reason(user);
        }
        if prepared.is_balanced {
            Box::pin(attempts.make_balanced(user)).await;
        } else if has_policies {
            // Boxed: a user of the default client carries no room for it.
            Box::pin(attempts.make(user)).await;
        } else {
            // The default client has no policies: it sends what is due, under its deadline.
            user.deadline.begin(at.after(prepared.timeout_ns));
            attempts.send(user, None).await;
        }

        // Outside any future that could be dropped half-way. Unpacked again, so that no copy waits.
        let CallContext { shard, prepared, timing } = context;
        if prepared.is_more {
            streams::end_exchange(context, user, &mut attempts.last, &mut attempts.capture);
        }
        let CallAttempts { blocked_ns, at, capture, last, outgoing, .. } = &attempts;
        let left = last.done.max(*at);
        // What policy suppressed after all was not made.
        let has_begun = !matches!(last.outcome, AttemptOutcome::Suppressed(_));
        let made = attempts.retries + u32::from(attempts.resends) + u32::from(has_begun);
        let blocked = BlockedTime {
            blocked_ns: *blocked_ns,
            left,
            taken_up: timing.picked_up,
            own,
            attempts: made,
        };
        let end = conclude(context, user, blocked, (last, capture), outgoing.bytes);
        if prepared.is_more {
            streams::end_call(context, user, (last, capture), end.result);
        }
        shard.buffers.give_back(buffer);
        end
    }
}

/// Begins a call. Returns how long the event loop had stood still before it, ns.
#[inline]
fn begin(context: CallContext<'_>, user: &mut User, step: StepId) -> u64 {
    if context.prepared.call.transaction.is_some() {
        return transaction::begin_call(context, user);
    }
    let (intended, now) = (context.intended(), context.timing.picked_up);
    context.shard.recorder.borrow_mut().begin_call(user.workload, step, intended, now)
}

/// The request: static bytes, or what is rendered into `buffer`.
#[inline]
fn render<'b>(
    shard: &Shard,
    user: &mut User,
    prepared: &'b PreparedCall,
    timing: &CallTiming,
    buffer: &'b mut Vec<u8>,
) -> Result<&'b [u8], RenderError> {
    let mut fixed = prepared.request.as_static();
    if fixed.is_none() {
        *buffer = shard.buffers.take();
        let mut scratch = shard.buffers.scratch();
        let mut scope = user.scope(shard, timing.intended);
        prepared.request.render(&mut scope, buffer, &mut scratch)?;
    }
    if let (Some(place), Some(context)) = (prepared.trace_place, shard.trace_context) {
        if let Some(bytes) = fixed.take() {
            *buffer = shard.buffers.take();
            buffer.clear();
            buffer.extend_from_slice(bytes);
        }
        let step = user.step(prepared.call.series);
        let intended = RunOffset::of(timing.intended, shard.start);
        context.fill(user.key, (step, intended), place, buffer);
    }
    let has_cookies = prepared.cookies && user.jar.is_some();
    if (has_cookies || prepared.is_more)
        && let Some(whole) = add_parts(shard, user, prepared, timing, fixed.unwrap_or(buffer))?
    {
        shard.buffers.give_back(std::mem::replace(buffer, whole));
        fixed = None;
    }
    Ok(fixed.unwrap_or(buffer))
}

/// Adds the parts of a request that no template renders: the user's cookies, and what a stream
/// asks for. `None` if there are none.
#[cold]
fn add_parts(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    timing: &CallTiming,
    bytes: &[u8],
) -> Result<Option<Vec<u8>>, RenderError> {
    let with_cookies =
        prepared.cookies.then(|| cookies::add(shard, user, prepared.call.service, bytes)).flatten();
    if !prepared.is_more {
        return Ok(with_cookies);
    }
    let bytes = with_cookies.as_deref().unwrap_or(bytes);
    streams::complete(shard, user, prepared, timing.intended, bytes).map(Some)
}

impl CallAttempts<'_> {
    /// Makes the attempts, from the first to the last.
    async fn make(&mut self, user: &mut User) {
        while self.make_one(user).await == NextAttempt::Due {}
    }

    /// Makes one attempt, and waits for the next if one is due: the stack of resilience, step by
    /// step.
    pub(crate) async fn make_one(&mut self, user: &mut User) -> NextAttempt {
        let (shard, prepared, resilience) =
            (self.context.shard, self.context.prepared, &self.context.shard.resilience);
        // Admit, then lease: a slot at each rate limit, a connection of the pool, the gate of a
        // service that takes no connections; the breakers last, since a permit of theirs that
        // was given before a wait would be old after it.
        let mut permit = AttemptPermit::to(self.outgoing.service);
        while let Err(delay) = resilience.acquire(shard, user, prepared, &mut permit, self.at) {
            if let Err(outcome) = self.wait(user, &mut permit, delay).await {
                resilience.release(shard, user, prepared, permit, None, self.at);
                // If an attempt was made before, its end is the call's.
                if self.retries == 0 {
                    self.last = unsent(outcome, self.at);
                } else {
                    // The retry was not made.
                    resilience.refund_retry();
                    self.retries -= 1;
                }
                return NextAttempt::NotMade;
            }
        }
        if self.retries > 0 {
            // The attempt before is not the last: it is measured by itself.
            call_record::note_earlier(shard, user, &self.last);
            let step = user.step(prepared.call.series);
            shard.recorder.borrow_mut().record_extra_service_time(
                step,
                self.outgoing.intended,
                &self.last,
            );
        } else {
            resilience.earn();
        }

        // Send under deadline. Its clock starts at dispatch: neither lateness of the generator
        // nor a wait that policy caused shortens the target's time.
        let begun = self.at;
        let limit_ns = resilience.timeout_ns(user.has_emulated_link(), prepared);
        user.deadline.begin(begun.after(limit_ns));
        // A breaker was promised one probe, not two.
        let hedge = resilience.hedge_after_ns(user, prepared).filter(|_| !permit.is_probe());
        self.send(user, hedge).await;

        // Observe each attempt, whatever becomes of the call: breakers, deadlines and pools
        // learn from attempts.
        let now = self.last.done;
        let completed = CompletedAttempt { exchange: &self.last, begun, limit_ns };
        resilience.release(shard, user, prepared, permit, Some(completed), now);

        // Retry? Only a failure that may pass, of a request that may be sent twice, and within
        // the budget.
        let Some(wait_ns) = resilience.retry_after(self) else { return NextAttempt::None };
        self.at = now;
        let until = now.after(wait_ns);
        let pause = user.deadline.pause_until(until).await;
        self.count_blocked(BlockCause::Retry);
        if pause.is_err() {
            resilience.refund_retry();
            return NextAttempt::None;
        }
        (self.reason, self.retries) = (AttemptReason::Retry, self.retries + 1);
        NextAttempt::Due
    }

    /// One attempt as policy counts it, under the user's deadline: with its resend on a fresh
    /// connection, its redirects, and its hedge after this many ns.
    #[expect(clippy::manual_async_fn, reason = "an async fn stores its arguments twice")]
    fn send(&mut self, user: &mut User, hedge: Option<NonZero<u64>>) -> impl Future<Output = ()> {
        async move {
            loop {
                self.context.shard.recorder.borrow_mut().begin_attempt(self.reason);
                self.last = Exchange::begun(self.at);
                let resend = match hedge {
                    // Boxed: it is rare, and has room for two.
                    Some(after_ns) => Box::pin(hedge::race(self, user, after_ns.get())).await,
                    None => {
                        let mut context = ExchangeContext {
                            slot: &mut user.slots[self.outgoing.service],
                            outgoing: &self.outgoing,
                            deadline: &user.deadline,
                            capture: &mut self.capture,
                            exchange: &mut self.last,
                        };
                        self.context.shard.wire.exchange(&mut context).await
                    }
                };
                if self.outgoing.operation.is_some()
                    && let Some(ns) = self.capture.take_login_ns()
                {
                    let mut recorder = self.context.shard.recorder.borrow_mut();
                    recorder.record_login(self.outgoing.intended, ns);
                }
                if self.context.prepared.capture.keep_body {
                    let wire = self.capture.body.len();
                    body::decode(self.context.prepared, &mut self.last, &mut self.capture);
                    body::count(self.context, &self.last, &self.capture, wire);
                }
                // Measure each attempt, also one that is sent again on a fresh connection.
                let again = resend.is_due(&mut self.resends);
                let intended = self.outgoing.intended;
                self.context.shard.recorder.borrow_mut().end_attempt(&self.last, intended, again);
                let is_moved = self.context.prepared.follows_cluster && self.is_moved(user);
                if !again && !is_moved {
                    break;
                }
                call_record::note_earlier(self.context.shard, user, &self.last);
                self.reason =
                    if again { AttemptReason::StaleResend } else { AttemptReason::Redirect };
                self.at = self.last.done;
            }
            if self.capture.sets_cookie {
                let Outgoing { service, bytes, .. } = self.outgoing;
                cookies::store(self.context.shard, user, service, bytes, &self.capture);
            }
            if let AttemptOutcome::Responded(status) = self.last.outcome
                && self.context.prepared.redirects > 0
                && redirect::is_redirect(status)
            {
                self.was_redirected = true;
                let Self { context, outgoing, last, capture, .. } = self;
                let CallContext { shard, prepared, .. } = **context;
                *last = redirect::follow(shard, user, prepared, *outgoing, *last, capture).await;
            }
            user.deadline.end();
        }
    }

    /// Whether a node of a cluster has sent the request to another, and it goes there. A node that
    /// does so has carried nothing out.
    #[cold]
    fn is_moved(&mut self, user: &mut User) -> bool {
        let slot = &mut user.slots[self.outgoing.service];
        if !slot.is_redirected() {
            return false;
        }
        if self.hops == MAX_HOPS {
            slot.forget_redirect();
            return false;
        }
        self.hops += 1;
        true
    }

    /// Waits for `delay`, and counts the wait as blocked time.
    async fn wait(
        &mut self,
        user: &mut User,
        permit: &mut AttemptPermit,
        delay: AdmissionDelay,
    ) -> Result<(), AttemptOutcome> {
        let times = (self.at, self.context.timing.picked_up);
        let waited = self
            .context
            .shard
            .resilience
            .wait(user, self.context.prepared, permit, delay, times)
            .await;
        // A call that is not sent at all has waited for nothing.
        if !matches!(delay, AdmissionDelay::Suppress(_)) {
            self.count_blocked(delay.cause());
        }
        waited
    }

    /// Counts the time since the call could have gone on as blocked.
    fn count_blocked(&mut self, cause: BlockCause) {
        let now = clock::now();
        let ns = now.since(self.at);
        self.blocked_ns += ns;
        self.at = now;
        self.context.shard.recorder.borrow_mut().record_blocked(self.outgoing.intended, cause, ns);
    }
}

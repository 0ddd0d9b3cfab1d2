//! One call, from the moment a user turns to it until it is counted: the one visible stack,
//! admit → lease → send under deadline → observe → record.
//!
//! `user` walks its flow and calls this for each request step.
//! Invariant: what is taken on the way to the wire is given back on the way from it, whatever
//! becomes of the attempt; the order of the heights is here and nowhere else.

use super::conclude::{BlockedTime, ShardDelays, conclude, never_sent, refuse, unsent};
use super::prepared::PreparedCall;
use super::resilience::{AdmissionDelay, AttemptPermit, CompletedAttempt};
use super::shard::Shard;
use super::user::User;
use super::{hedge, redirect};
use crate::clock::{self, Time};
use crate::stats::recorder::AttemptReason;
use crate::stats::{AttemptOutcome, AttemptPhase, BlockCause, CallResult, Exchange};
use crate::wire::{Outgoing, ResponseCapture};

/// What the user needs to know to go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallEnd {
    /// How it ended.
    pub(super) result: CallResult,
    /// When.
    pub(super) done: Time,
    /// An answer came, whatever it said.
    pub(super) responded: bool,
    /// The iteration goes on.
    pub(super) goes_on: bool,
}

/// When a call was wanted, when it could be made, and when we turned to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallTiming {
    /// When the schedule wanted it.
    pub(super) intended: Time,
    /// When its user was free for it: later than intended only when a paced user still waited for
    /// the target, or was held. That wait is blocked time, not lateness of ours.
    pub(super) ready: Time,
    /// When the shard turned to it.
    pub(super) picked_up: Time,
    /// What made it ready only then.
    pub(super) cause: BlockCause,
}

impl CallTiming {
    /// Of what is free when it is intended, at that time or before.
    pub(super) fn at_once(intended: Time, picked_up: Time) -> Self {
        Self { intended, ready: intended, picked_up, cause: BlockCause::Pace }
    }
}

/// Makes one call.
pub(super) async fn call(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    turn: &CallTiming,
) -> CallEnd {
    let CallTiming { intended, picked_up, .. } = *turn;
    let intended_ns = intended.since(shard.start);
    let step = user.step(prepared.call.series);
    let stalled_ns =
        shard.recorder.borrow_mut().begin_call(user.workload, step, intended_ns, picked_up);
    let careful = !shard.resilience.is_passthrough();

    // Refuse first: what will not be sent is not rendered, and waits for nobody.
    if careful
        && let Some(cause) = shard.resilience.suppression_cause(shard, prepared, step, picked_up)
    {
        return never_sent(shard, user, prepared, turn, AttemptOutcome::Suppressed(cause));
    }

    // Render before anything goes out: a call that cannot be made is our fault, not the target's,
    // and must not open a connection.
    let mut buffer = Vec::new();
    let rendered = match prepared.request.as_static() {
        Some(bytes) => Ok(bytes),
        None => {
            buffer = shard.take_buffer();
            let (mut scope, mut scratch) =
                (user.scope(shard, intended), shard.scratch.borrow_mut());
            prepared.request.render(&mut scope, &mut buffer, &mut scratch)
        }
    };
    let mut bytes = match rendered {
        Ok(bytes) => bytes,
        Err(error) => return refuse(shard, user, prepared, turn, &error),
    };
    let service = prepared.call.service;
    if user.jar.is_some()
        && prepared.cookies
        && let Some(dressed) = redirect::with_cookies(shard, user, service, bytes)
    {
        buffer = dressed;
        bytes = &buffer;
    }
    // The first act outside comes now: what was rendered for it is our work, not the target's.
    let at = if shard.flows[user.archetype].is_light { picked_up } else { clock::now() };
    let way = user.link();
    let outgoing = Outgoing {
        endpoint: service,
        bytes,
        capture: prepared.capture,
        idempotent: prepared.idempotent,
        user: user.number,
        link: way.as_deref(),
        number: user.item,
        intended_ns,
    };
    let mut attempts = CallAttempts {
        shard,
        prepared,
        outgoing,
        capture: ResponseCapture::default(),
        why: AttemptReason::First,
        retries: 0,
        blocked_ns: 0,
        at,
        picked_up,
        led_on: false,
        resends: 0,
        last: unsent(AttemptOutcome::Unfinished(AttemptPhase::Connect), at),
    };
    if careful {
        // Boxed: who only measures carries no room for it.
        Box::pin(attempts.make(user)).await;
    } else {
        // Nothing is asked of anybody: the default client sends what is due, under its deadline.
        attempts.send(user, prepared.timeout_ns, None).await;
    }

    // Outside any future that could be dropped half-way.
    let own = ShardDelays { prepared_ns: at.since(picked_up), stalled_ns };
    let CallAttempts { blocked_ns, at, capture: kept, last: exchange, .. } = &attempts;
    let held = BlockedTime { blocked_ns: *blocked_ns, left: exchange.done.max(*at), own };
    let ended = conclude(shard, user, prepared, turn, held, (exchange, kept), bytes);
    shard.give_buffer(buffer);
    ended
}

/// The attempts of a call: all that is known of them, once, since every user's task holds one.
pub(super) struct CallAttempts<'a> {
    pub(super) shard: &'a Shard,
    pub(super) prepared: &'a PreparedCall,
    pub(super) outgoing: Outgoing<'a>,
    pub(super) capture: ResponseCapture,
    why: AttemptReason,
    pub(super) retries: u32,
    /// Waits that policy asked for so far, ns.
    blocked_ns: u64,
    /// When the next attempt may be made: now, as far as this call is concerned.
    pub(super) at: Time,
    picked_up: Time,
    /// An answer pointed elsewhere, and it was followed: what was asked first has been done.
    pub(super) led_on: bool,
    /// How often it was sent again on a fresh connection.
    resends: u8,
    /// How the last one ended; before the first: cut before anything was sent.
    pub(super) last: Exchange,
}

impl CallAttempts<'_> {
    /// Makes them, from the first to the last: the stack of resilience, height by height.
    async fn make(&mut self, user: &mut User) {
        let (shard, prepared, caution) = (self.shard, self.prepared, &self.shard.resilience);
        loop {
            // Admit, then lease: a turn at each rate limit, a connection of the pool, the door of a
            // service that takes none; the breakers' leave last, for what they said before a wait
            // is old after it.
            let mut entry = AttemptPermit::default();
            while let Err(hold) = caution.acquire(shard, user, prepared, &mut entry, self.at) {
                if let Err(outcome) = self.wait(user, &mut entry, hold).await {
                    caution.release(shard, user, prepared, entry, None, self.at);
                    // An attempt that was made is what the call came to.
                    if self.retries == 0 {
                        self.last = unsent(outcome, self.at);
                    } else {
                        caution.refund_retry();
                    }
                    return;
                }
            }
            if self.retries > 0 {
                // It is not the last: measured by itself.
                let step = user.step(prepared.call.series);
                shard.recorder.borrow_mut().attempt(step, self.outgoing.intended_ns, &self.last);
            } else {
                caution.earn();
            }

            // Send under deadline. Its clock starts at dispatch: neither lateness of ours nor a
            // wait that policy asked for eats the target's time.
            let (begun, limit_ns) = (self.at, caution.timeout_ns(user, prepared));
            // One probe was promised to a breaker, not two.
            let hedge = caution.hedge_after_ns(user, prepared).filter(|_| !entry.is_probe());
            self.send(user, limit_ns, hedge).await;

            // Observe each attempt, whatever becomes of the call: breakers, deadlines and pools
            // learn from attempts.
            let now = self.last.done;
            let made = CompletedAttempt { exchange: &self.last, begun, limit_ns };
            caution.release(shard, user, prepared, entry, Some(made), now);

            // Again? Only what failed in a way that may pass, may be sent twice, and is paid for.
            let Some(wait_ns) = caution.retry_after(self) else { return };
            self.at = now;
            let until = now.after(wait_ns);
            let pause = user.deadline.pause_until(until).await;
            self.blocked(BlockCause::Retry);
            if pause.is_err() {
                caution.refund_retry();
                return;
            }
            (self.why, self.retries) = (AttemptReason::Retry, self.retries + 1);
        }
    }

    /// One attempt as policy counts it: with its resend on a fresh connection, its redirects, its
    /// hedge.
    async fn send(&mut self, user: &mut User, limit_ns: u64, hedge: Option<u64>) {
        let (shard, prepared) = (self.shard, self.prepared);
        let service = self.outgoing.endpoint;
        user.deadline.begin(self.at.after(limit_ns));
        loop {
            shard.recorder.borrow_mut().begin_attempt(self.why);
            let (exchange, resend) = match hedge {
                // Boxed: it is rare, and has room for two.
                Some(after_ns) => Box::pin(hedge::race(self, user, after_ns)).await,
                None => {
                    let line = &mut user.slots[service];
                    let (patience, kept) = (&user.deadline, &mut self.capture);
                    shard.wire.exchange(line, &self.outgoing, self.at, patience, kept).await
                }
            };
            self.last = exchange;
            if prepared.capture.keep_body {
                redirect::decode(prepared, &mut self.last, &mut self.capture);
            }
            // Measure each attempt, also one that is sent again on a fresh connection.
            let intended_ns = self.outgoing.intended_ns;
            let again = resend.is_due(&mut self.resends);
            shard.recorder.borrow_mut().end_attempt(&self.last, intended_ns, again);
            if !again {
                break;
            }
            (self.why, self.at) = (AttemptReason::StaleResend, self.last.done);
        }
        if self.capture.sets_cookie {
            redirect::keep_cookies(shard, user, service, self.outgoing.bytes, &self.capture);
        }
        if let AttemptOutcome::Responded(status) = self.last.outcome
            && prepared.redirects > 0
            && redirect::is_redirect(status)
        {
            let kept = &mut self.capture;
            self.led_on = true;
            self.last =
                redirect::follow(shard, user, prepared, self.outgoing, self.last, kept).await;
        }
        user.deadline.end();
    }

    /// Waits as it is told, and counts the wait.
    async fn wait(
        &mut self,
        user: &mut User,
        entry: &mut AttemptPermit,
        hold: AdmissionDelay,
    ) -> Result<(), AttemptOutcome> {
        let times = (self.at, self.picked_up);
        let waited = self.shard.resilience.wait(user, self.prepared, entry, hold, times).await;
        // What is not sent at all has waited for nothing.
        if !matches!(hold, AdmissionDelay::Suppress(_)) {
            self.blocked(hold.cause());
        }
        waited
    }

    /// From the last moment it could go on until now it was held back.
    fn blocked(&mut self, cause: BlockCause) {
        let now = clock::now();
        let ns = now.since(self.at);
        self.blocked_ns += ns;
        self.at = now;
        self.shard.recorder.borrow_mut().waited(self.outgoing.intended_ns, cause, ns);
    }
}

//! Recording attempts: the reason of each, its bytes, and its outcome.
//!
//! `engine::attempt` calls it for each attempt; the parent module records the calls.
//! Invariant: an attempt that was begun is ended or cancelled, once.

use super::Recorder;
use crate::clock::RunOffset;
use crate::ids::StepId;
use crate::stats::outcome::error_index;
use crate::stats::sample::ConnectTimings;
use crate::stats::step_window::count_status;
use crate::stats::{AttemptOutcome, BlockCause, Exchange, Untimed};

/// Why an attempt is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptReason {
    /// The first of its call.
    First,
    /// The reused connection proved closed, or the target did not process the request.
    StaleResend,
    /// The response before it was a redirect.
    Redirect,
    /// The attempt before it failed.
    Retry,
    /// The attempt before it is slow.
    Hedge,
}

impl Recorder {
    /// Records that an attempt begins.
    #[inline]
    pub fn begin_attempt(&mut self, attempt: AttemptReason) {
        let attempts = &mut self.delta.attempts;
        attempts.started += 1;
        match attempt {
            AttemptReason::First => attempts.first += 1,
            AttemptReason::StaleResend => attempts.stale_resends += 1,
            AttemptReason::Redirect => attempts.redirects += 1,
            AttemptReason::Retry => attempts.retries += 1,
            AttemptReason::Hedge => attempts.hedges += 1,
        }
    }

    /// Records that an attempt has ended; `intended` is its call's. An attempt whose request is
    /// `sent_again` on a fresh connection is no error.
    #[inline]
    pub fn end_attempt(&mut self, exchange: &Exchange, intended: RunOffset, sent_again: bool) {
        let delta = &mut self.delta;
        delta.attempts.sent += u64::from(exchange.sent);
        delta.connections.bytes_sent += exchange.bytes_sent;
        delta.connections.bytes_received += exchange.bytes_received;
        let connections = &mut delta.connections;
        match exchange.connect {
            None => connections.reused += u64::from(exchange.reuses),
            Some(timings) if timings.open => connections.opened += 1,
            Some(_) => connections.failed += 1,
        }
        match exchange.outcome {
            AttemptOutcome::Responded(status) => self.record_status(status),
            outcome => {
                if let Some(index) = error_index(outcome)
                    && !sent_again
                {
                    self.delta.errors[index] += 1;
                }
            }
        }
        if let Some(timings) = exchange.connect {
            self.record_phases(&timings, intended);
        }
        if matches!(exchange.outcome, AttemptOutcome::Responded(_)) {
            let phases = &mut self.window(intended).phases;
            phases[3].record_ns(exchange.first_byte.since(exchange.dispatched));
            phases[4].record_ns(exchange.done.since(exchange.first_byte));
        }
    }

    /// Records that a command was sent on a session at a broker, which answers it: an attempt.
    pub fn record_command(&mut self) {
        self.begin_attempt(AttemptReason::First);
        self.delta.attempts.sent += 1;
    }

    /// Records the status of a response, of a broker's answer, or of a stream that ended.
    #[inline]
    pub fn record_status(&mut self, status: u16) {
        let delta = &mut self.delta;
        // The readers of HTTP pass on no status that does not have three digits.
        match delta.statuses.get_mut(usize::from(status).wrapping_sub(100)) {
            Some(count) => *count += 1,
            None => count_status(&mut delta.named_statuses, status, 1),
        }
    }

    /// Records the phases in which a connection was opened.
    fn record_phases(&mut self, timings: &ConnectTimings, intended: RunOffset) {
        let times = [timings.dns_ns, timings.connect_ns, timings.tls_ns];
        for (phase, ns) in self.window(intended).phases.iter_mut().zip(times) {
            if let Some(ns) = ns {
                phase.record_ns(ns.get());
            }
        }
    }

    /// Records the time of a login; `intended` is that of the call whose attempt opened the
    /// connection.
    pub fn record_login(&mut self, intended: RunOffset, ns: u64) {
        self.window(intended).login.record_ns(ns);
    }

    /// Records an attempt that was cancelled because another one of its call won; `exchange` holds
    /// the bytes that it sent and received.
    pub fn cancel_attempt(&mut self, exchange: &Exchange) {
        let delta = &mut self.delta;
        delta.attempts.cancelled += 1;
        delta.attempts.sent += u64::from(exchange.sent);
        delta.connections.bytes_sent += exchange.bytes_sent;
        delta.connections.bytes_received += exchange.bytes_received;
        match exchange.connect {
            None => delta.connections.reused += u64::from(exchange.reuses),
            Some(timings) if timings.open => delta.connections.opened += 1,
            // It is unknown whether it would have been opened.
            Some(_) => {}
        }
    }

    /// Records a connection that a stream opened by itself, or failed to open, at `at`.
    pub fn record_connection(&mut self, timings: &ConnectTimings, at: RunOffset) {
        let connections = &mut self.delta.connections;
        if timings.open {
            connections.opened += 1;
        } else {
            connections.failed += 1;
        }
        self.record_phases(timings, at);
    }

    /// Records a connection that was opened before its user was due (`intended` after the run's
    /// start), or failed to open.
    pub fn record_prewarm(&mut self, timings: &ConnectTimings, intended: RunOffset) {
        self.record_connection(timings, intended);
        self.delta.connections.prewarmed += u64::from(timings.open);
    }

    /// Records that a user came for which this many connections had been opened.
    pub fn record_prewarm_used(&mut self, connections: u32) {
        self.delta.connections.prewarmed_used += u64::from(connections);
    }

    /// Records the service time of an attempt that is not its call's last.
    pub fn record_extra_service_time(
        &mut self,
        step: StepId,
        intended: RunOffset,
        exchange: &Exchange,
    ) {
        let ns = exchange.done.since(exchange.dispatched);
        let service = &mut self.step_window(step, intended).service;
        match exchange.outcome {
            AttemptOutcome::Responded(_) => service.record_response(ns),
            AttemptOutcome::Timeout(_) | AttemptOutcome::Unfinished(_) => {
                service.record_at_least(ns);
            }
            _ => service.record_untimed(Untimed::NoResponse),
        }
    }

    /// Records an attempt that the budget denied.
    pub fn record_denied(&mut self) {
        self.delta.attempts.denied += 1;
    }

    /// Records blocked time of a call, if it is not zero.
    pub fn record_blocked(&mut self, intended: RunOffset, cause: BlockCause, ns: u64) {
        if ns > 0 {
            self.window(intended).waits.entry(cause).or_default().record_ns(ns);
        }
    }
}

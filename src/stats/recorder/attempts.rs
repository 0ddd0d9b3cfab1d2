//! Recording attempts: why each was made, what it put on the wire, what came of it.
//!
//! `engine::attempt` tells it of each; the call they belong to is recorded by the parent.
//! Invariant: an attempt that was begun is ended or cancelled, once.

use super::Recorder;
use crate::stats::outcome::error_index;
use crate::stats::sample::ConnectTimings;
use crate::stats::{AttemptOutcome, BlockCause, Exchange, Untimed};

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptReason {
    /// The first of its call.
    First,
    /// Its connection proved closed, or the target did not process it.
    StaleResend,
    /// The answer before it pointed there.
    Redirect,
    /// The attempt before it failed.
    Retry,
    /// The attempt before it is slow.
    Hedge,
}

impl Recorder {
    /// An attempt begins.
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

    /// An attempt has ended; `intended_ns` is its call's. One whose request is `sent_again` on a
    /// fresh connection is no error.
    #[inline]
    pub fn end_attempt(&mut self, exchange: &Exchange, intended_ns: u64, sent_again: bool) {
        let delta = &mut self.delta;
        delta.attempts.sent += u64::from(exchange.sent);
        delta.connections.bytes_sent += exchange.bytes_sent;
        delta.connections.bytes_received += exchange.bytes_received;
        let connections = &mut delta.connections;
        match exchange.connect {
            None => connections.reused += u64::from(exchange.reuses),
            Some(opening) if opening.open => connections.opened += 1,
            Some(_) => connections.failed += 1,
        }
        match exchange.outcome {
            AttemptOutcome::Responded(status) => {
                // The readers let no status through that is not of three digits.
                let place = usize::from(status).wrapping_sub(100);
                debug_assert!(place < delta.statuses.len(), "status {status}");
                if let Some(count) = delta.statuses.get_mut(place) {
                    *count += 1;
                }
            }
            outcome => {
                if let Some(index) = error_index(outcome)
                    && !sent_again
                {
                    delta.errors[index] += 1;
                }
            }
        }
        if let Some(opening) = exchange.connect {
            self.phases_of(&opening, intended_ns);
        }
        if matches!(exchange.outcome, AttemptOutcome::Responded(_)) {
            let phases = &mut self.window(intended_ns).phases;
            phases[3].record_ns(exchange.first_byte.since(exchange.dispatched));
            phases[4].record_ns(exchange.done.since(exchange.first_byte));
        }
    }

    /// The phases in which a connection was opened.
    fn phases_of(&mut self, opening: &ConnectTimings, intended_ns: u64) {
        let times = [opening.dns_ns, opening.connect_ns, opening.tls_ns];
        for (phase, ns) in self.window(intended_ns).phases.iter_mut().zip(times) {
            if let Some(ns) = ns {
                phase.record_ns(ns.get());
            }
        }
    }

    /// An attempt was given up because another of its call was answered first; `exchange` says
    /// what went over the wire.
    pub fn cancel_attempt(&mut self, exchange: &Exchange) {
        let delta = &mut self.delta;
        delta.attempts.cancelled += 1;
        delta.attempts.sent += u64::from(exchange.sent);
        delta.connections.bytes_sent += exchange.bytes_sent;
        delta.connections.bytes_received += exchange.bytes_received;
        match exchange.connect {
            None => delta.connections.reused += u64::from(exchange.reuses),
            Some(opening) if opening.open => delta.connections.opened += 1,
            // Nobody knows whether it would have been opened.
            Some(_) => {}
        }
    }

    /// A connection was opened, or was not, for a user that is due `intended_ns` after the run's
    /// start, before it came.
    pub fn made_ready(&mut self, opening: &ConnectTimings, intended_ns: u64) {
        let connections = &mut self.delta.connections;
        if opening.open {
            connections.opened += 1;
        } else {
            connections.failed += 1;
        }
        self.phases_of(opening, intended_ns);
    }

    /// An attempt that is not its call's last: its service time is one, too.
    pub fn attempt(&mut self, step: usize, intended_ns: u64, exchange: &Exchange) {
        let ns = exchange.done.since(exchange.dispatched);
        let service = &mut self.step(step, intended_ns).service;
        match exchange.outcome {
            AttemptOutcome::Responded(_) => service.answered(ns),
            AttemptOutcome::Timeout(_) | AttemptOutcome::Unfinished(_) => service.at_least(ns),
            _ => service.beyond(Untimed::NoResponse),
        }
    }

    /// Another attempt was wanted, and the budget did not allow it.
    pub fn deny(&mut self) {
        self.delta.attempts.denied += 1;
    }

    /// A call waited because policy asked for it.
    pub fn waited(&mut self, intended_ns: u64, cause: BlockCause, ns: u64) {
        if ns > 0 {
            self.window(intended_ns).waits.entry(cause).or_default().record_ns(ns);
        }
    }
}

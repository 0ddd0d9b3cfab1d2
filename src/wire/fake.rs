//! A target that is a law: for worlds under virtual time.
//!
//! Several shards of one world share it; it logs what it got.
//! Invariant: it answers from the same queue laws as the built-in target, so a world and the real
//! thing have the same truth.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;

use super::Outgoing;
use super::kept::{Kept, Spent};
use super::patience::{GaveUp, Patience};
use crate::clock::{Time, Timer};
use crate::stats::sample::Exchange;
use crate::stats::{Kind, Outcome, Phase};

/// A scripted target.
#[derive(Clone)]
pub struct Target(Rc<RefCell<Script>>);

/// What it does with a request that arrives now.
pub trait Law {
    /// When the answer to the request is complete, and its status; `None`: never.
    fn answer(&mut self, now: Time, request: &Arrival) -> Reply;

    /// The header block of an answer to what came at `now`.
    fn head(&mut self, _now: Time) -> Vec<u8> {
        Vec::new()
    }

    /// The body of that answer, for captures and checks.
    fn body(&mut self, _request: &Arrival) -> Vec<u8> {
        Vec::new()
    }
}

/// One request as the target got it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arrival {
    /// The number of its user or arrival.
    pub number: u64,
    /// When it was intended, ns after the run's start.
    pub intended_ns: u64,
    /// The rendered request.
    pub bytes: Vec<u8>,
}

/// What the target does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A complete answer at that time.
    At(Time, u16),
    /// The connection is reset at once.
    Reset,
    /// Nobody listens.
    Refuse,
    /// No answer, ever.
    Hang,
}

struct Script {
    law: Box<dyn Law>,
    log: Vec<Arrival>,
    count: u64,
}

/// The most arrivals a fake target remembers; worlds are small.
const LOGGED: usize = 1 << 20;

impl Target {
    /// A target that follows `law`.
    pub fn new(law: impl Law + 'static) -> Self {
        Self(Rc::new(RefCell::new(Script { law: Box::new(law), log: Vec::new(), count: 0 })))
    }

    /// What it got so far: a refused request never arrived.
    pub fn count(&self) -> u64 {
        self.0.borrow().count
    }

    /// The requests it got, in the order of arrival.
    pub fn log(&self) -> Vec<Arrival> {
        self.0.borrow().log.clone()
    }

    pub(super) async fn exchange(
        &self,
        outgoing: &Outgoing<'_>,
        now: Time,
        patience: &Patience,
        kept: &mut Kept,
    ) -> Exchange {
        kept.head.clear();
        kept.body.clear();
        let reply = self.arrive(outgoing, now, kept);
        kept.spent = Spent { sent: reply != Reply::Refuse, ..Spent::default() };
        let (outcome, sent) = match reply {
            Reply::At(done, status) => (wait(done, patience, status).await, true),
            Reply::Reset => (Outcome::Failed(Phase::FirstByte, Kind::Reset), true),
            Reply::Refuse => (Outcome::Failed(Phase::Connect, Kind::Refused), false),
            Reply::Hang => (wait(Time::NEVER, patience, 0).await, true),
        };
        let done = crate::clock::now();
        Exchange {
            outcome,
            dispatched: now,
            first_byte: done,
            done,
            opening: None,
            wired: sent,
            sent,
            bytes_sent: if sent { outgoing.bytes.len() as u64 } else { 0 },
            bytes_received: 0,
        }
    }

    fn arrive(&self, outgoing: &Outgoing<'_>, now: Time, kept: &mut Kept) -> Reply {
        let arrival = Arrival {
            number: outgoing.number,
            intended_ns: outgoing.intended_ns,
            bytes: outgoing.bytes.to_vec(),
        };
        let mut script = self.0.borrow_mut();
        let reply = script.law.answer(now, &arrival);
        if let Reply::At(_, status) = reply
            && outgoing.wanted.head_of(status)
        {
            kept.head = script.law.head(now);
        }
        if outgoing.wanted.keep_body {
            kept.body = script.law.body(&arrival);
        }
        if reply != Reply::Refuse {
            script.count += 1;
            if script.log.len() < LOGGED {
                script.log.push(arrival);
            }
        }
        reply
    }
}

async fn wait(done: Time, patience: &Patience, status: u16) -> Outcome {
    let timer = Timer::new();
    timer.set(done);
    let answer = poll_fn(|cx| {
        let ready = timer.poll(cx);
        patience.poll(cx, ready)
    });
    match answer.await {
        Ok(()) => Outcome::Answered(status),
        Err(GaveUp::Timeout) => Outcome::Timeout(Phase::FirstByte),
        Err(GaveUp::Cut) => Outcome::Unfinished(Phase::FirstByte),
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("count", &self.count()).finish_non_exhaustive()
    }
}

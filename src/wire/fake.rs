//! A target that is a law: for worlds under virtual time.
//!
//! Several shards of one world share it; it logs what it got.
//! Invariant: it answers from the same queue laws as the built-in target, so a world and the real
//! thing have the same truth.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;

use super::connection::gave_up;
use super::deadline::{CallDeadline, WaitEnded};
use super::emulated_link::until;
use super::response_capture::{ExchangeProgress, ResponseCapture};
use super::{EmulatedLink, Outgoing};
use crate::clock::{Time, Timer};
use crate::stats::sample::Exchange;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};

/// A scripted target.
#[derive(Clone)]
pub struct FakeTarget(Rc<RefCell<Script>>);

/// What it does with a request that arrives now.
pub trait LatencyModel {
    /// When the answer to the request is complete, and its status; `None`: never.
    fn answer(&mut self, now: Time, request: &FakeArrival) -> FakeReply;

    /// The header block of an answer to what came at `now`.
    fn head(&mut self, _now: Time) -> Vec<u8> {
        Vec::new()
    }

    /// The bytes of that answer on the wire: what a slow way takes its time for.
    fn size(&mut self, _request: &FakeArrival) -> u64 {
        0
    }

    /// The body of that answer, for captures and checks.
    fn body(&mut self, _request: &FakeArrival) -> Vec<u8> {
        Vec::new()
    }
}

/// One request as the target got it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FakeArrival {
    /// The number of its user or arrival.
    pub number: u64,
    /// When it was intended, ns after the run's start.
    pub intended_ns: u64,
    /// The rendered request.
    pub bytes: Vec<u8>,
}

/// What the target does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeReply {
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
    law: Box<dyn LatencyModel>,
    log: Vec<FakeArrival>,
    count: u64,
}

/// The most arrivals a fake target remembers; worlds are small.
const LOGGED: usize = 1 << 20;

impl FakeTarget {
    /// A target that follows `law`.
    pub fn new(law: impl LatencyModel + 'static) -> Self {
        Self(Rc::new(RefCell::new(Script { law: Box::new(law), log: Vec::new(), count: 0 })))
    }

    /// What it got so far: a refused request never arrived.
    pub fn count(&self) -> u64 {
        self.0.borrow().count
    }

    /// The requests it got, in the order of arrival.
    pub fn log(&self) -> Vec<FakeArrival> {
        self.0.borrow().log.clone()
    }

    pub(super) async fn exchange(
        &self,
        outgoing: &Outgoing<'_>,
        now: Time,
        patience: &CallDeadline,
        kept: &mut ResponseCapture,
    ) -> Exchange {
        kept.head.clear();
        kept.body.clear();
        if let Some(way) = outgoing.link {
            return self.exchange_afar(way, outgoing, now, patience, kept).await;
        }
        let (reply, _) = self.arrive(outgoing, now, kept);
        let (outcome, sent) = come(reply, patience).await;
        ended(outgoing, now, outcome, sent)
    }

    /// The same for a user whose way is slower: the request comes later, and so does what comes of
    /// it. There are no connections here, so none takes longer to open.
    #[cold]
    async fn exchange_afar(
        &self,
        way: &EmulatedLink,
        outgoing: &Outgoing<'_>,
        now: Time,
        patience: &CallDeadline,
        kept: &mut ResponseCapture,
    ) -> Exchange {
        let out = way.out(now, outgoing.bytes.len() as u64);
        if let Err(why) = until(out, patience).await {
            return ended(outgoing, now, gave_up(why, AttemptPhase::Send), false);
        }
        let (reply, size) = self.arrive(outgoing, out, kept);
        let (mut outcome, sent) = come(reply, patience).await;
        if matches!(outcome, AttemptOutcome::Responded(_) | AttemptOutcome::Failed(..)) {
            let through = way.through(crate::clock::now(), size, true);
            if let Err(why) = until(through.after(way.home_ns()), patience).await {
                outcome = gave_up(why, AttemptPhase::Body);
            }
        }
        ended(outgoing, now, outcome, sent)
    }

    /// What the target does with a request that is there, and the bytes of its answer.
    fn arrive(
        &self,
        outgoing: &Outgoing<'_>,
        now: Time,
        kept: &mut ResponseCapture,
    ) -> (FakeReply, u64) {
        let arrival = FakeArrival {
            number: outgoing.number,
            intended_ns: outgoing.intended_ns,
            bytes: outgoing.bytes.to_vec(),
        };
        let mut script = self.0.borrow_mut();
        let reply = script.law.answer(now, &arrival);
        if let FakeReply::At(_, status) = reply
            && outgoing.capture.head_of(status)
        {
            kept.head = script.law.head(now);
        }
        let size = if outgoing.link.is_some() { script.law.size(&arrival) } else { 0 };
        kept.progress =
            ExchangeProgress { sent: reply != FakeReply::Refuse, ..ExchangeProgress::default() };
        if outgoing.capture.keep_body {
            kept.body = script.law.body(&arrival).into();
        }
        if reply != FakeReply::Refuse {
            script.count += 1;
            if script.log.len() < LOGGED {
                script.log.push(arrival);
            }
        }
        (reply, size)
    }
}

/// An exchange that ends now.
fn ended(outgoing: &Outgoing<'_>, now: Time, outcome: AttemptOutcome, sent: bool) -> Exchange {
    let done = crate::clock::now();
    Exchange {
        outcome,
        dispatched: now,
        first_byte: done,
        done,
        connect: None,
        reuses: sent,
        sent,
        bytes_sent: if sent { outgoing.bytes.len() as u64 } else { 0 },
        bytes_received: 0,
    }
}

/// What comes of it, and whether the request was sent.
async fn come(reply: FakeReply, patience: &CallDeadline) -> (AttemptOutcome, bool) {
    match reply {
        FakeReply::At(done, status) => (wait(done, patience, status).await, true),
        FakeReply::Reset => {
            (AttemptOutcome::Failed(AttemptPhase::FirstByte, FailureKind::Reset), true)
        }
        FakeReply::Refuse => {
            (AttemptOutcome::Failed(AttemptPhase::Connect, FailureKind::Refused), false)
        }
        FakeReply::Hang => (wait(Time::NEVER, patience, 0).await, true),
    }
}

async fn wait(done: Time, patience: &CallDeadline, status: u16) -> AttemptOutcome {
    let timer = Timer::new();
    timer.set(done);
    let answer = poll_fn(|cx| {
        let ready = timer.poll(cx);
        patience.poll(cx, ready)
    });
    match answer.await {
        Ok(()) => AttemptOutcome::Responded(status),
        Err(WaitEnded::Timeout) => AttemptOutcome::Timeout(AttemptPhase::FirstByte),
        Err(WaitEnded::Cut) => AttemptOutcome::Unfinished(AttemptPhase::FirstByte),
    }
}

impl std::fmt::Debug for FakeTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("count", &self.count()).finish_non_exhaustive()
    }
}

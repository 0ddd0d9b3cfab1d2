//! A simulated target, for simulation tests under virtual time.
//!
//! `Wire::exchange` calls it; the shards of one simulation share it, and it logs its requests.
//! Invariant: its latency models are the queue models of the built-in test server, so a simulation
//! and the real server have the same expected results.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

use crate::clock::{RunOffset, Time, Timer};
use crate::plan::operation::Operation;
use crate::protocol::status;
use crate::stats::sample::Exchange;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::deadline::{CallDeadline, WaitEnded};
use crate::wire::exchange_context::ExchangeContext;
use crate::wire::fake_stream::{FakeStreams, StreamModel};
use crate::wire::link::emulated_link::until;
use crate::wire::resend::Resend;
use crate::wire::taken::{StreamedFraming, TakenConnection, TakenResponse};
use crate::wire::{EmulatedLink, Outgoing, TakesOver};

/// A scripted target.
#[derive(Clone)]
pub struct FakeTarget(Rc<RefCell<Script>>);

/// How the target responds to a request that arrives now.
pub trait LatencyModel {
    /// Returns when the response is complete and its status, or how the request fails.
    fn reply(&mut self, now: Time, request: &FakeArrival) -> FakeReply;

    /// Returns the header block of the response to a request that arrived at `now`.
    fn head(&mut self, _now: Time) -> Vec<u8> {
        Vec::new()
    }

    /// Returns the size of that response, bytes; an emulated link takes time for it.
    fn size(&mut self, _request: &FakeArrival) -> u64 {
        0
    }

    /// Returns the body of that response, for captures and checks.
    fn body(&mut self, _request: &FakeArrival) -> Vec<u8> {
        Vec::new()
    }
}

/// A request as the target received it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FakeArrival {
    /// Number of its user or arrival.
    pub number: u64,
    /// Intended start, ns after the run's start.
    pub intended: RunOffset,
    /// The rendered request.
    pub bytes: Vec<u8>,
}

/// The target's reaction to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FakeReply {
    /// A complete response at that time, with this status.
    At(Time, u16),
    /// The connection is reset at once.
    Reset,
    /// The connection is refused.
    Refuse,
    /// No response, ever.
    Hang,
}

struct Script {
    model: Box<dyn LatencyModel>,
    /// `None` if the target has no streams: a request for one gets the response alone.
    streams: Option<FakeStreams>,
    log: Vec<FakeArrival>,
    count: u64,
}

/// Maximum requests that a fake target logs; simulations are small.
const LOGGED: usize = 1 << 20;

impl FakeTarget {
    /// Creates a target with this latency model.
    pub fn new(model: impl LatencyModel + 'static) -> Self {
        let model = Box::new(model);
        Self(Rc::new(RefCell::new(Script { model, streams: None, log: Vec::new(), count: 0 })))
    }

    /// Adds streams: a request that asks for one and gets status 101, or 200 if its body is
    /// streamed, opens one.
    #[must_use]
    pub fn with_streams(self, model: impl StreamModel + 'static) -> Self {
        self.0.borrow_mut().streams = Some(FakeStreams::new(model));
        self
    }

    /// The number of requests so far, without refused ones, which never arrived.
    pub fn count(&self) -> u64 {
        let script = self.0.borrow();
        script.count + script.streams.as_ref().map_or(0, FakeStreams::commands)
    }

    /// The requests so far, in the order of arrival.
    pub fn log(&self) -> Vec<FakeArrival> {
        self.0.borrow().log.clone()
    }

    /// Runs one exchange.
    pub(super) fn exchange<'a>(
        &'a self,
        context: &'a mut ExchangeContext<'_>,
    ) -> Pin<Box<dyn Future<Output = Resend> + 'a>> {
        Box::pin(async move {
            self.run(context).await;
            Resend::No
        })
    }

    async fn run(&self, context: &mut ExchangeContext<'_>) {
        let ExchangeContext { outgoing, deadline, capture, exchange, .. } = context;
        capture.head.clear();
        capture.body.clear();
        if let Some(link) = outgoing.link {
            return self.exchange_over_link(link, context).await;
        }
        let (reply, _) = self.arrive(outgoing, exchange.dispatched, capture);
        exchange.sent = reply != FakeReply::Refuse;
        let outcome = await_reply(reply, deadline).await;
        self.open_stream(outgoing, outcome, capture);
        end_now(exchange, outgoing, outcome);
    }

    /// Opens the stream that a request asked for, if the response allows it.
    fn open_stream(
        &self,
        outgoing: &Outgoing<'_>,
        outcome: AttemptOutcome,
        capture: &mut ResponseCapture,
    ) {
        let is_session = matches!(outgoing.operation, Some(Operation::Session(_)));
        let opens = match outgoing.capture.takes_over {
            TakesOver::Nothing if is_session => match outcome {
                AttemptOutcome::Responded(code) => !status::is_error(code),
                _ => false,
            },
            TakesOver::Nothing => return,
            TakesOver::Upgrade => outcome == AttemptOutcome::Responded(101),
            TakesOver::Body => outcome == AttemptOutcome::Responded(200),
        };
        let streams = self.0.borrow().streams.clone().filter(|_| opens);
        capture.rare().taken = streams.map(|streams| {
            let mut taken = TakenResponse::new(StreamedFraming::UntilClose);
            let stream = streams.open(outgoing.number, outgoing.bytes);
            taken.connection = Some(TakenConnection::Fake(stream));
            taken
        });
    }

    /// As `exchange`, for a user with an emulated link: the request arrives later, and so does the
    /// response. There are no connections here, so no connection takes longer to open.
    #[cold]
    async fn exchange_over_link(&self, link: &EmulatedLink, context: &mut ExchangeContext<'_>) {
        let ExchangeContext { outgoing, deadline, capture, exchange, .. } = context;
        let out = link.out(exchange.dispatched, outgoing.bytes.len() as u64);
        if let Err(why) = until(out, deadline).await {
            return end_now(exchange, outgoing, why.outcome(AttemptPhase::Send));
        }
        let (reply, size) = self.arrive(outgoing, out, capture);
        exchange.sent = reply != FakeReply::Refuse;
        let mut outcome = await_reply(reply, deadline).await;
        if matches!(outcome, AttemptOutcome::Responded(_) | AttemptOutcome::Failed(..)) {
            let through = link.through(crate::clock::now(), size, true);
            if let Err(why) = until(through.after(link.home_ns()), deadline).await {
                outcome = why.outcome(AttemptPhase::Body);
            }
        }
        self.open_stream(outgoing, outcome, capture);
        end_now(exchange, outgoing, outcome);
    }

    /// Returns the target's reaction to a request that has arrived, and the size of its response.
    fn arrive(
        &self,
        outgoing: &Outgoing<'_>,
        now: Time,
        capture: &mut ResponseCapture,
    ) -> (FakeReply, u64) {
        let arrival = FakeArrival {
            number: outgoing.number,
            intended: outgoing.intended,
            bytes: outgoing.bytes.to_vec(),
        };
        let mut script = self.0.borrow_mut();
        let reply = script.model.reply(now, &arrival);
        if let FakeReply::At(_, status) = reply
            && outgoing.capture.head_of(status)
        {
            capture.head = script.model.head(now);
        }
        let size = if outgoing.link.is_some() { script.model.size(&arrival) } else { 0 };
        if outgoing.capture.keep_body {
            capture.body = script.model.body(&arrival).into();
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

/// Ends an exchange now.
fn end_now(exchange: &mut Exchange, outgoing: &Outgoing<'_>, outcome: AttemptOutcome) {
    let (done, sent) = (crate::clock::now(), exchange.sent);
    (exchange.outcome, exchange.first_byte, exchange.done) = (outcome, done, done);
    exchange.reuses = sent;
    exchange.bytes_sent = if sent { outgoing.bytes.len() as u64 } else { 0 };
}

/// Waits for the reaction; returns the outcome.
async fn await_reply(reply: FakeReply, deadline: &CallDeadline) -> AttemptOutcome {
    match reply {
        FakeReply::At(done, status) => wait(done, deadline, status).await,
        FakeReply::Reset => AttemptOutcome::Failed(AttemptPhase::FirstByte, FailureKind::Reset),
        FakeReply::Refuse => AttemptOutcome::Failed(AttemptPhase::Connect, FailureKind::Refused),
        FakeReply::Hang => wait(Time::NEVER, deadline, 0).await,
    }
}

async fn wait(done: Time, deadline: &CallDeadline, status: u16) -> AttemptOutcome {
    let timer = Timer::new();
    timer.set(done);
    let waited = poll_fn(|cx| {
        let ready = timer.poll(cx);
        deadline.poll(cx, ready)
    });
    match waited.await {
        Ok(()) => AttemptOutcome::Responded(status),
        Err(WaitEnded::Timeout) => AttemptOutcome::Timeout(AttemptPhase::FirstByte),
        Err(WaitEnded::Cancelled) => AttemptOutcome::Unfinished(AttemptPhase::FirstByte),
    }
}

impl std::fmt::Debug for FakeTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("count", &self.count()).finish_non_exhaustive()
    }
}

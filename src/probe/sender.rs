//! Sends the requests of a probe over real connections, and says when each was sent and answered.
//!
//! `cli` makes one for each search; `search` decides what is sent and when.
//! Invariant: never faster than the rate of the safety limits; a request that fails is reported as
//! such, and nothing is sent twice.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;

use super::advertised::Advertised;
use super::finding::ProbeStop;
use super::requests::{ProbeRequest, ProbeRequests};
use super::session::{ProbeReply, ProbeSubject, ProbedTarget};
use crate::clock::{self, RunOffset, Time};
use crate::ids::ServiceId;
use crate::plan::Plan;
use crate::stats::sample::Exchange;
use crate::stats::{AttemptOutcome, AttemptPhase};
use crate::wire::{
    CallDeadline, CaptureRequest, ConnectionSlot, ExchangeContext, Outgoing, ResponseCapture,
    ServiceEndpoint, Wire,
};

/// Maximum body of a response; more of it fails the request.
const MAX_BODY: u64 = 64 << 20;

/// How soon a signal is noticed.
const NOTICE: Duration = Duration::from_millis(50);

/// The bounds of sending.
#[derive(Clone, Copy, Debug)]
pub struct SendLimits {
    /// Timeout of a request.
    pub timeout: Duration,
    /// Maximum requests per second, of the safety limits; `None`: as many as the search sends.
    pub max_rate: Option<f64>,
}

/// Sends requests.
#[derive(Debug)]
pub struct RequestSender {
    wire: Wire,
    requests: ProbeRequests,
    limits: SendLimits,
    /// Connections, one for each request at the same time, and the subject that used it last.
    slots: Vec<(ConnectionSlot, u64)>,
    /// Set by a signal.
    is_interrupted: Rc<Cell<bool>>,
    /// Why the last request failed.
    last_failure: Option<String>,
    /// The earliest time of the next request, by the maximum rate.
    next: Time,
}

/// What became of a request.
pub(super) struct Sent {
    pub reply: ProbeReply,
    pub outcome: AttemptOutcome,
}

impl RequestSender {
    /// Creates a sender for the service of a plan.
    ///
    /// # Errors
    /// If TLS cannot be set up, as text.
    pub fn new(
        plan: &Plan,
        requests: ProbeRequests,
        limits: SendLimits,
        is_interrupted: Rc<Cell<bool>>,
    ) -> Result<Self, String> {
        let service = plan.services.first().ok_or("no URL")?;
        let safety = std::sync::Arc::clone(&plan.safety);
        let endpoint =
            ServiceEndpoint::new(&service.transport, &requests.address, plan.seed, safety)
                .map_err(|error| error.to_string())?;
        let wire = Wire::real(vec![endpoint]);
        let (slots, last_failure, next) = (Vec::new(), None, Time(0));
        Ok(Self { wire, requests, limits, slots, is_interrupted, last_failure, next })
    }

    /// Why the last request failed, if one did.
    pub fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    /// Why a safety limit forbids the target, if one does.
    pub fn refusal(&self) -> Option<String> {
        self.wire.refusal()
    }

    /// A place for a connection.
    pub(super) fn new_slot(&self) -> ConnectionSlot {
        self.wire.new_slot()
    }

    /// Whether a signal has come.
    pub(super) fn is_interrupted(&self) -> bool {
        self.is_interrupted.get()
    }

    /// The first request.
    pub(super) fn first(&self) -> &ProbeRequest {
        &self.requests.requests[0]
    }

    /// Ready when a signal has come.
    async fn interrupted(&self) {
        let never = CallDeadline::new(Rc::default());
        while !self.is_interrupted.get() {
            let _ = never.pause_until(clock::now() + NOTICE).await;
        }
    }

    /// Waits until `at`, or until a signal comes.
    async fn wait(&self, at: Time) -> Result<(), ProbeStop> {
        let deadline = CallDeadline::new(Rc::clone(&self.is_interrupted));
        while clock::now() < at {
            if self.is_interrupted.get() {
                break;
            }
            // In steps, so that a signal is noticed soon.
            let step = (clock::now() + NOTICE).min(at);
            let _ = deadline.pause_until(step).await;
        }
        if self.is_interrupted.get() { Err(ProbeStop::Interrupted) } else { Ok(()) }
    }

    /// Sends a request, not before `at`, over the connection of `slot`.
    pub(super) async fn exchange(
        &self,
        slot: &mut ConnectionSlot,
        request: &ProbeRequest,
        source: u64,
        at: Time,
    ) -> Sent {
        if clock::now() < at {
            let _ = self.wait(at).await;
        }
        let outgoing = Outgoing {
            service: ServiceId::default(),
            bytes: &request.bytes,
            capture: &CaptureRequest {
                head_request: request.is_head,
                max_body: MAX_BODY,
                keep_head: true,
                ..CaptureRequest::NOTHING
            },
            operation: None,
            idempotent: request.is_idempotent,
            user: source,
            link: None,
            number: 0,
            intended: RunOffset::default(),
        };
        let deadline = CallDeadline::new(Rc::clone(&self.is_interrupted));
        let begun = clock::now();
        deadline.begin(begun + self.limits.timeout);
        let (mut capture, mut exchange) = (ResponseCapture::default(), Exchange::begun(begun));
        let mut context = ExchangeContext {
            slot,
            outgoing: &outgoing,
            deadline: &deadline,
            capture: &mut capture,
            exchange: &mut exchange,
        };
        let _ = self.wire.exchange(&mut context).await;
        deadline.end();
        let outcome = exchange.outcome;
        let status = match outcome {
            AttemptOutcome::Responded(status) => status,
            _ => 0,
        };
        let headers = headers(&capture.head);
        // The target saw it after the connection was open.
        let opening = exchange.connect.map_or(0, |timings| timings.total_ns());
        let sent = exchange.dispatched.after(opening).0.min(clock::now().0);
        let received = match exchange.first_byte {
            Time::NEVER => clock::now().0,
            first => first.0,
        };
        let reply = ProbeReply { sent, received: received.max(sent), status, headers };
        Sent { reply, outcome }
    }

    /// Describes why a request failed.
    pub(super) fn describe(&self, outcome: AttemptOutcome) -> String {
        let text = match outcome {
            AttemptOutcome::Failed(phase, kind) => format!("{} {}", phase.name(), kind.name()),
            AttemptOutcome::Timeout(phase) => format!("{} timed out", phase.name()),
            _ => "no response".to_owned(),
        };
        match self.wire.last_error(ServiceId::default(), outcome) {
            Some(words) => format!("{text}: {words}"),
            None => text,
        }
    }
}

/// Whether an outcome shows that the target closed or refused the connection.
pub(super) const fn is_closed(outcome: AttemptOutcome) -> bool {
    matches!(
        outcome,
        AttemptOutcome::Failed(
            AttemptPhase::Connect
                | AttemptPhase::Tls
                | AttemptPhase::Send
                | AttemptPhase::FirstByte,
            _
        ) | AttemptOutcome::Timeout(AttemptPhase::Connect)
    )
}

/// Reads the headers of a limit from a captured head.
fn headers(head: &[u8]) -> Advertised {
    let text = String::from_utf8_lossy(head);
    let lines: Vec<(String, &str)> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()))
        .collect();
    let pairs = lines.iter().map(|(name, value)| (name.as_str(), *value));
    Advertised::read(&pairs, clock::wall())
}

impl ProbedTarget for RequestSender {
    async fn send(
        &mut self,
        at: u64,
        subject: ProbeSubject,
        (count, gap): (u32, u64),
    ) -> Result<Vec<ProbeReply>, ProbeStop> {
        let gap = gap.max(self.limits.max_rate.map_or(0, |rate| (1e9 / rate) as u64));
        let at = Time(at).max(self.next);
        self.wait(at).await?;
        let Some(request) = self.requests.requests.get(subject).cloned() else {
            return Ok(Vec::new());
        };
        while self.slots.len() < count as usize {
            self.slots.push((self.wire.new_slot(), request.source));
        }
        let mut slots = std::mem::take(&mut self.slots);
        let begun = clock::now();
        self.next = match self.limits.max_rate {
            Some(_) => begun.after(gap * u64::from(count)),
            None => Time(0),
        };
        let sent = {
            let this = &*self;
            let used = slots.iter_mut().take(count as usize).zip(0_u64..);
            let all = join_all(used.map(|((slot, source), index)| {
                if *source != request.source {
                    slot.close();
                    *source = request.source;
                }
                let (request, at) = (&request, begun.after(gap * index));
                async move { this.exchange(slot, request, request.source, at).await }
            }));
            tokio::select! {
                sent = all => sent,
                () = this.interrupted() => return Err(ProbeStop::Interrupted),
            }
        };
        self.slots = slots;
        if self.is_interrupted.get() {
            return Err(ProbeStop::Interrupted);
        }
        let failed = sent.iter().find(|one| one.reply.status == 0);
        if let Some(failed) = failed.map(|one| self.describe(one.outcome)) {
            self.last_failure = Some(failed);
        }
        Ok(sent.into_iter().map(|one| one.reply).collect())
    }
}

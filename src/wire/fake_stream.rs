//! Streams of a simulated target, for simulation tests under virtual time.
//!
//! `fake` opens one for a request that asks for a stream; the streams of one simulation share the
//! model, so that a message of one can be brought to others.
//! Invariant: messages arrive in the order of their times, those of one time in the order in which
//! the model made them.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::clock::{self, Time, Timer};
use crate::stats::FailureKind;
use crate::wire::broker::command::{
    BrokerCommand, BrokerDelivery, CommandAnswer, DeliverySettlement, PublishCommand,
};
use crate::wire::message_stream::{Message, MessageKind, MessageStream, StreamEnd, Traffic};

/// What a simulated target does on its streams.
pub trait StreamModel {
    /// Handles a stream that opens now; `stream` is its number, `user` that of its user or arrival,
    /// `request` the rendered request.
    fn open(&mut self, now: Time, stream: u64, user: u64, request: &[u8]) -> Vec<FakeDelivery>;

    /// Handles a message that arrives now on `stream`.
    fn message(&mut self, now: Time, stream: u64, message: Message<'_>) -> Vec<FakeDelivery>;

    /// Handles a message that is published now on `stream`, a session at a broker; it is answered
    /// with this number.
    fn publish(
        &mut self,
        now: Time,
        stream: u64,
        number: u64,
        _message: &PublishCommand<'_>,
    ) -> Vec<FakeDelivery> {
        vec![FakeDelivery { stream, at: now, event: FakeEvent::Answer { number, status: 200 } }]
    }

    /// Handles a subscription that begins now on `stream`; it is answered with this number.
    fn subscribe(
        &mut self,
        now: Time,
        stream: u64,
        number: u64,
        (_source, _subscription): (&str, u32),
    ) -> Vec<FakeDelivery> {
        vec![FakeDelivery { stream, at: now, event: FakeEvent::Answer { number, status: 200 } }]
    }

    /// Handles the settlement of a delivery on `stream`.
    fn settle(&mut self, _: Time, _: u64, _: DeliverySettlement) -> Vec<FakeDelivery> {
        Vec::new()
    }

    /// Handles our close of `stream`.
    fn close(&mut self, now: Time, stream: u64, code: u16) -> Vec<FakeDelivery> {
        let end = StreamEnd { is_ours: true, code: Some(code), failure: None };
        vec![FakeDelivery { stream, at: now, event: FakeEvent::End(end) }]
    }

    /// Handles the end of `stream`, whatever its reason: nothing more arrives on it.
    fn gone(&mut self, _now: Time, _stream: u64) {}
}

/// Something that arrives on a stream.
#[derive(Clone, Debug)]
pub struct FakeDelivery {
    /// The number of the stream; ignored if it has ended.
    pub stream: u64,
    /// When it arrives.
    pub at: Time,
    /// What arrives.
    pub event: FakeEvent,
}

/// What arrives on a stream.
#[derive(Clone, Debug)]
pub enum FakeEvent {
    /// A message.
    Message {
        /// What the payload is.
        kind: MessageKind,
        /// The payload; shared, so that a message to many streams is there once.
        payload: Rc<[u8]>,
        /// The name of an event.
        event: Option<Rc<str>>,
        /// The id of an event.
        id: Option<Rc<str>>,
    },
    /// A message of a broker.
    Delivery {
        /// Topic or routing key.
        topic: Rc<str>,
        /// The payload.
        payload: Rc<[u8]>,
        /// The subscription that it comes by.
        subscription: u32,
        /// Identifies it to a settlement.
        delivery: u64,
        /// Whether it was delivered before.
        is_redelivered: bool,
    },
    /// The answer to a command.
    Answer {
        /// The number of the command.
        number: u64,
        /// Its status.
        status: u16,
    },
    /// The broker asks for a pause of publishing, or ends it.
    HoldBack(bool),
    /// How long the target asks clients to wait before they connect again.
    ReconnectDelay(Duration),
    /// The end.
    End(StreamEnd),
}

impl FakeEvent {
    /// Creates a text message.
    pub fn text(payload: impl Into<Rc<[u8]>>) -> Self {
        Self::Message { kind: MessageKind::Text, payload: payload.into(), event: None, id: None }
    }
}

/// The streams of a simulated target.
#[derive(Clone)]
pub(in crate::wire) struct FakeStreams(Rc<RefCell<StreamHub>>);

struct StreamHub {
    model: Box<dyn StreamModel>,
    inboxes: BTreeMap<u64, Rc<RefCell<FakeInbox>>>,
    /// The number of the last stream.
    last: u64,
    /// The number of the last delivery.
    deliveries: u64,
    /// Commands that are answered, so far.
    commands: u64,
}

/// What will arrive on one stream.
#[derive(Default)]
struct FakeInbox {
    events: BinaryHeap<Reverse<FakeArriving>>,
    /// The task that reads.
    reader: Option<Waker>,
}

/// A delivery in the order of times.
struct FakeArriving {
    at: Time,
    number: u64,
    event: FakeEvent,
}

impl PartialEq for FakeArriving {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for FakeArriving {}

impl PartialOrd for FakeArriving {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FakeArriving {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl FakeStreams {
    pub(in crate::wire) fn new(model: impl StreamModel + 'static) -> Self {
        let model = Box::new(model);
        let hub =
            StreamHub { model, inboxes: BTreeMap::new(), last: 0, deliveries: 0, commands: 0 };
        Self(Rc::new(RefCell::new(hub)))
    }

    /// Commands that were answered, so far.
    pub(in crate::wire) fn commands(&self) -> u64 {
        self.0.borrow().commands
    }

    /// Opens a stream for the request of a user or arrival.
    pub(in crate::wire) fn open(&self, user: u64, request: &[u8]) -> FakeStream {
        let mut hub = self.0.borrow_mut();
        hub.last += 1;
        let (number, inbox) = (hub.last, Rc::default());
        hub.inboxes.insert(number, Rc::clone(&inbox));
        let deliveries = hub.model.open(clock::now(), number, user, request);
        hub.deliver(deliveries);
        let streams = self.clone();
        FakeStream {
            streams,
            number,
            inbox,
            timer: Timer::new(),
            is_closing: false,
            answers: VecDeque::new(),
            is_held_back: false,
            reconnect_delay: None,
            traffic: Traffic::default(),
        }
    }
}

impl StreamHub {
    fn deliver(&mut self, deliveries: Vec<FakeDelivery>) {
        for FakeDelivery { stream, at, event } in deliveries {
            self.deliveries += 1;
            let Some(inbox) = self.inboxes.get(&stream) else { continue };
            let mut inbox = inbox.borrow_mut();
            let is_first = inbox.events.peek().is_none_or(|Reverse(first)| at < first.at);
            inbox.events.push(Reverse(FakeArriving { at, number: self.deliveries, event }));
            if is_first && let Some(reader) = inbox.reader.take() {
                reader.wake();
            }
        }
    }
}

/// A stream of a simulated target.
pub(in crate::wire) struct FakeStream {
    streams: FakeStreams,
    number: u64,
    inbox: Rc<RefCell<FakeInbox>>,
    timer: Timer,
    is_closing: bool,
    answers: VecDeque<CommandAnswer>,
    is_held_back: bool,
    reconnect_delay: Option<Duration>,
    traffic: Traffic,
}

impl MessageStream for FakeStream {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        _buffer: &mut [u8],
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Poll<StreamEnd> {
        loop {
            let mut inbox = self.inbox.borrow_mut();
            let next = inbox.events.peek().map(|Reverse(first)| first.at);
            if next.is_none_or(|next| next > clock::now()) {
                if !inbox.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
                    inbox.reader = Some(cx.waker().clone());
                }
                self.timer.set(next.unwrap_or(Time::NEVER));
                if next.is_none() {
                    self.timer.clear();
                }
                match self.timer.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => continue,
                }
            }
            let Some(Reverse(arriving)) = inbox.events.pop() else { continue };
            drop(inbox);
            match arriving.event {
                FakeEvent::End(end) => return Poll::Ready(end),
                FakeEvent::ReconnectDelay(delay) => self.reconnect_delay = Some(delay),
                FakeEvent::HoldBack(is_held_back) => self.is_held_back = is_held_back,
                FakeEvent::Answer { number, status } => {
                    let (at, reason) = (clock::now(), Box::default());
                    self.answers.push_back(CommandAnswer {
                        number,
                        at,
                        status,
                        reason,
                        written: None,
                    });
                }
                FakeEvent::Delivery { topic, payload, subscription, delivery, is_redelivered } => {
                    self.traffic.received += payload.len() as u64;
                    let delivery = BrokerDelivery {
                        subscription: Some(subscription),
                        delivery,
                        is_redelivered,
                        topic: &topic,
                        headers: &[],
                    };
                    let message = Message::new(MessageKind::Binary, &payload);
                    receive(clock::now(), Message { delivery: Some(&delivery), ..message });
                }
                FakeEvent::Message { kind, payload, event, id } => {
                    self.traffic.received += payload.len() as u64;
                    let (event, id) = (event.as_deref(), id.as_deref());
                    // Read now: after a pause of the generator that is later than it arrived.
                    let delivery = None;
                    let payload = &payload;
                    receive(clock::now(), Message { kind, payload, event, id, delivery });
                }
            }
        }
    }

    fn send(&mut self, message: Message<'_>) -> bool {
        if self.is_closing {
            return false;
        }
        self.traffic.sent += message.payload.len() as u64;
        let mut hub = self.streams.0.borrow_mut();
        let deliveries = hub.model.message(clock::now(), self.number, message);
        hub.deliver(deliveries);
        true
    }

    fn command(&mut self, number: u64, command: BrokerCommand<'_>) -> Result<(), FailureKind> {
        if self.is_closing {
            return Err(FailureKind::Closed);
        }
        let mut hub = self.streams.0.borrow_mut();
        let (now, stream) = (clock::now(), self.number);
        let deliveries = match command {
            BrokerCommand::Publish(message) => {
                self.traffic.sent += message.payload.len() as u64;
                hub.commands += u64::from(message.options.is_confirmed);
                hub.model.publish(now, stream, number, &message)
            }
            BrokerCommand::Subscribe { source, subscription, .. } => {
                hub.commands += 1;
                hub.model.subscribe(now, stream, number, (source, subscription))
            }
            BrokerCommand::Settle(settlement) => hub.model.settle(now, stream, settlement),
            // A simulated broker commits at once.
            BrokerCommand::BeginTransaction { .. } | BrokerCommand::CommitTransaction => {
                let event = FakeEvent::Answer { number, status: 200 };
                vec![FakeDelivery { stream, at: now, event }]
            }
        };
        hub.deliver(deliveries);
        Ok(())
    }

    fn take_answer(&mut self) -> Option<CommandAnswer> {
        self.answers.pop_front()
    }

    fn is_held_back(&self) -> bool {
        self.is_held_back
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamEnd>> {
        Poll::Ready(Ok(()))
    }

    fn close(&mut self, code: u16, _reason: &str) {
        if std::mem::replace(&mut self.is_closing, true) {
            return;
        }
        let mut hub = self.streams.0.borrow_mut();
        let deliveries = hub.model.close(clock::now(), self.number, code);
        hub.deliver(deliveries);
    }

    fn take_traffic(&mut self) -> Traffic {
        std::mem::take(&mut self.traffic)
    }

    fn reconnect_delay(&self) -> Option<Duration> {
        self.reconnect_delay
    }
}

impl Drop for FakeStream {
    fn drop(&mut self) {
        let mut hub = self.streams.0.borrow_mut();
        hub.inboxes.remove(&self.number);
        hub.model.gone(clock::now(), self.number);
    }
}

impl std::fmt::Debug for FakeStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeStream").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "fake_stream_tests.rs"]
mod tests;

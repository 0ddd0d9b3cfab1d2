//! Streams of a simulated target, for simulation tests under virtual time.
//!
//! `fake` opens one for a request that asks for a stream; the streams of one simulation share the
//! model, so that a message of one can be brought to others.
//! Invariant: messages arrive in the order of their times, those of one time in the order in which
//! the model made them.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::clock::{self, Time, Timer};
use crate::wire::message_stream::{Message, MessageKind, MessageStream, StreamEnd, Traffic};

/// What a simulated target does on its streams.
pub trait StreamModel {
    /// Handles a stream that opens now; `stream` is its number, `user` that of its user or arrival,
    /// `request` the rendered request.
    fn open(&mut self, now: Time, stream: u64, user: u64, request: &[u8]) -> Vec<FakeDelivery>;

    /// Handles a message that arrives now on `stream`.
    fn message(&mut self, now: Time, stream: u64, message: Message<'_>) -> Vec<FakeDelivery>;

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
        let hub = StreamHub { model, inboxes: BTreeMap::new(), last: 0, deliveries: 0 };
        Self(Rc::new(RefCell::new(hub)))
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
                FakeEvent::Message { kind, payload, event, id } => {
                    self.traffic.received += payload.len() as u64;
                    let (event, id) = (event.as_deref(), id.as_deref());
                    // Read now: after a pause of the generator that is later than it arrived.
                    receive(clock::now(), Message { kind, payload: &payload, event, id });
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
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::clock::block_on_virtual;

    const MS: u64 = 1_000_000;

    /// A model that brings each message to all streams 5 ms later, and a greeting after 1 ms.
    #[derive(Default)]
    struct RelayModel {
        open: Vec<u64>,
        gone: Rc<RefCell<Vec<u64>>>,
    }

    impl StreamModel for RelayModel {
        fn open(&mut self, now: Time, stream: u64, user: u64, _: &[u8]) -> Vec<FakeDelivery> {
            self.open.push(stream);
            let event = FakeEvent::text(format!("hello {user}").into_bytes());
            vec![FakeDelivery { stream, at: now.after(MS), event }]
        }

        fn message(&mut self, now: Time, _: u64, message: Message<'_>) -> Vec<FakeDelivery> {
            let event = FakeEvent::text(message.payload);
            let deliver = |stream: &u64| FakeDelivery {
                stream: *stream,
                at: now.after(5 * MS),
                event: event.clone(),
            };
            self.open.iter().map(deliver).collect()
        }

        fn gone(&mut self, _: Time, stream: u64) {
            self.open.retain(|open| *open != stream);
            self.gone.borrow_mut().push(stream);
        }
    }

    fn text(payload: &[u8]) -> Message<'_> {
        Message { kind: MessageKind::Text, payload, event: None, id: None }
    }

    /// Polls a stream until it ends; returns what arrived, with its time in ms, and the end.
    async fn drain(mut stream: FakeStream) -> (Vec<(u64, String)>, StreamEnd) {
        let mut arrived = Vec::new();
        let end = poll_fn(|cx| {
            stream.poll_receive(cx, &mut [], &mut |at, message| {
                assert!(at <= clock::now());
                let text = String::from_utf8(message.payload.to_vec()).unwrap();
                arrived.push((at.0 / MS, text));
            })
        });
        let end = end.await;
        (arrived, end)
    }

    #[test]
    fn a_message_of_one_stream_is_brought_to_all_at_its_time() {
        let gone = Rc::default();
        let model = RelayModel { gone: Rc::clone(&gone), ..RelayModel::default() };
        block_on_virtual(async {
            let streams = FakeStreams::new(model);
            let (first, mut second) = (streams.open(7, b""), streams.open(8, b""));
            let listening = tokio::task::spawn_local(drain(first));
            clock::sleep_until(Time(10 * MS)).await;
            assert!(second.send(text(b"one")));
            clock::sleep_until(Time(12 * MS)).await;
            assert!(second.send(text(b"two")));
            second.close(4000, "");
            assert!(!second.send(text(b"after the close")));
            // The end comes at once, and what was on its way is never read; what had come is read
            // now.
            let (arrived, end) = drain(second).await;
            assert_eq!(arrived, [(12, "hello 8".to_owned())]);
            assert_eq!(end, StreamEnd { is_ours: true, code: Some(4000), failure: None });
            let end = StreamEnd { is_ours: false, code: Some(1001), failure: None };
            let away = FakeDelivery { stream: 1, at: Time(20 * MS), event: FakeEvent::End(end) };
            streams.0.borrow_mut().deliver(vec![away]);
            let (arrived, ended) = listening.await.unwrap();
            let expected = [(1, "hello 7"), (15, "one"), (17, "two")];
            assert_eq!(arrived, expected.map(|(at, text)| (at, text.to_owned())));
            assert_eq!(ended, end);
        });
        assert_eq!(*gone.borrow(), [2, 1]);
    }
}

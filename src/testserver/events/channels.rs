//! The channels of event streams: their listeners, and their last events for replay.
//!
//! `shared` holds them; `session` listens and publishes.
//! Invariant: replay and joining happen under one lock, so that no event falls between them. At
//! most [`MAX_CHANNELS`] channels are remembered; beyond that, those without listeners are
//! forgotten.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::super::streams::counts::{ServerStreamCount, ServerStreamCounts};
use super::super::streams::queue::{DeliveryQueue, Packet};
use super::encoding::{EventStyle, PublishedEvent};
use crate::clock::Time;

/// Channels that are remembered.
const MAX_CHANNELS: usize = 1_000;
/// Events that a channel keeps for replay, if no listener says otherwise.
pub(in crate::testserver) const DEFAULT_BUFFER: usize = 1_000;
/// Bytes of data that a channel keeps for replay, beyond its last event.
const MAX_BUFFER: usize = 4 << 20;

/// All channels of a server, by name.
#[derive(Debug, Default)]
pub(in crate::testserver) struct EventChannels(Mutex<HashMap<String, Arc<EventChannel>>>);

/// A channel.
#[derive(Debug, Default)]
struct EventChannel(Mutex<EventChannelState>);

#[derive(Debug)]
struct EventChannelState {
    last_id: u64,
    /// The last events, the oldest first.
    kept: VecDeque<Arc<PublishedEvent>>,
    kept_bytes: usize,
    /// How many events are kept.
    buffer: usize,
    next: u64,
    listeners: BTreeMap<u64, EventListenerEntry>,
    /// Whether a task publishes at a set rate.
    is_ticking: bool,
}

#[derive(Debug)]
struct EventListenerEntry {
    queue: Arc<DeliveryQueue>,
    style: EventStyle,
}

/// A listener of a channel. Dropping it leaves.
#[derive(Debug)]
pub(super) struct EventListener {
    channel: Arc<EventChannel>,
    number: u64,
}

impl Default for EventChannelState {
    fn default() -> Self {
        Self {
            last_id: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            buffer: DEFAULT_BUFFER,
            next: 0,
            listeners: BTreeMap::new(),
            is_ticking: false,
        }
    }
}

impl EventChannels {
    /// Publishes an event under the next id; returns the number of listeners. `received` is when a
    /// client sent it; `None` if it is of the server itself.
    pub fn publish(
        &self,
        name: &str,
        event: Option<String>,
        data: String,
        received: Option<Time>,
        counts: &ServerStreamCounts,
    ) -> usize {
        let channel = self.channel(name);
        let mut state = channel.lock();
        let id = state.last_id + 1;
        state.deliver(PublishedEvent { id, event, data }, received, counts)
    }

    /// Delivers an event that got its id elsewhere, unless it was delivered before.
    pub fn deliver(
        &self,
        name: &str,
        published: PublishedEvent,
        received: Option<Time>,
        counts: &ServerStreamCounts,
    ) {
        let channel = self.channel(name);
        let mut state = channel.lock();
        if published.id > state.last_id {
            state.deliver(published, received, counts);
        }
    }

    /// The id of the last event of a channel; 0 if there is none.
    pub fn last_id(&self, name: &str) -> u64 {
        self.channel(name).lock().last_id
    }

    /// The number of listeners of a channel.
    pub fn listeners(&self, name: &str) -> usize {
        self.channel(name).lock().listeners.len()
    }

    /// Adds a listener; returns it and the events since `last_id` that are kept.
    pub(super) fn listen(
        &self,
        name: &str,
        style: EventStyle,
        queue: Arc<DeliveryQueue>,
        last_id: Option<u64>,
        buffer: Option<usize>,
    ) -> (EventListener, Vec<Arc<PublishedEvent>>) {
        let channel = self.channel(name);
        let mut state = channel.lock();
        if let Some(buffer) = buffer {
            state.buffer = buffer;
            state.trim();
        }
        let is_missed = |event: &&Arc<PublishedEvent>| last_id.is_some_and(|last| event.id > last);
        let missed = state.kept.iter().filter(is_missed).cloned().collect();
        let number = state.next;
        state.next += 1;
        state.listeners.insert(number, EventListenerEntry { queue, style });
        drop(state);
        (EventListener { channel, number }, missed)
    }

    fn channel(&self, name: &str) -> Arc<EventChannel> {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if channels.len() >= MAX_CHANNELS && !channels.contains_key(name) {
            channels.retain(|_, channel| !channel.lock().listeners.is_empty());
        }
        Arc::clone(channels.entry(name.to_owned()).or_default())
    }
}

impl EventChannel {
    fn lock(&self) -> MutexGuard<'_, EventChannelState> {
        // Nothing panics while holding the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventChannelState {
    /// Keeps an event, and queues it for all listeners; returns their number.
    fn deliver(
        &mut self,
        event: PublishedEvent,
        received: Option<Time>,
        counts: &ServerStreamCounts,
    ) -> usize {
        let mut encoded = [const { None::<Bytes> }; EventStyle::COUNT];
        for listener in self.listeners.values() {
            let bytes = encoded[listener.style.index()]
                .get_or_insert_with(|| listener.style.encode(&event).into());
            if !listener.queue.push(Packet::one(bytes.clone()).with_received(received)) {
                counts.add(ServerStreamCount::Overflowed, 1);
            }
        }
        self.last_id = event.id;
        self.kept_bytes += event.data.len();
        self.kept.push_back(Arc::new(event));
        self.trim();
        self.listeners.len()
    }

    fn trim(&mut self) {
        while self.kept.len() > self.buffer || self.kept_bytes > MAX_BUFFER {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.kept_bytes -= oldest.data.len();
        }
    }
}

impl EventListener {
    /// Whether this listener is to start the task that publishes at a set rate.
    pub(super) fn starts_ticks(&self) -> bool {
        !std::mem::replace(&mut self.channel.lock().is_ticking, true)
    }
}

impl EventChannels {
    /// Whether the task that publishes at a set rate should go on: not without listeners.
    pub(super) fn keeps_ticking(&self, name: &str) -> bool {
        let channel = self.channel(name);
        let mut state = channel.lock();
        state.is_ticking = !state.listeners.is_empty();
        state.is_ticking
    }
}

impl Drop for EventListener {
    fn drop(&mut self) {
        self.channel.lock().listeners.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::super::encoding::LineEnd;
    use super::*;

    const STYLE: EventStyle = EventStyle { line_end: LineEnd::Lf, is_chunked: false };

    #[test]
    fn listeners_get_what_they_missed_and_what_follows() {
        let (channels, counts) = (EventChannels::default(), ServerStreamCounts::new());
        let publish = |data: &str| channels.publish("c", None, data.to_owned(), None, &counts);
        for data in ["a", "b", "c"] {
            assert_eq!(publish(data), 0);
        }
        let listen = |last, buffer| {
            let queue = Arc::new(DeliveryQueue::default());
            let (listener, missed) = channels.listen("c", STYLE, Arc::clone(&queue), last, buffer);
            let missed: Vec<u64> = missed.iter().map(|event| event.id).collect();
            (listener, missed, queue)
        };
        let (first, missed, queue) = listen(Some(1), None);
        assert_eq!(missed, [2, 3]);
        assert!(listen(None, None).1.is_empty(), "without an id nothing is replayed");
        assert_eq!(publish("d"), 1);
        assert_eq!(queue.clear(), 1);
        assert_eq!(listen(Some(0), Some(2)).1, [3, 4], "the buffer is bounded");
        drop(first);
        assert_eq!(publish("e"), 0);
    }

    #[test]
    fn channels_without_listeners_are_forgotten_when_there_are_too_many() {
        let (channels, counts) = (EventChannels::default(), ServerStreamCounts::new());
        let queue = Arc::new(DeliveryQueue::default());
        let (_listener, _) = channels.listen("kept", STYLE, queue, None, None);
        for n in 0..2 * MAX_CHANNELS {
            channels.publish(&n.to_string(), None, "x".to_owned(), None, &counts);
        }
        assert!(channels.0.lock().unwrap().len() <= MAX_CHANNELS);
        assert_eq!(channels.publish("kept", None, "x".to_owned(), None, &counts), 1);
    }
}

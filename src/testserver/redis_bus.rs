//! Channels that several instances share through a Redis: WebSocket channels and event streams.
//!
//! `server` starts it. Two threads, since the client blocks: one publishes, one is subscribed and
//! delivers, also what this instance published: all instances deliver in one order. Events get
//! their ids in Redis, and are kept there in a list, from which an instance learns what it missed.
//! Invariant: an event is delivered at most once by an instance, and in the order of its ids.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use redis::{Client, Cmd, Connection, RedisError, RedisResult};
use serde::{Deserialize, Serialize};

use super::bus::BusMessage;
use super::events::channels::DEFAULT_BUFFER;
use super::events::encoding::PublishedEvent;
use super::shared::ServerShared;
use super::streams::counts::ServerStreamCount;
use super::streams::queue::Packet;
use crate::clock::{self, Time};

/// Before the names of channels of packets.
const TOPICS: &str = "manada:topic:";
/// Before the names of channels of events, and of their lists.
const EVENTS: &str = "manada:events:";
/// Before the names of the last ids of events.
const IDS: &str = "manada:id:";
/// How long a thread may wait before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);
/// How long a connection may take, and an answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes the next id, keeps the event in the list, and publishes it; one step for other clients. A
/// Redis that has lost its data goes on after the last id that the instance has delivered.
const PUBLISH_EVENT: &str = "local id = redis.call('INCR', KEYS[1]) \
    if id <= tonumber(ARGV[3]) then id = ARGV[3] + 1; redis.call('SET', KEYS[1], id) end \
    local m = string.format('%.0f', id) .. ' ' .. ARGV[1] \
    redis.call('RPUSH', KEYS[2], m) \
    redis.call('LTRIM', KEYS[2], -ARGV[2], -1) \
    return redis.call('PUBLISH', KEYS[2], m)";

/// The threads. Dropping it ends them.
pub(super) struct RedisBus {
    state: Arc<BusState>,
    threads: Vec<JoinHandle<()>>,
}

/// What both threads know.
struct BusState {
    client: Client,
    shared: Arc<ServerShared>,
    /// The name of this instance: a random number.
    instance: u64,
    is_ending: AtomicBool,
    /// For waits that end with the server.
    ended: (Mutex<()>, Condvar),
}

/// An event in Redis, after its id.
#[derive(Serialize, Deserialize)]
struct StoredEvent {
    event: Option<String>,
    data: String,
    /// Whether a client posted it: no tick of an instance.
    #[serde(default)]
    is_posted: bool,
}

impl RedisBus {
    /// Connects, and starts to publish and to deliver.
    ///
    /// # Errors
    /// If the URL is none of a Redis, or it cannot be reached.
    pub fn start(
        url: &str,
        shared: Arc<ServerShared>,
        messages: Receiver<BusMessage>,
    ) -> io::Result<Self> {
        // Without user and password.
        let place = url.rsplit('@').next().unwrap_or(url);
        let failed = |error: RedisError| io::Error::other(format!("Redis at {place}: {error}"));
        let client = Client::open(url).map_err(failed)?;
        let instance = rand::random();
        let ended = (Mutex::new(()), Condvar::new());
        let state = BusState { client, shared, instance, is_ending: AtomicBool::new(false), ended };
        let state = Arc::new(state);
        // Both before the server listens: what it is sent reaches all that are subscribed.
        let publisher = state.connect().map_err(failed)?;
        let subscriber = state.connect().map_err(failed)?;
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        let mut bus = Self { state: Arc::clone(&state), threads: Vec::new() };
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(run)
        };
        let subscribing = Arc::clone(&state);
        let run = move || {
            subscribing.deliver_all(subscriber, || {
                let _ = ready.try_send(());
            });
        };
        bus.threads.push(spawn("redis-deliver", Box::new(run))?);
        let run = move || state.publish_all(publisher, &messages);
        bus.threads.push(spawn("redis-publish", Box::new(run))?);
        is_ready.recv_timeout(PATIENCE).map_err(|_| {
            io::Error::other(format!("Redis at {place}: it does not answer to a subscription"))
        })?;
        Ok(bus)
    }
}

impl Drop for RedisBus {
    fn drop(&mut self) {
        self.state.is_ending.store(true, Relaxed);
        self.state.ended.1.notify_all();
        for thread in self.threads.drain(..) {
            // A panic of one of them has been printed.
            let _ = thread.join();
        }
    }
}

impl BusState {
    fn connect(&self) -> RedisResult<Connection> {
        let connection = self.client.get_connection_with_timeout(PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.set_write_timeout(Some(PATIENCE))?;
        Ok(connection)
    }

    /// Connects again, as often as it takes; `None` if the server ends.
    fn connect_again(&self) -> Option<Connection> {
        while !self.is_ending.load(Relaxed) {
            if let Ok(connection) = self.connect() {
                return Some(connection);
            }
            let guard = self.ended.0.lock().unwrap_or_else(PoisonError::into_inner);
            drop(self.ended.1.wait_timeout(guard, LOOK));
        }
        None
    }

    /// Publishes until the server ends. A message that fails is lost, and counted.
    fn publish_all(&self, mut connection: Connection, messages: &Receiver<BusMessage>) {
        while !self.is_ending.load(Relaxed) {
            let message = match messages.recv_timeout(LOOK) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.command(&message).exec(&mut connection).is_err() {
                self.shared.counts.streams.add(ServerStreamCount::BusLost, 1);
                match self.connect_again() {
                    Some(again) => connection = again,
                    None => return,
                }
            }
        }
    }

    fn command(&self, message: &BusMessage) -> Cmd {
        match message {
            BusMessage::Packet { topic, packet, except } => {
                // The instance, its member that is left out, the number of messages, the bytes.
                let mut payload = self.instance.to_be_bytes().to_vec();
                payload.extend_from_slice(&except.unwrap_or(u64::MAX).to_be_bytes());
                payload.extend_from_slice(&packet.messages.to_be_bytes());
                payload.extend_from_slice(&packet.bytes);
                let mut command = redis::cmd("PUBLISH");
                command.arg(format!("{TOPICS}{topic}")).arg(payload);
                command
            }
            BusMessage::Event { channel, event, data, is_posted } => {
                let (event, data, is_posted) = (event.clone(), data.clone(), *is_posted);
                let stored = StoredEvent { event, data, is_posted };
                // Texts are always JSON.
                let stored = serde_json::to_string(&stored).unwrap_or_default();
                let mut command = redis::cmd("EVAL");
                command
                    .arg(PUBLISH_EVENT)
                    .arg(2)
                    .arg(format!("{IDS}{channel}"))
                    .arg(format!("{EVENTS}{channel}"))
                    .arg(stored)
                    .arg(DEFAULT_BUFFER)
                    .arg(self.shared.events.last_id(channel));
                command
            }
        }
    }

    /// Delivers until the server ends; `ready` is called when it is subscribed.
    fn deliver_all(&self, mut connection: Connection, ready: impl Fn()) {
        while !self.is_ending.load(Relaxed) {
            // An error, other than at the end, is a lost connection.
            let _ = self.deliver(&mut connection, &ready);
            match self.connect_again() {
                Some(again) => connection = again,
                None => return,
            }
        }
    }

    fn deliver(&self, connection: &mut Connection, ready: &impl Fn()) -> RedisResult<()> {
        let mut stored = self.connect()?;
        let mut subscription = connection.as_pubsub();
        subscription.psubscribe(&[format!("{TOPICS}*"), format!("{EVENTS}*")])?;
        subscription.set_read_timeout(Some(LOOK))?;
        // After the subscription: what is published meanwhile comes twice, and is delivered once.
        self.catch_up(&mut stored)?;
        drop(stored);
        ready();
        while !self.is_ending.load(Relaxed) {
            match subscription.get_message() {
                Ok(message) => {
                    let payload = message.get_payload_bytes();
                    let channel = message.get_channel_name();
                    if let Some(topic) = channel.strip_prefix(TOPICS) {
                        self.deliver_packet(topic, payload);
                    } else if let Some(channel) = channel.strip_prefix(EVENTS) {
                        self.deliver_event(channel, payload, Some(clock::now()));
                    }
                }
                Err(error) if error.is_timeout() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Delivers the events that are kept in Redis and that this instance does not have.
    fn catch_up(&self, connection: &mut Connection) -> RedisResult<()> {
        let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{EVENTS}*")).query(connection)?;
        for key in keys {
            let events: Vec<Vec<u8>> =
                redis::cmd("LRANGE").arg(&key).arg(0).arg(-1).query(connection)?;
            let channel = key.strip_prefix(EVENTS).unwrap_or(&key);
            events.iter().for_each(|event| self.deliver_event(channel, event, None));
        }
        Ok(())
    }

    fn deliver_packet(&self, topic: &str, payload: &[u8]) {
        // What another program publishes there is ignored.
        let Some((instance, rest)) = payload.split_first_chunk() else { return };
        let Some((except, rest)) = rest.split_first_chunk() else { return };
        let Some((messages, bytes)) = rest.split_first_chunk() else { return };
        let is_ours = u64::from_be_bytes(*instance) == self.instance;
        let except = Some(u64::from_be_bytes(*except)).filter(|_| is_ours);
        let messages = u32::from_be_bytes(*messages);
        // Clocks of other machines tell nothing here: its receipt is that from Redis.
        let packet = Packet::of(bytes.to_vec(), messages).with_received(Some(clock::now()));
        self.shared.broadcast_here(topic, &packet, except);
    }

    /// Delivers an event; `received` is `None` if it is one of those that are kept.
    fn deliver_event(&self, channel: &str, payload: &[u8], received: Option<Time>) {
        let Some(text) = std::str::from_utf8(payload).ok() else { return };
        let Some((id, stored)) = text.split_once(' ') else { return };
        if let (Ok(id), Ok(StoredEvent { event, data, is_posted })) =
            (id.parse(), serde_json::from_str(stored))
        {
            let published = PublishedEvent { id, event, data };
            let received = received.filter(|_| is_posted);
            let counts = &self.shared.counts.streams;
            self.shared.events.deliver(channel, published, received, counts);
        }
    }
}

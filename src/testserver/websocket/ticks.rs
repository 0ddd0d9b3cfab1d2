//! Messages at a set rate to all listeners of a thread: `/ws/events`.
//!
//! `mod` runs it. There is one timer for all listeners with the same settings; each batch of
//! messages is framed once, and the same bytes are written to every socket, without its task.
//! Invariant: message n has its number and its intended time from the schedule, which counts from
//! the start of the server: all threads send the same messages, and a late one moves no other.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

use super::super::shared::ServerShared;
use super::super::streams::counts::StreamCount;
use super::super::streams::queue::Packet;
use super::frames::{FrameSocket, frame};
use super::request::TickSettings;
use super::session::{SessionEvent, WebSocketSession};
use crate::clock::{self, Time};
use crate::units::Rate;

/// A server that is later than this leaves ticks out, and counts them.
const MAX_LATE: Duration = Duration::from_secs(1);

thread_local! {
    /// The listeners of this thread, by their settings.
    static LISTENERS: RefCell<HashMap<TickSettings, Rc<TickListeners>>> = RefCell::default();
}

/// The listeners that get the same messages.
#[derive(Default)]
struct TickListeners {
    next: Cell<u64>,
    sockets: RefCell<BTreeMap<u64, FrameSocket>>,
}

/// A listener. Dropping it leaves.
struct TickListener {
    listeners: Rc<TickListeners>,
    number: u64,
}

impl Drop for TickListener {
    fn drop(&mut self) {
        self.listeners.sockets.borrow_mut().remove(&self.number);
    }
}

/// Serves a listener to its end; returns its close code. What it sends is counted and ignored.
pub(super) async fn run(session: &mut WebSocketSession, settings: TickSettings) -> u16 {
    let _listener = join(session.socket.clone(), &session.shared, settings);
    loop {
        match session.next(None, true).await {
            SessionEvent::Received(_) => {
                session.shared.counts.streams.add(StreamCount::Received, 1);
            }
            SessionEvent::Due => {}
            SessionEvent::Closed(code) => return code,
        }
    }
}

/// Adds a listener; the first one of its settings starts their timer.
fn join(socket: FrameSocket, shared: &Arc<ServerShared>, settings: TickSettings) -> TickListener {
    let (listeners, is_new) = LISTENERS.with_borrow_mut(|all| {
        let known = all.get(&settings).cloned();
        let is_new = known.is_none();
        let listeners = known.unwrap_or_default();
        all.insert(settings, Rc::clone(&listeners));
        (listeners, is_new)
    });
    let number = listeners.next.get();
    listeners.next.set(number + 1);
    listeners.sockets.borrow_mut().insert(number, socket);
    if is_new {
        tokio::task::spawn_local(tick(Rc::clone(&listeners), Arc::clone(shared), settings));
    }
    TickListener { listeners, number }
}

/// Sends while there are listeners.
async fn tick(listeners: Rc<TickListeners>, shared: Arc<ServerShared>, settings: TickSettings) {
    let due = |batch: u64| shared.started.after(offset(settings, batch));
    let next = |now: Time| next_batch(settings, now.since(shared.started));
    let mut batch = next(clock::now());
    while !listeners.sockets.borrow().is_empty() {
        clock::sleep_until(due(batch)).await;
        if clock::now().since(due(batch)) > u64::try_from(MAX_LATE.as_nanos()).unwrap_or(u64::MAX) {
            let missed = next(clock::now()) - batch;
            let sockets = listeners.sockets.borrow().len() as u64;
            let messages = missed * u64::from(settings.batch) * sockets;
            shared.counts.streams.add(StreamCount::Skipped, messages);
            batch += missed;
            continue;
        }
        let packet = packet(settings, batch, due(batch));
        for socket in listeners.sockets.borrow().values() {
            socket.send(&packet);
        }
        batch += 1;
        // A schedule that is late does not wait: other tasks get a turn all the same.
        tokio::task::yield_now().await;
    }
    LISTENERS.with_borrow_mut(|all| all.remove(&settings));
}

/// When a batch is due, ns after the start of the server.
fn offset(settings: TickSettings, batch: u64) -> u64 {
    let messages = u128::from(batch) * u128::from(settings.batch);
    let ns = messages * u128::from(Rate::UNITS_PER_S) * 1_000_000_000;
    u64::try_from(ns / u128::from(settings.rate.units())).unwrap_or(u64::MAX)
}

/// The first batch that is due after `ns`.
fn next_batch(settings: TickSettings, ns: u64) -> u64 {
    let messages = u128::from(ns) * u128::from(settings.rate.units())
        / (u128::from(Rate::UNITS_PER_S) * 1_000_000_000);
    u64::try_from(messages / u128::from(settings.batch)).unwrap_or(u64::MAX - 1) + 1
}

/// The frames of one batch.
fn packet(settings: TickSettings, batch: u64, due: Time) -> Packet {
    let (mut bytes, mut text) = (Vec::new(), String::new());
    for message in 0..u64::from(settings.batch) {
        tick_text(batch * u64::from(settings.batch) + message, due, settings.size, &mut text);
        frame(Data::Text, text.clone().into(), &mut bytes);
    }
    Packet { bytes: bytes.into(), messages: settings.batch }
}

/// Writes `{"type":"tick","n":…,"us":…,"pad":"…"}`: the number of the message, and when it is to be
/// sent, in µs of CLOCK_MONOTONIC. It is `size` bytes long, or as long as its numbers need.
fn tick_text(n: u64, due: Time, size: usize, text: &mut String) {
    text.clear();
    // Writing into memory cannot fail.
    let _ = write!(text, "{{\"type\":\"tick\",\"n\":{n},\"us\":{}", due.0 / 1_000);
    let pad = size.saturating_sub(text.len() + ",\"pad\":\"\"}".len());
    if pad > 0 {
        let _ = write!(text, ",\"pad\":\"{:x<pad$}\"", "");
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: TickSettings = TickSettings { rate: Rate::per_s(300), size: 64, batch: 8 };

    #[test]
    fn batches_are_due_by_the_rate() {
        for batch in [0, 1, 2, 75, 1_000_000_007] {
            let due = offset(SETTINGS, batch);
            assert!(due.abs_diff(batch * 8 * 1_000_000_000 / 300) <= 1, "{batch}");
            assert_eq!(next_batch(SETTINGS, due + 1), batch + 1);
            assert!(next_batch(SETTINGS, due.saturating_sub(1)) <= batch + 1);
        }
    }

    #[test]
    fn ticks_have_their_size() {
        let mut text = String::new();
        for size in [0, 50, 64, 4_096] {
            tick_text(123, Time(9_876_543_210), size, &mut text);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&value["n"], &value["us"]), (&123.into(), &9_876_543.into()));
            assert!(text.len() == size || size < 60, "{text}");
        }
        let packet = packet(SETTINGS, 2, Time(1_000));
        assert_eq!((packet.messages, packet.bytes.len()), (8, 8 * (2 + 64)));
        assert_eq!(&packet.bytes[..2], [0x81, 64]);
    }
}

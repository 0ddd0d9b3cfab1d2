//! Messages at a set rate to all listeners of a thread: `/ws/events`.
//!
//! `mod` runs it. There is one timer for all listeners with the same settings; each batch of
//! messages is framed once, and the same bytes are written to every socket, without its task.
//! Invariant: message n has its number and its intended time from the schedule, which counts from
//! the start of the server: all threads send the same messages, and a late one moves no other.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

use super::super::shared::ServerShared;
use super::super::streams::counts::ServerStreamCount;
use super::super::streams::queue::Packet;
use super::super::streams::schedule::{TickSchedule, tick_text};
use super::frames::{FrameSocket, frame};
use super::request::TickSettings;
use super::session::{SessionEvent, WebSocketSession};
use crate::clock::{self, Time};

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
                session.shared.counts.streams.add(ServerStreamCount::Received, 1);
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
    let schedule = TickSchedule::new(shared.started, settings.rate, settings.batch);
    let mut batch = schedule.next(clock::now());
    while !listeners.sockets.borrow().is_empty() {
        let missed = schedule.wait(&mut batch).await;
        if missed > 0 {
            let sockets = listeners.sockets.borrow().len() as u64;
            let messages = missed * u64::from(settings.batch) * sockets;
            shared.counts.streams.add(ServerStreamCount::Skipped, messages);
        }
        let packet = packet(settings, batch, schedule.due(batch));
        for socket in listeners.sockets.borrow().values() {
            socket.send(&packet);
        }
        batch += 1;
        // A schedule that is late does not wait: other tasks get a turn all the same.
        tokio::task::yield_now().await;
    }
    LISTENERS.with_borrow_mut(|all| all.remove(&settings));
}

/// The frames of one batch.
fn packet(settings: TickSettings, batch: u64, due: Time) -> Packet {
    let (mut bytes, mut text) = (Vec::new(), String::new());
    for message in 0..u64::from(settings.batch) {
        tick_text(batch * u64::from(settings.batch) + message, due, settings.size, &mut text);
        frame(Data::Text, text.clone().into(), &mut bytes);
    }
    Packet::of(bytes, settings.batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Rate;

    const SETTINGS: TickSettings = TickSettings { rate: Rate::per_s(300), size: 64, batch: 8 };

    #[test]
    fn batch_is_framed_once() {
        let packet = packet(SETTINGS, 2, Time(1_000));
        assert_eq!((packet.messages, packet.bytes.len()), (8, 8 * (2 + 64)));
        assert_eq!(&packet.bytes[..2], [0x81, 64]);
    }
}

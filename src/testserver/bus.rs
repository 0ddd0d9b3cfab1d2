//! What this server publishes to the other instances that share its channels.
//!
//! `shared` sends, `redis_bus` receives and publishes.
//! Invariant: at most [`MAX_WAITING`] messages wait; what comes beyond them is lost, and counted.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use super::streams::queue::Packet;

/// Messages that wait to be published.
const MAX_WAITING: usize = 1 << 16;

/// A message for all instances, this one included: it comes back to be delivered.
#[derive(Debug)]
pub(super) enum BusMessage {
    /// A packet for all members of a topic but this one of this instance.
    Packet { topic: String, packet: Packet, except: Option<u64> },
    /// An event for all listeners of a channel, and whether a client posted it.
    Event { channel: String, event: Option<String>, data: String, is_posted: bool },
}

/// The sending end.
#[derive(Debug)]
pub(super) struct BusSender(SyncSender<BusMessage>);

/// Creates both ends.
pub(super) fn bus() -> (BusSender, Receiver<BusMessage>) {
    let (sender, receiver) = sync_channel(MAX_WAITING);
    (BusSender(sender), receiver)
}

impl BusSender {
    /// Sends a message; returns false if it is lost.
    pub fn send(&self, message: BusMessage) -> bool {
        match self.0.try_send(message) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

//! Channels: how many messages were sent on each, and how many listeners were ready for them.
//!
//! All shards of a run share one [`Channels`]; streams keep the channels that they use.
//! Invariant: one atomic operation gives a message its index and counts the listeners that are due
//! it; another gives a listener the index from which, or up to which, it is due messages. So
//! Σ expected of all sends = Σ due of all listeners, exactly.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Maximum channels of a run; on others nothing is due.
const MAX_CHANNELS: usize = 1 << 20;

/// Maximum messages of a channel whose sending failed that are remembered; of later ones the loss
/// counts as lost.
const MAX_UNSENT: usize = 4_096;

/// The bits of the index; above them stands the number of listeners.
const INDEX_BITS: u32 = 40;

const ONE_LISTENER: u64 = 1 << INDEX_BITS;

const INDEX: u64 = ONE_LISTENER - 1;

/// The channels of a run, by name.
#[derive(Debug, Default)]
pub struct Channels {
    by_name: Mutex<HashMap<String, Arc<Channel>>>,
}

/// One channel.
#[derive(Debug)]
pub struct Channel {
    /// Its number, which stamps carry.
    number: u32,
    /// Messages so far, and above them the listeners that are ready.
    state: AtomicU64,
    /// Messages whose sending failed.
    unsent: Mutex<BTreeSet<u64>>,
}

/// The place of a message on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its index.
    pub index: u64,
    /// How many listeners are due it.
    pub listeners: u64,
}

impl Channels {
    /// Returns the channel of this name; `None` if there are too many.
    pub fn get(&self, name: &str) -> Option<Arc<Channel>> {
        let mut channels = lock(&self.by_name);
        if let Some(known) = channels.get(name) {
            return Some(Arc::clone(known));
        }
        if channels.len() >= MAX_CHANNELS {
            return None;
        }
        let channel = Arc::new(Channel {
            number: channels.len() as u32,
            state: AtomicU64::new(0),
            unsent: Mutex::default(),
        });
        channels.insert(name.to_owned(), Arc::clone(&channel));
        Some(channel)
    }
}

impl Channel {
    /// The number that stamps carry.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Takes the place of the next message.
    pub fn publish(&self) -> Slot {
        let before = self.state.fetch_add(1, Relaxed);
        Slot { index: before & INDEX, listeners: before >> INDEX_BITS }
    }

    /// A listener is ready: it is due messages from the returned index on.
    pub fn join(&self) -> u64 {
        self.state.fetch_add(ONE_LISTENER, Relaxed) & INDEX
    }

    /// A listener ends: it is due messages before the returned index.
    pub fn leave(&self) -> u64 {
        self.state.fetch_sub(ONE_LISTENER, Relaxed) & INDEX
    }

    /// The index of the next message.
    pub fn next_index(&self) -> u64 {
        self.state.load(Relaxed) & INDEX
    }

    /// Notes that the sending of a message failed.
    pub fn note_unsent(&self, index: u64) {
        let mut unsent = lock(&self.unsent);
        if unsent.len() < MAX_UNSENT {
            unsent.insert(index);
        }
    }

    /// How many messages from `from` to before `to` were not sent, as far as they are remembered.
    pub fn unsent_between(&self, from: u64, to: u64) -> u64 {
        if from >= to {
            return 0;
        }
        lock(&self.unsent).range(from..to).count() as u64
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while holding the lock; if it did, the state would still be valid.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_a_channel_agree_over_threads() {
        let channels = Channels::default();
        let (mut expected, mut due) = (0, 0);
        std::thread::scope(|scope| {
            let publish = || {
                let channel = channels.get("room").unwrap();
                (0..10_000).map(|_| channel.publish().listeners).sum::<u64>()
            };
            let listen = || {
                let channel = channels.get("room").unwrap();
                (0..1_000)
                    .map(|_| {
                        let from = channel.join();
                        std::thread::yield_now();
                        channel.leave() - from
                    })
                    .sum::<u64>()
            };
            let publishers = [scope.spawn(publish), scope.spawn(publish)];
            let listeners = [scope.spawn(listen), scope.spawn(listen)];
            expected = publishers.into_iter().map(|one| one.join().unwrap()).sum();
            due = listeners.into_iter().map(|one| one.join().unwrap()).sum();
        });
        assert_eq!(expected, due);
        assert_eq!(channels.get("room").unwrap().next_index(), 20_000);
        assert_ne!(channels.get("other").unwrap().number(), 0);
    }
}

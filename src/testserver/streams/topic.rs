//! Topics: named sets of connections that get the same messages.
//!
//! WebSocket channels and event streams join them; any connection broadcasts to them.
//! Invariant: a topic exists while it has a member; a member gets what is broadcast between its
//! joining and its leaving, in one order for all members.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::queue::{DeliveryQueue, Packet};

/// All topics of a server, by name.
#[derive(Debug, Default)]
pub(in crate::testserver) struct BroadcastTopics(Mutex<HashMap<String, Arc<BroadcastTopic>>>);

/// A topic.
#[derive(Debug, Default)]
pub(in crate::testserver) struct BroadcastTopic(Mutex<TopicMembers>);

#[derive(Debug, Default)]
struct TopicMembers {
    next: u64,
    queues: BTreeMap<u64, Arc<DeliveryQueue>>,
}

/// The membership of one connection in one topic. Dropping it leaves.
#[derive(Debug)]
pub(in crate::testserver) struct TopicMembership {
    topics: Arc<BroadcastTopics>,
    pub name: String,
    topic: Arc<BroadcastTopic>,
    /// The number of the member within the topic.
    pub member: u64,
}

/// What became of a broadcast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::testserver) struct Broadcast {
    /// Connections that it was queued for.
    pub queued: u64,
    /// Connections whose queue was full.
    pub overflowed: u64,
}

impl BroadcastTopics {
    /// Adds a connection to a topic, which is created if need be.
    pub fn join(self: &Arc<Self>, name: &str, queue: Arc<DeliveryQueue>) -> TopicMembership {
        let mut topics = self.lock();
        let topic = Arc::clone(topics.entry(name.to_owned()).or_default());
        let member = topic.lock().add(queue);
        drop(topics);
        TopicMembership { topics: Arc::clone(self), name: name.to_owned(), topic, member }
    }

    /// Queues a packet for all members of a topic but `except`.
    pub fn broadcast(&self, name: &str, packet: &Packet, except: Option<u64>) -> Broadcast {
        let topic = self.lock().get(name).cloned();
        topic.map_or_else(Broadcast::default, |topic| topic.broadcast(packet, except))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<BroadcastTopic>>> {
        // Nothing panics while holding the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BroadcastTopic {
    fn broadcast(&self, packet: &Packet, except: Option<u64>) -> Broadcast {
        let mut broadcast = Broadcast::default();
        for (member, queue) in &self.lock().queues {
            if Some(*member) == except {
                continue;
            }
            if queue.push(packet.clone()) {
                broadcast.queued += 1;
            } else {
                broadcast.overflowed += 1;
            }
        }
        broadcast
    }

    fn lock(&self) -> MutexGuard<'_, TopicMembers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TopicMembers {
    fn add(&mut self, queue: Arc<DeliveryQueue>) -> u64 {
        let member = self.next;
        self.next += 1;
        self.queues.insert(member, queue);
        member
    }
}

impl Drop for TopicMembership {
    fn drop(&mut self) {
        // Both locks, in the order of `join`: no socket joins a topic that is being removed.
        let mut topics = self.topics.lock();
        let mut members = self.topic.lock();
        members.queues.remove(&self.member);
        if members.queues.is_empty() {
            topics.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_get_what_is_broadcast_while_they_are_there() {
        let topics = Arc::new(BroadcastTopics::default());
        let packet = Packet::one("a");
        assert_eq!(topics.broadcast("t", &packet, None), Broadcast::default());
        let queues = [(); 3].map(|()| Arc::new(DeliveryQueue::default()));
        let members = queues.each_ref().map(|queue| topics.join("t", Arc::clone(queue)));
        assert_eq!(topics.broadcast("t", &packet, None).queued, 3);
        assert_eq!(topics.broadcast("t", &packet, Some(members[1].member)).queued, 2);
        assert_eq!(topics.broadcast("other", &packet, None).queued, 0);
        assert_eq!(queues.each_ref().map(|queue| queue.clear()), [2, 1, 2]);
        drop(members);
        assert!(topics.lock().is_empty());
    }
}

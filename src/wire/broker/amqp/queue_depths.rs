//! How many messages wait in the queues that listeners of a shard consume.
//!
//! `shard_wire` keeps one for each service; `depth_questions` of its sessions asks the broker.
//! Invariant: one session of the shard asks for a queue, so that questions do not grow with the
//! listeners; the shares of all consumers of a queue add up to its messages.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::ids::ServiceId;

/// The queues of the services of a shard.
#[derive(Debug, Default)]
pub(in crate::wire) struct QueueDepthsByService(RefCell<BTreeMap<ServiceId, Rc<QueueDepths>>>);

impl QueueDepthsByService {
    /// The queues of a service.
    pub(in crate::wire) fn of(&self, service: ServiceId) -> Rc<QueueDepths> {
        Rc::clone(self.0.borrow_mut().entry(service).or_default())
    }
}

/// The queues of a service that have listeners.
#[derive(Debug, Default)]
pub(in crate::wire) struct QueueDepths(RefCell<BTreeMap<Box<str>, WatchedQueue>>);

/// A queue that has listeners in this shard.
#[derive(Debug, Default)]
struct WatchedQueue {
    listeners: u64,
    has_asker: bool,
    /// Whether the broker refused a question.
    is_refused: bool,
    /// What the broker stated last.
    last: Option<QueueDepth>,
}

/// What a broker states of a queue.
#[derive(Clone, Copy, Debug)]
struct QueueDepth {
    /// Messages that no consumer has.
    messages: u64,
    /// Consumers of all connections.
    consumers: u64,
}

impl QueueDepths {
    /// Notes a listener of a queue.
    pub(super) fn join(&self, queue: &str) {
        self.0.borrow_mut().entry(queue.into()).or_default().listeners += 1;
    }

    /// Notes the end of a listener.
    pub(super) fn leave(&self, queue: &str) {
        let mut all = self.0.borrow_mut();
        let Some(watched) = all.get_mut(queue) else { return };
        watched.listeners -= 1;
        if watched.listeners == 0 {
            all.remove(queue);
        }
    }

    /// Makes the caller the one that asks for a queue. Returns false if there is one already, or
    /// the broker refused a question.
    pub(super) fn claim(&self, queue: &str) -> bool {
        let mut all = self.0.borrow_mut();
        all.get_mut(queue).is_some_and(|watched| {
            !watched.is_refused && !std::mem::replace(&mut watched.has_asker, true)
        })
    }

    /// Gives up what [`Self::claim`] has returned: another session may ask.
    pub(super) fn release(&self, queue: &str) {
        if let Some(watched) = self.0.borrow_mut().get_mut(queue) {
            (watched.has_asker, watched.last) = (false, None);
        }
    }

    /// Notes that the broker refused the question of the session that asks: none asks any more.
    pub(super) fn refuse(&self, queue: &str) {
        self.release(queue);
        if let Some(watched) = self.0.borrow_mut().get_mut(queue) {
            watched.is_refused = true;
        }
    }

    /// Whether a session asks for a queue.
    pub(super) fn is_asked(&self, queue: &str) -> bool {
        self.0.borrow().get(queue).is_some_and(|watched| watched.has_asker)
    }

    /// Notes what the broker states.
    pub(super) fn note(&self, queue: &str, messages: u32, consumers: u32) {
        if let Some(watched) = self.0.borrow_mut().get_mut(queue) {
            let (messages, consumers) = (u64::from(messages), u64::from(consumers));
            watched.last = Some(QueueDepth { messages, consumers });
        }
    }

    /// The part of the queue's messages that the listeners of this shard have to receive: all of
    /// them if the queue has no other consumers. `None` if the broker has not stated any.
    pub(super) fn share(&self, queue: &str) -> Option<u64> {
        let all = self.0.borrow();
        let watched = all.get(queue)?;
        let QueueDepth { messages, consumers } = watched.last?;
        let own = watched.listeners;
        // A broker may count a consumer later than it confirms it.
        let consumers = consumers.max(own);
        Some((messages * own + consumers / 2) / consumers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_messages_of_a_queue() {
        let depths = QueueDepths::default();
        assert!(!depths.claim("q"), "it has no listener");
        (0..3).for_each(|_| depths.join("q"));
        assert_eq!(depths.share("q"), None);
        for (messages, consumers, wanted) in [
            (100, 3, 100),
            (0, 3, 0),
            // Two shards, or other programs.
            (100, 6, 50),
            (100, 4, 75),
            (1, 6, 1),
            (1, 7, 0),
            // Not yet counted.
            (100, 0, 100),
            (u32::MAX, u32::MAX, 3),
        ] {
            depths.note("q", messages, consumers);
            assert_eq!(depths.share("q"), Some(wanted), "{messages} of {consumers}");
        }
    }

    #[test]
    fn one_session_asks_for_a_queue_until_it_gives_up() {
        let depths = QueueDepths::default();
        depths.join("q");
        depths.join("q");
        assert!(depths.claim("q"));
        assert!(!depths.claim("q"));
        depths.note("q", 7, 2);
        depths.release("q");
        depths.leave("q");
        assert_eq!(depths.share("q"), None, "nothing asks any more");
        assert!(depths.claim("q"));
        assert!(depths.is_asked("q"));
        depths.refuse("q");
        assert!(!depths.is_asked("q") && !depths.claim("q"));
        depths.leave("q");
        depths.note("q", 7, 2);
        assert_eq!(depths.share("q"), None, "it has no listener");
    }
}

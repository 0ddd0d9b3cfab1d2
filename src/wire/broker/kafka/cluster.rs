//! What a session knows of its cluster: brokers, topics, and the leaders of partitions.
//!
//! `producer`, `consumer` and `group` ask it, and demand that it is read again.
//! Invariant: one request for it is under way at most; a topic that is unknown is asked for some
//! times before it counts as missing, since a new topic reaches the brokers one after the other.

use super::error_code::{UNKNOWN_TOPIC_OR_PARTITION, is_moved};
use super::requests::{self, KafkaRequest};
use super::responses::{BrokerNode, ClusterMetadata};
use crate::clock::Time;

/// The wait before the layout is read again, ns.
const AGAIN_NS: u64 = 100_000_000;

/// How often a topic is asked for that the cluster does not know.
const MAX_UNKNOWN: u32 = 5;

/// The layout of a cluster.
#[derive(Debug, Default)]
pub(super) struct ClusterLayout {
    pub(super) nodes: Vec<BrokerNode>,
    topics: Vec<KnownTopic>,
    /// When the layout is to be read; `None`: it is as it should be.
    due: Option<Time>,
    is_asking: bool,
}

#[derive(Debug)]
struct KnownTopic {
    name: Box<str>,
    /// The leaders of its partitions; empty: not known.
    leaders: Vec<i32>,
    /// How often the cluster did not know it.
    unknown: u32,
    /// Why it cannot be used.
    error: i16,
}

/// What is known of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TopicKnowledge<'a> {
    /// It has been asked for.
    Unknown,
    /// The leaders of its partitions.
    Known(&'a [i32]),
    /// It cannot be used, for this code.
    Failed(i16),
}

impl ClusterLayout {
    /// What is known of a topic; asks for it if nothing is.
    pub(super) fn topic(&mut self, name: &str, now: Time) -> TopicKnowledge<'_> {
        let place = match self.topics.iter().position(|topic| *topic.name == *name) {
            Some(place) => place,
            None => {
                let name = name.into();
                self.topics.push(KnownTopic { name, leaders: Vec::new(), unknown: 0, error: 0 });
                self.due = Some(now);
                self.topics.len() - 1
            }
        };
        match &self.topics[place] {
            topic if !topic.leaders.is_empty() => TopicKnowledge::Known(&topic.leaders),
            topic if topic.error != 0 => TopicKnowledge::Failed(topic.error),
            _ => TopicKnowledge::Unknown,
        }
    }

    /// Forgets a topic that cannot be used: the next user of it asks again.
    pub(super) fn forget(&mut self, name: &str) {
        self.topics.retain(|topic| *topic.name != *name);
    }

    /// The broker that leads a partition; `None` if none is known to.
    pub(super) fn leader(&self, name: &str, partition: i32) -> Option<i32> {
        let topic = self.topics.iter().find(|topic| *topic.name == *name)?;
        let leader = *topic.leaders.get(usize::try_from(partition).ok()?)?;
        (leader >= 0).then_some(leader)
    }

    /// The broker of this number.
    pub(super) fn node(&self, id: i32) -> Option<&BrokerNode> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Adds a broker, or corrects its address.
    pub(super) fn add_node(&mut self, node: BrokerNode) {
        self.nodes.retain(|known| known.id != node.id);
        self.nodes.push(node);
    }

    /// Demands that the layout is read again, after a moment.
    pub(super) fn read_again(&mut self, now: Time) {
        self.due = self.due.or(Some(now.after(AGAIN_NS)));
    }

    /// When there is a request to send.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.due.filter(|_| !self.is_asking)
    }

    /// The request that is due.
    pub(super) fn request(&mut self, now: Time) -> Option<KafkaRequest> {
        self.deadline().filter(|due| *due <= now)?;
        (self.due, self.is_asking) = (None, true);
        Some(requests::metadata(self.topics.iter().map(|topic| &*topic.name)))
    }

    /// Takes the response.
    pub(super) fn take(&mut self, now: Time, metadata: ClusterMetadata) {
        self.is_asking = false;
        self.nodes = metadata.nodes;
        for found in metadata.topics {
            let mut known = self.topics.iter_mut();
            let Some(topic) = known.find(|topic| *topic.name == *found.name) else { continue };
            let is_unknown = found.error == UNKNOWN_TOPIC_OR_PARTITION;
            topic.unknown = if is_unknown { topic.unknown + 1 } else { 0 };
            let waits = topic.unknown < MAX_UNKNOWN && is_moved(found.error);
            topic.error = if waits { 0 } else { found.error };
            topic.leaders = if found.error == 0 { found.leaders } else { Vec::new() };
            if waits || topic.leaders.contains(&-1) {
                self.due = self.due.or(Some(now.after(AGAIN_NS)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::responses::TopicLayout;
    use super::*;

    fn metadata(error: i16, leaders: &[i32]) -> ClusterMetadata {
        let node = BrokerNode { id: 1, host: "b".to_owned(), port: 9092 };
        let (name, leaders) = ("t".to_owned(), leaders.to_vec());
        ClusterMetadata { nodes: vec![node], topics: vec![TopicLayout { name, error, leaders }] }
    }

    #[test]
    fn a_topic_is_asked_for_until_it_is_known_or_missing() {
        let mut cluster = ClusterLayout::default();
        let mut now = Time(0);
        assert_eq!(cluster.topic("t", now), TopicKnowledge::Unknown);
        // No leader yet: it is asked for as long as it takes.
        for _ in 0..20 {
            assert!(cluster.request(now).is_some());
            assert!(cluster.request(now).is_none(), "one request at a time");
            cluster.take(now, metadata(5, &[]));
            assert!(cluster.request(now).is_none(), "after a moment");
            now = now.after(AGAIN_NS);
        }
        for _ in 0..MAX_UNKNOWN {
            assert_eq!(cluster.topic("t", now), TopicKnowledge::Unknown);
            assert!(cluster.request(now).is_some());
            cluster.take(now, metadata(3, &[]));
            now = now.after(AGAIN_NS);
        }
        assert_eq!(cluster.topic("t", now), TopicKnowledge::Failed(3));
        assert!(cluster.request(now).is_none());
        cluster.forget("t");
        assert_eq!(cluster.topic("t", now), TopicKnowledge::Unknown);
        assert!(cluster.request(now).is_some());
        cluster.take(now, metadata(0, &[1, -1]));
        assert_eq!(cluster.topic("t", now), TopicKnowledge::Known(&[1, -1]));
        assert_eq!((cluster.leader("t", 0), cluster.leader("t", 1)), (Some(1), None));
        assert_eq!((cluster.leader("t", 2), cluster.leader("u", 0)), (None, None));
        assert_eq!(cluster.deadline(), Some(now.after(AGAIN_NS)), "a partition has no leader");
        cluster.take(now, metadata(29, &[]));
        assert_eq!(cluster.topic("t", now), TopicKnowledge::Failed(29), "no access");
    }
}

//! Consumes records: positions, fetches, and which offsets are done.
//!
//! `session` hands it subscriptions and responses, `group` its partitions.
//! Invariant: a record is handed on once, at the position that its partition has then; what was
//! fetched for a partition that the session has lost is dropped.

use std::collections::VecDeque;

use super::cluster::{ClusterLayout, TopicKnowledge};
use super::consumed_partition::{
    ConsumedPartition, PartitionPlace, PartitionPosition, TopicSubscription, timestamp,
};
use super::error_code::{is_moved, status_of};
use super::link::{LinkRole, SentRequest};
use super::links::BrokerLinks;
use super::requests::{self, CommittedOffset, FetchPosition, OffsetQuery};
use super::responses;
use crate::clock::Time;
use crate::plan::kafka::KafkaSettings;
use crate::stats::FailureKind;
use crate::wire::broker::command::CommandAnswer;

/// The wait before a partition is asked again, ns.
pub(super) const AGAIN_NS: u64 = 100_000_000;

/// A consumer.
#[derive(Debug)]
pub(super) struct KafkaConsumer {
    pub(super) settings: KafkaSettings,
    pub(super) max_message: usize,
    pub(super) subscriptions: Vec<TopicSubscription>,
    pub(super) partitions: Vec<ConsumedPartition>,
    /// The number of the last delivery.
    pub(super) last_delivery: u64,
    /// Deliveries that are not settled, in their order, with place and offset.
    pub(super) unsettled: VecDeque<(u64, PartitionPlace, i64)>,
    pub(super) answers: VecDeque<CommandAnswer>,
    /// When partitions are to be asked again.
    pub(super) again: Time,
    /// A buffer for headers.
    pub(super) lines: Vec<u8>,
}

impl KafkaConsumer {
    pub(super) fn new(settings: &KafkaSettings, max_message: usize) -> Self {
        Self {
            settings: *settings,
            max_message,
            subscriptions: Vec::new(),
            partitions: Vec::new(),
            last_delivery: 0,
            unsettled: VecDeque::new(),
            answers: VecDeque::new(),
            again: Time::NEVER,
            lines: Vec::new(),
        }
    }

    /// When something is to be done.
    pub(super) const fn deadline(&self) -> Time {
        self.again
    }

    /// Looks again at what waits: something has changed.
    pub(super) const fn look_again(&mut self, now: Time) {
        self.again = now;
    }

    /// Records behind the positions of a subscription; `None` if no position is known.
    pub(super) fn behind(&self, number: u32) -> Option<u64> {
        let own = self
            .partitions
            .iter()
            .filter(|partition| self.subscriptions[partition.place.subscription].number == number);
        let behind = own.filter_map(|partition| match partition.position {
            PartitionPosition::At(at) => u64::try_from(partition.high_watermark - at).ok(),
            _ => None,
        });
        behind.reduce(|sum, one| sum + one)
    }

    /// Takes the partitions of a group, in place of those that it had.
    pub(super) fn assign(&mut self, group: usize, assigned: &[(String, i32)], now: Time) {
        self.revoke(group);
        let owned = self.subscriptions.iter_mut().enumerate();
        for (subscription, own) in owned.filter(|(_, own)| own.group == Some(group)) {
            own.is_assigned = true;
            let of_topic = assigned.iter().filter(|(topic, _)| **topic == *own.topic);
            self.partitions.extend(of_topic.map(|(_, index)| ConsumedPartition {
                place: PartitionPlace { subscription, index: *index },
                position: PartitionPosition::Stored,
                high_watermark: 0,
                done: None,
            }));
        }
        self.again = now;
    }

    /// Gives up the partitions of a group.
    pub(super) fn revoke(&mut self, group: usize) {
        let Self { subscriptions, partitions, unsettled, .. } = self;
        let is_own = |place: PartitionPlace| subscriptions[place.subscription].group == Some(group);
        partitions.retain(|partition| !is_own(partition.place));
        unsettled.retain(|(_, place, _)| !is_own(*place));
        for own in subscriptions.iter_mut().filter(|own| own.group == Some(group)) {
            own.is_assigned = false;
        }
    }

    /// Takes a stored offset of a group; negative: none is stored.
    pub(super) fn take_stored(&mut self, group: usize, topic: &str, index: i32, offset: i64) {
        for partition in &mut self.partitions {
            let own = &self.subscriptions[partition.place.subscription];
            let is_it = own.group == Some(group) && *own.topic == *topic;
            if is_it && partition.place.index == index {
                partition.position = match offset {
                    0.. => PartitionPosition::At(offset),
                    _ => PartitionPosition::Unknown(timestamp(own.start)),
                };
            }
        }
    }

    /// Whether all positions of a group are known.
    pub(super) fn has_positions(&self, group: Option<usize>) -> bool {
        let is_own = |place: PartitionPlace| self.subscriptions[place.subscription].group == group;
        self.partitions.iter().all(|partition| {
            !is_own(partition.place) || matches!(partition.position, PartitionPosition::At(_))
        })
    }

    /// Takes the offsets of a group that are to be stored.
    pub(super) fn take_done(&mut self, group: usize) -> Vec<CommittedOffset> {
        let Self { subscriptions, partitions, .. } = self;
        let mut offsets = Vec::new();
        for partition in partitions {
            let own = &subscriptions[partition.place.subscription];
            if own.group == Some(group)
                && let Some((offset, is_stored @ false)) = &mut partition.done
            {
                *is_stored = true;
                let topic = own.topic.to_string();
                let index = partition.place.index;
                offsets.push(CommittedOffset { topic, partition: index, offset: *offset });
            }
        }
        offsets
    }

    /// Notes that offsets of a group could not be stored: they are to be stored again.
    pub(super) fn forget_stored(&mut self, group: usize) {
        let Self { subscriptions, partitions, .. } = self;
        for partition in partitions {
            if subscriptions[partition.place.subscription].group == Some(group)
                && let Some((_, is_stored)) = &mut partition.done
            {
                *is_stored = false;
            }
        }
    }

    /// Notes that all messages up to a delivery are done. Returns the groups whose offsets changed.
    pub(super) fn settle(&mut self, delivery: u64, now: Time) -> Vec<usize> {
        let mut groups = Vec::new();
        self.again = now;
        while let Some((_, place, offset)) =
            self.unsettled.pop_front_if(|(number, ..)| *number <= delivery)
        {
            let group = self.subscriptions[place.subscription].group;
            groups.extend(group.filter(|group| !groups.contains(group)));
            if let Some(partition) = self.find(place) {
                partition.done = Some((offset + 1, false));
            }
        }
        groups
    }

    fn find(&mut self, place: PartitionPlace) -> Option<&mut ConsumedPartition> {
        self.partitions.iter_mut().find(|partition| partition.place == place)
    }

    /// Sends what is due: questions for offsets, and fetches.
    pub(super) fn send_due(
        &mut self,
        now: Time,
        cluster: &mut ClusterLayout,
        links: &mut BrokerLinks,
    ) {
        if now < self.again {
            return;
        }
        self.again = Time::NEVER;
        self.assign_all(now, cluster);
        self.answer_ready(now);
        let mut nodes: Vec<i32> = Vec::new();
        for partition in &self.partitions {
            let topic = &self.subscriptions[partition.place.subscription].topic;
            match cluster.leader(topic, partition.place.index) {
                Some(node) if !nodes.contains(&node) => nodes.push(node),
                Some(_) => {}
                None => {
                    // A member that does not lead its group has not asked for the topic.
                    if let TopicKnowledge::Known(_) = cluster.topic(topic, now) {
                        cluster.read_again(now);
                    }
                    self.again = self.again.min(now.after(AGAIN_NS));
                }
            }
        }
        for node in nodes {
            self.ask(node, cluster, links);
            let held_until = self.fetch(node, now, cluster, links);
            self.again = self.again.min(held_until.unwrap_or(Time::NEVER));
        }
    }

    /// Takes all partitions of the topics that are consumed without a group.
    fn assign_all(&mut self, now: Time, cluster: &mut ClusterLayout) {
        let Self { subscriptions, partitions, answers, .. } = self;
        for (subscription, own) in subscriptions.iter_mut().enumerate() {
            if own.is_assigned || own.group.is_some() {
                continue;
            }
            match cluster.topic(&own.topic, now) {
                TopicKnowledge::Unknown => {}
                TopicKnowledge::Known(leaders) => {
                    own.is_assigned = true;
                    let indexes = 0..leaders.len() as i32;
                    partitions.extend(indexes.map(|index| ConsumedPartition {
                        place: PartitionPlace { subscription, index },
                        position: PartitionPosition::Unknown(timestamp(own.start)),
                        high_watermark: 0,
                        done: None,
                    }));
                }
                TopicKnowledge::Failed(code) => {
                    if let Some(command) = own.command.take() {
                        answers.push_back(answer(command, now, code));
                        own.is_assigned = true;
                        cluster.forget(&own.topic);
                    }
                }
            }
        }
    }

    /// Answers the commands whose positions are known.
    fn answer_ready(&mut self, now: Time) {
        for place in 0..self.subscriptions.len() {
            let own = &self.subscriptions[place];
            let is_ready = own.is_assigned && self.has_positions(own.group);
            if is_ready && let Some(command) = self.subscriptions[place].command.take() {
                self.answers.push_back(answer(command, now, 0));
            }
        }
    }

    /// Asks a broker for the offsets of partitions that have no position.
    fn ask(&mut self, node: i32, cluster: &ClusterLayout, links: &mut BrokerLinks) {
        let Self { subscriptions, partitions, settings, .. } = self;
        let mut queries = Vec::new();
        for partition in partitions {
            let topic = &subscriptions[partition.place.subscription].topic;
            let index = partition.place.index;
            if let PartitionPosition::Unknown(timestamp) = partition.position
                && cluster.leader(topic, index) == Some(node)
            {
                partition.position = PartitionPosition::Asked(timestamp);
                queries.push(OffsetQuery { topic, partition: index, timestamp });
            }
        }
        if queries.is_empty() {
            return;
        }
        if let Some(link) = links.link_to(cluster, node, LinkRole::Main) {
            let request = requests::list_offsets(settings, &queries);
            link.request(&request, Some(SentRequest::ListOffsets));
        }
    }

    /// Fetches from a broker, if no fetch waits there and it takes one now; returns when it does.
    fn fetch(
        &self,
        node: i32,
        now: Time,
        cluster: &ClusterLayout,
        links: &mut BrokerLinks,
    ) -> Option<Time> {
        let positions = self.partitions.iter().filter_map(|partition| {
            let own = &self.subscriptions[partition.place.subscription];
            let (topic, index) = (&own.topic, partition.place.index);
            if own.prefetch.is_some_and(|most| self.unsettled.len() >= most) {
                return None;
            }
            match partition.position {
                PartitionPosition::At(offset) if cluster.leader(topic, index) == Some(node) => {
                    let position = FetchPosition { topic, partition: index, offset };
                    Some((position, (partition.place, offset)))
                }
                _ => None,
            }
        });
        let (positions, places): (Vec<_>, Vec<_>) = positions.unzip();
        if positions.is_empty() {
            return None;
        }
        let link = links.link_to(cluster, node, LinkRole::Fetch)?;
        let held_until = link.held_until(now);
        if held_until.is_none() && !link.is_fetching() {
            let request = requests::fetch(&self.settings, &positions);
            link.request(&request, Some(SentRequest::Fetch(places)));
        }
        held_until
    }

    /// Takes the response to a question for offsets.
    pub(super) fn take_offsets(
        &mut self,
        now: Time,
        body: &[u8],
        cluster: &mut ClusterLayout,
    ) -> Result<(), FailureKind> {
        let Self { subscriptions, partitions, answers, again, .. } = self;
        *again = now;
        responses::listed_offsets(body, &mut |topic, index, error, offset| {
            for partition in partitions.iter_mut() {
                let own = &mut subscriptions[partition.place.subscription];
                let PartitionPosition::Asked(timestamp) = partition.position else { continue };
                if *own.topic != *topic || partition.place.index != index {
                    continue;
                }
                if error == 0 {
                    partition.position = PartitionPosition::At(offset.max(0));
                    partition.high_watermark = offset.max(0);
                    continue;
                }
                partition.position = PartitionPosition::Unknown(timestamp);
                *again = now.after(AGAIN_NS);
                if is_moved(error) {
                    cluster.read_again(now);
                } else {
                    answers.push_back(answer(own.command.take().unwrap_or(0), now, error));
                }
            }
        })
    }
}

/// The answer to a command; to none, if its number is 0.
pub(super) fn answer(number: u64, at: Time, code: i16) -> CommandAnswer {
    CommandAnswer { number, at, status: status_of(code), reason: "".into(), written: None }
}

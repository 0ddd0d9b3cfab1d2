//! Produces records: batches by partition, what waits for its response, and what is sent again.
//!
//! `session` hands it messages and responses.
//! Invariant: a message is answered once; the batches of a partition are sent in the order in which
//! they were filled, with at most [`MAX_IN_FLIGHT`] requests under way to a broker.

use std::collections::VecDeque;

use super::cluster::{ClusterLayout, TopicKnowledge};
use super::error_code::{
    DUPLICATE_SEQUENCE_NUMBER, OUT_OF_ORDER_SEQUENCE_NUMBER, REQUEST_TIMED_OUT,
    UNKNOWN_TOPIC_OR_PARTITION, is_moved, is_passing, status_of,
};
use super::link::SentRequest;
use super::links::BrokerLinks;
use super::partition::{NewMessage, ProducedPartition, SentBatch, UnplacedMessage};
use super::partitioner;
use super::record_batch::ProducerIdentity;
use super::transaction::ProducerTransaction;
use super::{produce_request, requests, responses};
use crate::clock::Time;
use crate::plan::kafka::KafkaSettings;
use crate::stats::FailureKind;
use crate::wire::broker::command::CommandAnswer;

/// Requests with records that are under way to a broker: an idempotent producer may have five.
pub(super) const MAX_IN_FLIGHT: usize = 5;

/// The most bytes of a request with records, unless a single batch is larger.
pub(super) const MAX_REQUEST: usize = 1 << 20;

/// The wait before a batch is sent again, ns.
pub(super) const AGAIN_NS: u64 = 100_000_000;

/// A producer.
#[derive(Debug)]
pub(super) struct KafkaProducer {
    pub(super) settings: KafkaSettings,
    pub(super) identity: Option<ProducerIdentity>,
    pub(super) is_asking: bool,
    pub(super) topics: Vec<ProducedTopic>,
    /// When a batch is to be sent.
    pub(super) due: Time,
    /// Bytes of messages that were not sent.
    waiting: usize,
    pub(super) answers: VecDeque<CommandAnswer>,
    /// The transactions that its messages are part of, since a command began the first one.
    pub(super) transaction: Option<ProducerTransaction>,
    /// Messages that were sent again.
    pub(super) resent: u64,
}

/// A topic, and what goes to it.
#[derive(Debug)]
pub(super) struct ProducedTopic {
    pub(super) name: Box<str>,
    pub(super) partitions: Vec<ProducedPartition>,
    /// Where records without a key go.
    sticky: usize,
    /// Messages that came before the partitions were known.
    pub(super) unplaced: VecDeque<UnplacedMessage>,
}

impl KafkaProducer {
    pub(super) fn new(settings: &KafkaSettings) -> Self {
        Self {
            settings: *settings,
            identity: (!settings.is_idempotent).then_some(ProducerIdentity::NONE),
            is_asking: false,
            topics: Vec::new(),
            due: Time::NEVER,
            waiting: 0,
            answers: VecDeque::new(),
            transaction: None,
            resent: 0,
        }
    }

    /// Bytes of messages that were not sent.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Takes a message for a topic.
    pub(super) fn publish(
        &mut self,
        topic: &str,
        message: &NewMessage<'_>,
        cluster: &mut ClusterLayout,
        now: Time,
    ) {
        let refusal = self.transaction.as_ref().and_then(ProducerTransaction::refusal);
        if let Some(code) = refusal {
            self.answers.push_back(answer(message.number, now, code, None));
            return;
        }
        let place = match self.topics.iter().position(|known| *known.name == *topic) {
            Some(place) => place,
            None => {
                self.topics.push(ProducedTopic {
                    name: topic.into(),
                    partitions: Vec::new(),
                    sticky: self.topics.len(),
                    unplaced: VecDeque::new(),
                });
                self.topics.len() - 1
            }
        };
        self.waiting += message.length();
        if self.topics[place].partitions.is_empty() {
            self.topics[place].unplaced.push_back(message.keep());
            self.place_messages(place, cluster, now);
        } else {
            self.place(place, message, now);
        }
    }

    /// Puts the messages of a topic into its partitions, once these are known.
    fn place_messages(&mut self, place: usize, cluster: &mut ClusterLayout, now: Time) {
        let topic = &mut self.topics[place];
        let count = match cluster.topic(&topic.name, now) {
            TopicKnowledge::Known(leaders) => leaders.len(),
            TopicKnowledge::Unknown => {
                let expired = |message: &UnplacedMessage| message.expires <= now;
                while topic.unplaced.front().is_some_and(expired)
                    && let Some(message) = topic.unplaced.pop_front()
                {
                    self.waiting -= message.message().length();
                    self.answers.push_back(answer(message.number, now, REQUEST_TIMED_OUT, None));
                }
                return;
            }
            TopicKnowledge::Failed(code) => {
                for message in topic.unplaced.drain(..) {
                    self.waiting -= message.message().length();
                    self.answers.push_back(answer(message.number, now, code, None));
                }
                cluster.forget(&topic.name);
                return;
            }
        };
        topic.partitions.resize_with(count, ProducedPartition::default);
        for message in std::mem::take(&mut topic.unplaced) {
            self.place(place, &message.message(), now);
        }
    }

    /// Puts a message into its partition.
    fn place(&mut self, place: usize, message: &NewMessage<'_>, now: Time) {
        let topic = &mut self.topics[place];
        let count = topic.partitions.len();
        let (partition, is_sticky) = match (message.partition, message.record.key) {
            (Some(partition), _) => (usize::try_from(partition).unwrap_or(usize::MAX), false),
            (None, Some(key)) => (partitioner::place_of(key, count), false),
            (None, None) => (topic.sticky % count, true),
        };
        let Some(into) = topic.partitions.get_mut(partition) else {
            self.waiting -= message.length();
            let missing = answer(message.number, now, UNKNOWN_TOPIC_OR_PARTITION, None);
            self.answers.push_back(missing);
            return;
        };
        let closed = into.add(message, &self.settings, now);
        if closed && is_sticky {
            // The next batch without keys goes to another partition.
            topic.sticky += 1;
        }
        self.due = self.due.min(into.due(&self.settings, false));
    }

    /// When something is to be done.
    pub(super) const fn deadline(&self) -> Time {
        self.due
    }

    /// Looks again at what waits: the layout of the cluster has changed.
    pub(super) fn look_again(&mut self, now: Time) {
        self.due = self.due.min(now);
    }

    /// Sends what is due; all, if the session closes.
    pub(super) fn send_due(
        &mut self,
        now: Time,
        is_closing: bool,
        cluster: &mut ClusterLayout,
        links: &mut BrokerLinks,
    ) {
        let is_ending = self.transaction.as_ref().is_some_and(ProducerTransaction::is_ending);
        if self.waiting == 0 && self.transaction.is_none() {
            self.due = Time::NEVER;
            return;
        }
        let is_closing = is_closing || is_ending;
        if now < self.due && !is_closing {
            return;
        }
        self.send_of_transaction(now, cluster, links);
        let Some(identity) = self.identity else {
            if self.transaction.is_none() && !std::mem::replace(&mut self.is_asking, true) {
                let request = requests::init_producer(None);
                links.request_of_any(cluster, &request, SentRequest::InitProducer);
            }
            self.due = self.transaction_due(now);
            return;
        };
        self.due = self.transaction_due(now);
        let mut nodes: Vec<i32> = Vec::new();
        for place in 0..self.topics.len() {
            if !self.topics[place].unplaced.is_empty() {
                self.place_messages(place, cluster, now);
            }
            let topic = &mut self.topics[place];
            for (index, partition) in topic.partitions.iter_mut().enumerate() {
                if partition.is_empty() {
                    continue;
                }
                let due = partition.due(&self.settings, is_closing);
                for batch in partition.take_expired(now) {
                    self.waiting -= batch.bytes;
                    if let Some(transaction) = &mut self.transaction {
                        transaction.note_failure(REQUEST_TIMED_OUT);
                    }
                    for number in batch.numbers {
                        self.answers.push_back(answer(number, now, REQUEST_TIMED_OUT, None));
                    }
                }
                match cluster.leader(&topic.name, index as i32) {
                    // It is sent when the coordinator has the partition.
                    Some(_)
                        if !ProducerTransaction::admits(
                            self.transaction.as_ref(),
                            (place, index),
                        ) => {}
                    Some(node) if due <= now => {
                        if !nodes.contains(&node) {
                            nodes.push(node);
                        }
                    }
                    Some(_) => self.due = self.due.min(due),
                    None => {
                        cluster.read_again(now);
                        self.due = self.due.min(now.after(AGAIN_NS));
                    }
                }
            }
        }
        for node in nodes {
            self.send_to(node, now, is_closing, identity, (cluster, links));
        }
    }

    /// Sends what is due to one broker.
    fn send_to(
        &mut self,
        node: i32,
        now: Time,
        is_closing: bool,
        identity: ProducerIdentity,
        (cluster, links): (&ClusterLayout, &mut BrokerLinks),
    ) {
        let Some(link) = links.link_to(cluster, node, super::link::LinkRole::Main) else { return };
        let held_until = link.held_until(now);
        let mut has_more = held_until.is_none();
        if let Some(until) = held_until {
            // Messages whose time is up while they wait are answered in time.
            self.due = self.due.min(until).min(now.after(AGAIN_NS));
        }
        while has_more && link.producing < MAX_IN_FLIGHT {
            let (mut batches, mut bytes) = (Vec::new(), 0);
            has_more = false;
            for (topic, produced) in self.topics.iter_mut().enumerate() {
                let ProducedTopic { name, partitions, .. } = produced;
                for (partition, into) in partitions.iter_mut().enumerate() {
                    let is_here = cluster.leader(name, partition as i32) == Some(node);
                    if !is_here
                        || !ProducerTransaction::admits(
                            self.transaction.as_ref(),
                            (topic, partition),
                        )
                    {
                        continue;
                    }
                    if bytes >= MAX_REQUEST {
                        has_more = true;
                        break;
                    }
                    let taken = into.take(is_closing, &self.settings, identity, now);
                    let Some(batch) = taken else { continue };
                    self.waiting -= batch.bytes;
                    self.resent += if batch.is_resent { batch.numbers.len() as u64 } else { 0 };
                    bytes += batch.batch.length();
                    has_more |= !into.is_empty();
                    batches.push(SentBatch { topic, partition, batch });
                }
            }
            if batches.is_empty() {
                return;
            }
            let names: Vec<&str> = self.topics.iter().map(|topic| &*topic.name).collect();
            let acks = self.settings.acks;
            let of_transaction = self.transaction.as_ref().map(ProducerTransaction::id);
            let form = (acks, identity, of_transaction);
            let request = produce_request::encode(form, &names, &batches);
            if self.settings.acks == 0 {
                // No broker answers: what was sent is done.
                link.request(&request, None);
                for sent in batches {
                    self.topics[sent.topic].partitions[sent.partition].in_flight -= 1;
                }
            } else {
                link.request(&request, Some(SentRequest::Produce(batches)));
            }
        }
        // What has no room is due when a response has come.
    }

    /// Answers all messages with an error.
    pub(super) fn fail_all(&mut self, now: Time, code: i16) {
        let Self { topics, answers, .. } = self;
        for topic in topics {
            let unplaced = topic.unplaced.drain(..).map(|message| message.number);
            answers.extend(unplaced.map(|number| answer(number, now, code, None)));
            for partition in &mut topic.partitions {
                for batch in partition.take_all(&self.settings) {
                    let numbers = batch.numbers.into_iter();
                    answers.extend(numbers.map(|number| answer(number, now, code, None)));
                }
            }
        }
        self.waiting = 0;
    }

    /// Takes the response to a request with records.
    pub(super) fn take_response(
        &mut self,
        now: Time,
        mut batches: Vec<SentBatch>,
        body: &[u8],
        cluster: &mut ClusterLayout,
    ) -> Result<(), FailureKind> {
        responses::produced(body, &mut |topic, partition, error| {
            let is_it = |sent: &SentBatch| {
                sent.partition as i32 == partition && *self.topics[sent.topic].name == *topic
            };
            if let Some(place) = batches.iter().position(is_it) {
                let sent = batches.swap_remove(place);
                self.end_batch(now, sent, error, cluster);
            }
        })?;
        self.due = self.due.min(now);
        // A broker answers for each batch.
        if batches.is_empty() { Ok(()) } else { Err(FailureKind::BadReply) }
    }

    fn end_batch(&mut self, now: Time, sent: SentBatch, error: i16, cluster: &mut ClusterLayout) {
        let partition = &mut self.topics[sent.topic].partitions[sent.partition];
        partition.in_flight -= 1;
        let error = if error == DUPLICATE_SEQUENCE_NUMBER { 0 } else { error };
        let has_failed = self.transaction.as_ref().is_some_and(ProducerTransaction::has_failed);
        // A batch before it is on its way again.
        let is_after =
            error == OUT_OF_ORDER_SEQUENCE_NUMBER && self.settings.is_idempotent && !has_failed;
        if (is_passing(error) || is_after) && now < sent.batch.expires {
            if is_moved(error) {
                cluster.read_again(now);
            }
            self.waiting += sent.batch.bytes;
            partition.send_again(sent.batch, now.after(AGAIN_NS));
            return;
        }
        let written = sent.batch.written;
        let numbers = sent.batch.numbers.into_iter();
        self.answers.extend(numbers.map(|number| answer(number, now, error, Some(written))));
        match &mut self.transaction {
            Some(transaction) if error != 0 => {
                // Its commit becomes an abort, after which another identity is due.
                transaction.note_failure(error);
                self.fail_all(now, error);
            }
            // The broker expects the numbers of the records that it refused: a new identity begins.
            None if error != 0 && self.settings.is_idempotent => self.renew_identity(),
            _ => {}
        }
    }
}

/// The answer to a message.
pub(super) fn answer(number: u64, at: Time, code: i16, written: Option<Time>) -> CommandAnswer {
    let reason = "".into();
    CommandAnswer { number, at, status: status_of(code), reason, written }
}

//! What a session does: its producer, its consumer and its groups, and which response is whose.
//!
//! `session` hands it commands and responses, and lets it send what is due.
//! Invariant: it holds no connection and sets no timer; what it does depends on what it is handed
//! and on the time alone.

use super::cluster::ClusterLayout;
use super::consumed_partition::TopicSubscription;
use super::consumer::KafkaConsumer;
use super::error_code::status_of;
use super::group::ConsumerGroup;
use super::link::SentRequest;
use super::links::BrokerLinks;
use super::partition::NewMessage;
use super::producer::KafkaProducer;
use super::record_batch::NewRecord;
use super::responses::ClusterMetadata;
use crate::clock::{self, Time};
use crate::plan::broker::SubscribeOptions;
use crate::plan::kafka::KafkaSettings;
use crate::stats::FailureKind;
use crate::units::nanos;
use crate::wire::broker::command::{CommandAnswer, DeliverySettlement, PublishCommand};
use crate::wire::message_stream::Message;

/// Kafka's code INVALID_REQUEST.
const INVALID_REQUEST: i16 = 42;

/// The state of a session.
#[derive(Debug)]
pub(super) struct ClusterState {
    settings: KafkaSettings,
    max_message: usize,
    pub(super) cluster: ClusterLayout,
    pub(super) producer: KafkaProducer,
    pub(super) consumer: KafkaConsumer,
    groups: Vec<ConsumerGroup>,
    /// Whether there is nothing to consume.
    is_producer_only: bool,
}

impl ClusterState {
    pub(super) fn new(settings: &KafkaSettings, max_message: usize) -> Self {
        Self {
            settings: *settings,
            max_message,
            cluster: ClusterLayout::default(),
            producer: KafkaProducer::new(settings),
            consumer: KafkaConsumer::new(settings, max_message),
            groups: Vec::new(),
            is_producer_only: true,
        }
    }

    /// Takes a message.
    pub(super) fn publish(
        &mut self,
        number: u64,
        command: &PublishCommand<'_>,
        now: Time,
    ) -> Result<(), FailureKind> {
        if command.payload.len() > self.max_message {
            return Err(FailureKind::MessageTooLarge);
        }
        let record = NewRecord {
            key: command.key,
            value: command.payload,
            headers: command.headers,
            timestamp: wall_ms(),
        };
        if command.options.is_transacted && !self.producer.is_transactional() {
            // The session that began the transaction has ended: this one was opened after it.
            self.producer.refuse(number, now);
            return Ok(());
        }
        let expires = now.after(nanos(self.settings.delivery_timeout));
        let message = NewMessage { number, record, partition: command.partition, expires };
        self.producer.publish(command.destination, &message, &mut self.cluster, now);
        Ok(())
    }

    /// Begins to consume a topic, as a member of a group or alone.
    pub(super) fn subscribe(
        &mut self,
        (number, subscription): (u64, u32),
        (topic, group): (&str, Option<&str>),
        options: &SubscribeOptions,
        now: Time,
    ) {
        self.is_producer_only = false;
        if self.consumer.subscriptions.iter().any(|own| *own.topic == *topic) {
            // A position belongs to one subscription of a session.
            self.consumer.answers.push_back(CommandAnswer {
                number,
                at: now,
                status: status_of(INVALID_REQUEST),
                reason: "the session listens to this topic already".into(),
                written: None,
            });
            return;
        }
        let group = group.map(|name| {
            let known = self.groups.iter().position(|group| *group.name == *name);
            known.unwrap_or_else(|| {
                self.groups.push(ConsumerGroup::new(name, &self.settings));
                self.groups.len() - 1
            })
        });
        let settles = group.is_some() && !options.is_automatic;
        self.consumer.subscriptions.push(TopicSubscription {
            topic: topic.into(),
            number: subscription,
            group,
            start: options.start,
            prefetch: settles.then_some(match options.prefetch {
                0 => usize::MAX,
                most => usize::from(most),
            }),
            began: number,
            command: Some(number),
            is_assigned: false,
        });
        if let Some(group) = group {
            self.groups[group].subscribe_again();
        }
        self.consumer.look_again(now);
    }

    /// Notes that messages are done.
    pub(super) fn settle(&mut self, settlement: &DeliverySettlement, now: Time) {
        for group in self.consumer.settle(settlement.delivery, now) {
            self.groups[group].commit_soon();
        }
    }

    /// Begins a transaction.
    pub(super) fn begin_transaction(&mut self, number: u64, id: &str, now: Time) {
        self.producer.begin(number, id, now);
    }

    /// Commits the open transaction.
    pub(super) fn commit_transaction(&mut self, number: u64, now: Time) {
        self.producer.commit(number, now);
    }

    /// Aborts an open transaction, and leaves all groups.
    pub(super) fn begin_close(&mut self, now: Time) {
        self.producer.abandon_transaction(now);
        self.groups.iter_mut().for_each(ConsumerGroup::leave);
    }

    /// Whether a session that closes has nothing left to do.
    pub(super) fn is_done(&self) -> bool {
        self.producer.is_idle() && self.groups.iter().all(ConsumerGroup::is_left)
    }

    /// When something is to be done.
    pub(super) fn deadline(&self, is_closing: bool) -> Time {
        let consumes = !self.is_producer_only && !is_closing;
        let own = [
            self.cluster.deadline().unwrap_or(Time::NEVER),
            self.producer.deadline(),
            if consumes { self.consumer.deadline() } else { Time::NEVER },
        ];
        let groups = self.groups.iter().map(ConsumerGroup::deadline);
        own.into_iter().chain(groups).min().unwrap_or(Time::NEVER)
    }

    /// Sends what is due.
    pub(super) fn send_due(&mut self, now: Time, is_closing: bool, links: &mut BrokerLinks) {
        let Self { cluster, producer, consumer, groups, .. } = self;
        if !self.is_producer_only {
            for (index, group) in groups.iter_mut().enumerate() {
                group.send_due(index, now, consumer, (cluster, links));
            }
            if !is_closing {
                consumer.send_due(now, cluster, links);
            }
        }
        producer.send_due(now, is_closing, cluster, links);
        if let Some(request) = cluster.request(now) {
            links.request_of_any(cluster, &request, SentRequest::Metadata);
        }
    }

    /// Takes a response that was read at `now`.
    pub(super) fn take(
        &mut self,
        now: Time,
        request: SentRequest,
        body: &[u8],
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Result<(), FailureKind> {
        let Self { cluster, producer, consumer, groups, .. } = self;
        match request {
            SentRequest::Metadata => {
                cluster.take(now, ClusterMetadata::read(body)?);
                producer.look_again(now);
                consumer.look_again(now);
                Ok(())
            }
            SentRequest::InitProducer => producer.take_identity(now, body),
            SentRequest::Transaction(request) => {
                producer.take_of_transaction(now, request, body, cluster)
            }
            SentRequest::Produce(batches) => producer.take_response(now, batches, body, cluster),
            SentRequest::ListOffsets => consumer.take_offsets(now, body, cluster),
            SentRequest::Fetch(of) => consumer.take_fetched((now, &of), body, cluster, receive),
            SentRequest::Group(index, kind) => {
                groups[index].take_response((index, kind), now, body, consumer, cluster)
            }
        }
    }

    /// Whether a command has an answer that was not taken.
    pub(super) fn has_answers(&self) -> bool {
        self.producer.has_answers() || !self.consumer.answers.is_empty()
    }

    /// Takes the oldest answer.
    pub(super) fn take_answer(&mut self) -> Option<CommandAnswer> {
        self.producer.take_answer().or_else(|| self.consumer.answers.pop_front())
    }

    /// Takes a finished rebalance: a subscription of the group, and how long it took, ns.
    pub(super) fn take_rebalance(&mut self) -> Option<(u32, u64)> {
        let Self { groups, consumer, .. } = self;
        groups.iter_mut().enumerate().find_map(|(index, group)| {
            let took = group.rebalanced.pop()?;
            let mut own = consumer.subscriptions.iter();
            let own = own.find(|own| own.group == Some(index))?;
            Some((own.number, took))
        })
    }
}

/// The wall clock, ms since the epoch.
fn wall_ms() -> i64 {
    let since = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

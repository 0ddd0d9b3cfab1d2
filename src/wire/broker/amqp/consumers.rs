//! The consumers of a channel, and the deliveries that they have not settled.
//!
//! `channel` keeps them.
//! Invariant: a settlement of several deliveries is for those of one consumer, though the broker
//! counts the deliveries of all consumers together; no more than [`MAX_UNSETTLED`] are kept.

use std::collections::VecDeque;

use super::encode;
use super::fault::AmqpFault;
use crate::plan::broker::SubscribeOptions;
use crate::wire::broker::command::{DeliverySettlement, DeliveryVerdict};

/// What the tags of consumers begin with; the number of their subscription follows.
const TAG: &str = "manada-";

/// Deliveries of one consumer that are kept until they are settled; the next one forgets them all,
/// and settlements are then sent as they are given.
const MAX_UNSETTLED: usize = 1 << 17;

/// The consumers of a channel.
#[derive(Debug, Default)]
pub(super) struct AmqpConsumers {
    all: Vec<AmqpConsumer>,
    /// The prefetch that the next consumer has.
    prefetch: u16,
}

/// A subscription.
#[derive(Debug)]
struct AmqpConsumer {
    subscription: u32,
    /// The number of its command.
    number: u64,
    queue: Box<str>,
    is_automatic: bool,
    state: ConsumerState,
    /// The tags of deliveries that are not settled, in their order.
    unsettled: VecDeque<u64>,
}

/// A consumer that the broker has confirmed.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConfirmedConsumer<'a> {
    /// The number of its command.
    pub(super) number: u64,
    pub(super) subscription: u32,
    pub(super) queue: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConsumerState {
    /// The broker has not answered.
    Begun,
    Confirmed,
    /// The broker ended it.
    Cancelled,
}

impl AmqpConsumers {
    /// Appends a subscription to a queue.
    ///
    /// # Errors
    /// `()` if the name of the queue is longer than 255 bytes; `out` is as before then.
    pub(super) fn subscribe(
        &mut self,
        (number, subscription): (u64, u32),
        source: &str,
        options: &SubscribeOptions,
        out: &mut Vec<u8>,
    ) -> Result<(), ()> {
        let before = out.len();
        if options.prefetch != self.prefetch {
            encode::qos(out, options.prefetch);
        }
        let tag = format!("{TAG}{subscription}");
        let (is_automatic, is_exclusive) = (options.is_automatic, options.is_exclusive);
        if encode::consume(out, (source, &tag), is_automatic, is_exclusive).is_err() {
            out.truncate(before);
            return Err(());
        }
        self.prefetch = options.prefetch;
        let (state, unsettled) = (ConsumerState::Begun, VecDeque::new());
        let queue = source.into();
        let consumer = AmqpConsumer { subscription, number, queue, is_automatic, state, unsettled };
        self.all.push(consumer);
        Ok(())
    }

    /// The consumer with this tag that the broker has not ended.
    fn find(&mut self, tag: &[u8]) -> Option<&mut AmqpConsumer> {
        let number = std::str::from_utf8(tag).ok()?.strip_prefix(TAG)?.parse::<u32>().ok()?;
        let is_it = |consumer: &&mut AmqpConsumer| {
            consumer.subscription == number && consumer.state != ConsumerState::Cancelled
        };
        self.all.iter_mut().find(is_it)
    }

    /// Notes that the broker has answered a subscription.
    pub(super) fn confirm(&mut self, tag: &[u8]) -> Result<ConfirmedConsumer<'_>, AmqpFault> {
        match self.find(tag) {
            Some(consumer) if consumer.state == ConsumerState::Begun => {
                consumer.state = ConsumerState::Confirmed;
                let AmqpConsumer { subscription, number, ref queue, .. } = *consumer;
                Ok(ConfirmedConsumer { number, subscription, queue })
            }
            _ => Err(AmqpFault::Unexpected),
        }
    }

    /// Notes that the broker ended a consumer. Returns the number of its command, and its own.
    pub(super) fn cancel(&mut self, tag: &[u8]) -> Option<(u64, u32)> {
        let consumer = self.find(tag)?;
        consumer.state = ConsumerState::Cancelled;
        Some((consumer.number, consumer.subscription))
    }

    /// The number of the oldest command that the broker has not answered.
    pub(super) fn oldest_begun(&self) -> Option<u64> {
        let mut begun = self.all.iter().filter(|consumer| consumer.state == ConsumerState::Begun);
        begun.next().map(|consumer| consumer.number)
    }

    /// Notes a delivery. Returns its subscription, and its tag, or 0 if the broker expects no
    /// settlement.
    pub(super) fn note(&mut self, consumer: &[u8], tag: u64) -> (Option<u32>, u64) {
        let Some(consumer) = self.find(consumer) else { return (None, tag) };
        if consumer.is_automatic {
            return (Some(consumer.subscription), 0);
        }
        if consumer.unsettled.len() >= MAX_UNSETTLED {
            consumer.unsettled = VecDeque::new();
        }
        consumer.unsettled.push_back(tag);
        (Some(consumer.subscription), tag)
    }

    /// Appends a settlement.
    pub(super) fn settle(&mut self, settlement: &DeliverySettlement, out: &mut Vec<u8>) {
        let DeliverySettlement { delivery, is_multiple, verdict } = *settlement;
        if delivery == 0 {
            // The broker expects none.
            return;
        }
        let is_alone = self.all.iter().filter(|consumer| !consumer.is_automatic).count() == 1;
        for consumer in &mut self.all {
            let Ok(place) = consumer.unsettled.binary_search(&delivery) else { continue };
            if !is_multiple {
                consumer.unsettled.remove(place);
            } else if is_alone {
                consumer.unsettled.drain(..=place);
            } else {
                let tags = consumer.unsettled.drain(..=place);
                tags.for_each(|tag| append(out, tag, false, verdict));
                return;
            }
            break;
        }
        append(out, delivery, is_multiple, verdict);
    }
}

fn append(out: &mut Vec<u8>, tag: u64, is_multiple: bool, verdict: DeliveryVerdict) {
    match (verdict, is_multiple) {
        (DeliveryVerdict::Accepted, _) => encode::ack(out, tag, is_multiple),
        (verdict, false) => encode::reject(out, tag, verdict == DeliveryVerdict::Requeued),
        (verdict, true) => encode::nack(out, tag, verdict == DeliveryVerdict::Requeued),
    }
}

//! Hands on the records of a fetch.
//!
//! `session` calls it with each response.
//! Invariant: a record is handed on at the position that its partition has, with the time of the
//! read that completed its fetch.

use super::cluster::ClusterLayout;
use super::consumed_partition::{PartitionPlace, PartitionPosition, timestamp};
use super::consumer::{AGAIN_NS, KafkaConsumer, answer};
use super::error_code::{OFFSET_OUT_OF_RANGE, is_moved};
use super::record_reader::{FetchedBatches, FetchedRecord, header_line, header_lines};
use super::responses::{self, FetchedPartition};
use crate::clock::Time;
use crate::stats::FailureKind;
use crate::wire::broker::command::BrokerDelivery;
use crate::wire::message_stream::{Message, MessageKind};

impl KafkaConsumer {
    /// Takes the response to a fetch for these positions: hands its records on.
    pub(super) fn take_fetched(
        &mut self,
        (now, of): (Time, &[(PartitionPlace, i64)]),
        body: &[u8],
        cluster: &mut ClusterLayout,
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Result<(), FailureKind> {
        self.again = now;
        let whole = responses::fetched(body, &mut |topic, fetched| {
            self.take_partition((now, of), (topic, fetched), cluster, receive)
        })?;
        if whole != 0 {
            self.again = now.after(AGAIN_NS);
            self.answers.push_back(answer(0, now, whole));
        }
        Ok(())
    }

    fn take_partition(
        &mut self,
        (now, of): (Time, &[(PartitionPlace, i64)]),
        (topic, fetched): (&str, FetchedPartition<'_>),
        cluster: &mut ClusterLayout,
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Result<(), FailureKind> {
        let places: Vec<usize> = (0..self.partitions.len())
            .filter(|place| {
                let partition = &self.partitions[*place];
                let own = &self.subscriptions[partition.place.subscription];
                *own.topic == *topic && partition.place.index == fetched.partition
            })
            .collect();
        for place in places {
            let partition = &mut self.partitions[place];
            let PartitionPosition::At(position) = partition.position else { continue };
            if !of.contains(&(partition.place, position)) {
                // The partition was assigned again meanwhile: its position is another.
                continue;
            }
            match fetched.error {
                0 => {
                    partition.high_watermark = if self.settings.reads_committed {
                        fetched.last_stable
                    } else {
                        fetched.high_watermark
                    };
                    self.hand_on(now, (place, position), &fetched, receive)?;
                }
                OFFSET_OUT_OF_RANGE => {
                    let own = &self.subscriptions[partition.place.subscription];
                    partition.position = PartitionPosition::Unknown(timestamp(own.start));
                    self.answers.push_back(answer(0, now, OFFSET_OUT_OF_RANGE));
                }
                code => {
                    self.again = now.after(AGAIN_NS);
                    if is_moved(code) {
                        cluster.read_again(now);
                    } else {
                        self.answers.push_back(answer(0, now, code));
                    }
                }
            }
        }
        Ok(())
    }

    /// Hands on the records of a partition from its position on.
    fn hand_on(
        &mut self,
        now: Time,
        (place, position): (usize, i64),
        fetched: &FetchedPartition<'_>,
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Result<(), FailureKind> {
        let Self { subscriptions, partitions, unsettled, lines, last_delivery, .. } = self;
        let partition = &mut partitions[place];
        let own = &subscriptions[partition.place.subscription];
        let (index, at) = (partition.place.index, partition.place);
        let most = self.max_message + 8 * self.settings.fetch_max as usize;
        let aborted = if self.settings.reads_committed { fetched.aborted } else { &[] };
        let mut batches = FetchedBatches::new(fetched.records, most, aborted)?;
        let (mut next, mut is_too_large) = (position, false);
        let mut each = |record: FetchedRecord<'_>| {
            // A batch is whole: its first records may be before the position.
            if record.offset < position || is_too_large {
                return;
            }
            if record.value.len() > self.max_message {
                is_too_large = true;
                return;
            }
            describe(&record, index, lines);
            let mut delivery = 0;
            if own.prefetch.is_some() {
                *last_delivery += 1;
                delivery = *last_delivery;
                unsettled.push_back((delivery, at, record.offset));
            }
            let about = BrokerDelivery {
                subscription: Some(own.number),
                delivery,
                is_redelivered: false,
                topic: &own.topic,
                headers: lines,
            };
            let plain = Message::new(MessageKind::Binary, record.value);
            receive(now, Message { delivery: Some(&about), ..plain });
        };
        while let Some(after) = batches.next(&mut each)? {
            next = next.max(after);
        }
        if is_too_large {
            return Err(FailureKind::MessageTooLarge);
        }
        partition.position = PartitionPosition::At(next);
        if next > position && own.group.is_some() && own.prefetch.is_none() {
            partition.done = Some((next, false));
        }
        Ok(())
    }
}

/// Partition, offset and key of a record, and its headers, as lines.
fn describe(record: &FetchedRecord<'_>, partition: i32, lines: &mut Vec<u8>) {
    lines.clear();
    let mut digits = itoa::Buffer::new();
    header_line(lines, b"kafka-partition", digits.format(partition).as_bytes());
    header_line(lines, b"kafka-offset", digits.format(record.offset).as_bytes());
    if let Some(key) = record.key {
        header_line(lines, b"kafka-key", key);
    }
    header_lines(record, lines);
}

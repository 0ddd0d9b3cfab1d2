//! The records that wait for one partition, in the order in which they came.
//!
//! `producer` fills and empties it.
//! Invariant: a batch keeps its sequence number when it is sent again to the same producer
//! identity, so that a broker stores it once.

use std::collections::VecDeque;

use super::record_batch::{ClosedBatch, NewRecord, OpenBatch, ProducerIdentity};
use crate::clock::Time;
use crate::plan::kafka::KafkaSettings;
use crate::units::nanos;

/// What a message counts as beside its bytes.
const OVERHEAD: usize = 32;

/// A message to be produced.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewMessage<'a> {
    pub(super) number: u64,
    pub(super) record: NewRecord<'a>,
    /// Its partition, if the step names it.
    pub(super) partition: Option<i32>,
    /// When it counts as failed.
    pub(super) expires: Time,
}

/// A message that waits until the partitions of its topic are known.
#[derive(Debug)]
pub(super) struct UnplacedMessage {
    pub(super) number: u64,
    key: Option<Box<[u8]>>,
    value: Box<[u8]>,
    headers: Box<[(String, String)]>,
    partition: Option<i32>,
    timestamp: i64,
    pub(super) expires: Time,
}

impl NewMessage<'_> {
    /// The bytes that it counts as.
    pub(super) fn length(&self) -> usize {
        let headers = self.record.headers.iter().map(|(name, value)| name.len() + value.len());
        let key = self.record.key.map_or(0, <[u8]>::len);
        OVERHEAD + key + self.record.value.len() + headers.sum::<usize>()
    }

    /// Keeps it.
    pub(super) fn keep(&self) -> UnplacedMessage {
        UnplacedMessage {
            number: self.number,
            key: self.record.key.map(Into::into),
            value: self.record.value.into(),
            headers: self.record.headers.into(),
            partition: self.partition,
            timestamp: self.record.timestamp,
            expires: self.expires,
        }
    }
}

impl UnplacedMessage {
    /// The message.
    pub(super) fn message(&self) -> NewMessage<'_> {
        let record = NewRecord {
            key: self.key.as_deref(),
            value: &self.value,
            headers: &self.headers,
            timestamp: self.timestamp,
        };
        let Self { number, partition, expires, .. } = *self;
        NewMessage { number, record, partition, expires }
    }
}

/// A batch that is complete, and not answered.
#[derive(Debug)]
pub(super) struct ReadyBatch {
    pub(super) batch: ClosedBatch,
    /// Numbers of its messages.
    pub(super) numbers: Vec<u64>,
    /// The bytes that its messages count as.
    pub(super) bytes: usize,
    /// When it counts as failed.
    pub(super) expires: Time,
    /// Whether it was sent before.
    pub(super) is_resent: bool,
    /// When it was sent.
    pub(super) written: Time,
    /// Its place in the partition, for this identity.
    pub(super) sequence: Option<(ProducerIdentity, i32)>,
}

/// A batch that was sent, with its topic and its partition by index.
#[derive(Debug)]
pub(super) struct SentBatch {
    pub(super) topic: usize,
    pub(super) partition: usize,
    pub(super) batch: ReadyBatch,
}

/// The partition.
#[derive(Debug, Default)]
pub(super) struct ProducedPartition {
    open: OpenBatch,
    numbers: Vec<u64>,
    /// The bytes that the messages of the open batch count as.
    bytes: usize,
    /// When the open batch was begun, and when it counts as failed.
    opened: Option<(Time, Time)>,
    ready: VecDeque<ReadyBatch>,
    /// Before it, nothing is sent again.
    not_before: Time,
    /// Batches that wait for their answer.
    pub(super) in_flight: usize,
    pub(super) next_sequence: i32,
}

impl ProducedPartition {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.opened.is_none()
    }

    /// Adds a message. Returns whether it completed a batch.
    pub(super) fn add(
        &mut self,
        message: &NewMessage<'_>,
        settings: &KafkaSettings,
        now: Time,
    ) -> bool {
        let is_full = self.open.count() > 0
            && self.open.length_with(&message.record) > settings.batch as usize;
        if is_full {
            self.close(settings);
        }
        self.open.add(&message.record);
        self.numbers.push(message.number);
        self.bytes += message.length();
        self.opened.get_or_insert((now, message.expires));
        is_full
    }

    /// Completes the open batch.
    fn close(&mut self, settings: &KafkaSettings) {
        let Some((opened, expires)) = self.opened.take() else { return };
        self.ready.push_back(ReadyBatch {
            batch: std::mem::take(&mut self.open).close(settings.compression),
            numbers: std::mem::take(&mut self.numbers),
            bytes: std::mem::take(&mut self.bytes),
            expires,
            is_resent: false,
            written: opened,
            sequence: None,
        });
    }

    /// When a batch is to be sent; never, if none waits. A session that closes does not linger.
    pub(super) fn due(&self, settings: &KafkaSettings, is_closing: bool) -> Time {
        let linger = if is_closing { 0 } else { nanos(settings.linger) };
        match (self.ready.is_empty(), self.opened) {
            (false, _) => self.not_before,
            (true, Some((opened, _))) => opened.after(linger).max(self.not_before),
            (true, None) => Time::NEVER,
        }
    }

    /// Takes the batches that were not stored in time.
    pub(super) fn take_expired(&mut self, now: Time) -> Vec<ReadyBatch> {
        let mut expired = Vec::new();
        while self.ready.front().is_some_and(|batch| batch.expires <= now) {
            expired.extend(self.ready.pop_front());
        }
        expired
    }

    /// Takes all batches.
    pub(super) fn take_all(&mut self, settings: &KafkaSettings) -> Vec<ReadyBatch> {
        self.close(settings);
        self.ready.drain(..).collect()
    }

    /// Takes the next batch if it is due; the open one is completed then.
    pub(super) fn take(
        &mut self,
        is_closing: bool,
        settings: &KafkaSettings,
        identity: ProducerIdentity,
        now: Time,
    ) -> Option<ReadyBatch> {
        if now < self.due(settings, is_closing) {
            return None;
        }
        // While a batch is on its way again, no other is sent: their order would be lost.
        if self.in_flight > 0 && self.ready.front().is_some_and(|batch| batch.is_resent) {
            return None;
        }
        if self.ready.is_empty() {
            self.close(settings);
        }
        let mut batch = self.ready.pop_front()?;
        batch.written = now;
        let is_numbered = batch.sequence.is_some_and(|(of, _)| of == identity);
        if !is_numbered && identity != ProducerIdentity::NONE {
            batch.sequence = Some((identity, self.next_sequence));
            let next = self.next_sequence.wrapping_add(batch.batch.count);
            self.next_sequence = next & i32::MAX;
        }
        self.in_flight += 1;
        Some(batch)
    }

    /// Takes back a batch that is sent again, before those that were filled after it.
    pub(super) fn send_again(&mut self, mut batch: ReadyBatch, not_before: Time) {
        batch.is_resent = true;
        self.not_before = not_before;
        let first = batch.numbers.first().copied();
        let place = self.ready.iter().position(|other| other.numbers.first().copied() > first);
        self.ready.insert(place.unwrap_or(self.ready.len()), batch);
    }
}

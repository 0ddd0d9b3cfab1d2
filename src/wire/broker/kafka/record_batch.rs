//! Batches of records (message format 2) as they are produced.
//!
//! `producer` fills them.
//! Invariant: a batch has the order in which its records were added; its checksum covers all that
//! a broker stores.

use super::compression;
use super::fields::{put_int, put_variable, variable_length};
use crate::plan::kafka::KafkaCompression;

/// Bytes of a batch before its records.
pub(super) const HEADER: usize = 61;

/// Where the checksum stands, and where what it covers begins.
const CHECKSUM: usize = 17;
const CHECKED: usize = 21;

/// A record to be produced.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewRecord<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: &'a [u8],
    pub(super) headers: &'a [(String, String)],
    /// Since the epoch, ms.
    pub(super) timestamp: i64,
}

/// A batch that is being filled.
#[derive(Debug, Default)]
pub(super) struct OpenBatch {
    records: Vec<u8>,
    count: i32,
    first_timestamp: i64,
    last_timestamp: i64,
}

/// A batch that is complete.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClosedBatch {
    records: Vec<u8>,
    attributes: i16,
    pub(super) count: i32,
    first_timestamp: i64,
    last_timestamp: i64,
}

/// What tells a broker that a batch is one that it has already (idempotent producers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProducerIdentity {
    pub(super) id: i64,
    pub(super) epoch: i16,
    /// Whether its records are part of transactions.
    pub(super) is_transactional: bool,
}

/// The attribute of a batch that is part of a transaction.
const IS_TRANSACTIONAL: i16 = 0x10;

impl ProducerIdentity {
    /// Of a producer that is not idempotent.
    pub(super) const NONE: Self = Self { id: -1, epoch: -1, is_transactional: false };
}

impl OpenBatch {
    /// The bytes that it takes with another record, before compression.
    pub(super) fn length_with(&self, record: &NewRecord<'_>) -> usize {
        let body = self.body_length(record);
        HEADER + self.records.len() + variable_length(body as i64) + body
    }

    /// The records in it.
    pub(super) const fn count(&self) -> i32 {
        self.count
    }

    fn body_length(&self, record: &NewRecord<'_>) -> usize {
        let sized = |length: usize| variable_length(length as i64) + length;
        let key = record.key.map_or(1, |key| sized(key.len()));
        let headers: usize =
            record.headers.iter().map(|(name, value)| sized(name.len()) + sized(value.len())).sum();
        let delta = if self.count == 0 { 0 } else { record.timestamp - self.first_timestamp };
        1 + variable_length(delta)
            + variable_length(self.count.into())
            + key
            + sized(record.value.len())
            + variable_length(record.headers.len() as i64)
            + headers
    }

    /// Adds a record.
    pub(super) fn add(&mut self, record: &NewRecord<'_>) {
        if self.count == 0 {
            (self.first_timestamp, self.last_timestamp) = (record.timestamp, record.timestamp);
        }
        let length = self.body_length(record);
        let out = &mut self.records;
        put_variable(out, length as i64);
        out.push(0);
        put_variable(out, record.timestamp - self.first_timestamp);
        put_variable(out, self.count.into());
        let put = |out: &mut Vec<u8>, bytes: &[u8]| {
            put_variable(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        };
        match record.key {
            Some(key) => put(out, key),
            None => put_variable(out, -1),
        }
        put(out, record.value);
        put_variable(out, record.headers.len() as i64);
        for (name, value) in record.headers {
            put(out, name.as_bytes());
            put(out, value.as_bytes());
        }
        self.count += 1;
        self.last_timestamp = self.last_timestamp.max(record.timestamp);
    }

    /// Completes it.
    pub(super) fn close(self, compression: KafkaCompression) -> ClosedBatch {
        ClosedBatch {
            records: compression::compress(compression, self.records),
            attributes: compression::attribute(compression),
            count: self.count,
            first_timestamp: self.first_timestamp,
            last_timestamp: self.last_timestamp,
        }
    }
}

impl ClosedBatch {
    /// The bytes that [`Self::put`] appends.
    pub(super) fn length(&self) -> usize {
        HEADER + self.records.len()
    }

    /// Appends the batch; `sequence` is the number of its first record in its partition, −1 if the
    /// producer is not idempotent.
    pub(super) fn put(&self, out: &mut Vec<u8>, producer: ProducerIdentity, sequence: i32) {
        let start = out.len();
        out.extend_from_slice(&0_i64.to_be_bytes());
        // What follows the length: the rest of the header, and the records.
        put_int(out, (self.length() - 12) as i32);
        put_int(out, -1);
        out.push(2);
        put_int(out, 0);
        let of_transaction = if producer.is_transactional { IS_TRANSACTIONAL } else { 0 };
        out.extend_from_slice(&(self.attributes | of_transaction).to_be_bytes());
        put_int(out, self.count - 1);
        out.extend_from_slice(&self.first_timestamp.to_be_bytes());
        out.extend_from_slice(&self.last_timestamp.to_be_bytes());
        out.extend_from_slice(&producer.id.to_be_bytes());
        out.extend_from_slice(&producer.epoch.to_be_bytes());
        put_int(out, sequence);
        put_int(out, self.count);
        out.extend_from_slice(&self.records);
        let checksum = crc32c::crc32c(&out[start + CHECKED..]);
        out[start + CHECKSUM..start + CHECKED].copy_from_slice(&checksum.to_be_bytes());
    }
}

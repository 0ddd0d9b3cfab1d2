//! Batches of records (message format 2) as they are fetched.
//!
//! `fetched` reads them.
//! Invariant: a batch is read if its checksum holds and all of it has arrived; a batch that a
//! broker cut off at its limit of bytes is left for the next fetch. Records of a transaction that
//! the broker names as aborted are no messages, nor are the marks at its end.

use std::collections::{BTreeSet, VecDeque};

use super::compression;
use super::fields::KafkaFields;
use crate::stats::FailureKind;

/// Bytes before what the length of a batch counts.
const LENGTH_END: usize = 12;

/// A batch of a transaction.
const IS_TRANSACTIONAL: i16 = 0x10;

/// A control batch: the end of a transaction, whose records are no messages.
const IS_CONTROL: i16 = 0x20;

/// A record that was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FetchedRecord<'a> {
    pub(super) offset: i64,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: &'a [u8],
    /// Its headers, encoded; their number is before them.
    pub(super) headers: &'a [u8],
}

/// Reads batches from the front of what a fetch returned.
#[derive(Debug)]
pub(super) struct FetchedBatches<'a> {
    rest: &'a [u8],
    /// The most bytes that a batch may decompress to.
    most: usize,
    /// Aborted transactions that begin behind what was read: first offset and producer, in order.
    aborted: VecDeque<(i64, i64)>,
    /// Producers whose transaction, so far as it was read, is an aborted one.
    aborting: BTreeSet<i64>,
}

impl<'a> FetchedBatches<'a> {
    /// Begins; `aborted` are the transactions whose records are left out: producer and first
    /// offset of each, encoded.
    pub(super) fn new(bytes: &'a [u8], most: usize, aborted: &[u8]) -> Result<Self, FailureKind> {
        let mut fields = KafkaFields(aborted);
        let mut starts = Vec::with_capacity(aborted.len() / 16);
        while !fields.0.is_empty() {
            let producer = fields.long()?;
            starts.push((fields.long()?, producer));
        }
        starts.sort_unstable();
        Ok(Self { rest: bytes, most, aborted: starts.into(), aborting: BTreeSet::new() })
    }

    /// Reads the next batch; calls `each` with its records. Returns the offset that follows it;
    /// `None` if no complete batch is left.
    pub(super) fn next(
        &mut self,
        each: &mut dyn FnMut(FetchedRecord<'_>),
    ) -> Result<Option<i64>, FailureKind> {
        let mut fields = KafkaFields(self.rest);
        let (Ok(first_offset), Ok(length)) = (fields.long(), fields.int()) else {
            return Ok(None);
        };
        let length = usize::try_from(length).map_err(|_| FailureKind::BadReply)?;
        let Some(batch) = self.rest.get(LENGTH_END..LENGTH_END + length) else { return Ok(None) };
        self.rest = &self.rest[LENGTH_END + length..];
        let mut fields = KafkaFields(batch);
        fields.int()?;
        if fields.byte()? != 2 {
            return Err(FailureKind::BadReply);
        }
        if fields.unsigned()? != crc32c::crc32c(fields.0) {
            return Err(FailureKind::CorruptMessage);
        }
        let attributes = fields.short()?;
        let last = fields.int()?;
        // Timestamps; then the producer, its epoch and sequence.
        fields.take(8 + 8)?;
        let producer = fields.long()?;
        fields.take(2 + 4)?;
        let count = fields.int()?;
        let next = first_offset.checked_add(i64::from(last) + 1).ok_or(FailureKind::BadReply)?;
        if first_offset < 0 || last < 0 {
            return Err(FailureKind::BadReply);
        }
        while let Some((_, producer)) = self.aborted.pop_front_if(|(first, _)| *first < next) {
            self.aborting.insert(producer);
        }
        if attributes & IS_CONTROL != 0 {
            // Whether it commits or aborts, the transaction of the producer is over.
            self.aborting.remove(&producer);
            return Ok(Some(next));
        }
        if attributes & IS_TRANSACTIONAL != 0 && self.aborting.contains(&producer) {
            return Ok(Some(next));
        }
        let unpacked;
        let records = match attributes & 7 {
            0 => fields.0,
            codec => {
                unpacked = compression::decompress(codec, fields.0, self.most)?;
                &*unpacked
            }
        };
        let mut fields = KafkaFields(records);
        for _ in 0..count {
            let length = usize::try_from(fields.variable()?).map_err(|_| FailureKind::BadReply)?;
            let mut record = KafkaFields(fields.take(length)?);
            record.byte()?;
            record.variable()?;
            let offset = record.variable()?;
            let key = record.variable_bytes()?;
            let value = record.variable_bytes()?.unwrap_or_default();
            let offset = first_offset.checked_add(offset).ok_or(FailureKind::BadReply)?;
            each(FetchedRecord { offset, key, value, headers: record.0 });
        }
        Ok(Some(next))
    }
}

/// Appends the headers of a record as lines; control characters become spaces.
pub(super) fn header_lines(record: &FetchedRecord<'_>, out: &mut Vec<u8>) {
    let mut fields = KafkaFields(record.headers);
    let count = fields.variable().unwrap_or(0);
    for _ in 0..count {
        let (Ok(Some(name)), Ok(value)) = (fields.variable_bytes(), fields.variable_bytes()) else {
            return;
        };
        header_line(out, name, value.unwrap_or_default());
    }
}

/// Appends a header line; control characters become spaces.
pub(super) fn header_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let mut put = |bytes: &[u8]| {
        out.extend(bytes.iter().map(|byte| if byte.is_ascii_control() { b' ' } else { *byte }));
    };
    put(name);
    put(b": ");
    put(value);
    out.extend_from_slice(b"\r\n");
}

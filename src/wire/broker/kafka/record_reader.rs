//! Batches of records (message format 2) as they are fetched.
//!
//! `fetched` reads them.
//! Invariant: a batch is read if its checksum holds and all of it has arrived; a batch that a
//! broker cut off at its limit of bytes is left for the next fetch.

use super::compression;
use super::fields::KafkaFields;
use crate::stats::FailureKind;

/// Bytes before what the length of a batch counts.
const LENGTH_END: usize = 12;

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
}

impl<'a> FetchedBatches<'a> {
    pub(super) const fn new(bytes: &'a [u8], most: usize) -> Self {
        Self { rest: bytes, most }
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
        // Timestamps, producer and sequence.
        fields.take(8 + 8 + 8 + 2 + 4)?;
        let count = fields.int()?;
        let next = first_offset.checked_add(i64::from(last) + 1).ok_or(FailureKind::BadReply)?;
        if first_offset < 0 || last < 0 {
            return Err(FailureKind::BadReply);
        }
        if attributes & IS_CONTROL != 0 {
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

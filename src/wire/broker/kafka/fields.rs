//! The types of Kafka's protocol: integers, texts, arrays, and integers of variable length.
//!
//! Requests write them, responses and batches of records read them.
//! Invariant: a length or count that a broker sends is never trusted beyond the bytes after it.

use crate::stats::FailureKind;

/// Reads fields from the front of bytes. Each method fails with `BadReply` if the bytes end before
/// the field, or are none.
#[derive(Clone, Copy, Debug)]
pub(super) struct KafkaFields<'a>(pub(super) &'a [u8]);

impl<'a> KafkaFields<'a> {
    /// Takes this many bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], FailureKind> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(FailureKind::BadReply)?;
        self.0 = rest;
        Ok(taken)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], FailureKind> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(FailureKind::BadReply)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, FailureKind> {
        self.chunk().map(u8::from_be_bytes)
    }

    pub(super) fn short(&mut self) -> Result<i16, FailureKind> {
        self.chunk().map(i16::from_be_bytes)
    }

    pub(super) fn int(&mut self) -> Result<i32, FailureKind> {
        self.chunk().map(i32::from_be_bytes)
    }

    pub(super) fn unsigned(&mut self) -> Result<u32, FailureKind> {
        self.chunk().map(u32::from_be_bytes)
    }

    pub(super) fn long(&mut self) -> Result<i64, FailureKind> {
        self.chunk().map(i64::from_be_bytes)
    }

    /// A text, which is empty if the broker sent none.
    pub(super) fn text(&mut self) -> Result<&'a str, FailureKind> {
        let length = self.short()?;
        let bytes = self.take(usize::try_from(length).unwrap_or(0))?;
        std::str::from_utf8(bytes).map_err(|_| FailureKind::InvalidUtf8)
    }

    /// Bytes, which are none if the broker sent none.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], FailureKind> {
        let length = self.int()?;
        self.take(usize::try_from(length).unwrap_or(0))
    }

    /// The number of elements of an array whose elements have at least `least` bytes.
    pub(super) fn count(&mut self, least: usize) -> Result<usize, FailureKind> {
        let count = usize::try_from(self.int()?).unwrap_or(0);
        if count > self.0.len() / least.max(1) {
            return Err(FailureKind::BadReply);
        }
        Ok(count)
    }

    /// An array of integers.
    pub(super) fn ints(&mut self) -> Result<Vec<i32>, FailureKind> {
        let count = self.count(4)?;
        (0..count).map(|_| self.int()).collect()
    }

    /// An integer of variable length, with its sign in the lowest bit.
    pub(super) fn variable(&mut self) -> Result<i64, FailureKind> {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
            shift += 7;
            if shift > 63 {
                return Err(FailureKind::BadReply);
            }
        }
    }

    /// Bytes with a length of variable size before them; `None` if there are none.
    pub(super) fn variable_bytes(&mut self) -> Result<Option<&'a [u8]>, FailureKind> {
        match usize::try_from(self.variable()?) {
            Ok(length) => self.take(length).map(Some),
            Err(_) => Ok(None),
        }
    }
}

/// Appends a text. Texts of scenarios are shorter than the 32,767 bytes that a length can state.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&text.as_bytes()[..length as usize]);
}

/// Appends a text that may be missing.
pub(super) fn put_optional_text(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put_text(out, text),
        None => out.extend_from_slice(&(-1_i16).to_be_bytes()),
    }
}

/// Appends a text that may be missing, in the form of requests with tagged fields.
pub(super) fn put_compact_text(out: &mut Vec<u8>, text: Option<&str>) {
    let mut left = text.map_or(0, |text| text.len() + 1);
    loop {
        let low = (left & 0x7f) as u8;
        left >>= 7;
        out.push(if left > 0 { low | 0x80 } else { low });
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
}

/// Appends bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_int(out, bytes.len() as i32);
    out.extend_from_slice(bytes);
}

/// Appends an integer, which may be the number of elements of an array.
pub(super) fn put_int(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends an integer of variable length, with its sign in the lowest bit.
pub(super) fn put_variable(out: &mut Vec<u8>, value: i64) {
    let mut rest = (value << 1 ^ value >> 63) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The bytes that [`put_variable`] appends.
pub(super) const fn variable_length(value: i64) -> usize {
    let bits = 64 - ((value << 1 ^ value >> 63) as u64 | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Appends what `fill` writes, with its length in four bytes before it.
pub(super) fn put_measured(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    fill(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_integers_are_those_of_the_protocol() {
        for (value, bytes) in [
            (0_i64, &b"\x00"[..]),
            (-1, b"\x01"),
            (1, b"\x02"),
            (63, b"\x7e"),
            (-64, b"\x7f"),
            (64, b"\x80\x01"),
            (300, b"\xd8\x04"),
            (i64::MAX, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            (i64::MIN, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ] {
            let mut out = Vec::new();
            put_variable(&mut out, value);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(variable_length(value), bytes.len(), "{value}");
            assert_eq!(KafkaFields(bytes).variable(), Ok(value));
        }
        assert_eq!(KafkaFields(&[0xff; 11]).variable(), Err(FailureKind::BadReply));
    }

    #[test]
    fn lengths_and_counts_are_bounded_by_what_follows() {
        assert_eq!(KafkaFields(b"\x00\x03ab").text(), Err(FailureKind::BadReply));
        assert_eq!(KafkaFields(b"\xff\xff").text(), Ok(""));
        assert_eq!(KafkaFields(b"\x00\x01\xff").text(), Err(FailureKind::InvalidUtf8));
        assert_eq!(KafkaFields(b"\x7f\xff\xff\xffab").bytes(), Err(FailureKind::BadReply));
        assert_eq!(KafkaFields(b"\x7f\xff\xff\xff").count(1), Err(FailureKind::BadReply));
        assert_eq!(KafkaFields(b"\x00\x00\x00\x02abcd").count(2), Ok(2));
        assert_eq!(KafkaFields(b"\xff\xff\xff\xff").ints(), Ok(Vec::new()));
        assert_eq!(KafkaFields(b"\x04ab").variable_bytes(), Ok(Some(&b"ab"[..])));
        assert_eq!(KafkaFields(b"\x01").variable_bytes(), Ok(None));
        assert_eq!(KafkaFields(b"\x06ab").variable_bytes(), Err(FailureKind::BadReply));
    }
}

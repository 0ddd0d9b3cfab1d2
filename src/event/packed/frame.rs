//! The frame layer of records, links and buses: compressed values with checksums, verified before
//! inflating.
//!
//! `record`, `link` and `fleet::bus` pack the values.
//! Invariant: every flipped bit is detected; a frame never inflates to more than its head says,
//! and the head cannot say more than its kind allows.

use std::io::{self, Read, Write};

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

/// Why a frame cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The file or pipe cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// The content is corrupt.
    #[error("damaged {0}")]
    Damaged(&'static str),
}

/// Length of a head, bytes: kind, frame length, inflated length, checksum, checksum of the head.
const HEAD: usize = 17;

/// Buffers grow by this much, bytes, because a length in a head is not trusted in advance.
const GROWTH: usize = 256 << 10;

/// Writes frames of one common deflate stream.
pub(crate) struct Deflater {
    stream: Compress,
    bytes: Vec<u8>,
}

impl Default for Deflater {
    fn default() -> Self {
        Self { stream: Compress::new(Compression::fast(), false), bytes: Vec::new() }
    }
}

impl Deflater {
    /// Begins a new stream: the next frame can be read without those before it.
    #[cfg(feature = "redis")]
    pub(crate) fn reset(&mut self) {
        self.stream.reset();
    }

    /// Writes a frame.
    pub(crate) fn write(&mut self, out: &mut impl Write, kind: u8, value: &[u8]) -> io::Result<()> {
        self.bytes.clear();
        let before = self.stream.total_in();
        loop {
            let done = (self.stream.total_in() - before) as usize;
            self.bytes.reserve(GROWTH);
            self.stream
                .compress_vec(&value[done..], &mut self.bytes, FlushCompress::Sync)
                .map_err(io::Error::other)?;
            let done = (self.stream.total_in() - before) as usize;
            // Spare capacity shows that the stream has no more output.
            if done == value.len() && self.bytes.len() < self.bytes.capacity() {
                break;
            }
        }
        let too_long = |_| io::Error::other("an entry is too long for a frame");
        let length = u32::try_from(self.bytes.len()).map_err(too_long)?;
        let inflated = u32::try_from(value.len()).map_err(too_long)?;
        let mut head = Vec::with_capacity(HEAD);
        head.push(kind);
        for number in [length, inflated, checksum(&self.bytes)] {
            head.extend_from_slice(&number.to_le_bytes());
        }
        head.extend_from_slice(&checksum(&head).to_le_bytes());
        out.write_all(&head)?;
        out.write_all(&self.bytes)
    }
}

/// Reads frames.
pub(crate) struct Inflater {
    stream: Decompress,
    bytes: Vec<u8>,
    value: Vec<u8>,
}

impl Default for Inflater {
    fn default() -> Self {
        let stream = Decompress::new(false);
        Self { stream, bytes: Vec::new(), value: Vec::new() }
    }
}

impl Inflater {
    /// Begins a new stream.
    #[cfg(feature = "redis")]
    pub(crate) fn reset(&mut self) {
        self.stream.reset(false);
    }

    /// Reads the next frame and returns its kind and value; `None` at the end of the file, or if
    /// the last frame is incomplete. `longest` returns the maximum length of a kind's value, bytes.
    pub(crate) fn read(
        &mut self,
        from: &mut impl Read,
        longest: impl Fn(u8) -> Option<usize>,
    ) -> Result<Option<(u8, &[u8])>, FrameError> {
        let mut head = Vec::with_capacity(HEAD);
        if from.by_ref().take(HEAD as u64).read_to_end(&mut head)? < HEAD {
            return Ok(None);
        }
        let number = |at: usize| {
            let bytes = head[at..].first_chunk().copied().unwrap_or_default();
            u32::from_le_bytes(bytes)
        };
        let (kind, length, inflated, sum) = (head[0], number(1), number(5), number(9));
        let is_known = longest(kind).is_some_and(|most| inflated as usize <= most);
        if number(13) != checksum(&head[..13]) || !is_known {
            return Err(FrameError::Damaged("in the head of an entry"));
        }
        self.bytes.clear();
        let read = from.by_ref().take(u64::from(length)).read_to_end(&mut self.bytes)?;
        if read < length as usize {
            return Ok(None);
        }
        if checksum(&self.bytes) != sum {
            return Err(FrameError::Damaged("in an entry"));
        }
        self.inflate(inflated as usize)?;
        Ok(Some((kind, &self.value)))
    }

    /// Inflates a frame to exactly `wanted` bytes.
    fn inflate(&mut self, wanted: usize) -> Result<(), FrameError> {
        self.value.clear();
        let before = self.stream.total_in();
        loop {
            let done = (self.stream.total_in() - before) as usize;
            // One extra byte detects a frame that is longer than its head says.
            let room = (wanted + 1 - self.value.len()).min(GROWTH);
            self.value.reserve_exact(room);
            let length = self.value.len();
            let status = self
                .stream
                .decompress_vec(&self.bytes[done..], &mut self.value, FlushDecompress::Sync)
                .map_err(|_| FrameError::Damaged("in an entry"))?;
            let moved = (self.stream.total_in() - before) as usize > done;
            if self.value.len() > wanted || status == Status::StreamEnd {
                return Err(FrameError::Damaged("in the length of an entry"));
            }
            if self.value.len() == length && !moved {
                break;
            }
        }
        let all = (self.stream.total_in() - before) as usize == self.bytes.len();
        let is_whole = all && self.value.len() == wanted;
        if is_whole { Ok(()) } else { Err(FrameError::Damaged("in the length of an entry")) }
    }
}

/// Computes a CRC-32.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = Crc::new();
    sum.update(bytes);
    sum.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(values: &[&[u8]]) -> Vec<u8> {
        let (mut out, mut deflater) = (Vec::new(), Deflater::default());
        for value in values {
            deflater.write(&mut out, 7, value).unwrap();
        }
        out
    }

    fn read(bytes: &[u8], most: usize) -> Result<Vec<Vec<u8>>, FrameError> {
        let (mut from, mut inflater, mut all) = (bytes, Inflater::default(), Vec::new());
        while let Some((kind, value)) = inflater.read(&mut from, |_| Some(most))? {
            assert_eq!(kind, 7);
            all.push(value.to_vec());
        }
        Ok(all)
    }

    #[test]
    fn frames_of_any_length_read_back() {
        let long: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        let zeros = vec![0; 2 * GROWTH];
        for values in [&[&b""[..], b"a", &long, b"", &zeros][..], &[&long, &long], &[]] {
            assert!(read(&framed(values), 4 << 20).unwrap() == values);
        }
    }

    #[test]
    fn flipped_bit_is_always_detected() {
        let bytes = framed(&[b"hello", &[7; 3_000], b"and an end"]);
        let whole = read(&bytes, 4_096).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bytes, 4_096).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            let some = read(&bytes[..cut], 4_096).unwrap();
            assert!(whole.starts_with(&some) && some.len() < whole.len());
        }
    }

    #[test]
    fn frame_does_not_inflate_beyond_its_kind() {
        let zeros = vec![0; 64 << 20];
        let mut bytes = framed(&[&zeros]);
        assert!(bytes.len() < 1 << 20);
        let error = read(&bytes, 1 << 20).unwrap_err();
        assert!(matches!(error, FrameError::Damaged("in the head of an entry")), "{error}");
        // The lie in this head is found after its length, not after the whole frame.
        bytes[5..9].copy_from_slice(&1_000u32.to_le_bytes());
        let sum = checksum(&bytes[..13]);
        bytes[13..17].copy_from_slice(&sum.to_le_bytes());
        let (mut from, mut inflater) = (bytes.as_slice(), Inflater::default());
        assert!(inflater.read(&mut from, |_| Some(1 << 20)).is_err());
        assert!(inflater.value.capacity() < 4_096);
    }
}

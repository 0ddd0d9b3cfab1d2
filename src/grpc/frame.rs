//! Frames of gRPC: a byte for compression, four for the length, and the message.
//!
//! `engine` writes those of requests; `wire` reads that of a response.
//! Invariant: no more than the allowed length of a message is taken, whatever its prefix says.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// The bytes before a message.
pub const PREFIX: usize = 5;

/// The decoded message would be longer than allowed, or is no gzip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GunzipError {
    /// It is longer than allowed.
    TooLarge,
    /// It is damaged.
    Damaged,
}

/// Why a frame cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryFrameError {
    /// The message is longer than allowed.
    TooLarge,
    /// The first byte is neither 0 nor 1.
    BadFlag,
    /// More follows after the only message.
    Several,
}

/// Appends the frame of a message.
pub fn write(message: &[u8], is_compressed: bool, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[u8::from(is_compressed), 0, 0, 0, 0]);
    if is_compressed {
        let mut encoder = GzEncoder::new(&mut *out, Compression::default());
        // A Vec takes all bytes.
        let _ = encoder.write_all(message).and_then(|()| encoder.try_finish());
    } else {
        out.extend_from_slice(message);
    }
    let length = (out.len() - start - PREFIX) as u32;
    out[start + 1..start + PREFIX].copy_from_slice(&length.to_be_bytes());
}

/// Decodes a message of at most `max` bytes.
///
/// # Errors
/// If it is longer, or no gzip.
pub fn gunzip(bytes: &[u8], max: u64) -> Result<Vec<u8>, GunzipError> {
    let mut message = Vec::new();
    let mut decoder = MultiGzDecoder::new(bytes).take(max.saturating_add(1));
    decoder.read_to_end(&mut message).map_err(|_| GunzipError::Damaged)?;
    if message.len() as u64 > max { Err(GunzipError::TooLarge) } else { Ok(message) }
}

/// Reads the frame of the only message of a response.
#[derive(Debug)]
pub struct UnaryReader {
    prefix: [u8; PREFIX],
    filled: usize,
    /// Bytes of the message that have not come yet.
    left: usize,
    max: u64,
}

impl UnaryReader {
    /// Creates a reader of a message of at most `max` bytes.
    pub const fn new(max: u64) -> Self {
        Self { prefix: [0; PREFIX], filled: 0, left: 0, max }
    }

    /// Takes bytes; returns those of them that belong to the message.
    ///
    /// # Errors
    /// If the frame breaks a rule, or is too long.
    pub fn feed<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], UnaryFrameError> {
        let (head, bytes) = bytes.split_at(bytes.len().min(PREFIX - self.filled));
        self.prefix[self.filled..self.filled + head.len()].copy_from_slice(head);
        self.filled += head.len();
        if !head.is_empty() && self.filled == PREFIX {
            let [flag, length @ ..] = self.prefix;
            let length = u32::from_be_bytes(length);
            if flag > 1 {
                return Err(UnaryFrameError::BadFlag);
            }
            if u64::from(length) > self.max {
                return Err(UnaryFrameError::TooLarge);
            }
            self.left = length as usize;
        }
        let (message, rest) = bytes.split_at(bytes.len().min(self.left));
        self.left -= message.len();
        if rest.is_empty() { Ok(message) } else { Err(UnaryFrameError::Several) }
    }

    /// Whether the whole message has come.
    pub const fn is_complete(&self) -> bool {
        self.filled == PREFIX && self.left == 0
    }

    /// Whether the message is compressed.
    pub const fn is_compressed(&self) -> bool {
        self.prefix[0] == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_the_same_split_at_every_byte() {
        for is_compressed in [false, true] {
            let mut frame = Vec::new();
            write(b"hello, hello, hello", is_compressed, &mut frame);
            for at in 0..=frame.len() {
                let mut reader = UnaryReader::new(1_000);
                let (one, two) = frame.split_at(at);
                let mut message = reader.feed(one).unwrap().to_vec();
                assert_eq!(reader.is_complete(), at == frame.len());
                message.extend_from_slice(reader.feed(two).unwrap());
                assert!(reader.is_complete());
                assert_eq!(reader.is_compressed(), is_compressed);
                let message =
                    if is_compressed { gunzip(&message, 1_000).unwrap() } else { message };
                assert_eq!(message, b"hello, hello, hello");
            }
            for size in 1..frame.len() {
                let mut reader = UnaryReader::new(1_000);
                let pieces = frame.chunks(size).map(|piece| reader.feed(piece).unwrap().len());
                assert_eq!(pieces.sum::<usize>(), frame.len() - PREFIX);
                assert!(reader.is_complete());
            }
        }
    }

    #[test]
    fn hostile_prefixes_are_refused_before_anything_is_kept() {
        let feed = |max: u64, bytes: &[u8]| UnaryReader::new(max).feed(bytes).map(<[u8]>::len);
        assert_eq!(feed(1 << 20, b"\0\xff\xff\xff\xff"), Err(UnaryFrameError::TooLarge));
        assert_eq!(feed(4, b"\0\0\0\0\x05abcde"), Err(UnaryFrameError::TooLarge));
        assert_eq!(feed(5, b"\0\0\0\0\x05abcde"), Ok(5));
        assert_eq!(feed(9, b"\x02\0\0\0\x01a"), Err(UnaryFrameError::BadFlag));
        assert_eq!(feed(9, b"\0\0\0\0\x01ab"), Err(UnaryFrameError::Several));
        assert_eq!(feed(9, b"\0\0\0\0\0\0"), Err(UnaryFrameError::Several));
        assert_eq!(feed(0, b"\0\0\0\0\0"), Ok(0));
        let mut reader = UnaryReader::new(9);
        assert!(!reader.is_complete());
        reader.feed(b"\0\0\0").unwrap();
        assert!(!reader.is_complete(), "a cut prefix");
    }

    #[test]
    fn a_gzip_bomb_is_bounded() {
        let mut frame = Vec::new();
        write(&vec![0; 10 << 20], true, &mut frame);
        assert!(frame.len() < 20_000);
        assert_eq!(gunzip(&frame[PREFIX..], 1 << 20), Err(GunzipError::TooLarge));
        assert_eq!(gunzip(&frame[PREFIX..], 10 << 20).map(|all| all.len()), Ok(10 << 20));
        assert_eq!(gunzip(b"no gzip", 100), Err(GunzipError::Damaged));
        assert_eq!(gunzip(&frame[PREFIX..100], 10 << 20), Err(GunzipError::Damaged));
    }
}

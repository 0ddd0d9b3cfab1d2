//! Frames of a stream of messages, read as they come.
//!
//! `wire` feeds it the data of a response.
//! Invariant: no more than the allowed length of a message is taken, whatever its prefix says.

use super::frame::PREFIX;

/// Why a frame cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageFrameError {
    /// The message is longer than allowed.
    TooLarge,
    /// The first byte is neither 0 nor 1.
    BadFlag,
}

/// A part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessagePiece<'b> {
    /// The bytes, without the prefix.
    pub data: &'b [u8],
    /// Whether the message ends with them.
    pub is_last: bool,
    /// Whether the message is compressed.
    pub is_compressed: bool,
}

/// Reads the frames of messages, one after the other.
#[derive(Debug)]
pub struct MessageReader {
    prefix: [u8; PREFIX],
    filled: usize,
    /// Bytes of the message that have not come yet.
    left: usize,
    max: u64,
}

impl MessageReader {
    /// Creates a reader of messages of at most `max` bytes each.
    pub const fn new(max: u64) -> Self {
        Self { prefix: [0; PREFIX], filled: 0, left: 0, max }
    }

    /// Takes the next piece of a message off the front of `bytes`; `None` if they hold none yet.
    ///
    /// # Errors
    /// If a frame breaks a rule, or its message is too long.
    pub fn next<'b>(
        &mut self,
        bytes: &mut &'b [u8],
    ) -> Result<Option<MessagePiece<'b>>, MessageFrameError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        if self.filled < PREFIX {
            let (head, rest) = bytes.split_at(bytes.len().min(PREFIX - self.filled));
            self.prefix[self.filled..self.filled + head.len()].copy_from_slice(head);
            self.filled += head.len();
            *bytes = rest;
            if self.filled < PREFIX {
                return Ok(None);
            }
            let [flag, length @ ..] = self.prefix;
            let length = u32::from_be_bytes(length);
            if flag > 1 {
                return Err(MessageFrameError::BadFlag);
            }
            if u64::from(length) > self.max {
                return Err(MessageFrameError::TooLarge);
            }
            self.left = length as usize;
        }
        let (data, rest) = bytes.split_at(bytes.len().min(self.left));
        *bytes = rest;
        self.left -= data.len();
        let is_last = self.left == 0;
        if is_last {
            self.filled = 0;
        }
        Ok(Some(MessagePiece { data, is_last, is_compressed: self.prefix[0] == 1 }))
    }

    /// Whether no message is incomplete.
    pub const fn is_between_messages(&self) -> bool {
        self.filled == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::frame;

    fn read(bytes: &[u8], size: usize, max: u64) -> Result<Vec<Vec<u8>>, MessageFrameError> {
        let (mut reader, mut messages, mut carry) = (MessageReader::new(max), vec![], vec![]);
        for mut piece in bytes.chunks(size) {
            while let Some(part) = reader.next(&mut piece)? {
                carry.extend_from_slice(part.data);
                if part.is_last {
                    messages.push(std::mem::take(&mut carry));
                }
            }
            assert!(piece.is_empty());
        }
        assert!(reader.is_between_messages());
        Ok(messages)
    }

    #[test]
    fn any_split_gives_the_same_messages() {
        let mut bytes = Vec::new();
        let all: [&[u8]; 4] = [b"one", b"", b"and another", b""];
        all.iter().for_each(|message| frame::write(message, false, &mut bytes));
        for size in 1..=bytes.len() {
            assert_eq!(read(&bytes, size, 11).unwrap(), all, "{size}");
            assert_eq!(read(&bytes, size, 10), Err(MessageFrameError::TooLarge), "{size}");
        }
    }

    #[test]
    fn hostile_prefixes_are_refused_and_cut_messages_noticed() {
        let read = |bytes: &[u8]| {
            let mut reader = MessageReader::new(1 << 20);
            let mut rest = bytes;
            let read = reader.next(&mut rest).map(|piece| piece.map(|piece| piece.data.len()));
            (read, reader.is_between_messages())
        };
        assert_eq!(read(b"\0\xff\xff\xff\xff").0, Err(MessageFrameError::TooLarge));
        assert_eq!(read(b"\x02\0\0\0\x01a").0, Err(MessageFrameError::BadFlag));
        assert_eq!(read(b"\0\0\0"), (Ok(None), false), "a cut prefix");
        assert_eq!(read(b"\0\0\0\0\x02a"), (Ok(Some(1)), false), "a cut message");
        assert_eq!(read(b"\0\0\0\0\x01a"), (Ok(Some(1)), true));
        assert_eq!(read(b""), (Ok(None), true));
    }
}

//! A message per line: `\n` ends one, with or without `\r` before it.
//!
//! `stream` feeds it the body, and `parser` uses the same bound.
//! Invariant: a line is at most `max` bytes; one that is complete in a read is not copied.

use crate::stats::FailureKind;
use crate::wire::body::bodies::CapturedBody;

/// A parser of lines that come in pieces.
#[derive(Debug)]
pub struct LineParser {
    max: u64,
    /// The beginning of a line whose end has not arrived.
    carry: CapturedBody,
}

impl LineParser {
    /// Creates a parser of lines up to `max` bytes.
    pub fn new(max: u64) -> Self {
        Self { max, carry: CapturedBody::default() }
    }

    /// Takes bytes and hands out the lines that they complete, without their ends; empty lines are
    /// left out.
    ///
    /// # Errors
    /// `EventTooLarge`; `NoRoomForMessage` if the memory for kept bodies is used up.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        receive: &mut impl FnMut(&[u8]),
    ) -> Result<(), FailureKind> {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let line = &bytes[..end];
            bytes = &bytes[end + 1..];
            if self.carry.is_empty() {
                self.hand_out(line, receive)?;
            } else {
                self.keep(line)?;
                let whole = std::mem::take(&mut self.carry);
                self.hand_out(&whole, receive)?;
            }
        }
        self.keep(bytes)
    }

    /// Hands out the last line, if the body does not end with a line end.
    ///
    /// # Errors
    /// `EventTooLarge`.
    pub fn end(&mut self, receive: &mut impl FnMut(&[u8])) -> Result<(), FailureKind> {
        let last = std::mem::take(&mut self.carry);
        self.hand_out(&last, receive)
    }

    fn hand_out(&self, line: &[u8], receive: &mut impl FnMut(&[u8])) -> Result<(), FailureKind> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() as u64 > self.max {
            return Err(FailureKind::EventTooLarge);
        }
        if !line.is_empty() {
            receive(line);
        }
        Ok(())
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), FailureKind> {
        if self.carry.len() as u64 + part.len() as u64 > self.max.saturating_add(1) {
            return Err(FailureKind::EventTooLarge);
        }
        if part.is_empty() {
            return Ok(());
        }
        self.carry.push(part).map_err(|_| FailureKind::NoRoomForMessage)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(bytes: &[u8], size: usize, max: u64) -> Result<Vec<Vec<u8>>, FailureKind> {
        let (mut parser, mut lines) = (LineParser::new(max), Vec::new());
        for piece in bytes.chunks(size) {
            parser.feed(piece, &mut |line| lines.push(line.to_vec()))?;
        }
        parser.end(&mut |line| lines.push(line.to_vec()))?;
        Ok(lines)
    }

    #[test]
    fn lines_end_with_either_line_end_and_the_last_with_none() {
        for size in 1..20 {
            let got = lines(b"{\"a\":1}\r\n\n{}\n\r\nlast", size, 7).unwrap();
            assert_eq!(got, [&b"{\"a\":1}"[..], b"{}", b"last"]);
            let long = lines(b"12345678\n", size, 7);
            assert_eq!(long, Err(FailureKind::EventTooLarge));
        }
    }

    #[test]
    fn an_endless_line_ends_at_the_limit() {
        let mut parser = LineParser::new(100_000);
        let fed = (0..200).try_for_each(|_| parser.feed(&[b'x'; 1_000], &mut |_| panic!()));
        assert_eq!(fed, Err(FailureKind::EventTooLarge));
        assert!(parser.carry.len() <= 100_001);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_lines(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a'), any::<u8>()], 0..40),
            size in 1usize..8,
        ) {
            let whole = lines(&bytes, bytes.len().max(1), 9);
            prop_assert_eq!(lines(&bytes, size, 9), whole);
        }
    }
}

//! A file of Zstandard frames, one after the other: a valid file after each.
//!
//! `samples` writes through it.
//! Invariant: at most one frame of text is held in memory.

use std::io::{self, Write};

use ruzstd::encoding::{CompressionLevel, compress};

/// Text of a frame, bytes.
const FRAME: usize = 1 << 20;

/// Writes text to a file, compressed if `is_compressed`.
#[derive(Debug)]
pub(super) struct ZstdFrames<W> {
    out: W,
    is_compressed: bool,
    text: Vec<u8>,
}

impl<W: Write> ZstdFrames<W> {
    /// A file that has nothing yet.
    pub(super) fn new(out: W, is_compressed: bool) -> Self {
        Self { out, is_compressed, text: Vec::new() }
    }

    /// The text that waits; more may be added.
    pub(super) fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Writes what waits if it fills a frame, or in any case at the end.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(&mut self, is_end: bool) -> io::Result<()> {
        if self.text.is_empty() || self.text.len() < FRAME && !is_end {
            return Ok(());
        }
        if self.is_compressed {
            let mut frame = Vec::new();
            compress(self.text.as_slice(), &mut frame, CompressionLevel::Fastest);
            self.out.write_all(&frame)?;
        } else {
            self.out.write_all(&self.text)?;
        }
        self.text.clear();
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn frames_are_read_back_by_a_decoder() {
        let mut out = Vec::new();
        let mut file = ZstdFrames::new(&mut out, true);
        let mut expected = Vec::new();
        for number in 0..100_000u32 {
            let line = format!("{{\"number\":{number}}}\n");
            expected.extend_from_slice(line.as_bytes());
            file.text().extend_from_slice(line.as_bytes());
            file.write(false).unwrap();
        }
        file.write(true).unwrap();
        assert!(out.len() < expected.len() / 2, "{} of {}", out.len(), expected.len());
        let (mut left, mut text) = (out.as_slice(), Vec::new());
        while !left.is_empty() {
            let mut frame = ruzstd::decoding::StreamingDecoder::new(&mut left).unwrap();
            frame.read_to_end(&mut text).unwrap();
        }
        assert!(text == expected);
    }
}

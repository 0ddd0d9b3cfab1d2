//! Zstandard frames, one after the other: a valid file after each.
//!
//! `samples` writes them.
//! Invariant: at most one frame of text is held in memory.

use ruzstd::encoding::{CompressionLevel, compress};

/// Text of a frame, bytes.
const FRAME: usize = 1 << 20;

/// Makes frames of text, compressed if `is_compressed`.
#[derive(Debug)]
pub(super) struct ZstdFrames {
    is_compressed: bool,
    text: Vec<u8>,
}

impl ZstdFrames {
    /// Frames of which there are none yet.
    pub(super) fn new(is_compressed: bool) -> Self {
        Self { is_compressed, text: Vec::new() }
    }

    /// The text that waits; more may be added.
    pub(super) fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// The frame of what waits, if that fills one, or at the end; nothing waits then.
    pub(super) fn frame(&mut self, is_end: bool) -> Option<Vec<u8>> {
        if self.text.is_empty() || self.text.len() < FRAME && !is_end {
            return None;
        }
        let text = std::mem::take(&mut self.text);
        if !self.is_compressed {
            return Some(text);
        }
        let mut frame = Vec::new();
        compress(text.as_slice(), &mut frame, CompressionLevel::Fastest);
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn frames_are_read_back_by_a_decoder() {
        let mut out = Vec::new();
        let mut file = ZstdFrames::new(true);
        let mut expected = Vec::new();
        for number in 0..100_000u32 {
            let line = format!("{{\"number\":{number}}}\n");
            expected.extend_from_slice(line.as_bytes());
            file.text().extend_from_slice(line.as_bytes());
            out.extend(file.frame(false).unwrap_or_default());
        }
        out.extend(file.frame(true).unwrap());
        assert!(out.len() < expected.len() / 2, "{} of {}", out.len(), expected.len());
        let (mut left, mut text) = (out.as_slice(), Vec::new());
        while !left.is_empty() {
            let mut frame = ruzstd::decoding::StreamingDecoder::new(&mut left).unwrap();
            frame.read_to_end(&mut text).unwrap();
        }
        assert!(text == expected);
    }
}

//! The chunked transfer coding (RFC 9112 §7.1), decoded piece by piece.
//!
//! `framing` feeds it.
//! Invariant: sizes, extensions and trailers are bounded; data passes through uncopied.

use crate::stats::{AttemptPhase, FailureKind};
use crate::wire::http1::framing_error::FramingError;

/// Maximum bytes of chunk extensions and trailers in one response, and digits of one size.
const MAX_EXTRA: u32 = 16 << 10;

/// A decoder's position in a chunked body.
#[derive(Debug, Default)]
pub(in crate::wire) struct ChunkedDecoder {
    state: ChunkState,
    /// The size read so far, or the bytes left of the chunk.
    left: u64,
    /// Digits of the size so far.
    digits: u32,
    /// Bytes of extensions and trailers so far.
    extra: u32,
}

#[derive(Clone, Copy, Debug, Default)]
enum ChunkState {
    #[default]
    Size,
    /// Whitespace after the size: an extension or the end of the line may follow.
    AfterSize,
    /// An extension after the size.
    Extension,
    /// The line feed after the size line.
    SizeEnd,
    Data,
    /// The carriage return and line feed after the data.
    DataReturn,
    DataEnd,
    /// At the start of a trailer line, or of the empty line that ends the body.
    TrailerStart,
    Trailer,
    TrailerEnd,
    LastEnd,
}

const MALFORMED: FramingError = FramingError::Response(AttemptPhase::Body, FailureKind::Malformed);
const TOO_LARGE: FramingError =
    FramingError::Response(AttemptPhase::Body, FailureKind::ChunkExtrasTooLarge);

impl ChunkedDecoder {
    /// Reads up to the end of the next stretch of data. Returns how many bytes were used, the data
    /// among them, and whether the body is complete.
    pub(in crate::wire) fn next<'b>(
        &mut self,
        bytes: &'b [u8],
    ) -> Result<(usize, &'b [u8], bool), FramingError> {
        for (at, &byte) in bytes.iter().enumerate() {
            self.state = match self.state {
                ChunkState::Data => {
                    let here = usize::try_from(self.left).unwrap_or(usize::MAX);
                    let here = here.min(bytes.len() - at);
                    self.left -= here as u64;
                    if self.left == 0 {
                        self.state = ChunkState::DataReturn;
                    }
                    return Ok((at + here, &bytes[at..at + here], false));
                }
                ChunkState::LastEnd => {
                    if byte != b'\n' {
                        return Err(MALFORMED);
                    }
                    return Ok((at + 1, &[], true));
                }
                _ => self.step(byte)?,
            };
        }
        Ok((bytes.len(), &[], false))
    }

    fn step(&mut self, byte: u8) -> Result<ChunkState, FramingError> {
        Ok(match (self.state, byte) {
            (ChunkState::Size, _) if byte.is_ascii_hexdigit() => {
                // Over 64 bits. Zeros before a size are only limited as extensions are.
                if self.left >> 60 != 0 {
                    return Err(MALFORMED);
                }
                self.digits += 1;
                if self.digits > MAX_EXTRA {
                    return Err(TOO_LARGE);
                }
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                self.left = self.left << 4 | u64::from(digit);
                ChunkState::Size
            }
            (ChunkState::Size | ChunkState::AfterSize, b'\r') if self.digits > 0 => {
                ChunkState::SizeEnd
            }
            (ChunkState::Size | ChunkState::AfterSize, b' ' | b'\t') if self.digits > 0 => {
                self.extra(ChunkState::AfterSize)?
            }
            (ChunkState::Size | ChunkState::AfterSize, b';') if self.digits > 0 => {
                self.extra(ChunkState::Extension)?
            }
            (ChunkState::Extension, b'\r') => ChunkState::SizeEnd,
            (ChunkState::Extension, b'\n') => return Err(MALFORMED),
            (ChunkState::Extension, _) => self.extra(ChunkState::Extension)?,
            (ChunkState::SizeEnd, b'\n') => {
                self.digits = 0;
                if self.left == 0 { ChunkState::TrailerStart } else { ChunkState::Data }
            }
            (ChunkState::DataReturn, b'\r') => ChunkState::DataEnd,
            (ChunkState::DataEnd, b'\n') => ChunkState::Size,
            (ChunkState::TrailerStart, b'\r') => ChunkState::LastEnd,
            (ChunkState::Trailer, b'\r') => ChunkState::TrailerEnd,
            (ChunkState::TrailerStart | ChunkState::Trailer, b'\n') => return Err(MALFORMED),
            (ChunkState::TrailerStart | ChunkState::Trailer, _) => {
                self.extra(ChunkState::Trailer)?
            }
            (ChunkState::TrailerEnd, b'\n') => ChunkState::TrailerStart,
            _ => return Err(MALFORMED),
        })
    }

    fn extra(&mut self, next: ChunkState) -> Result<ChunkState, FramingError> {
        self.extra += 1;
        if self.extra > MAX_EXTRA { Err(TOO_LARGE) } else { Ok(next) }
    }
}

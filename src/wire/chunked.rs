//! The chunked transfer coding (RFC 9112 §7.1), fed piece by piece.
//!
//! `framing` feeds it.
//! Invariant: sizes, extensions and trailers are bounded; data passes through uncopied.

use super::framing::Broken;
use crate::stats::{AttemptPhase, FailureKind};

/// The most bytes of chunk extensions and trailers in one answer, and digits of one size.
const MAX_EXTRA: u32 = 16 << 10;

/// Where in a chunked body the reader stands.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
    /// The size being read, or the bytes left of the chunk.
    left: u64,
    /// Digits of the size so far.
    digits: u32,
    /// Bytes of extensions and trailers so far.
    extra: u32,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
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
    /// At the start of a trailer line, or of the empty line that ends it all.
    TrailerStart,
    Trailer,
    TrailerEnd,
    LastEnd,
}

const MALFORMED: Broken = Broken::Response(AttemptPhase::Body, FailureKind::Malformed);
const TOO_LARGE: Broken = Broken::Response(AttemptPhase::Body, FailureKind::ChunkExtrasTooLarge);

impl Chunked {
    /// Reads up to the end of the next stretch of data: how many bytes were used, the data among
    /// them, and whether the body is complete.
    pub(super) fn next<'b>(&mut self, bytes: &'b [u8]) -> Result<(usize, &'b [u8], bool), Broken> {
        for (at, &byte) in bytes.iter().enumerate() {
            self.state = match self.state {
                State::Data => {
                    let here = usize::try_from(self.left).unwrap_or(usize::MAX);
                    let here = here.min(bytes.len() - at);
                    self.left -= here as u64;
                    if self.left == 0 {
                        self.state = State::DataReturn;
                    }
                    return Ok((at + here, &bytes[at..at + here], false));
                }
                State::LastEnd => {
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

    fn step(&mut self, byte: u8) -> Result<State, Broken> {
        Ok(match (self.state, byte) {
            (State::Size, _) if byte.is_ascii_hexdigit() => {
                // Over 64 bits. Zeros before a size are only bounded as extensions are.
                if self.left >> 60 != 0 {
                    return Err(MALFORMED);
                }
                self.digits += 1;
                if self.digits > MAX_EXTRA {
                    return Err(TOO_LARGE);
                }
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                self.left = self.left << 4 | u64::from(digit);
                State::Size
            }
            (State::Size | State::AfterSize, b'\r') if self.digits > 0 => State::SizeEnd,
            (State::Size | State::AfterSize, b' ' | b'\t') if self.digits > 0 => {
                self.extra(State::AfterSize)?
            }
            (State::Size | State::AfterSize, b';') if self.digits > 0 => {
                self.extra(State::Extension)?
            }
            (State::Extension, b'\r') => State::SizeEnd,
            (State::Extension, b'\n') => return Err(MALFORMED),
            (State::Extension, _) => self.extra(State::Extension)?,
            (State::SizeEnd, b'\n') => {
                self.digits = 0;
                if self.left == 0 { State::TrailerStart } else { State::Data }
            }
            (State::DataReturn, b'\r') => State::DataEnd,
            (State::DataEnd, b'\n') => State::Size,
            (State::TrailerStart, b'\r') => State::LastEnd,
            (State::Trailer, b'\r') => State::TrailerEnd,
            (State::TrailerStart | State::Trailer, b'\n') => return Err(MALFORMED),
            (State::TrailerStart | State::Trailer, _) => self.extra(State::Trailer)?,
            (State::TrailerEnd, b'\n') => State::TrailerStart,
            _ => return Err(MALFORMED),
        })
    }

    fn extra(&mut self, next: State) -> Result<State, Broken> {
        self.extra += 1;
        if self.extra > MAX_EXTRA { Err(TOO_LARGE) } else { Ok(next) }
    }
}

//! permessage-deflate (RFC 7692): what was agreed on, and the streams of both directions.
//!
//! `handshake` reads the agreement; `decoder` decompresses and `encoder` compresses with it.
//! Invariant: no more than `max` bytes come out of a message, whatever goes in.

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

use crate::stats::FailureKind;
use crate::wire::body::bodies::CapturedBody;

/// Decompressed at a time, bytes.
const PIECE: usize = 8 << 10;

/// What the sender of a message cuts off its end (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The level of zlib's default.
const LEVEL: i32 = 6;

/// The smallest window that zlib compresses with, bits. With an agreed window of 8 bits messages go
/// uncompressed, which is always allowed.
const MIN_BITS: u8 = 9;

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateAgreement {
    /// The window of our compressor, bits: 8 to 15.
    pub client_bits: u8,
    /// The window of the target's compressor, bits: 8 to 15.
    pub server_bits: u8,
    /// Our compressor forgets its window after each message.
    pub client_forgets: bool,
    /// The target's compressor forgets its window after each message.
    pub server_forgets: bool,
}

impl DeflateAgreement {
    /// The agreement without parameters.
    pub const PLAIN: Self =
        Self { client_bits: 15, server_bits: 15, client_forgets: false, server_forgets: false };
}

/// The compressor of one direction, made with the first message; without a window to keep, it is
/// freed after each message.
pub(super) struct Compressor {
    deflate: Option<Deflate>,
    agreement: DeflateAgreement,
}

impl Compressor {
    pub(super) fn new(agreement: DeflateAgreement) -> Self {
        Self { deflate: None, agreement }
    }

    /// Compresses a message; `None` if it goes uncompressed.
    pub(super) fn compress(&mut self, mut message: &[u8]) -> Option<Vec<u8>> {
        if self.agreement.client_bits < MIN_BITS {
            return None;
        }
        let bits = self.agreement.client_bits;
        let deflate = self.deflate.get_or_insert_with(|| Deflate::new(LEVEL, false, bits));
        let mut out = Vec::with_capacity(message.len() / 2 + 64);
        loop {
            let (read, written) = (deflate.total_in(), deflate.total_out());
            let start = out.len();
            out.resize(start + message.len() / 2 + 64, 0);
            // The only error is a wrong order of flushes.
            deflate.compress(message, &mut out[start..], DeflateFlush::SyncFlush).ok()?;
            message = &message[(deflate.total_in() - read) as usize..];
            let end = start + (deflate.total_out() - written) as usize;
            let is_full = end == out.len();
            out.truncate(end);
            // Room left over means that all is flushed.
            if message.is_empty() && !is_full {
                break;
            }
        }
        if out.ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        if self.agreement.client_forgets {
            self.deflate = None;
        }
        Some(out)
    }
}

/// The decompressor of the other direction, made with the first message; without a window to keep,
/// it is freed after each message.
pub(super) struct Decompressor {
    inflate: Option<Inflate>,
    agreement: DeflateAgreement,
}

impl Decompressor {
    pub(super) fn new(agreement: DeflateAgreement) -> Self {
        Self { inflate: None, agreement }
    }

    /// Appends what a piece of a message decompresses to; at most `max` bytes in all.
    pub(super) fn feed(
        &mut self,
        mut piece: &[u8],
        out: &mut CapturedBody,
        max: u64,
    ) -> Result<(), FailureKind> {
        let bits = self.agreement.server_bits.max(MIN_BITS);
        let inflate = self.inflate.get_or_insert_with(|| Inflate::new(false, bits));
        let mut room = [0; PIECE];
        loop {
            let (read, written) = (inflate.total_in(), inflate.total_out());
            let status = inflate
                .decompress(piece, &mut room, InflateFlush::SyncFlush)
                .map_err(|_| FailureKind::BadCompression)?;
            piece = &piece[(inflate.total_in() - read) as usize..];
            let made = (inflate.total_out() - written) as usize;
            if out.len() as u64 + made as u64 > max {
                return Err(FailureKind::MessageTooLarge);
            }
            out.push(&room[..made]).map_err(|_| FailureKind::NoRoomForMessage)?;
            // A target may end its stream with a message, and begins another with the next block.
            if status == Status::StreamEnd {
                inflate.reset(false);
            } else if inflate.total_in() == read && made == 0 && !piece.is_empty() {
                return Err(FailureKind::BadCompression);
            }
            if piece.is_empty() && made < PIECE {
                return Ok(());
            }
        }
    }

    /// Appends the end of a message.
    pub(super) fn end(&mut self, out: &mut CapturedBody, max: u64) -> Result<(), FailureKind> {
        self.feed(&TAIL, out, max)?;
        if self.agreement.server_forgets {
            self.inflate = None;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").field("agreement", &self.agreement).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor").field("agreement", &self.agreement).finish_non_exhaustive()
    }
}

//! Headers of frames (RFC 6455 §5.2): read, written, and the masks of clients.
//!
//! `decoder` reads with it, `encoder` writes with it.
//! Invariant: a header that breaks the rules is reported as soon as the byte that breaks them is
//! there.

use crate::stats::FailureKind;

/// The longest payload of a control frame, bytes.
pub(super) const MAX_CONTROL: usize = 125;

/// Stands for a close without a code (§7.4.1).
pub(super) const NO_CODE: u16 = 1005;

/// Bits of the first byte.
const FINAL: u8 = 0x80;
const COMPRESSED: u8 = 0x40;
const RESERVED: u8 = 0x30;
/// The bit of the second byte that announces a mask.
const MASKED: u8 = 0x80;
/// The second byte, if two bytes of length follow, and if eight do.
const MEDIUM: u8 = 0x7e;
const LONG: u8 = 0x7f;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// The header of a frame that a server sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHeader {
    pub(super) opcode: Opcode,
    pub(super) is_final: bool,
    /// The first frame of a compressed message (RFC 7692 §6).
    pub(super) is_compressed: bool,
    /// Bytes of the header.
    pub(super) size: usize,
    /// Bytes of the payload.
    pub(super) length: u64,
}

impl FrameHeader {
    /// Parses the header at the start of `bytes`; `None` if more must arrive. `compression`: a
    /// message may be compressed.
    ///
    /// # Errors
    /// `BadFrame` if the bytes so far break a rule.
    #[inline]
    pub(super) fn parse(bytes: &[u8], compression: bool) -> Result<Option<Self>, FailureKind> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let opcode = match first & 15 {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return Err(FailureKind::BadFrame),
        };
        let (is_final, is_compressed) = (first & FINAL != 0, first & COMPRESSED != 0);
        let may_compress = compression && matches!(opcode, Opcode::Text | Opcode::Binary);
        if first & RESERVED != 0 || is_compressed && !may_compress {
            return Err(FailureKind::BadFrame);
        }
        let is_control = opcode as u8 >= 8;
        if is_control && !is_final {
            return Err(FailureKind::BadFrame);
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        // Frames of a server are never masked.
        if second & MASKED != 0 || is_control && usize::from(second) > MAX_CONTROL {
            return Err(FailureKind::BadFrame);
        }
        // The shortest form of a length is the only one allowed.
        let (size, length, least) = match second {
            MEDIUM => match bytes.get(2..4).and_then(|bytes| bytes.first_chunk()) {
                Some(length) => (4, u64::from(u16::from_be_bytes(*length)), 126),
                None => return Ok(None),
            },
            LONG => match bytes.get(2..10).and_then(|bytes| bytes.first_chunk()) {
                Some(length) => (10, u64::from_be_bytes(*length), 1 << 16),
                None => return Ok(None),
            },
            short => (2, u64::from(short), 0),
        };
        if length < least || length >> 63 != 0 {
            return Err(FailureKind::BadFrame);
        }
        Ok(Some(Self { opcode, is_final, is_compressed, size, length }))
    }

    /// Whether the frame is a control frame: it may stand between the frames of a message.
    pub(super) const fn is_control(&self) -> bool {
        self.opcode as u8 >= 8
    }
}

/// Appends a final frame, masked by `key`, to `out`.
pub(super) fn write(
    out: &mut Vec<u8>,
    opcode: Opcode,
    is_compressed: bool,
    key: [u8; 4],
    payload: &[u8],
) {
    out.reserve(payload.len() + 14);
    out.push(FINAL | if is_compressed { COMPRESSED } else { 0 } | opcode as u8);
    match payload.len() {
        short @ 0..126 => out.push(MASKED | short as u8),
        medium @ 126..=0xffff => {
            out.push(MASKED | MEDIUM);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(MASKED | LONG);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    mask(&mut out[start..], key);
}

/// Masks bytes (RFC 6455 §5.3), eight at a time.
fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        if let Some(word) = word.first_chunk_mut() {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// The keys of a stream's frames: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
#[derive(Clone, Copy, Debug)]
pub(super) struct MaskKeys(u64);

impl MaskKeys {
    /// Creates the keys of the stream that was opened with this handshake key.
    pub(super) fn new(handshake: [u8; 16]) -> Self {
        let (low, high) = handshake.split_at(8);
        let word = |half: &[u8]| half.first_chunk().map_or(0, |half| u64::from_le_bytes(*half));
        Self(word(low) ^ word(high).rotate_left(32))
    }

    /// Draws the key of the next frame.
    pub(super) fn draw(&mut self) -> [u8; 4] {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) as u32).to_ne_bytes()
    }
}

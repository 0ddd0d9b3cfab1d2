//! Packets of MQTT out of bytes.
//!
//! `connack` and `session` feed it.
//! Invariant: no more than one packet of at most the accepted length is kept; a packet that arrives
//! within one read is not copied.

use crate::stats::FailureKind;

/// The longest fixed header: one byte, and four of the length (§2.1).
const MAX_HEADER: usize = 5;

/// One packet.
#[derive(Clone, Copy, Debug)]
pub(in crate::wire) struct MqttPacket<'a> {
    /// Its first byte: type in the upper half, flags in the lower.
    pub(in crate::wire) first: u8,
    /// What follows its fixed header.
    pub(in crate::wire) body: &'a [u8],
}

impl MqttPacket<'_> {
    /// The type (§2.1.2).
    pub(in crate::wire) const fn kind(&self) -> u8 {
        self.first >> 4
    }
}

/// Cuts bytes into packets.
#[derive(Debug)]
pub(in crate::wire) struct PacketReader {
    /// The beginning of a packet that is not complete.
    partial: Vec<u8>,
    /// The longest packet accepted, bytes.
    max: usize,
}

impl PacketReader {
    /// A reader that accepts packets of at most `max` bytes.
    pub(in crate::wire) fn new(max: u64) -> Self {
        Self { partial: Vec::new(), max: usize::try_from(max).unwrap_or(usize::MAX) }
    }

    /// Hands each complete packet in `bytes` to `each`, until it fails.
    ///
    /// # Errors
    /// What `each` fails with; `Malformed` for a length of more than four bytes, `MessageTooLarge`
    /// beyond the bound.
    pub(in crate::wire) fn feed(
        &mut self,
        mut bytes: &[u8],
        each: &mut dyn FnMut(MqttPacket<'_>) -> Result<(), FailureKind>,
    ) -> Result<(), FailureKind> {
        while !self.partial.is_empty() {
            let Some(wanted) = self.wanted(&self.partial)? else {
                // The header itself is not complete.
                let Some((first, rest)) = bytes.split_first() else { return Ok(()) };
                self.partial.push(*first);
                bytes = rest;
                continue;
            };
            let missing = wanted - self.partial.len();
            if missing > bytes.len() {
                self.partial.extend_from_slice(bytes);
                return Ok(());
            }
            self.partial.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            let whole = std::mem::take(&mut self.partial);
            each(packet(&whole))?;
        }
        while !bytes.is_empty() {
            match self.wanted(bytes)? {
                Some(wanted) if wanted <= bytes.len() => {
                    let (whole, rest) = bytes.split_at(wanted);
                    each(packet(whole))?;
                    bytes = rest;
                }
                _ => {
                    self.partial.extend_from_slice(bytes);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The length of the packet that `bytes` begin with; `None` if its header is not complete.
    fn wanted(&self, bytes: &[u8]) -> Result<Option<usize>, FailureKind> {
        let mut length = 0;
        for (place, byte) in bytes.iter().enumerate().skip(1).take(MAX_HEADER - 1) {
            length |= usize::from(byte & 0x7f) << (7 * (place - 1));
            if byte & 0x80 == 0 {
                let whole = place + 1 + length;
                let fits = whole <= self.max;
                return if fits { Ok(Some(whole)) } else { Err(FailureKind::MessageTooLarge) };
            }
        }
        if bytes.len() >= MAX_HEADER { Err(FailureKind::BadReply) } else { Ok(None) }
    }
}

/// The packet that these bytes are.
fn packet(whole: &[u8]) -> MqttPacket<'_> {
    let length = whole.iter().skip(1).position(|byte| byte & 0x80 == 0).unwrap_or(0) + 1;
    MqttPacket { first: whole[0], body: whole.get(1 + length..).unwrap_or_default() }
}

/// Reads fields from the front of a packet's body.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacketFields<'a>(pub(super) &'a [u8]);

impl<'a> PacketFields<'a> {
    /// Takes this many bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], FailureKind> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(FailureKind::BadReply)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, FailureKind> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn number(&mut self) -> Result<u16, FailureKind> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn long(&mut self) -> Result<u32, FailureKind> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A variable byte integer (§1.5.5).
    pub(super) fn varint(&mut self) -> Result<usize, FailureKind> {
        let mut value = 0;
        for place in 0..MAX_HEADER - 1 {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(FailureKind::BadReply)
    }

    /// Bytes with their length before them.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], FailureKind> {
        let length = self.number()?;
        self.take(usize::from(length))
    }

    /// A text in UTF-8.
    pub(super) fn text(&mut self) -> Result<&'a str, FailureKind> {
        std::str::from_utf8(self.bytes()?).map_err(|_| FailureKind::InvalidUtf8)
    }
}

//! Frames of AMQP out of bytes.
//!
//! `framed::amqp_login`, `reply` and `session` feed it.
//! Invariant: no more than one frame of at most the agreed length is kept; a frame that arrives
//! within one read is not copied.

use super::fault::AmqpFault;

/// Types of frames (§4.2.3).
pub(in crate::wire) const METHOD: u8 = 1;
pub(in crate::wire) const HEADER: u8 = 2;
pub(in crate::wire) const BODY: u8 = 3;
pub(in crate::wire) const HEARTBEAT: u8 = 8;

/// The byte that ends a frame.
pub(in crate::wire) const FRAME_END: u8 = 0xce;

/// Type, channel and length.
const FRAME_HEADER: usize = 7;

/// What a frame has beside its payload, bytes.
pub(in crate::wire) const FRAME_OVERHEAD: usize = FRAME_HEADER + 1;

/// One frame.
#[derive(Clone, Copy, Debug)]
pub(in crate::wire) struct AmqpFrame<'a> {
    pub(in crate::wire) kind: u8,
    pub(in crate::wire) channel: u16,
    pub(in crate::wire) payload: &'a [u8],
}

/// Cuts bytes into frames.
#[derive(Debug)]
pub(in crate::wire) struct AmqpFrames {
    /// The beginning of a frame that is not complete.
    partial: Vec<u8>,
    /// The longest frame accepted, bytes.
    max: usize,
}

impl AmqpFrames {
    /// A reader that accepts frames of at most `max` bytes, with header and end.
    pub(in crate::wire) const fn new(max: usize) -> Self {
        Self { partial: Vec::new(), max }
    }

    /// Whether no part of a frame waits for its rest.
    pub(in crate::wire) const fn is_empty(&self) -> bool {
        self.partial.is_empty()
    }

    /// Hands each complete frame in `bytes` to `each`, until it fails.
    ///
    /// # Errors
    /// What `each` fails with; `Frame` for bytes that are no frame.
    pub(in crate::wire) fn feed(
        &mut self,
        mut bytes: &[u8],
        each: &mut dyn FnMut(AmqpFrame<'_>) -> Result<(), AmqpFault>,
    ) -> Result<(), AmqpFault> {
        while !self.partial.is_empty() {
            let wanted = self.wanted(&self.partial)?;
            // Up to the end of the frame, or of its header if that is not complete.
            let missing = wanted.unwrap_or(FRAME_HEADER) - self.partial.len();
            let (here, rest) = bytes.split_at(missing.min(bytes.len()));
            self.partial.extend_from_slice(here);
            bytes = rest;
            if here.len() < missing {
                // A wrong type is an error as soon as it is here.
                return self.wanted(&self.partial).map(drop);
            }
            if wanted.is_some() {
                let whole = std::mem::take(&mut self.partial);
                each(frame(&whole)?)?;
            }
        }
        while !bytes.is_empty() {
            match self.wanted(bytes)? {
                Some(wanted) if wanted <= bytes.len() => {
                    let (whole, rest) = bytes.split_at(wanted);
                    each(frame(whole)?)?;
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

    /// The length of the frame that `bytes` begin with; `None` if its header is not complete.
    fn wanted(&self, bytes: &[u8]) -> Result<Option<usize>, AmqpFault> {
        if !matches!(bytes.first(), Some(&(METHOD | HEADER | BODY | HEARTBEAT)) | None) {
            return Err(AmqpFault::Frame);
        }
        let Some([_, _, _, length @ ..]) = bytes.first_chunk::<FRAME_HEADER>() else {
            return Ok(None);
        };
        let whole = (u32::from_be_bytes(*length) as usize).saturating_add(FRAME_OVERHEAD);
        if whole > self.max { Err(AmqpFault::Frame) } else { Ok(Some(whole)) }
    }
}

/// The frame that these bytes are.
fn frame(whole: &[u8]) -> Result<AmqpFrame<'_>, AmqpFault> {
    match whole {
        [kind, high, low, _, _, _, _, payload @ .., FRAME_END] => {
            let channel = u16::from_be_bytes([*high, *low]);
            Ok(AmqpFrame { kind: *kind, channel, payload })
        }
        _ => Err(AmqpFault::Frame),
    }
}

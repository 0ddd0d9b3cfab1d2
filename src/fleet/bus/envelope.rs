//! Values of the bus as frames, each of which can be read by itself.
//!
//! `values` writes and reads all values here. A frame is a head (magic, protocol version, hash of
//! the forms, checksum) that never changes its layout, then one frame of `event::packed::frame`
//! (kind, lengths, checksums, deflate).
//! Invariant: every flipped bit is detected; a frame of another build is told apart from a damaged
//! one; no frame inflates to more than its kind allows.

use std::marker::PhantomData;

use super::forms::{self, BusPayload};
use super::limits::{self, MAX_CONTROL, MAX_HEARTBEAT, MAX_SNAPSHOT};
use crate::event::packed::frame::{Deflater, Inflater, checksum};
use crate::event::packed::{Packed, PackedBytes, Shape};
use crate::event::record::header::VERSION as RECORD_VERSION;

/// The version of the protocol: it changes when the meaning of a value changes.
const VERSION: u16 = 1;

/// The first bytes of a frame.
const MAGIC: [u8; 4] = *b"MNBF";

/// Length of the head, bytes.
const HEAD: usize = 14;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameKind {
    Control = 1,
    Heartbeat,
    Delta,
    Final,
    Snapshot,
}

impl FrameKind {
    /// The maximum length of a value, bytes; `frame` is that of a delta.
    pub(super) const fn most(self, frame: usize) -> usize {
        match self {
            Self::Control => MAX_CONTROL,
            Self::Heartbeat => MAX_HEARTBEAT,
            Self::Delta | Self::Final => frame,
            Self::Snapshot => MAX_SNAPSHOT,
        }
    }
}

/// Why a frame cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EnvelopeError {
    /// It is from another build of Manada.
    OtherBuild,
    /// It is damaged, or was never a frame of Manada.
    Damaged(&'static str),
}

/// Writes and reads frames.
pub(super) struct Envelopes<P> {
    head: [u8; HEAD],
    /// The maximum length of a delta frame and of a final state, bytes.
    frame: usize,
    deflater: Deflater,
    inflater: Inflater,
    value: Vec<u8>,
    payload: PhantomData<fn() -> P>,
}

impl<P: BusPayload> Envelopes<P> {
    /// Frames in which a delta has at most `frame` bytes.
    pub(super) fn new(frame: usize) -> Self {
        let mut shape = Shape::default();
        shape.text(env!("CARGO_PKG_VERSION"));
        forms::describe::<P>(&mut shape);
        Self::of_build(VERSION, checksum(shape.as_str().as_bytes()), frame)
    }

    fn of_build(version: u16, shapes: u32, frame: usize) -> Self {
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&MAGIC);
        head[4..6].copy_from_slice(&version.to_le_bytes());
        head[6..10].copy_from_slice(&shapes.to_le_bytes());
        let sum = checksum(&head[..10]);
        head[10..].copy_from_slice(&sum.to_le_bytes());
        Self {
            head,
            frame,
            deflater: Deflater::default(),
            inflater: Inflater::default(),
            value: Vec::new(),
            payload: PhantomData,
        }
    }

    /// Appends a frame with a value to `out`.
    ///
    /// # Errors
    /// If the value is too long for its kind: its length in bytes, and the maximum.
    pub(super) fn write(
        &mut self,
        out: &mut Vec<u8>,
        kind: FrameKind,
        value: &impl Packed,
    ) -> Result<(), (usize, usize)> {
        self.value.clear();
        value.pack(&mut self.value);
        let (length, most) = (self.value.len(), kind.most(self.frame));
        if length > most {
            return Err((length, most));
        }
        out.extend_from_slice(&self.head);
        self.deflater.reset();
        // Only lengths above 4 GiB fail.
        self.deflater.write(out, kind as u8, &self.value).map_err(|_| (length, most))
    }

    /// Reads a frame that fills `bytes`.
    ///
    /// # Errors
    /// If it is damaged, of another kind, or of another build.
    pub(super) fn read<T: Packed>(
        &mut self,
        kind: FrameKind,
        bytes: &[u8],
    ) -> Result<T, EnvelopeError> {
        let most = kind.most(self.frame);
        if bytes.len() > limits::on_bus(most) {
            return Err(EnvelopeError::Damaged("too long"));
        }
        let Some((head, mut rest)) = bytes.split_first_chunk::<HEAD>() else {
            return Err(EnvelopeError::Damaged("not a frame of manada"));
        };
        if *head != self.head {
            let is_whole = head[..4] == MAGIC && checksum(&head[..10]).to_le_bytes() == head[10..];
            return Err(if is_whole {
                EnvelopeError::OtherBuild
            } else {
                EnvelopeError::Damaged("not a frame of manada")
            });
        }
        self.inflater.reset();
        let longest = |found: u8| (found == kind as u8).then_some(most);
        match self.inflater.read(&mut rest, longest) {
            Err(_) => Err(EnvelopeError::Damaged("damaged")),
            Ok(None) => Err(EnvelopeError::Damaged("cut short")),
            Ok(Some(_)) if !rest.is_empty() => Err(EnvelopeError::Damaged("too long")),
            Ok(Some((_, value))) => {
                let mut from = PackedBytes { left: value, version: RECORD_VERSION };
                T::unpack(&mut from)
                    .filter(|_| from.left.is_empty())
                    .ok_or(EnvelopeError::Damaged("not a valid value"))
            }
        }
    }
}

#[cfg(test)]
#[path = "envelope_tests.rs"]
mod tests;

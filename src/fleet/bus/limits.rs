//! Bounds of what a client of the bus reads and waits for.
//!
//! The caller gives those that depend on the plan; the others are fixed.
//! Invariant: every value of the bus has a maximum length by its kind, before it is inflated and
//! after.

use std::time::Duration;

/// Maximum length of a control record, bytes.
pub(super) const MAX_CONTROL: usize = 1 << 20;

/// Maximum length of a heartbeat, bytes.
pub(super) const MAX_HEARTBEAT: usize = 4 << 10;

/// Maximum length of a snapshot, bytes.
pub(super) const MAX_SNAPSHOT: usize = 64 << 20;

/// Maximum length of a frame or a final state, whatever the caller gives, bytes.
const MAX_FRAME: usize = 64 << 20;

/// The most frames of a stream that one poll reads.
pub(super) const FRAMES_OF_A_STREAM: usize = 256;

/// Control records from one renewal of the expiry of plain values to the next: some ten minutes.
pub(super) const RECORDS_TO_RENEWAL: u64 = 600;

/// The bytes of frames and final states that one poll reads; at least one of them is read.
pub(super) const BYTES_OF_A_POLL: usize = 16 << 20;

/// Damaged values that are told; further ones are only counted.
pub(super) const MAX_DAMAGES: usize = 16;

/// Bounds that the caller gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusLimits {
    /// Maximum length of a delta frame and of a final state, inflated, bytes.
    pub max_frame: usize,
    /// How long a connection may take, and each exchange with the server: a request has one, `Join`
    /// has three; that of the protocol.
    pub request_timeout: Duration,
}

impl BusLimits {
    /// Maximum length of a frame or a final state, bytes.
    pub(super) fn frame(&self) -> usize {
        self.max_frame.min(MAX_FRAME)
    }
}

/// The maximum length on the bus of a value of at most `most` bytes: what cannot be compressed
/// grows a little.
pub(super) const fn on_bus(most: usize) -> usize {
    most + most / 64 + 1_024
}

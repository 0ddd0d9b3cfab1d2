//! A user's emulated network link, slower than ours: a phone, a distant country.
//!
//! `linked_exchange` and `fake` send through it if the user has one; all connections of the user
//! share it.
//! Invariant: its delays pass within the user's own time, and do not extend any deadline.
//!
//! What is emulated: `latency` once more for each round trip (connect, TLS, a request and its
//! response), and bytes per second in either direction. We do not read faster than the link allows,
//! and the socket's own buffer is small, so the target feels it too. No loss, no TCP slow start.

use std::cell::Cell;

use crate::clock::{self, Time};
use crate::plan::transport::LinkProfile;
use crate::units::nanos;
use crate::wire::deadline::{CallDeadline, WaitEnded};
use crate::wire::link::throttled_pipe::ThrottledPipe;

/// Receive buffers requested from the kernel, bytes: least and most. Above the most, the kernel's
/// own size is as small.
const BUFFERS: (u64, u64) = (16 << 10, 128 << 10);

/// Lower bound for the bytes in flight, as link time, ns (50 ms × bandwidth).
const IN_FLIGHT_NS: u64 = 50_000_000;

/// A user's emulated link; its parallel calls share it.
#[derive(Debug)]
pub struct EmulatedLink {
    profile: LinkProfile,
    up: Cell<ThrottledPipe>,
    down: Cell<ThrottledPipe>,
}

impl EmulatedLink {
    /// Creates an idle link.
    pub const fn new(profile: LinkProfile) -> Self {
        let (up, down) = (
            Cell::new(ThrottledPipe::new(profile.up)),
            Cell::new(ThrottledPipe::new(profile.down)),
        );
        Self { profile, up, down }
    }

    /// The link's configuration.
    pub const fn profile(&self) -> LinkProfile {
        self.profile
    }

    /// Waits for one additional round trip.
    pub(in crate::wire) async fn round_trip(
        &self,
        deadline: &CallDeadline,
    ) -> Result<(), WaitEnded> {
        until(clock::now() + self.profile.latency, deadline).await
    }

    /// Returns when a request that leaves now arrives at the target.
    pub(in crate::wire) fn out(&self, now: Time, bytes: u64) -> Time {
        let mut up = self.up.get();
        up.begin(now);
        let out = up.carry(now, bytes);
        self.up.set(up);
        out.after(nanos(self.profile.latency) / 2)
    }

    /// Returns when bytes that the target sends now have passed the link's bandwidth limit, without
    /// the latency of the way back; `first`: a response begins with them.
    pub(in crate::wire) fn through(&self, now: Time, bytes: u64, first: bool) -> Time {
        let mut down = self.down.get();
        if first {
            down.begin(now);
        }
        let through = down.carry(now, bytes);
        self.down.set(down);
        through
    }

    /// Latency of the way from the target to the user, ns.
    pub(in crate::wire) fn home_ns(&self) -> u64 {
        let latency_ns = nanos(self.profile.latency);
        latency_ns - latency_ns / 2
    }

    /// How many bytes of a response to read at once.
    pub(in crate::wire) fn piece(&self) -> usize {
        self.down.get().piece()
    }

    /// The receive buffer of its sockets, bytes; `None` if the kernel's own size is small enough.
    pub(in crate::wire) fn buffer(&self) -> Option<u32> {
        let link_ns = nanos(self.profile.latency).max(IN_FLIGHT_NS);
        let bytes = u128::from(self.profile.down?) * u128::from(link_ns) / 1_000_000_000;
        let bytes = bytes.max(u128::from(BUFFERS.0));
        u32::try_from(bytes).ok().filter(|bytes| u64::from(*bytes) <= BUFFERS.1)
    }
}

/// Waits until `at`, or until the deadline.
pub(in crate::wire) async fn until(at: Time, deadline: &CallDeadline) -> Result<(), WaitEnded> {
    deadline.wait(clock::sleep_until(at)).await
}

//! Names of the processes of a fleet, and the times that they share.
//!
//! All files of the protocol use them.
//! Invariant: two processes never have the same `Member`: a process that is started again in the
//! place of another has a larger incarnation.

/// The place of an agent in its fleet, from zero; the supervisor hands it out (for example
/// `JOB_COMPLETION_INDEX` of Kubernetes), and a replacement gets the place of its predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ordinal(pub u16);

/// A process among all that ever had one ordinal: a later one has a larger number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// One process of a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// Its place.
    pub ordinal: Ordinal,
    /// Which of the processes in that place.
    pub incarnation: Incarnation,
}

/// Random bits of an incarnation.
const ENTROPY_BITS: u32 = 12;

impl Incarnation {
    /// Chooses the incarnation of a process that joins: larger than `top`, the newest one known to
    /// the bus, and different from that of another process that joins at the same time.
    ///
    /// The time of the bus keeps it rising when the bus has lost its state. A counter on the bus
    /// would begin at one again, and two processes would share a number.
    pub fn choose(clock: BusTime, entropy: u64, top: Option<Self>) -> Self {
        let low = entropy % (1 << ENTROPY_BITS);
        let by_time = ((clock.0 / 1_000) << ENTROPY_BITS) | low;
        let above_top = top.map_or(0, |top| top.0.saturating_add(1 + low));
        Self(by_time.max(above_top))
    }
}

/// A time on the clock of the bus, ns. All agents estimate it; it only moves when requests are
/// sent, and never decides which agent sends them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BusTime(pub u64);

impl BusTime {
    /// This time, `ns` later.
    #[must_use]
    pub const fn after(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }

    /// The ns since `earlier`; zero if it is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The times of the protocol, ns. They are part of the run, so all its processes have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetTimes {
    /// From one heartbeat of an agent to the next.
    pub heartbeat: u64,
    /// How long a heartbeat permits an agent to send load, from its issue.
    pub lease: u64,
    /// How long a request may take before it counts as failed.
    pub request_timeout: u64,
    /// From one poll of the coordinator to the next.
    pub poll: u64,
    /// After how long without a heartbeat an agent is taken for lost. Only liveness depends on it.
    pub silence: u64,
    /// How far ahead a change of slots is dated, at least: agents must hear of it before.
    pub lead: u64,
    /// From one control record to the next while nothing changes.
    pub renewal: u64,
    /// How long agents send load without a coordinator, from its last control record.
    pub orphan: u64,
    /// From one snapshot to the next.
    pub snapshot: u64,
    /// After how long without a control record a standby coordinator takes over.
    pub leader_silence: u64,
    /// After how long without bus or leader a process gives up.
    pub give_up: u64,
    /// How long the members may take to end after the end of the load.
    pub drain: u64,
}

/// One second, ns.
const SECOND: u64 = 1_000_000_000;

impl Default for FleetTimes {
    fn default() -> Self {
        Self {
            heartbeat: SECOND / 2,
            lease: 5 * SECOND,
            request_timeout: SECOND,
            poll: SECOND / 2,
            silence: 5 * SECOND + SECOND / 2,
            lead: SECOND,
            renewal: SECOND,
            orphan: 30 * SECOND,
            snapshot: 2 * SECOND,
            leader_silence: 10 * SECOND,
            give_up: 60 * SECOND,
            drain: 60 * SECOND,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incarnations_rise_also_if_the_clock_of_the_bus_is_set_back() {
        let first = Incarnation::choose(BusTime(9_000_000), 7, None);
        let later = Incarnation::choose(BusTime(9_001_000), 3, Some(first));
        let set_back = Incarnation::choose(BusTime(1_000), 5, Some(later));
        assert!(first < later && later < set_back);
        assert_ne!(
            Incarnation::choose(BusTime(5), 1, Some(later)),
            Incarnation::choose(BusTime(5), 2, Some(later))
        );
    }
}

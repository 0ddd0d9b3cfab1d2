//! Processes of a world: agents with a toy engine, coordinators, and the clocks of their machines.

use manada::clock::{RunOffset, Time};
use manada::fleet::protocol::{Agent, Coordinator, DeltaPayload};

use super::chance::Chance;
use super::faults::{MS, SECOND};

/// From one arrival of the schedule to the next, ns.
pub const GAP: u64 = 70 * MS;

/// The number of slots.
pub const SLOTS: usize = 24;

/// The intended time of an arrival.
pub fn intended(index: u32) -> RunOffset {
    RunOffset::from_ns(u64::from(index) * GAP + GAP / 2)
}

/// The arrivals that were sent in an interval.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sent {
    pub indices: Vec<u32>,
    /// Whether merging forgets.
    pub loses: bool,
}

impl DeltaPayload for Sent {
    type Sum = Vec<u32>;

    fn merge(&mut self, later: &Self) {
        if !self.loses {
            self.indices.extend(&later.indices);
        }
    }

    fn add_to(&self, sum: &mut Vec<u32>) {
        sum.extend(&self.indices);
    }
}

/// The clock of a machine: it began at another time, and runs at another rate.
#[derive(Clone, Copy)]
pub struct MachineClock {
    began: u64,
    ppm: i64,
}

impl MachineClock {
    pub fn drawn(chance: &mut Chance, differs: bool) -> Self {
        if !differs {
            return Self { began: SECOND, ppm: 0 };
        }
        let ppm = chance.range(0, 181) as i64 - 90;
        Self { began: chance.range(1, 100_000) * SECOND, ppm }
    }

    /// Its time at a time of the world.
    pub fn local(self, now: u64) -> Time {
        let drift = (now as i64 / 1_000_000) * self.ppm;
        Time((self.began + now).saturating_add_signed(drift))
    }

    /// The first time of the world at which it shows `at`, or a little later.
    pub fn world(self, at: Time) -> u64 {
        let elapsed = at.0.saturating_sub(self.began);
        let drift = (elapsed as i64 / 1_000_000) * self.ppm;
        elapsed.saturating_add_signed(-drift) + 100_000
    }
}

/// What generates the load of an agent.
#[derive(Default)]
pub struct ToyEngine {
    pub is_running: bool,
    pub is_stopped: bool,
    pub is_finished: bool,
    /// The next arrival to look at.
    pub next: u32,
    /// What was sent since the last interval.
    pub sent: Vec<u32>,
    pub interval_end: u64,
    /// The number of the last command.
    pub command: u64,
}

pub enum Program {
    Agent(Box<Agent<Sent>>, ToyEngine),
    Coordinator(Box<Coordinator<Sent>>),
}

pub struct Process {
    pub program: Program,
    pub ordinal: u16,
    pub clock: MachineClock,
    pub is_alive: bool,
    pub paused_until: u64,
    pub cut_until: u64,
    /// When it is to be called again.
    pub wake: u64,
    /// Dies before it carries out this action of those to come.
    pub dies_at_action: Option<usize>,
}

//! What goes wrong in a world, drawn from its seed.

use super::chance::Chance;

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MS;

/// A rule that a world does without, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    Nothing,
    /// Agents ask the slot table alone.
    LeaseIgnored,
    /// The bus takes changes of slots without comparing horizons.
    HorizonsIgnored,
    /// The bus takes control records and snapshots without comparing anything.
    ConditionsIgnored,
    /// The bus numbers frames itself, so one that comes twice is there twice.
    AppendsRepeat,
    /// Merging two payloads keeps one of them.
    CoalescingLoses,
    /// The bus takes heartbeats in any order.
    HeartbeatsInAnyOrder,
}

/// Something that happens at a time, ns from the beginning of the world.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    BusDown {
        for_ns: u64,
    },
    /// All keys are gone; with `restart` the bus is another instance.
    BusWiped {
        restart: bool,
    },
    /// The bus has the state that it had before, as after a failover.
    BusBack {
        by_ns: u64,
    },
    /// The wall clock of the bus is set.
    BusClockSet {
        ahead: bool,
    },
    /// Requests and replies of one agent are lost.
    AgentCutOff {
        ordinal: u16,
        for_ns: u64,
    },
    /// The process is killed; another one begins in its place.
    AgentKilled {
        ordinal: u16,
        again_after: Option<u64>,
    },
    /// Another process with the same ordinal begins, while the first one lives.
    AgentTwice {
        ordinal: u16,
    },
    AgentPaused {
        ordinal: u16,
        for_ns: u64,
    },
    AgentLeaves {
        ordinal: u16,
    },
    /// The coordinator dies in the middle of its next action.
    CoordinatorKilled {
        again_after: Option<u64>,
    },
    CoordinatorPaused {
        for_ns: u64,
    },
    /// Another coordinator resumes the run, while the first one lives.
    SecondCoordinator,
    Drain,
    Abort,
    /// Commands to the engines.
    Commands {
        count: u64,
    },
}

/// All that goes wrong in a world.
#[derive(Clone, Debug)]
pub struct Faults {
    pub broken: Broken,
    /// By time.
    pub events: Vec<(u64, Fault)>,
    /// Requests and replies that are lost, of 1,000.
    pub lost: u64,
    /// Requests that are carried out twice, of 1,000.
    pub repeated: u64,
    /// Messages that take up to 3 s, of 1,000.
    pub slow: u64,
    /// Whether a standby coordinator waits from the beginning on.
    pub standby: bool,
    /// Whether the times of the protocol are the usual ones.
    pub has_usual_times: bool,
    /// Whether leases are short, and agents are taken for lost all the time.
    pub is_hasty: bool,
    /// Whether the clocks of machines differ, in place and rate.
    pub clocks_differ: bool,
}

impl Faults {
    pub fn none() -> Self {
        Self {
            broken: Broken::Nothing,
            events: Vec::new(),
            lost: 0,
            repeated: 0,
            slow: 0,
            standby: false,
            is_hasty: false,
            has_usual_times: false,
            clocks_differ: true,
        }
    }

    /// One fault that a run survives as if nothing had been.
    pub fn harmless(seed: u64) -> Self {
        let mut chance = Chance::new(seed, 3);
        let ordinal = chance.range(0, 4) as u16;
        let again_after = Some(chance.range(100, 4_000) * MS);
        let fault = match seed % 10 {
            0 | 1 => Fault::BusWiped { restart: seed.is_multiple_of(2) },
            2 => Fault::BusBack { by_ns: chance.range(1, 2_000) * MS },
            3 | 4 => Fault::BusClockSet { ahead: seed.is_multiple_of(2) },
            5 => Fault::BusDown { for_ns: 1_500 * MS },
            6 => Fault::AgentPaused { ordinal, for_ns: 2 * SECOND },
            7 => Fault::CoordinatorKilled { again_after },
            8 => Fault::CoordinatorPaused { for_ns: 12 * SECOND },
            _ => Fault::SecondCoordinator,
        };
        let at = chance.range(2_000, 22_000) * MS;
        Self { events: vec![(at, fault)], has_usual_times: true, ..Self::none() }
    }

    /// Short leases, and agents that are cut off, paused and doubled all the time.
    pub fn storm(seed: u64) -> Self {
        let mut chance = Chance::new(seed, 2);
        let mut faults = Self { is_hasty: true, ..Self::none() };
        faults.lost = chance.pick(&[0, 20, 100]);
        faults.repeated = chance.pick(&[0, 20, 100]);
        faults.slow = chance.pick(&[0, 30, 150]);
        for _ in 0..30 {
            let at = chance.range(3_000, 27_000) * MS;
            let (ordinal, for_ns) = (chance.range(0, 4) as u16, chance.range(200, 3_000) * MS);
            let fault = match chance.range(0, 11) {
                10 => match chance.range(0, 8) {
                    0 => Fault::BusWiped { restart: chance.permille(500) },
                    1..=4 => Fault::BusBack { by_ns: for_ns },
                    5 => Fault::BusClockSet { ahead: chance.permille(500) },
                    6 => Fault::CoordinatorPaused { for_ns },
                    _ => Fault::CoordinatorKilled { again_after: Some(for_ns) },
                },
                0 | 1 => Fault::AgentTwice { ordinal },
                2 => Fault::AgentKilled { ordinal, again_after: Some(for_ns / 4) },
                3..=5 => Fault::AgentPaused { ordinal, for_ns },
                _ => Fault::AgentCutOff { ordinal, for_ns },
            };
            faults.events.push((at, fault));
        }
        faults
    }

    /// The faults of a seed: some of them, and seldom many at once.
    pub fn drawn(seed: u64) -> Self {
        if seed % 8 == 7 {
            return Self::storm(seed);
        }
        let mut chance = Chance::new(seed, 1);
        let mut faults = Self::none();
        if chance.permille(500) {
            faults.lost = chance.pick(&[5, 20, 60, 150]);
            faults.repeated = chance.pick(&[5, 20, 60, 150]);
            faults.slow = chance.pick(&[0, 5, 30, 150]);
        }
        faults.standby = chance.permille(150);
        for _ in 0..chance.pick(&[1, 1, 2, 2, 3, 4, 6]) {
            let at = chance.range(0, 27_000) * MS;
            let fault = Self::fault(&mut chance);
            faults.events.push((at, fault));
            // What a second fault does in the middle of the first.
            if chance.permille(250) {
                let at = at + chance.range(0, 8_000) * MS;
                faults.events.push((at, Self::fault(&mut chance)));
            }
        }
        faults
    }

    fn fault(chance: &mut Chance) -> Fault {
        let ordinal = chance.range(0, 4) as u16;
        match chance.range(0, 30) {
            0 | 1 => {
                Fault::BusDown { for_ns: chance.pick(&[300, 3_000, 8_000, 30_000, 200_000]) * MS }
            }
            2 | 3 => Fault::BusWiped { restart: chance.permille(500) },
            4 => Fault::BusBack { by_ns: chance.range(1, 2_500) * MS },
            5 => Fault::BusClockSet { ahead: chance.permille(500) },
            6 | 7 => {
                let for_ns = chance.pick(&[2_000, 4_900, 7_000, 30_000]) * MS;
                Fault::AgentCutOff { ordinal, for_ns }
            }
            8..=11 => {
                let again_after = chance.pick(&[None, Some(200), Some(3_000), Some(9_000)]);
                Fault::AgentKilled { ordinal, again_after: again_after.map(|ms| ms * MS) }
            }
            12 | 24 | 25 => Fault::AgentTwice { ordinal },
            13 | 14 => {
                Fault::AgentPaused { ordinal, for_ns: chance.pick(&[2_000, 5_100, 20_000]) * MS }
            }
            15 | 16 => Fault::AgentLeaves { ordinal },
            17..=19 => {
                let again_after = chance.pick(&[None, Some(100), Some(4_000), Some(20_000)]);
                Fault::CoordinatorKilled { again_after: again_after.map(|ms| ms * MS) }
            }
            20 => Fault::CoordinatorPaused { for_ns: chance.pick(&[2_000, 12_000, 25_000]) * MS },
            21 => Fault::SecondCoordinator,
            22 => Fault::Drain,
            26.. => Fault::Commands { count: chance.range(1, 9) },
            _ => Fault::Abort,
        }
    }
}

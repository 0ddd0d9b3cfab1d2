//! Workloads: archetypes, load model, amount and time.
//!
//! `scenario` builds them, `pace` turns them into due times, `engine` splits them by slot.
//! Invariant: weights are positive, and there is at least one share.

use std::time::Duration;

use super::mix::Mix;
use super::policy::Priority;
use crate::clock::RunOffset;
use crate::curve::Curve;
use crate::ids::{ArchetypeId, GroupId, StepId, WorkloadId};
use crate::seed::{Rng, Seed, Stream};
use crate::units::{Rate, nanos};

/// One stream of load.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Name of the workload in the scenario.
    pub name: String,
    /// Decides which workloads are held back first when the generator is overloaded.
    pub priority: Priority,
    /// The archetypes its users are drawn from.
    pub shares: Vec<Share>,
    /// Start of its load, from the start of the run.
    pub start: Duration,
    /// Load of the workload.
    pub load: Load,
    /// Shifts its numbers along the slots, so that small workloads do not all fall on shard 0.
    pub slot_offset: u64,
    /// Which share each user of the closed model belongs to.
    pub mix: Mix,
}

/// An archetype's part in a workload.
#[derive(Clone, Debug)]
pub struct Share {
    /// The archetype.
    pub archetype: ArchetypeId,
    /// Weight of the archetype against the other ones; positive.
    pub weight: f64,
    /// The series of the archetype's first step; its other steps follow.
    pub first_step: StepId,
    /// The archetype's first group; its other groups follow.
    pub first_group: GroupId,
}

/// The load models.
#[derive(Clone, Debug)]
pub enum Load {
    /// A number of concurrent users; each starts its next iteration when it is done.
    Closed(Users),
    /// A rate of starts, whatever the target does.
    Open(Arrivals),
}

/// The closed model.
#[derive(Clone, Debug)]
pub struct Users {
    /// The number of users over time.
    pub curve: Curve,
    /// Bounds the iterations, beside the curve.
    pub bound: LoadBound,
}

/// What ends a closed workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadBound {
    /// Only the curve.
    Time,
    /// This total of iterations over all users, or the curve's end.
    Iterations(u64),
    /// One iteration per user.
    Once,
}

/// The open model.
#[derive(Clone, Debug)]
pub struct Arrivals {
    /// How starts are spread around the rate.
    pub process: ArrivalProcess,
    /// The rate over time, in units of a `Rate`.
    pub curve: Curve,
    /// Maximum number of starts; `None`: only the curve ends the load.
    pub iterations: Option<u64>,
    /// Maximum concurrent users over the whole run; further starts are dropped and counted.
    pub max_users: u64,
    /// Each user opens its own connections instead of reusing those of users that finished.
    pub fresh_connections: bool,
}

/// How starts are spread around the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrivalProcess {
    /// Evenly spaced: start k is due where the integral of the rate reaches k.
    Constant,
    /// A Poisson process with that rate: gaps are exponential in the integral.
    Poisson,
}

impl Load {
    /// Returns its users or its rate over time.
    pub fn curve(&self) -> &Curve {
        match self {
            Self::Closed(users) => &users.curve,
            Self::Open(arrivals) => &arrivals.curve,
        }
    }
}

impl Share {
    /// The group that has number `group` in its archetype.
    pub const fn group(&self, group: u16) -> GroupId {
        GroupId::new(self.first_group.index() + group as usize)
    }

    /// The series that has number `series` in its archetype.
    pub const fn step(&self, series: u16) -> StepId {
        StepId::new(self.first_step.index() + series as usize)
    }
}

impl Workload {
    /// Builds the only workload of a plan with one archetype.
    pub fn single(name: &str, load: Load) -> Self {
        let share = Share {
            archetype: ArchetypeId::default(),
            weight: 1.0,
            first_step: StepId::default(),
            first_group: GroupId::default(),
        };
        Self {
            name: name.to_owned(),
            priority: Priority::default(),
            shares: vec![share],
            start: Duration::ZERO,
            load,
            slot_offset: 0,
            mix: Mix::default(),
        }
    }

    /// Returns when its own time begins.
    pub fn zero(&self) -> RunOffset {
        RunOffset::from_ns(nanos(self.start))
    }

    /// Returns when its load ends, from the start of the run; `None` if only a count ends it.
    pub fn end(&self) -> Option<Duration> {
        let end_ns = self.load.curve().end_ns();
        (end_ns != OPEN_END).then(|| self.start + Duration::from_nanos(end_ns))
    }

    /// Returns the maximum number of concurrent users.
    pub fn peak_users(&self) -> u64 {
        match &self.load {
            Load::Closed(users) => users.curve.peak(),
            Load::Open(arrivals) => arrivals.max_users,
        }
    }

    /// Returns `closed` or `open`.
    pub fn model(&self) -> &'static str {
        match self.load {
            Load::Closed(_) => "closed",
            Load::Open(_) => "open",
        }
    }

    /// Returns the highest scheduled rate; `None` in the closed model.
    pub fn peak_rate(&self) -> Option<Rate> {
        match &self.load {
            Load::Closed(_) => None,
            Load::Open(arrivals) => Some(Rate::from_units(arrivals.curve.peak())),
        }
    }

    /// Returns the share of user (closed) or arrival (open) `number`; `own` is its id.
    pub fn share_of(&self, seed: Seed, own: WorkloadId, number: u64) -> &Share {
        if let [only] = self.shares.as_slice() {
            return only;
        }
        if let Load::Closed(users) = &self.load {
            let users = users.curve.peak();
            let weights = self.shares.iter().map(|share| share.weight);
            return &self.shares[self.mix.share_of(weights, users, (seed, own), number)];
        }
        let mut rng = seed.rng(Stream::Archetype, own.index() as u64, number);
        self.draw(&mut rng)
    }

    fn draw(&self, rng: &mut Rng) -> &Share {
        use rand::RngExt;
        let total: f64 = self.shares.iter().map(|share| share.weight).sum();
        let mut left = rng.random::<f64>() * total;
        for share in &self.shares {
            left -= share.weight;
            if left < 0.0 {
                return share;
            }
        }
        // Rounding can leave a remainder; it counts for the last.
        &self.shares[self.shares.len() - 1]
    }
}

/// The end of a curve that only a count ends: about 31 years, in ns.
pub const OPEN_END: u64 = 1_000_000_000_000_000_000;

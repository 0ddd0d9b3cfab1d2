//! Backends: the addresses of a service that has several.
//!
//! `scenario` reads them; `engine` chooses one for each attempt, `stats` counts by them.
//! Invariant: each backend is a service of the plan with an address of its own; the first one is
//! the service that steps name.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::{ServiceId, StepId};

/// Maximum backends of a service.
pub const MAX_BACKENDS: usize = 64;

/// The backends of a service, and how calls are distributed over them.
#[derive(Clone, Debug)]
pub struct Backends {
    /// In the order of `urls`; the first is the service itself.
    pub members: Vec<Backend>,
    /// How a backend is chosen.
    pub balance: BalanceMode,
    /// When a backend that fails is left out; `None`: never.
    pub ejection: Option<EjectionPolicy>,
    /// How long a backend takes to get its whole part after it was left out.
    pub slow_start: Duration,
    /// Path prefixes of the backends behind the first: denied paths are denied below each of them.
    pub prefixes: Vec<String>,
}

/// A backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// Its place among the services.
    pub service: ServiceId,
    /// Its part of the calls, relative to the others; zero: none.
    pub weight: u32,
}

/// How a backend is chosen for a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BalanceMode {
    /// One after the other, evenly mixed by weight.
    #[default]
    RoundRobin,
    /// At random, by weight.
    Random,
    /// The one with the fewest calls in flight and open streams, relative to its weight.
    LeastConnections,
    /// The same one for all calls of a user, by its number.
    Sticky,
    /// As `Sticky`, also for the attempt after a failed one: a shift judges each target by its own.
    Shifted,
    /// The one that the user's last call went to, as long as the user has this cookie.
    StickyCookie(String),
}

/// The modes of balancing that a single word names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BalanceWord {
    /// See [`BalanceMode::RoundRobin`].
    RoundRobin,
    /// See [`BalanceMode::Random`].
    Random,
    /// See [`BalanceMode::LeastConnections`].
    LeastConnections,
    /// See [`BalanceMode::Sticky`].
    Sticky,
}

impl From<BalanceWord> for BalanceMode {
    fn from(word: BalanceWord) -> Self {
        match word {
            BalanceWord::RoundRobin => Self::RoundRobin,
            BalanceWord::Random => Self::Random,
            BalanceWord::LeastConnections => Self::LeastConnections,
            BalanceWord::Sticky => Self::Sticky,
        }
    }
}

/// When a backend that fails is left out, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EjectionPolicy {
    /// Failures in a row.
    pub failures: u32,
    /// How long it is left out for the first time; n times as long for the n-th time.
    pub base: Duration,
    /// The largest share of the backends that is left out at once, 0 to 1.
    pub most: f64,
}

impl Default for EjectionPolicy {
    fn default() -> Self {
        Self { failures: 5, base: Duration::from_secs(30), most: 0.5 }
    }
}

/// A series by backend: the calls of a step that went to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendSeries {
    /// The step.
    pub step: StepId,
    /// The service that the step names.
    pub service: ServiceId,
    /// Name of the backend.
    pub name: String,
}

/// Returns the place of each step's first backend among all series by backend.
pub fn places(all: &[BackendSeries]) -> BTreeMap<(StepId, ServiceId), usize> {
    let mut places = BTreeMap::new();
    for (place, series) in all.iter().enumerate() {
        places.entry((series.step, series.service)).or_insert(place);
    }
    places
}

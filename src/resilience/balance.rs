//! The choice of a backend: by turns, at random, by calls in flight, or by user; and which backends
//! are left out.
//!
//! All shards of a process share it; `engine::call::balanced` asks it for each attempt.
//! Invariant: of backends that are out none is chosen while another is left; if all are out, all
//! are used, so that the target's failures show as failures.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Mutex, PoisonError};

use crate::ids::ServiceId;
use crate::plan::Plan;
use crate::plan::backends::{Backends, BalanceMode, EjectionPolicy};
use crate::seed::mixed;
use crate::units::nanos;

/// The smallest share of its weight that a backend gets during its slow start.
const FIRST_SHARE: f64 = 0.1;

/// Units of one weight: slow start and shifts change parts of it.
pub const WEIGHT_UNIT: u64 = 1_000;

/// The most times that an ejection becomes longer.
const MAX_FACTOR: u32 = 10;

/// The backends of all services that have several.
#[derive(Debug, Default)]
pub struct BackendBoard {
    /// By service; `None` for one with a single address.
    groups: Vec<Option<BackendGroup>>,
}

/// The backends of a service.
#[derive(Debug)]
pub struct BackendGroup {
    members: Vec<BackendState>,
    balance: BalanceMode,
    ejection: Option<EjectionPolicy>,
    slow_start_ns: u64,
    /// By member: what it has earned in round robin.
    turns: Mutex<Vec<i64>>,
}

/// The state of a backend.
#[derive(Debug)]
struct BackendState {
    service: ServiceId,
    /// In units of [`WEIGHT_UNIT`].
    weight: AtomicU64,
    in_flight: AtomicU32,
    /// Failures in a row.
    failures: AtomicU32,
    /// How often it was ejected without a success in between.
    ejections: AtomicU32,
    /// When its ejection ends, ns after the run's start; 0: it is not ejected.
    ejected_until: AtomicU64,
    /// Whether health checks pass.
    is_healthy: AtomicBool,
    /// When its slow start began, ns after the run's start, plus one; 0: it has none.
    ramp_from: AtomicU64,
}

/// What an attempt has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EjectionChange {
    /// The backend is left out for this long, ns, after this many failures in a row.
    Ejected {
        /// How long.
        for_ns: u64,
        /// How many failures.
        failures: u32,
    },
    /// Its time is over: it is used again.
    Returned,
}

impl BackendBoard {
    /// The backends of a plan, at the start of a run.
    pub fn new(plan: &Plan) -> Self {
        let group = |all: &Backends| BackendGroup::new(all);
        let groups = plan.services.iter().map(|one| one.backends.as_deref().map(group)).collect();
        Self { groups }
    }

    /// The backends of a service; `None` if it has a single address.
    pub fn group(&self, service: ServiceId) -> Option<&BackendGroup> {
        self.groups.get(service.index())?.as_ref()
    }
}

impl BackendGroup {
    /// The backends at the start of a run: all are in.
    pub fn new(all: &Backends) -> Self {
        let member = |(service, weight): (ServiceId, u32)| BackendState {
            service,
            weight: AtomicU64::new(u64::from(weight) * WEIGHT_UNIT),
            in_flight: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
            is_healthy: AtomicBool::new(true),
            ramp_from: AtomicU64::new(0),
        };
        let members = all.members.iter().map(|one| member((one.service, one.weight)));
        Self {
            members: members.collect(),
            balance: all.balance.clone(),
            ejection: all.ejection,
            slow_start_ns: nanos(all.slow_start),
            turns: Mutex::new(vec![0; all.members.len()]),
        }
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// How a backend is chosen.
    pub fn balance(&self) -> &BalanceMode {
        &self.balance
    }

    /// The service of a backend.
    pub fn service(&self, member: usize) -> ServiceId {
        self.members[member].service
    }

    /// Chooses a backend at `now_ns` after the run's start. `user` is the number of the user, and
    /// `random` a random number; `avoid` is a backend that was just tried, which is chosen only if
    /// no other is left. `weights` is a buffer.
    pub fn choose(
        &self,
        (now_ns, user, random): (u64, u64, u64),
        avoid: Option<usize>,
        weights: &mut Vec<u64>,
    ) -> usize {
        let avoid = avoid.filter(|_| self.balance != BalanceMode::Shifted);
        self.fill_weights(now_ns, avoid, weights);
        match self.balance {
            BalanceMode::Random => by_share(weights, random),
            BalanceMode::LeastConnections => self.least_connections(weights, random),
            BalanceMode::Sticky | BalanceMode::Shifted => by_user(weights, user),
            BalanceMode::RoundRobin | BalanceMode::StickyCookie(_) => self.by_turns(weights),
        }
    }

    /// Whether a backend is in at `now_ns`.
    pub fn is_in(&self, member: usize, now_ns: u64) -> bool {
        let state = &self.members[member];
        state.is_healthy.load(Relaxed)
            && state.weight.load(Relaxed) > 0
            && state.ejected_until.load(Relaxed) <= now_ns
    }

    /// Fills in the weights of all backends; zero for those that are not to be chosen.
    fn fill_weights(&self, now_ns: u64, avoid: Option<usize>, weights: &mut Vec<u64>) {
        let weight_in = |at| if self.is_in(at, now_ns) { self.weight(at, now_ns) } else { 0 };
        weights.clear();
        weights.extend((0..self.members.len()).map(weight_in));
        if weights.iter().all(|weight| *weight == 0) {
            // None is left. Weights of zero are a decision of the scenario, and stay.
            weights.clear();
            weights.extend(self.members.iter().map(|one| one.weight.load(Relaxed)));
        }
        if let Some(avoid) = avoid
            && weights.iter().enumerate().any(|(at, weight)| at != avoid && *weight > 0)
        {
            weights[avoid] = 0;
        }
        if weights.iter().all(|weight| *weight == 0) {
            weights.fill(WEIGHT_UNIT);
        }
    }

    /// The weight of a backend that is in, less during its slow start.
    fn weight(&self, member: usize, now_ns: u64) -> u64 {
        let state = &self.members[member];
        let weight = state.weight.load(Relaxed);
        let from = state.ramp_from.load(Relaxed);
        if from == 0 || self.slow_start_ns == 0 {
            return weight;
        }
        let share = (now_ns + 1).saturating_sub(from) as f64 / self.slow_start_ns as f64;
        if share >= 1.0 {
            state.ramp_from.store(0, Relaxed);
            return weight;
        }
        ((weight as f64 * share.max(FIRST_SHARE)) as u64).max(1)
    }

    /// Smooth weighted round robin: each backend earns its weight, the richest one is chosen and
    /// pays the sum of all.
    fn by_turns(&self, weights: &[u64]) -> usize {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let total: i64 = weights.iter().sum::<u64>() as i64;
        let mut best = None;
        for (at, (earned, weight)) in turns.iter_mut().zip(weights).enumerate() {
            if *weight == 0 {
                // What it earned before it was left out would be spent at once on its return.
                *earned = 0;
                continue;
            }
            *earned += *weight as i64;
            if best.is_none_or(|(_, most)| *earned > most) {
                best = Some((at, *earned));
            }
        }
        let (at, _) = best.unwrap_or_default();
        turns[at] -= total;
        at
    }

    /// The backend with the fewest calls in flight and open streams for its weight; of several one
    /// at random.
    fn least_connections(&self, weights: &[u64], random: u64) -> usize {
        let load = |at: usize| {
            let in_flight = u64::from(self.members[at].in_flight.load(Relaxed)) + 1;
            in_flight as f64 / weights[at] as f64
        };
        let known = || (0..weights.len()).filter(|at| weights[*at] > 0);
        let least = known().map(load).fold(f64::INFINITY, f64::min);
        let equal: Vec<usize> = known().filter(|at| load(*at) <= least).collect();
        equal.get((random % equal.len().max(1) as u64) as usize).copied().unwrap_or_default()
    }

    /// Counts the begin of an attempt.
    pub fn begin(&self, member: usize) {
        self.members[member].in_flight.fetch_add(1, Relaxed);
    }

    /// Counts the end of an attempt.
    pub fn end(&self, member: usize) {
        let count = &self.members[member].in_flight;
        let _ = count.fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1));
    }

    /// Calls in flight to a backend.
    pub fn in_flight(&self, member: usize) -> u32 {
        self.members[member].in_flight.load(Relaxed)
    }

    /// Lets the backend's ejection follow from an attempt that ended at `now_ns`; `failed`: through
    /// a failure of the target. Returns what that changes.
    pub fn observe(&self, member: usize, now_ns: u64, failed: bool) -> Option<EjectionChange> {
        let policy = self.ejection.as_ref()?;
        let state = &self.members[member];
        if !failed {
            state.failures.store(0, Relaxed);
            let was_out =
                state.ejections.load(Relaxed) > 0 && state.ejected_until.load(Relaxed) <= now_ns;
            if was_out {
                state.ejections.store(0, Relaxed);
            }
            return None;
        }
        let failures = state.failures.fetch_add(1, Relaxed) + 1;
        if failures < policy.failures || state.ejected_until.load(Relaxed) > now_ns {
            return None;
        }
        let out = (0..self.members.len()).filter(|at| !self.is_in(*at, now_ns)).count() + 1;
        if out as f64 > policy.most * self.members.len() as f64 {
            return None;
        }
        let before = state.ejected_until.load(Relaxed);
        let times = state.ejections.load(Relaxed).min(MAX_FACTOR - 1) + 1;
        let for_ns = nanos(policy.base).saturating_mul(u64::from(times));
        let until = now_ns.saturating_add(for_ns).max(1);
        // Of several shards one ejects it.
        state.ejected_until.compare_exchange(before, until, Relaxed, Relaxed).ok()?;
        state.ejections.store(times, Relaxed);
        state.failures.store(0, Relaxed);
        state.ramp_from.store(until + 1, Relaxed);
        Some(EjectionChange::Ejected { for_ns, failures })
    }

    /// Returns whether the ejection of a backend is over since the last call, once.
    pub fn take_return(&self, member: usize, now_ns: u64) -> Option<EjectionChange> {
        let until = &self.members[member].ejected_until;
        let at = until.load(Relaxed);
        if at == 0 || at > now_ns {
            return None;
        }
        until.compare_exchange(at, 0, Relaxed, Relaxed).ok()?;
        Some(EjectionChange::Returned)
    }

    /// Takes a backend out (`false`), or in again at `now_ns`, as health checks say.
    pub fn set_healthy(&self, member: usize, is_healthy: bool, now_ns: u64) {
        let state = &self.members[member];
        let was_healthy = state.is_healthy.swap(is_healthy, Relaxed);
        if is_healthy && !was_healthy {
            state.ramp_from.store(now_ns + 1, Relaxed);
            state.failures.store(0, Relaxed);
        }
    }

    /// Sets the weight of a backend, in units of [`WEIGHT_UNIT`].
    pub fn set_weight(&self, member: usize, weight: u64) {
        self.members[member].weight.store(weight, Relaxed);
    }
}

/// The backend at a random point of all weights.
fn by_share(weights: &[u64], random: u64) -> usize {
    let total: u64 = weights.iter().sum();
    // Multiplied instead of divided: the bias is below 2⁻³² for any weights.
    let mut point = ((u128::from(random) * u128::from(total)) >> 64) as u64;
    for (at, weight) in weights.iter().enumerate() {
        if point < *weight {
            return at;
        }
        point -= weight;
    }
    0
}

/// Weighted rendezvous hashing: the backend with the highest score for this user. A change of one
/// weight moves only users from or to that backend. Source: Thaler and Ravishankar, "Using
/// Name-Based Mappings to Increase Hit Rates" (1998); weights: −w / ln(h).
fn by_user(weights: &[u64], user: u64) -> usize {
    let score = |(at, weight): (usize, &u64)| {
        let hash = mixed([user, at as u64]);
        let unit = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        *weight as f64 / -unit.ln()
    };
    let scored = weights.iter().enumerate().map(score).enumerate();
    scored.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(at, _)| at)
}

#[cfg(test)]
#[path = "balance_tests.rs"]
mod tests;

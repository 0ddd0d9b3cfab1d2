//! The second of a run with the lowest share of the users that the load required.
//!
//! The Tally feeds it windows of all shards and puts the result into each Snapshot.
//! Invariant: bounded: only the last seconds are stored one by one.

use std::collections::BTreeMap;

use super::delta::Window;
use super::seconds::OPEN;

/// A second with less required user time than this says nothing about its level, user·ns.
const LEAST_NS: u64 = 500_000_000;

/// The worst second of a workload's users.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorstUsers {
    /// Seconds since the run's start.
    pub second: u32,
    /// Users present / users that the load required, 0 to 1.
    pub share: f64,
}

/// Users by second, measured seconds only.
#[derive(Debug)]
pub(super) struct UserLevels {
    /// By second and workload: user time that the load required, and the part that was present,
    /// user·ns.
    open: BTreeMap<u32, Vec<(u64, u64)>>,
    worst: Vec<Option<WorstUsers>>,
}

impl UserLevels {
    pub(super) fn new(workloads: usize) -> Self {
        Self { open: BTreeMap::new(), worst: vec![None; workloads] }
    }

    pub(super) fn absorb(&mut self, window: &Window) {
        let has_users = window.workloads.iter().any(|load| load.target_user_ns > 0);
        if !window.measured || !has_users {
            return;
        }
        let blank = || vec![(0, 0); window.workloads.len()];
        let levels = self.open.entry(window.second).or_insert_with(blank);
        for (level, load) in levels.iter_mut().zip(&window.workloads) {
            level.0 += load.target_user_ns;
            level.1 += load.present_user_ns;
        }
        while let Some((&newest, _)) = self.open.last_key_value()
            && let Some(oldest) = self.open.first_entry()
            && oldest.key().saturating_add(OPEN) < newest
        {
            let (second, levels) = oldest.remove_entry();
            update_worst(&mut self.worst, second, &levels);
        }
    }

    /// The worst second of each workload so far; `None` if its load sets no number of users.
    pub(super) fn worst(&self) -> Vec<Option<WorstUsers>> {
        let mut worst = self.worst.clone();
        self.open.iter().for_each(|(second, levels)| update_worst(&mut worst, *second, levels));
        worst
    }
}

fn update_worst(worst: &mut [Option<WorstUsers>], second: u32, levels: &[(u64, u64)]) {
    for (worst, (target, present)) in worst.iter_mut().zip(levels) {
        if *target < LEAST_NS {
            continue;
        }
        let share = *present as f64 / *target as f64;
        if worst.is_none_or(|known| share < known.share) {
            *worst = Some(WorstUsers { second, share });
        }
    }
}

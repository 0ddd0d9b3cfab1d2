//! The second of a run in which the fewest of the users that the load asked for were there.
//!
//! The Tally feeds it windows of all shards and puts the result into each Snapshot.
//! Invariant: bounded: only the last seconds are held one by one.

use std::collections::BTreeMap;

use super::delta::Window;
use super::seconds::OPEN;

/// A second that asks for less time of users than this says nothing about its level, user·ns.
const LEAST_NS: u64 = 500_000_000;

/// The worst second of a workload's users.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorstUsers {
    /// The second, counted from the run's start.
    pub second: u32,
    /// Users that were there / users that the load asked for, 0 to 1.
    pub share: f64,
}

/// Users by second, measured seconds only.
#[derive(Debug)]
pub(super) struct UserLevels {
    /// By second and workload: time of users asked for, and the part that was there, user·ns.
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
            lower(&mut self.worst, second, &levels);
        }
    }

    /// The worst second of each workload so far; `None` if it has no level of users.
    pub(super) fn worst(&self) -> Vec<Option<WorstUsers>> {
        let mut worst = self.worst.clone();
        self.open.iter().for_each(|(second, levels)| lower(&mut worst, *second, levels));
        worst
    }
}

fn lower(worst: &mut [Option<WorstUsers>], second: u32, levels: &[(u64, u64)]) {
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

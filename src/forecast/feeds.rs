//! Forecast of data rows: how many exist, how many a run takes, and when they run out.
//!
//! `mod` calls it once the iterations are known.
//! Invariant: feeds that share the `unique` rows of one source are counted together.

use super::load::{WorkloadVolume, reached_s};
use crate::curve::ONE_START;
use crate::plan::data::{AtEnd, RowPick};
use crate::plan::load::OPEN_END;
use crate::plan::{Load, Plan, Workload};

/// The rows that a feed needs for one archetype of a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedDemand {
    /// The variable that it fills.
    pub name: String,
    /// The archetype.
    pub archetype: String,
    /// The workload.
    pub workload: String,
    /// `queue`, `unique` …
    pub pick: &'static str,
    /// Whether each iteration takes a row, instead of each user.
    pub per_iteration: bool,
    /// Existing rows.
    pub rows: u64,
    /// Needed rows.
    pub needed: f64,
    /// Rows needed by all feeds that share a `unique` source.
    pub needed_in_all: f64,
    /// When the rows run out, seconds after the run's start; `None`: never.
    pub out_s: Option<f64>,
    /// What happens then: `stop`, `wrap`, `stop run`.
    pub at_end: &'static str,
}

/// Returns the demand of all feeds, workload by workload.
pub fn feeds(plan: &Plan, volume: &[WorkloadVolume]) -> Vec<FeedDemand> {
    let mut demands: Vec<(FeedDemand, Option<&str>)> = Vec::new();
    for (workload, volume) in plan.workloads.iter().zip(volume) {
        for (share, part) in workload.shares.iter().zip(&volume.parts) {
            let archetype = &plan.archetypes[share.archetype];
            for draw in &archetype.data {
                let needed = part.as_ref().map_or(0.0, |part| {
                    if draw.per_iteration { part.iterations } else { part.users }
                });
                let feed = &draw.feed;
                let rows = feed.rows.len();
                let ends = feed.pick.runs_out() && feed.at_end != AtEnd::Wrap;
                let is_short = ends && needed > rows as f64;
                let out = || out_s(workload, volume, draw.per_iteration, rows as f64, needed);
                let demand = FeedDemand {
                    name: feed.name.clone(),
                    archetype: archetype.name.clone(),
                    workload: workload.name.clone(),
                    pick: name_of(&RowPick::NAMES, &feed.pick),
                    per_iteration: draw.per_iteration,
                    rows,
                    needed,
                    needed_in_all: needed,
                    out_s: is_short.then(out),
                    at_end: name_of(&AtEnd::NAMES, &feed.at_end),
                };
                let source = (feed.pick == RowPick::Unique).then_some(feed.source.as_str());
                demands.push((demand, source));
            }
        }
    }
    for at in 0..demands.len() {
        let Some(source) = demands[at].1 else { continue };
        let all = demands.iter().filter(|(_, other)| *other == Some(source));
        demands[at].0.needed_in_all = all.map(|(demand, _)| demand.needed).sum();
    }
    demands.into_iter().map(|(demand, _)| demand).collect()
}

fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, known)| known == value).map_or("", |(name, _)| name)
}

/// Returns when a workload that needs `needed` rows has taken `rows`, seconds after the run's
/// start.
fn out_s(
    workload: &Workload,
    volume: &WorkloadVolume,
    per_iteration: bool,
    rows: f64,
    needed: f64,
) -> f64 {
    let share = (rows / needed.max(1.0)).min(1.0);
    let own = match &workload.load {
        Load::Open(arrivals) => {
            let start = (volume.iterations * share) as u128 * ONE_START;
            arrivals.curve.reaches(start).map_or(volume.end_s, |at| at as f64 / 1e9)
        }
        Load::Closed(users) if users.curve.end_ns() == OPEN_END => {
            if per_iteration {
                volume.end_s * share
            } else {
                0.0
            }
        }
        Load::Closed(users) if per_iteration => reached_s(&users.curve, share),
        Load::Closed(users) => {
            let first = (users.curve.peak() as f64 * share) as u64;
            users.curve.stays(first).first().map_or(volume.end_s, |stay| stay.0 as f64 / 1e9)
        }
    };
    workload.start.as_secs_f64() + own
}

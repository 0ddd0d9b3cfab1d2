//! Rows of data: how many are there, how many a run takes, and when they run out.
//!
//! `mod` asks it once the iterations are known.
//! Invariant: feeds that deal the rows of one source as `unique` are counted together.

use super::load::{WorkloadVolume, reached_s};
use crate::curve::ONE_START;
use crate::plan::data::{AtEnd, RowPick};
use crate::plan::load::OPEN_END;
use crate::plan::{Load, Plan, Workload};

/// What a feed of a workload's archetype is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedDemand {
    /// The variable it fills.
    pub name: String,
    /// Whose.
    pub archetype: String,
    /// In which workload.
    pub workload: String,
    /// `queue`, `unique` …
    pub pick: &'static str,
    /// Whether each iteration takes a row, not each user.
    pub per_iteration: bool,
    /// Rows there are.
    pub rows: u64,
    /// Rows it takes.
    pub needed: f64,
    /// With all that share a `unique` source.
    pub needed_in_all: f64,
    /// When none is left, seconds after the run's start; `None`: never.
    pub out_s: Option<f64>,
    /// What happens then: `stop`, `wrap`, `stop run`.
    pub at_end: &'static str,
}

/// The feeds of a plan, workload by workload.
pub fn feeds(plan: &Plan, made: &[WorkloadVolume]) -> Vec<FeedDemand> {
    let mut found: Vec<(FeedDemand, Option<&str>)> = Vec::new();
    for (workload, made) in plan.workloads.iter().zip(made) {
        for (share, part) in workload.shares.iter().zip(&made.parts) {
            let archetype = &plan.archetypes[share.archetype];
            for draw in &archetype.data {
                let of = part.as_ref();
                let needed =
                    of.map(|part| if draw.per_iteration { part.iterations } else { part.users });
                let needed = needed.unwrap_or_default();
                let feed = &draw.feed;
                let rows = feed.rows.len();
                let ends = feed.pick.runs_out() && feed.at_end != AtEnd::Wrap;
                let short = ends && needed > rows as f64;
                let out = || out_s(workload, made, draw.per_iteration, rows as f64, needed);
                let feeding = FeedDemand {
                    name: feed.name.clone(),
                    archetype: archetype.name.clone(),
                    workload: workload.name.clone(),
                    pick: name_of(&RowPick::NAMES, &feed.pick),
                    per_iteration: draw.per_iteration,
                    rows,
                    needed,
                    needed_in_all: needed,
                    out_s: short.then(out),
                    at_end: name_of(&AtEnd::NAMES, &feed.at_end),
                };
                let source = (feed.pick == RowPick::Unique).then_some(feed.source.as_str());
                found.push((feeding, source));
            }
        }
    }
    for at in 0..found.len() {
        let Some(source) = found[at].1 else { continue };
        let all = found.iter().filter(|(_, other)| *other == Some(source));
        found[at].0.needed_in_all = all.map(|(feeding, _)| feeding.needed).sum();
    }
    found.into_iter().map(|(feeding, _)| feeding).collect()
}

fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, known)| known == value).map_or("", |(name, _)| name)
}

/// When a workload that needs `needed` rows has taken `rows`, seconds after the run's start.
fn out_s(
    workload: &Workload,
    made: &WorkloadVolume,
    per_iteration: bool,
    rows: f64,
    needed: f64,
) -> f64 {
    let share = (rows / needed.max(1.0)).min(1.0);
    let own = match &workload.load {
        Load::Open(arrivals) => {
            let start = (made.iterations * share) as u128 * ONE_START;
            arrivals.curve.reaches(start).map_or(made.end_s, |at| at as f64 / 1e9)
        }
        Load::Closed(users) if users.curve.end_ns() == OPEN_END => {
            if per_iteration {
                made.end_s * share
            } else {
                0.0
            }
        }
        Load::Closed(users) if per_iteration => reached_s(&users.curve, share),
        Load::Closed(users) => {
            let first = (users.curve.peak() as f64 * share) as u64;
            users.curve.stays(first).first().map_or(made.end_s, |stay| stay.0 as f64 / 1e9)
        }
    };
    workload.start.as_secs_f64() + own
}

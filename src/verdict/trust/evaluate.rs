//! The verdict on a run's measurement, and which thresholds it puts in doubt.
//!
//! `run` evaluates it, reports ask it about each threshold and figure.
//! Invariant: its level is the worst one of its reasons.

use super::super::judgement::Judgement;
use super::super::metric::Metric;
use super::super::threshold::Comparison;
use super::checks::{
    check_generator_errors, check_ledger, check_littles_law, check_lost_starts, check_lost_workers,
    check_saturation,
};
use super::effects::Effect;
use super::effects::Moves::{Any, Down, Up};
use super::effects::figure;
use super::lateness::{
    check_lag, check_late_users, check_run_queue, check_stalls, check_wake_ups, worst,
};
use super::processes::{check_outlier, name_the_latest};
use super::reason::{TrustContext, TrustLevel, TrustReason};
use super::receiver::check_receiver;
use crate::stats::Snapshot;

/// A verdict on the measurement, with its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Trust {
    /// The worst level of the reasons.
    pub level: TrustLevel,
    /// The findings; empty if there are none.
    pub reasons: Vec<TrustReason>,
}

impl Trust {
    /// Evaluates a run.
    pub fn evaluate(snapshot: &Snapshot, context: &TrustContext) -> Self {
        let mut reasons = Vec::new();
        reasons.extend(worst(snapshot, context, check_lag));
        reasons.extend(worst(snapshot, context, check_stalls));
        reasons.extend(check_late_users(snapshot, context));
        reasons.extend(check_lost_starts(snapshot));
        reasons.extend(check_lost_workers(snapshot));
        reasons.extend(check_generator_errors(snapshot));
        reasons.extend(check_run_queue(snapshot));
        reasons.extend(check_wake_ups(snapshot));
        reasons.extend(check_receiver(snapshot, context));
        reasons.extend(context.has_unpaced.then(|| check_saturation(snapshot)).flatten());
        reasons.extend(check_outlier(snapshot));
        reasons.extend(check_ledger(snapshot));
        reasons.extend(check_littles_law(snapshot));
        blame_other_programs(&mut reasons);
        name_the_latest(&mut reasons, snapshot);
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.level));
        let level = reasons.first().map_or(TrustLevel::Yes, |reason| reason.level);
        Self { level, reasons }
    }

    /// Whether the generator's own faults may have decided a threshold: it passed or failed on a
    /// figure that a reason with the level `no` may have moved to that side of the limit, or it
    /// fails only because of the generator's own delays.
    pub fn doubts(&self, judgement: &Judgement) -> bool {
        let rule = &judgement.threshold;
        // The direction that would change the result of the threshold.
        let moved = match (rule.op, judgement.passed) {
            (Comparison::Less | Comparison::AtMost, false)
            | (Comparison::More | Comparison::AtLeast, true) => Up,
            (Comparison::Less | Comparison::AtMost, true)
            | (Comparison::More | Comparison::AtLeast, false) => Down,
            (Comparison::Equal, _) => Any,
        };
        let figure = figure(rule.metric);
        let is_moved = |(name, moves): &Effect| {
            (*name == figure || *name == "all")
                && (*moves == Any || moved == Any || *moves == moved)
        };
        let no = self.reasons.iter().filter(|reason| reason.level == TrustLevel::No);
        judgement.rests_on_own_delay || no.flat_map(|reason| reason.effects).any(is_moved)
    }

    /// Whether a figure is doubtful at least at `level`.
    pub fn is_doubtful(&self, metric: Metric, level: TrustLevel) -> bool {
        let figure = figure(metric);
        self.reasons.iter().any(|reason| {
            let named = |(name, _): &Effect| *name == figure || *name == "all";
            reason.level >= level && reason.effects.iter().any(named)
        })
    }
}
/// If other programs use the generator's cores, its lateness has that one cause, and one remedy:
/// that of the run queue.
fn blame_other_programs(reasons: &mut [TrustReason]) {
    if !reasons.iter().any(|reason| reason.check.starts_with("run_queue")) {
        return;
    }
    let is_late = |reason: &&mut TrustReason| ["lag", "stalls"].contains(&reason.check);
    for reason in reasons.iter_mut().filter(is_late) {
        if let Some((finding, _)) = reason.hint.split_once(": ") {
            reason.hint = format!("{finding}, because other programs use its cores");
        }
    }
}

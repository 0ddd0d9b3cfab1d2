//! Rows of thresholds: each judged threshold as text.
//!
//! Invariant: bounds, and values that rest on few calls, are marked as such.

use crate::event::Report;
use crate::exit::ExitStatus;
use crate::units::{show_bytes, show_count, show_rate, show_us};
use crate::verdict::Judgement;
use crate::verdict::judge::StoppedRun;
use crate::verdict::threshold::{Metric, MetricForm, MetricTime};

/// Whether a threshold holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThresholdState {
    Holds,
    Fails,
    /// The run goes on, and nothing was measured yet.
    Waiting,
}

/// A judged threshold.
pub(crate) struct ThresholdRow<'r> {
    pub(crate) judgement: &'r Judgement,
    /// The threshold as written.
    pub(crate) rule: &'r str,
    pub(crate) state: ThresholdState,
    /// Whether the generator may have caused the value, so that it decides nothing.
    pub(crate) is_undecided: bool,
    /// The observed value, or that there is none.
    pub(crate) observed: String,
    /// The limit.
    pub(crate) limit: String,
    /// The margin to the limit; empty if it has no meaning.
    pub(crate) margin: String,
    /// Why the threshold failed within its limit, where the worst window was, and whether the value
    /// rests on few calls.
    pub(crate) remark: String,
}

impl ThresholdRow<'_> {
    /// Margin and remark; empty if there are none.
    pub(crate) fn note(&self, between: &str) -> String {
        let parts = [&self.margin, &self.remark].map(String::as_str);
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(between)
    }
}

/// All thresholds in the order of the scenario.
pub(crate) fn thresholds(report: &Report) -> impl Iterator<Item = ThresholdRow<'_>> {
    report.judgements.iter().map(|judgement| ThresholdRow {
        is_undecided: report.trust.doubts(judgement),
        ..row(judgement, report.is_running)
    })
}

/// The verdict of a run in one word.
pub(crate) fn verdict(report: &Report) -> &'static str {
    match report.status {
        ExitStatus::Pass if report.judgements.is_empty() => "done",
        _ => report.status.verdict().unwrap_or("not carried out"),
    }
}

fn row(judgement: &Judgement, is_running: bool) -> ThresholdRow<'_> {
    let state = match (judgement.passed, judgement.observed) {
        (_, None) if is_running => ThresholdState::Waiting,
        (true, _) => ThresholdState::Holds,
        (false, _) => ThresholdState::Fails,
    };
    let metric = judgement.threshold.metric;
    let observed = match judgement.observed {
        None if is_running => "nothing yet".to_owned(),
        None => "nothing to judge".to_owned(),
        Some(_) if judgement.is_unknown() => "no response".to_owned(),
        Some(value) => {
            let bound = if judgement.at_least { "≥ " } else { "" };
            format!("{bound}{}", in_unit(metric, value))
        }
    };
    let limit = judgement.threshold.limit;
    let margin = judgement.margin().filter(|_| limit != 0.0).map_or(String::new(), |room| {
        let percent = room.abs() / limit * 100.0;
        format!("margin {percent:.0} % {}", if judgement.passed { "left" } else { "missed" })
    });
    let window = judgement.worst_at_s.map(|at| format!("worst window at {at}s"));
    let thin = judgement.thin.then(|| "~ few calls: it may move".to_owned());
    let parts =
        [stopped(judgement), bound_reason(judgement), window, thin, without_own_delay(judgement)];
    let remark = parts.into_iter().flatten().collect::<Vec<_>>().join("  ");
    let limit = in_unit(metric, limit);
    ThresholdRow {
        judgement,
        rule: &judgement.threshold.rule,
        state,
        is_undecided: false,
        observed,
        limit,
        margin,
        remark,
    }
}

/// When a rule stopped the run, and what was observed at the end.
fn stopped(judgement: &Judgement) -> Option<String> {
    let StoppedRun { at_s, observed_at_end, at_least_at_end } = judgement.stopped?;
    let end = observed_at_end.map_or(String::new(), |value| {
        let bound = if at_least_at_end { "≥ " } else { "" };
        format!(", {bound}{} at the end", in_unit(judgement.threshold.metric, value))
    });
    Some(format!("observed at {at_s}s, when it stopped the run{end}"))
}

/// Why a rule failed although its bound is within its limit.
pub(crate) fn bound_reason(judgement: &Judgement) -> Option<String> {
    if !judgement.rests_on_bound() {
        return None;
    }
    let unknown = judgement.unknown;
    let share = |part: u64, what: &str| {
        let percent = part as f64 * 100.0 / unknown.all.max(1) as f64;
        (part > 0).then(|| format!("{percent:.1} % {what}"))
    };
    let ended = match judgement.threshold.metric {
        Metric::Time(MetricTime::Iteration, _) => "of iterations did not complete",
        Metric::Time(MetricTime::Messages(_), _) => "of messages never came",
        _ => "of calls got no response",
    };
    let starts = share(unknown.starts, "of starts dropped");
    let parts = [starts, share(unknown.calls, ended)];
    let parts = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    Some(format!("{parts}: they rank above every response"))
}

/// The value of a failed rule without the generator's own delays.
fn without_own_delay(judgement: &Judgement) -> Option<String> {
    let value = judgement.without_own_delay.filter(|_| !judgement.passed)?;
    let value = in_unit(judgement.threshold.metric, value);
    let word = if judgement.rests_on_own_delay { "not decided" } else { "still fails" };
    Some(format!("{word}: at least {value} without the generator's own delay"))
}

/// A value in the unit of its metric.
fn in_unit(metric: Metric, value: f64) -> String {
    match metric.form() {
        MetricForm::Duration => show_us(value.round() as u64),
        MetricForm::Share => format!("{:.2} %", value * 100.0),
        MetricForm::Size => show_bytes(value as u64),
        MetricForm::Count => show_count(value as u64),
        MetricForm::Rate => format!("{}/s", show_rate(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::page::tests::made_up;
    use crate::verdict::judge::UntimedRank;
    use crate::verdict::threshold::Threshold;

    #[test]
    fn a_missed_rule_names_what_it_rests_on() {
        let mut judgement = made_up(3, "shop").judgements[0].clone();
        judgement.threshold = Threshold::parse("response.p99 < 10s").unwrap();
        (judgement.passed, judgement.at_least, judgement.thin) = (false, true, false);
        judgement.observed = Some(14_400.0);
        judgement.unknown = UntimedRank { starts: 648, calls: 52, all: 1_000 };
        judgement.worst_at_s = None;
        let shown = row(&judgement, false);
        assert_eq!((&*shown.observed, &*shown.margin), ("≥ 14.4 ms", ""));
        let why = "64.8 % of starts dropped, 5.2 % of calls got no response: they rank above every \
                   response";
        assert_eq!(shown.remark, why);
        judgement.observed = Some(0.0);
        assert_eq!(row(&judgement, false).observed, "no response");
        // A bound above the limit exceeds it by at least this much.
        judgement.observed = Some(12_000_000.0);
        let shown = row(&judgement, false);
        assert_eq!((&*shown.margin, &*shown.remark), ("margin 20 % missed", ""));
    }

    #[test]
    fn a_rule_that_stopped_the_run_shows_both_values() {
        let threshold = Threshold::parse("errors < 10% abort").unwrap();
        let at = StoppedRun { at_s: 12, observed_at_end: Some(0.41), at_least_at_end: false };
        let judgement = Judgement {
            observed: Some(0.34),
            stopped: Some(at),
            ..Judgement::nothing_observed(&threshold)
        };
        let shown = row(&judgement, false);
        assert_eq!(shown.observed, "34.00 %");
        assert_eq!(shown.remark, "observed at 12s, when it stopped the run, 41.00 % at the end");
    }

    #[test]
    fn what_was_not_judged_did_not_pass() {
        let mut report = made_up(3, "shop");
        report.status = ExitStatus::Pass;
        assert!(!report.judgements.is_empty());
        assert_eq!(verdict(&report), "pass");
        report.judgements.clear();
        assert_eq!(verdict(&report), "done");
        report.status = ExitStatus::Interrupted;
        assert_eq!(verdict(&report), "interrupted");
    }
}

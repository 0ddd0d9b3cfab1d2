//! A judgement in words, the same in every report.
//!
//! Invariant: a bound says that it is one; what rests on few calls says so.

use crate::event::Report;
use crate::exit::Ending;
use crate::units::{show_bytes, show_count, show_rate, show_us};
use crate::verdict::Judgement;
use crate::verdict::threshold::Metric;

/// Its parts in words.
pub(super) struct Judged {
    /// What was observed, or that there was nothing.
    pub(super) observed: String,
    /// How far from its limit; empty where that says nothing.
    pub(super) margin: String,
    /// Where the worst window was, and whether it rests on few calls.
    pub(super) remark: String,
}

impl Judged {
    /// Margin and remark, as far as there are any.
    pub(super) fn note(&self, between: &str) -> String {
        let parts = [&self.margin, &self.remark].map(String::as_str);
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(between)
    }
}

/// How a run ended, in a word; without a rule none was kept.
pub(super) fn verdict(report: &Report) -> &'static str {
    match report.ending {
        Ending::Pass if report.judgements.is_empty() => "done",
        _ => report.ending.verdict().unwrap_or("not carried out"),
    }
}

/// A judgement in words.
pub(super) fn words(judgement: &Judgement) -> Judged {
    let observed = judgement.observed.map_or("nothing to judge".to_owned(), |value| {
        let bound = if judgement.at_least { "≥ " } else { "" };
        format!("{bound}{}", in_unit(judgement.threshold.metric, value))
    });
    let limit = judgement.threshold.limit;
    let margin = judgement.margin().filter(|_| limit != 0.0).map_or(String::new(), |room| {
        let percent = room.abs() / limit * 100.0;
        format!("margin {percent:.0} % {}", if room < 0.0 { "missed" } else { "left" })
    });
    let mut remark =
        judgement.worst_at_s.map_or(String::new(), |at| format!("worst window at {at}s"));
    if judgement.thin {
        remark.push_str(if remark.is_empty() {
            "~ few calls: it may move"
        } else {
            "  ~ few calls: it may move"
        });
    }
    if let Some(value) = judgement.without_own_delay
        && !judgement.passed
    {
        let value = in_unit(judgement.threshold.metric, value);
        let word = if judgement.rests_on_own_delay { "holds" } else { "fails also" };
        let text = format!("{word} without the generator's own delays: at least {value}");
        remark.push_str(if remark.is_empty() { "" } else { "  " });
        remark.push_str(&text);
    }
    Judged { observed, margin, remark }
}

/// A value of a metric.
pub(super) fn in_unit(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Time(..) => show_us(value.round() as u64),
        Metric::Errors
        | Metric::Achieved
        | Metric::AchievedUsers
        | Metric::Checks
        | Metric::StatusShare(..) => {
            format!("{:.2} %", value * 100.0)
        }
        Metric::Bytes => show_bytes(value as u64),
        Metric::Rate => format!("{}/s", show_rate(value)),
        Metric::Dropped
        | Metric::Failed
        | Metric::Timeouts
        | Metric::Calls
        | Metric::Iterations
        | Metric::GeneratorErrors
        | Metric::Statuses(..) => show_count(value as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::page::tests::made_up;

    #[test]
    fn what_was_not_judged_did_not_pass() {
        let mut report = made_up(3, "shop");
        report.ending = Ending::Pass;
        assert!(!report.judgements.is_empty());
        assert_eq!(verdict(&report), "pass");
        report.judgements.clear();
        assert_eq!(verdict(&report), "done");
        report.ending = Ending::Interrupted;
        assert_eq!(verdict(&report), "interrupted");
    }
}

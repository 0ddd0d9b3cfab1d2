//! Warnings about thresholds that are legal but probably not intended.
//!
//! `plan_warnings` calls it.
//! Invariant: a warning never prevents a run; it has a place, and says how to resolve it.

use std::time::Duration;

use crate::plan::Plan;
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::spans::SourceSpans;
use crate::units::show_duration;
use crate::verdict::threshold::{Comparison, Metric, Threshold};

/// Warns about thresholds that cannot fail, and about pairs that cannot both hold.
pub(crate) fn thresholds(diagnostics: &mut Diagnostics, plan: &Plan, spans: &SourceSpans) {
    for (index, (rule, span)) in plan.thresholds.iter().zip(&spans.thresholds).enumerate() {
        let share = matches!(
            rule.metric,
            Metric::Errors | Metric::Achieved | Metric::Checks | Metric::StatusShare(..)
        );
        let always = (share && rule.op == Comparison::AtMost && rule.limit >= 1.0)
            || (rule.op == Comparison::AtLeast && rule.limit <= 0.0);
        if always {
            let message = "this rule holds whatever happens";
            diagnostics.warn(*span, message, "give it a limit that can be missed");
            continue;
        }
        let never = (share && rule.op == Comparison::More && rule.limit >= 1.0)
            || (rule.op == Comparison::Less && rule.limit <= 0.0);
        if never {
            let message = "no run can pass this rule";
            diagnostics.warn(*span, message, "give it a limit that can be met");
            continue;
        }
        threshold_windows(diagnostics, plan, rule, *span);
        let below = |op| matches!(op, Comparison::Less | Comparison::AtMost);
        let above = |op| matches!(op, Comparison::More | Comparison::AtLeast);
        let contradiction = plan.thresholds[..index].iter().find(|other| {
            let same = other.metric == rule.metric && other.scope == rule.scope;
            same && (below(rule.op) && above(other.op) && other.limit > rule.limit
                || above(rule.op) && below(other.op) && other.limit < rule.limit)
        });
        if let Some(other) = contradiction {
            let help = format!("`{}` wants the contrary", other.rule);
            diagnostics.warn(*span, "no run can keep this rule and another one", &help);
        }
    }
}

/// Warns about thresholds whose window does not fit into the load, and about limits longer than
/// the run.
fn threshold_windows(
    diagnostics: &mut Diagnostics,
    plan: &Plan,
    rule: &Threshold,
    span: SourceSpan,
) {
    let Some(end) = plan.load_end() else { return };
    let shown = show_duration(end);
    let begins = plan.warmup.max(Duration::from_secs(rule.after_s.into()));
    let window = Duration::from_secs(rule.over_s.unwrap_or(0).into());
    if begins + window > end {
        if rule.over_s.is_some() {
            let message = format!("no window of this rule fits into the load, which lasts {shown}");
            let help = "no run can pass it: a rule that judged nothing does not hold";
            diagnostics.warn(span, message, help);
            return;
        }
        if rule.after_s > 0 {
            let message = format!("this rule never stops the run: the load lasts {shown}");
            diagnostics.warn(span, message, "give it an `after` within the load");
        }
    }
    let longest = (end + plan.grace).as_secs_f64() * 1e6;
    if matches!(rule.metric, Metric::Time(..)) && rule.limit > longest {
        let (message, help) = match rule.op {
            Comparison::Less | Comparison::AtMost => (
                "no time of this run reaches the limit",
                "give it a limit that can be missed: only calls without a response miss this one",
            ),
            _ => ("no run can pass this rule", "no time of this run reaches the limit"),
        };
        diagnostics.warn(span, message, help);
    }
}

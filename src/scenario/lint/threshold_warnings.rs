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
            let message = "this rule always passes";
            diagnostics.warn(*span, message, "choose a limit that can fail");
            continue;
        }
        let never = (share && rule.op == Comparison::More && rule.limit >= 1.0)
            || (rule.op == Comparison::Less && rule.limit <= 0.0);
        if never {
            let message = "this rule always fails";
            diagnostics.warn(*span, message, "choose a limit that can pass");
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
            let help = format!("it conflicts with `{}`", other.rule);
            diagnostics.warn(*span, "this rule and another cannot both pass", &help);
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
            let message = format!("the window of this rule does not fit into the load ({shown})");
            let help = "it always fails, since a rule without a judged window fails";
            diagnostics.warn(span, message, help);
            return;
        }
        if rule.after_s > 0 {
            let message = format!("this rule never stops the run, since the load lasts {shown}");
            diagnostics.warn(span, message, "choose an `after` within the load");
        }
    }
    let longest = (end + plan.grace).as_secs_f64() * 1e6;
    if matches!(rule.metric, Metric::Time(..)) && rule.limit > longest {
        let (message, help) = match rule.op {
            Comparison::Less | Comparison::AtMost => (
                "no time of this run can reach the limit",
                "choose a lower limit: only calls without a response fail this one",
            ),
            _ => ("this rule always fails", "no time of this run can reach the limit"),
        };
        diagnostics.warn(span, message, help);
    }
}

//! The first failures of each kind, for the summary and for `summary.json`.
//!
//! `summary` and `json` ask for them.
//! Invariant: texts of targets and files are shown without control characters and secrets.

use serde_json::{Value, json};

use super::ansi::{BAD, DIM, paint, plain};
use super::text_lines::heading;
use crate::event::Report;
use crate::stats::exemplar::{Exemplar, FailureMode};
use crate::stats::outcome::{self, AttemptPhase};
use crate::units::{show_count, show_us};

/// The most kinds that the summary shows.
const SHOWN: usize = 3;

/// The most frequent kinds, each with a curl command that repeats it; with `is_verbose` also the
/// error text of a library.
pub(crate) fn render(out: &mut String, report: &Report, is_verbose: bool) {
    use std::fmt::Write;
    let exemplars = &report.snapshot.exemplars;
    if exemplars.is_empty() {
        return;
    }
    heading(out, "Failures");
    let plan = &report.info.plan;
    for (count, one) in exemplars.iter().take(SHOWN) {
        let what = format!("{} × {}", show_count(*count), kind(report, one));
        let at = show_us(one.intended.ns() / 1_000);
        let place = format!("{}, first at {at}, user {}", plan.steps[one.step].name, one.user);
        let _ = writeln!(out, "  {}  {}", paint(BAD, &plain(&what)), plain(&place));
        // The target of a redirect is always shown; the text of a library only with `-v`.
        let error = one.error.map(outcome::error_at);
        let is_ours = error.is_some_and(|(phase, ..)| phase == AttemptPhase::Redirect.name());
        if (is_verbose || is_ours) && !one.error_text.is_empty() {
            let _ = writeln!(out, "    {}", plain(&one.error_text));
        }
        let cut = if one.cut { "  # cut" } else { "" };
        let _ = writeln!(out, "    {}", paint(DIM, &plain(&format!("{}{cut}", one.curl))));
    }
    if exemplars.len() > SHOWN {
        let more = format!("and {} kinds more in summary.json", exemplars.len() - SHOWN);
        let _ = writeln!(out, "  {}", paint(DIM, &more));
    }
}

/// All exemplars that were kept.
pub(crate) fn document(report: &Report) -> Value {
    let plan = &report.info.plan;
    let one = |(count, one): &(u64, std::sync::Arc<Exemplar>)| {
        let series = &plan.steps[one.step];
        json!({
            "step": series.name,
            "archetype": plan.archetypes[series.archetype.index()],
            "workload": plan.workloads[series.workload].name,
            "kind": kind(report, one),
            "count": count,
            "at_s": (one.intended.ns() / 1_000_000) as f64 / 1e3,
            "user": one.user,
            "curl": one.curl,
            "cut": one.cut,
            "status": one.status,
            "error": one.error.map(|index| {
                let (phase, kind, hint) = outcome::error_at(index);
                let said = Some(&one.error_text).filter(|said| !said.is_empty());
                json!({ "phase": phase, "kind": kind, "hint": hint, "said": said })
            }),
            "failed_checks": one.failed,
            "head": one.head,
            "body": one.body,
        })
    };
    report.snapshot.exemplars.iter().map(one).collect()
}

/// How it failed, as text.
pub(crate) fn kind(report: &Report, one: &Exemplar) -> String {
    match one.failing {
        FailureMode::Status(status) => format!("status {status}"),
        FailureMode::Error(index) => {
            let (phase, kind, _) = outcome::error_at(index);
            format!("{phase}: {kind}")
        }
        FailureMode::Check(index) => {
            let names = &report.info.plan.checks;
            let name = names.get(one.step.index()).and_then(|names| names.get(index));
            format!("check: {}", name.map_or("", String::as_str))
        }
    }
}

//! The first failures of each kind, for the summary and for `summary.json`.
//!
//! `summary` and `json` ask for them.
//! Invariant: texts of targets and files are shown without control characters and secrets.

use serde_json::{Value, json};

use super::ansi::{BAD, DIM, paint, plain};
use super::rows::{self, FailureRow, StepLabels};
use super::text_lines::heading;
use super::traces_json;
use crate::event::Report;
use crate::protocol::status::ShownStatus;
use crate::stats::outcome::{self, AttemptPhase};
use crate::units::{show_count, show_us};

/// Maximum kinds that the summary shows.
const SHOWN: usize = 3;

/// The longest URL of a trace that the summary shows, bytes; of others it shows the id.
const MAX_URL: usize = 120;

/// The most frequent kinds, each with a curl command that repeats it; with `is_verbose` also the
/// error text of a library.
pub(crate) fn render(out: &mut String, report: &Report, is_verbose: bool) {
    use std::fmt::Write;
    let known = report.snapshot.exemplars.len();
    if known == 0 {
        return;
    }
    heading(out, "Failures");
    let labels = StepLabels::new(report);
    for failure in rows::failures(report).take(SHOWN) {
        let one = failure.call;
        let what = format!("{} × {}", show_count(failure.count), failure.kind);
        let at = show_us(one.intended.ns() / 1_000);
        let place = format!("{}, first at {at}, user {}", labels.label(one.step), one.user);
        let _ = writeln!(out, "  {}  {}", paint(BAD, &plain(&what)), plain(&place));
        // The target of a redirect is always shown; the text of a library only with `-v`.
        let error = one.error.map(outcome::error_at);
        let is_ours = error.is_some_and(|(phase, ..)| phase == AttemptPhase::Redirect.name());
        if (is_verbose || is_ours) && !one.error_text.is_empty() {
            let _ = writeln!(out, "    {}", plain(&one.error_text));
        }
        if !one.curl.is_empty() {
            let cut = if one.cut { "  # cut" } else { "" };
            let _ = writeln!(out, "    {}", paint(DIM, &plain(&format!("{}{cut}", one.curl))));
        }
        if let Some(trace) = &failure.trace {
            let url = trace.url.as_ref().filter(|url| url.len() <= MAX_URL);
            let shown = url.map_or_else(|| format!("trace {}", trace.trace_id), Clone::clone);
            let _ = writeln!(out, "    {}", paint(DIM, &plain(&shown)));
        }
    }
    if known > SHOWN {
        let kinds = if known - SHOWN == 1 { "kind" } else { "kinds" };
        let more = format!("and {} more {kinds} in summary.json", known - SHOWN);
        let _ = writeln!(out, "  {}", paint(DIM, &more));
    }
}

/// All exemplars that were kept.
pub(crate) fn document(report: &Report) -> Value {
    let document = |failure: FailureRow<'_>| {
        let one = failure.call;
        let mut document = json!({
            "step": failure.step,
            "archetype": failure.archetype,
            "workload": failure.workload,
            "kind": failure.kind,
            "count": failure.count,
            "at_s": (one.intended.ns() / 1_000_000) as f64 / 1e3,
            "user": one.user,
            "curl": Some(&one.curl).filter(|curl| !curl.is_empty()),
            "cut": one.cut,
            "status": one.status.map(ShownStatus),
            "error": one.error.map(|index| {
                let (phase, kind, hint) = outcome::error_at(index);
                let said = Some(&one.error_text).filter(|said| !said.is_empty());
                json!({ "phase": phase, "kind": kind, "hint": hint, "said": said })
            }),
            "failed_checks": one.failed,
            "head": one.head,
            "body": one.body,
        });
        traces_json::add(&mut document, failure.trace.as_ref());
        document
    };
    rows::failures(report).map(document).collect()
}

//! A shift of load between two targets: on the terminal and in `summary.json`.
//!
//! `summary` and `json` render it; the page shows the same rows.
//! Invariant: a row per step that was begun, with both sides and the decision.

use serde_json::{Value, json};

use super::ansi::{BAD, DIM, GOOD, paint, plain};
use super::text_lines::{heading, painted};
use super::text_table::{Align, TextTable};
use crate::event::Report;
use crate::stats::shift::{ShiftOutcome, ShiftStep, SideFigures};
use crate::units::{show_count, show_us};

/// The steps side by side.
pub(crate) fn render(out: &mut String, report: &Report) {
    let Some(shift) = &report.shift else { return };
    heading(out, "Shift");
    let mut table = TextTable::new(&[Align::Right; 8]);
    table.head(["", "", "old: calls", "errors", "p95", "new: calls", "errors", "p95"]);
    let [old, new] = &shift.targets;
    table.title(paint(
        DIM,
        &format!("{}: {} (old), {} (new)", plain(&shift.service), plain(old), plain(new)),
    ));
    for step in &shift.steps {
        let (sign, style) = match (step.judged_s, step.passed) {
            (None, _) => ("not judged", DIM),
            (Some(_), true) => ("✓", GOOD),
            (Some(_), false) => ("✗", BAD),
        };
        let first = [paint(style, sign), format!("{} %", step.percent)];
        let [old, new] = step.sides.map(cells);
        let row: Vec<String> = first.into_iter().chain(old).chain(new).collect();
        if let Ok(row) = <[String; 8]>::try_from(row) {
            table.row(row);
        }
    }
    table.render(out, 2);
    let style = if shift.outcome == ShiftOutcome::Complete { GOOD } else { BAD };
    painted(out, "outcome", style, &format!("{}: {}", shift.outcome.name(), shift.why));
}

/// Calls, errors and p95 of one side.
fn cells(side: SideFigures) -> [String; 3] {
    let errors = side.errors.map_or(String::new(), |share| format!("{:.2} %", share * 100.0));
    [show_count(side.calls), errors, p95(side)]
}

/// p95 of one side; empty if not even a bound is known.
pub(crate) fn p95(side: SideFigures) -> String {
    let bound = if side.at_least[1] { "≥ " } else { "" };
    side.response_us[1].map_or(String::new(), |us| format!("{bound}{}", show_us(us)))
}

/// The shift; null if the run had none.
pub(crate) fn document(report: &Report) -> Value {
    let Some(shift) = &report.shift else { return Value::Null };
    let side = |side: &SideFigures| {
        let bounds = ["p50", "p95"].into_iter().zip(side.at_least);
        let bounds: Vec<&str> = bounds.filter(|(_, is)| *is).map(|(name, _)| name).collect();
        json!({
            "calls": side.calls, "errors": side.errors,
            "response_p50_us": side.response_us[0], "response_p95_us": side.response_us[1],
            "at_least": bounds,
        })
    };
    let step = |step: &ShiftStep| {
        json!({
            "percent": step.percent, "from_s": step.from_s, "judged_s": step.judged_s,
            "passed": step.passed, "why": step.why,
            "old": side(&step.sides[0]), "new": side(&step.sides[1]),
        })
    };
    json!({
        "service": shift.service, "old": shift.targets[0], "new": shift.targets[1],
        "outcome": shift.outcome.name().replace(' ', "_"), "why": shift.why,
        "steps": shift.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

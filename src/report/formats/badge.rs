//! A badge: the verdict and p95, for a page that shows the state of a service.
//!
//! Invariant: one SVG that loads and runs nothing.

use maud::html;

use crate::event::Report;
use crate::exit::ExitStatus;
use crate::report::ansi::plain;
use crate::report::quantile_text::quantile;
use crate::report::rows;

/// Approximate width of a character at 11 px in common badge fonts.
const CHAR: f64 = 6.6;

pub(super) fn render(report: &Report) -> String {
    let measured = &report.snapshot.measured;
    let response = measured.response(|_| true, measured.lost());
    let verdict = rows::verdict(report);
    let value = match report.status {
        ExitStatus::Pass | ExitStatus::Fail => {
            format!("{verdict} · p95 {}", quantile(&response, 0.95))
        }
        _ => verdict.to_owned(),
    };
    // Dark enough for white letters: a contrast of at least 4.5.
    let colour = match report.status {
        ExitStatus::Pass if report.judgements.is_empty() => "#0d5a9e",
        ExitStatus::Pass => "#2e7d32",
        ExitStatus::Fail | ExitStatus::Aborted | ExitStatus::Broken => "#c62828",
        _ => "#8a5a00",
    };
    draw(&report.info.plan.scenario, &value, colour)
}

/// Returns the badge of a run that was not carried out.
pub(super) fn not_carried_out(scenario: &str) -> String {
    draw(scenario, "not carried out", "#c62828")
}

fn draw(scenario: &str, value: &str, colour: &str) -> String {
    let name: String = plain(scenario).chars().take(40).collect();
    let wide = |text: &str| (text.chars().count() as f64 * CHAR + 12.0).round();
    let (left, right) = (wide(&name), wide(value));
    let whole = left + right;
    html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(whole) height="20" role="img"
            aria-label=(format!("{name}: {value}")) {
            title { (name) ": " (value) }
            rect width=(whole) height="20" rx="3" fill="#444" {}
            path d=(format!("M{left} 0H{}a3 3 0 0 1 3 3V17a3 3 0 0 1-3 3H{left}Z", whole - 3.0))
                fill=(colour) {}
            g fill="#fff" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11"
                text-anchor="middle" {
                text x=(left / 2.0) y="14" textLength=(left - 12.0) { (name) }
                text x=(left + right / 2.0) y="14" textLength=(right - 12.0) { (value) }
            }
        }
    }
    .into_string()
        + "\n"
}

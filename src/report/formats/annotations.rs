//! Workflow commands in the format of GitHub's runners: a line per failed threshold, per reason for
//! a low trust level, and for the cause of a stop.
//!
//! `::error` for failures, `::warning` for inconclusive or degraded results.
//! Invariant: foreign text can neither end a line nor start another command.

use std::fmt::Write;

use crate::event::Report;
use crate::exit::ExitStatus;
use crate::report::ansi::plain;
use crate::report::rows::{self, ThresholdRow, ThresholdState};
use crate::verdict::trust::TrustLevel;

pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    let mut say = |level: &str, title: &str, text: &str| {
        let (title, text) = (property(title), data(text));
        let _ = writeln!(out, "::{level} title={title}::{text}");
    };
    let scenario = &report.info.plan.scenario;
    // A threshold that failed on figures without trust is no error of the change under test.
    let level = match report.status {
        ExitStatus::Inconclusive => "warning",
        _ => "error",
    };
    for threshold in rows::thresholds(report).filter(|row| row.state == ThresholdState::Fails) {
        let ThresholdRow { rule, observed, limit, .. } = &threshold;
        let note = threshold.note(", ");
        let note = if note.is_empty() { note } else { format!(", {note}") };
        let title = format!("{scenario}: threshold failed");
        say(level, &title, &format!("{rule}: observed {observed}, limit {limit}{note}"));
    }
    for reason in &report.trust.reasons {
        let affects = reason.affects().join(", ");
        let text = format!("{} (affects {affects}): {}", reason.check, reason.hint);
        say("warning", &format!("{scenario}: trust {}", reason.level.name()), &text);
    }
    if let Some(why) = &report.why {
        let kind = if report.status == ExitStatus::Fail { "error" } else { "warning" };
        say(kind, &format!("{scenario}: verdict"), why);
    }
    if let Some(why) = &report.stopped {
        say("error", &format!("{scenario}: stopped"), why);
    }
    for why in &report.broken {
        say("error", &format!("{scenario}: not carried out"), why);
    }
    let verdict = rows::verdict(report);
    let code = report.status.code();
    let level = match report.status {
        ExitStatus::Pass if report.trust.level == TrustLevel::Yes => "notice",
        ExitStatus::Pass | ExitStatus::Inconclusive => "warning",
        _ => "error",
    };
    say(level, scenario, &format!("{verdict}, exit code {code}"));
    out
}

/// Returns the line of a run that was not carried out.
pub(super) fn not_carried_out(scenario: &str, why: &str) -> String {
    let title = property(&format!("{scenario}: not carried out"));
    format!("::error title={title}::{}\n", data(why))
}

/// Escapes the text of a command.
fn data(text: &str) -> String {
    plain(text).replace('%', "%25")
}

/// Escapes the value of a property, separators included.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_gives_commands() {
        assert_eq!(data("a\n::error::b 5%"), "a\u{fffd}::error::b 5%25");
        assert_eq!(property("a: b, c::d"), "a%3A b%2C c%3A%3Ad");
    }
}

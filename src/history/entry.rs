//! What a run leaves in the history, made of its final report.
//!
//! `cli` makes it, `tables` stores it.
//! Invariant: every text has passed the redactor.

use std::io::Write;
use std::time::UNIX_EPOCH;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::commit::SourceCommit;
use super::figures::{Figure, figures};
use super::intervals::{IntervalHistogram, IntervalSums};
use crate::event::Report;
use crate::printable::printable;
use crate::redact::{MASK, Redactor, SensitiveNames};
use crate::report::json;

/// What the report does not know of a run.
#[derive(Clone, Debug, Default)]
pub struct RunContext {
    /// Tags by name.
    pub tags: Vec<(String, String)>,
    /// The commit of the scenario.
    pub commit: Option<SourceCommit>,
    /// The names whose values are redacted.
    pub names: SensitiveNames,
}

/// A run as it is stored.
#[derive(Clone, Debug)]
pub struct RunEntry {
    pub(super) id: String,
    pub(super) scenario: String,
    /// When it started, ms since 1970.
    pub(super) started_ms: i64,
    pub(super) duration_s: f64,
    pub(super) verdict: Option<&'static str>,
    pub(super) exit_code: u8,
    pub(super) trust: &'static str,
    pub(super) reason: Option<String>,
    pub(super) command: String,
    pub(super) commit: Option<SourceCommit>,
    /// The machine, as lines of `name: value`.
    pub(super) machine: String,
    pub(super) version: &'static str,
    pub(super) tags: Vec<(String, String)>,
    pub(super) figures: Vec<Figure>,
    pub(super) thresholds: Vec<JudgedRule>,
    pub(super) intervals: Vec<IntervalHistogram>,
    /// summary.json, compressed by zlib.
    pub(super) summary: Vec<u8>,
}

/// A threshold with what was observed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JudgedRule {
    pub(super) rule: String,
    pub(super) observed: Option<f64>,
    pub(super) limit: f64,
    pub(super) passed: bool,
}

impl RunEntry {
    /// Makes the entry of a finished run.
    pub fn new(report: &Report, context: &RunContext, intervals: &IntervalSums) -> Self {
        let redactor = Redactor::new(&context.names);
        let text = |text: &str| printable(&redactor.text(text));
        let plan = &report.info.plan;
        let rule = |one: &crate::verdict::Judgement| JudgedRule {
            rule: text(&one.threshold.rule),
            observed: one.observed.filter(|_| !one.is_unknown()),
            limit: one.threshold.limit,
            passed: one.passed,
        };
        let figures = figures(report).into_iter();
        let tag = |(name, value): &(String, String)| {
            let is_secret = redactor.is_sensitive(name);
            (text(name), if is_secret { MASK.to_owned() } else { text(value) })
        };
        let commit = context.commit.clone().map(|commit| SourceCommit {
            branch: commit.branch.map(|branch| text(&branch)),
            ..commit
        });
        let machine = report.info.machine.iter();
        let machine = machine.map(|(name, value)| text(&format!("{name}: {value}")));
        Self {
            id: plan.run_id.clone(),
            scenario: text(&plan.scenario),
            started_ms: report
                .info
                .started_at
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as i64),
            duration_s: report.snapshot.elapsed_ns as f64 / 1e9,
            verdict: report.status.verdict(),
            exit_code: report.status.code(),
            trust: report.trust.level.name(),
            reason: report.why.as_deref().or(report.stopped.as_deref()).map(text),
            command: text(&report.command_line()),
            commit,
            machine: machine.collect::<Vec<_>>().join("\n"),
            version: env!("CARGO_PKG_VERSION"),
            tags: context.tags.iter().map(tag).collect(),
            figures: figures.map(|one| Figure { scope: text(&one.scope), ..one }).collect(),
            thresholds: report.judgements.iter().map(rule).collect(),
            intervals: intervals.encoded(),
            summary: compressed(&json::document(report).to_string()),
        }
    }

    /// The name of the scenario.
    pub fn scenario(&self) -> &str {
        &self.scenario
    }
}

fn compressed(text: &str) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // A vector takes everything.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default()
}

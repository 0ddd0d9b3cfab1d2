//! `--report` of a run that was not carried out: the known facts, in place of an earlier run's
//! report.
//!
//! `cli` calls it when a run ends without a Report.
//! Invariant: no file of `--report` shows the results of another run as those of this one.

use std::io;

use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;

use super::{ReportFormat, annotations, badge, markdown};
use crate::exit::ExitStatus;
use crate::printable::printable_lines;
use crate::redact::{self, Redactor, SensitiveNames};
use crate::report::ansi::plain;
use crate::report::page;

/// A run that was not carried out.
#[derive(Clone, Debug)]
pub struct NotCarriedOut {
    /// The scenario's name, or its file if the name is not known.
    pub scenario: String,
    /// The reason; may have several lines.
    pub why: String,
    /// The exit status.
    pub ending: ExitStatus,
}

impl NotCarriedOut {
    /// Creates it, with credentials redacted in both texts.
    pub fn new(scenario: &str, why: &str, ending: ExitStatus) -> Self {
        let names = SensitiveNames::default();
        let redactor = Redactor::new(&names);
        let shown = |text: &str| redact::redact_secrets(&redactor.sentence(text)).into_owned();
        Self { scenario: shown(scenario), why: shown(why), ending }
    }

    /// Renders a format; `None` if it has no place for it.
    ///
    /// # Errors
    /// If its writer fails.
    pub(crate) fn render(&self, form: ReportFormat) -> io::Result<Option<String>> {
        let lines = self.lines();
        let text = match form {
            ReportFormat::Csv => return Ok(None),
            ReportFormat::Html => page::not_carried_out(&self.scenario, self.ending.code(), &lines),
            ReportFormat::Json => format!("{:#}\n", self.document()),
            ReportFormat::Junit => self.junit(&lines)?,
            ReportFormat::Markdown => markdown::not_carried_out(&self.scenario, &lines.join("; ")),
            ReportFormat::Badge => badge::not_carried_out(&self.scenario),
            ReportFormat::Github => annotations::not_carried_out(&self.scenario, &lines.join("; ")),
        };
        Ok(Some(text))
    }

    /// Returns the lines of the reason that are not empty.
    fn lines(&self) -> Vec<&str> {
        self.why.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect()
    }

    fn document(&self) -> serde_json::Value {
        json!({
            "version": 1,
            "scenario": self.scenario,
            "verdict": self.ending.verdict(),
            "exit_code": self.ending.code(),
            "error": printable_lines(&self.why),
        })
    }

    fn junit(&self, lines: &[&str]) -> io::Result<String> {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(plain(&format!("not carried out: {}", lines.join("; "))));
        let mut case = TestCase::new("carried out", status);
        case.set_classname(plain(&self.scenario));
        let mut suite = TestSuite::new("run");
        suite.add_test_case(case);
        let mut document = Document::new(plain(&self.scenario));
        document.add_test_suite(suite);
        document.to_string().map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_the_reason_as_text() {
        let why = "step `a`: <b> http://u:pw@h/ 5%\n\n::error::x";
        let run = NotCarriedOut::new("s<i>", why, ExitStatus::Broken);
        for (form, parts) in [
            (ReportFormat::Json, &["\"exit_code\": 1", "\"verdict\": null", "step `a`: <b>"][..]),
            (ReportFormat::Junit, &["errors=\"1\"", "name=\"carried out\"", "&lt;b&gt;"]),
            (ReportFormat::Markdown, &["not carried out", "&lt;b&gt;"]),
            (ReportFormat::Badge, &["not carried out", "s&lt;i&gt;"]),
            (
                ReportFormat::Github,
                &["::error title=s<i>%3A not carried out::step `a`", "5%25; ::error"],
            ),
            (ReportFormat::Html, &["not carried out", "&lt;b&gt;", "Content-Security-Policy"]),
        ] {
            let text = run.render(form).unwrap().unwrap();
            assert!(parts.iter().all(|part| text.contains(part)), "{form:?}: {text}");
            assert!(!text.contains("u:pw"), "{form:?}: {text}");
        }
        assert_eq!(run.render(ReportFormat::Github).unwrap().unwrap().lines().count(), 1);
        assert_eq!(run.render(ReportFormat::Csv).unwrap(), None);
    }
}

//! The forms of `--report`, each made from a Report alone.
//!
//! `sinks::exports` writes them to where they go.
//! Invariant: a form that a run without a Report has too (`not_carried_out`) says that it was not
//! carried out.

mod annotations;
mod badge;
mod junit;
mod markdown;
mod not_carried_out;

use std::io;

use super::{csv, json, page};
use crate::event::Report;
use crate::redact;
pub use not_carried_out::NotCarriedOut;

/// A form of report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// `report.html`.
    Html,
    /// `summary.json`.
    Json,
    /// `steps.csv`.
    Csv,
    /// JUnit's XML.
    Junit,
    /// Markdown, as job summaries and comments want it.
    Markdown,
    /// A badge, SVG.
    Badge,
    /// Annotations as GitHub's runners read them from a log.
    Github,
}

impl ReportFormat {
    /// All of them: name, and the ending of a file that means it.
    pub(crate) const ALL: [(&'static str, &'static str, Self); 7] = [
        ("html", "html", Self::Html),
        ("json", "json", Self::Json),
        ("csv", "csv", Self::Csv),
        ("junit", "xml", Self::Junit),
        ("markdown", "md", Self::Markdown),
        ("badge", "svg", Self::Badge),
        ("github", "", Self::Github),
    ];

    /// The report in this form.
    ///
    /// # Errors
    /// When its writer fails.
    pub fn render(self, report: &Report) -> io::Result<String> {
        let text = match self {
            Self::Html => page::document(report),
            Self::Json => format!("{:#}\n", json::document(report)),
            Self::Csv => {
                let mut rows = Vec::new();
                csv::write_steps(&mut rows, report)?;
                String::from_utf8(rows).map_err(io::Error::other)?
            }
            Self::Junit => junit::render(report)?,
            Self::Markdown => markdown::render(report),
            Self::Badge => badge::render(report),
            Self::Github => annotations::render(report),
        };
        Ok(redact::redact_secrets(&text).into_owned())
    }
}

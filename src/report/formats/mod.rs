//! The formats of `--report`, each rendered from a Report alone.
//!
//! `sinks::exports` writes them.
//! Invariant: a format that has a place for it says when a run was not carried out
//! (`not_carried_out`).

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

/// A format of `--report`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    /// `report.html`.
    Html,
    /// `summary.json`.
    Json,
    /// `steps.csv`.
    Csv,
    /// JUnit XML.
    Junit,
    /// Markdown for job summaries and comments.
    Markdown,
    /// A badge as SVG.
    Badge,
    /// Annotations in the format of GitHub's runners.
    Github,
}

impl ReportFormat {
    /// All formats: name, and file extension.
    pub(crate) const ALL: [(&'static str, &'static str, Self); 7] = [
        ("html", "html", Self::Html),
        ("json", "json", Self::Json),
        ("csv", "csv", Self::Csv),
        ("junit", "xml", Self::Junit),
        ("markdown", "md", Self::Markdown),
        ("badge", "svg", Self::Badge),
        ("github", "", Self::Github),
    ];

    /// Renders a report in this format.
    ///
    /// # Errors
    /// If its writer fails.
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

//! A report as one HTML document, or as single sections.
//!
//! `sinks::files` writes [`document`] as `report.html`; `sinks::web` sends [`sections`] to
//! browsers.
//! Invariant: the document loads nothing, and its content security policy allows only its two
//! blocks, by their hashes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::section;
use super::view::PageView;
use super::words::{HtmlLines, HtmlText, short};
use crate::event::Report;

/// The style sheet of every page.
pub const STYLE: &str = include_str!("style.css");
/// The script: hovering, zoom, sorting.
pub const SCRIPT: &str = include_str!("script.js");

/// A section: its id, its title, and its renderer, which may return nothing.
type Section = (&'static str, &'static str, fn(&PageView<'_>) -> Markup);

/// All sections, in their order on the page.
const SECTIONS: [Section; 16] = [
    ("verdict", "Verdict", section::verdict::render),
    ("thresholds", "Thresholds", section::thresholds::render),
    ("load", "Load", section::load::render),
    ("latency", "Latency", section::latency::render),
    ("distribution", "Distribution", section::distribution::render),
    ("steps", "Steps", section::tables::render),
    ("messages", "Streams and messages", section::messages::render),
    ("traces", "Slowest traced calls", section::traces::render),
    ("phases", "Phases", section::phases::render),
    ("answers", "Errors", section::responses::render),
    ("failures", "Failures", section::failures::render),
    ("checks", "Checks", section::checks::render),
    ("client", "Client", section::client::render),
    ("events", "Events", section::events::render),
    ("health", "Health", section::health::render),
    ("scenario", "Scenario", section::scenario::render),
];

/// The first sections of the page of a run in progress.
const LIVE_FIRST: [&str; 3] = ["verdict", "load", "latency"];

/// A rendered section.
#[derive(Debug)]
pub struct RenderedSection {
    /// Id of the section.
    pub id: &'static str,
    /// Title of the section.
    pub title: &'static str,
    /// Content of the section; `None`: nothing to show.
    pub inner: Option<Markup>,
}

/// Returns the whole report as one file.
pub fn document(report: &Report) -> String {
    let mut parts = sections(report);
    parts.retain(|part| part.inner.is_some());
    sections_page(&title(report), &parts)
}

/// Returns a page that says why a run was not carried out.
pub fn not_carried_out(scenario: &str, exit_code: u8, why: &[&str]) -> String {
    let title = format!("not carried out · {}", short(scenario));
    let inner = html! {
        p { "Exit code " (exit_code) ". The run was not carried out:" }
        pre { (HtmlLines(&why.join("\n"))) }
    };
    let part = RenderedSection { id: "verdict", title: "Verdict", inner: Some(inner) };
    let body = html! {
        (bar(&title, &[]))
        main { (place(&part)) }
        footer { "Made by manada " (env!("CARGO_PKG_VERSION")) ". This file needs no network." }
    };
    page(&title, &policy(), &body, SCRIPT)
}

/// Returns a file of these sections.
pub fn sections_page(title: &str, parts: &[RenderedSection]) -> String {
    let body = html! {
        (bar(title, parts))
        main { @for part in parts { (place(part)) } }
        footer { "Made by manada " (env!("CARGO_PKG_VERSION")) ". This file needs no network." }
    };
    page(title, &policy(), &body, SCRIPT)
}

/// Returns a page with `live` on top and empty sections, which `script` fills.
pub fn shell(live: &Markup, script: &str) -> String {
    let mut parts: Vec<RenderedSection> =
        SECTIONS.iter().map(|(id, title, _)| RenderedSection { id, title, inner: None }).collect();
    // While a run goes on, its load and latency come first.
    let rank = |part: &RenderedSection| LIVE_FIRST.iter().position(|id| *id == part.id);
    parts.sort_by_key(|part| rank(part).unwrap_or(LIVE_FIRST.len()));
    let body = html! {
        (bar("manada", &parts))
        (live)
        main { @for part in &parts { (place(part)) } }
    };
    page("live", &html! {}, &body, script)
}

/// Returns the title of a report: the verdict and the scenario.
pub fn title(report: &Report) -> String {
    format!("{} · {}", section::verdict::word(report), short(&report.info.plan.scenario))
}

/// Returns the rendered sections, in order.
pub fn sections(report: &Report) -> Vec<RenderedSection> {
    let view = PageView::new(report);
    let part = |(id, title, render): &Section| {
        let inner = render(&view);
        RenderedSection { id, title, inner: (!inner.0.is_empty()).then_some(inner) }
    };
    SECTIONS.iter().map(part).collect()
}

/// The content security policy of a file: only its own two blocks run, and nothing is loaded.
fn policy() -> Markup {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    html! { meta http-equiv="Content-Security-Policy" content=(policy); }
}

/// Returns the source of a policy that allows this block.
pub fn hash(block: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(block)))
}

/// Returns a whole document around a body.
fn page(title: &str, policy: &Markup, body: &Markup, script: &str) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                (policy)
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (HtmlText(title)) " · manada" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                script { (PreEscaped(script)) }
            }
        }
    }
    .into_string()
}

/// Returns the navigation bar.
fn bar(title: &str, parts: &[RenderedSection]) -> Markup {
    html! {
        header.bar {
            a.brand href="#verdict" { (HtmlText(title)) }
            nav aria-label="Sections" {
                @for RenderedSection { id, title, .. } in parts { a href={ "#" (id) } { (title) } }
            }
            button.theme type="button" hidden { "Dark" }
        }
    }
}

/// Returns a section of the page.
fn place(RenderedSection { id, title, inner }: &RenderedSection) -> Markup {
    html! {
        section id=(id) aria-labelledby={ (id) "-title" } hidden[inner.is_none()] {
            h2 id={ (id) "-title" } { (title) }
            div.inner { @if let Some(inner) = inner { (inner) } }
        }
    }
}

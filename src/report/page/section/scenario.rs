//! The scenario, the machine, and the command that repeats the run.
//!
//! Invariant: the section suffices to repeat the run.

use maud::{Markup, html};

use super::super::view::PageView;
use super::super::words::{HtmlLines, HtmlText, short};
use super::cells::fact;
use crate::units::show_count;

/// Maximum characters of all files together, so that they do not dominate the page.
const ROOM: usize = 512 << 10;

pub fn render(view: &PageView<'_>) -> Markup {
    let PageView { report, plan, .. } = view;
    html! {
        h3 { "Repeat the run" }
        div.command {
            pre { code { (HtmlLines(&report.command_line())) } }
            button.copy type="button" hidden { "Copy" }
        }
        p.note { "All random values follow from seed " (plan.seed.value()) "." }
        h3 { "Machine" }
        dl.facts.wide {
            @for (name, what) in &report.info.machine { (fact(name, &html! { (HtmlText(what)) })) }
            @for (name, place) in &plan.services {
                (fact(&format!("service {}", short(name)), &html! { (HtmlText(place)) }))
            }
        }
        @if !plan.sources.is_empty() { h3 { "Files" } (sources(view)) }
    }
}

fn sources(view: &PageView<'_>) -> Markup {
    let mut room = ROOM;
    let mut shown = Vec::new();
    for source in &view.plan.sources {
        let fits = source.text.len() <= room;
        room -= if fits { source.text.len() } else { 0 };
        shown.push((source, fits));
    }
    html! {
        @for (at, (source, fits)) in shown.iter().enumerate() {
            details.source data-key={ "source" (at) } {
                summary { code { (HtmlText(&source.name)) }
                    span.note { " " (show_count(source.text.lines().count() as u64)) " lines" } }
                @if *fits { pre { (HtmlLines(&source.text)) } }
                @else { p.note { "Too long for this page: see the file itself." } }
            }
        }
    }
}

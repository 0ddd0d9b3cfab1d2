//! The views: each makes a page of what is known, as wide as asked and as high as it needs.
//!
//! `screen` shows the part of the page that is scrolled to.
//! Invariant: a page is a function of what it is given and of nothing else.

mod client;
mod details;
mod errors;
pub(super) mod health;
pub(super) mod help;
mod latency;
mod log;
mod overview;
pub(super) mod parts;
mod steps;
mod users;

use ratatui::buffer::Buffer;
use ratatui::text::Line;

use super::draw;
use super::model::Model;
use super::theme::Theme;
use super::ui_state::UiState;
use crate::event::Report;

pub(super) use details::draw as details;

/// What a view is made of.
#[derive(Clone, Copy)]
pub(super) struct ViewContext<'a> {
    /// The report so far.
    pub(super) report: &'a Report,
    /// What was told once.
    pub(super) state: &'a Model,
    /// What is chosen.
    pub(super) desk: &'a UiState,
    /// How it looks.
    pub(super) theme: Theme,
}

/// A view.
pub(super) struct View {
    /// Its name in the bar.
    pub(super) name: &'static str,
    /// It can be filtered by a text.
    pub(super) filtered: bool,
    /// Makes a page for so many columns and rows; it may be higher.
    pub(super) draw: fn(&ViewContext<'_>, u16, u16) -> Buffer,
}

/// All of them, in the order of their numbers.
pub(super) const VIEWS: [View; 8] = [
    View { name: "overview", filtered: false, draw: overview::draw },
    View { name: "latency", filtered: false, draw: latency::draw },
    View { name: "steps", filtered: true, draw: steps::draw },
    View { name: "users", filtered: true, draw: users::draw },
    View { name: "errors", filtered: true, draw: errors::draw },
    View { name: "client", filtered: true, draw: client::draw },
    View { name: "health", filtered: false, draw: health::draw },
    View { name: "log", filtered: true, draw: log::draw },
];

/// The place of the steps among them.
pub(super) const STEPS: usize = 2;

/// The place of the log among them.
pub(super) const LOG: usize = 7;

impl ViewContext<'_> {
    /// The text that this view is filtered by.
    fn filter(&self) -> &str {
        &self.desk.filters[self.desk.view]
    }

    /// Whether a text is let through.
    fn lets(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.filter().to_lowercase())
    }
}

/// A page of lines.
pub(super) fn text(lines: &[Line<'_>], columns: u16) -> Buffer {
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(MOST);
    let mut page = draw::page(columns, rows);
    let area = page.area;
    draw::lines(&mut page, area, lines);
    page
}

/// The most rows of a page: cells of a buffer are counted in 32 bits, and all of them are held.
const MOST: u16 = 4_000;

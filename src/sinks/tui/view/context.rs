//! What a view is drawn from, and a page of lines.
//!
//! `screen` makes it for each frame.
//! Invariant: a page is a function of it and of nothing else.

use ratatui::buffer::Buffer;
use ratatui::text::Line;

use crate::event::Report;
use crate::sinks::tui::draw;
use crate::sinks::tui::model::Model;
use crate::sinks::tui::theme::Theme;
use crate::sinks::tui::ui_state::UiState;

/// The most rows of a page: cells of a buffer are counted in 32 bits, and all of them are held.
pub(super) const MOST: u16 = 4_000;

/// What a view is drawn from.
#[derive(Clone, Copy)]
pub(crate) struct ViewContext<'a> {
    /// The report so far.
    pub(crate) report: &'a Report,
    /// What is known beside the report.
    pub(crate) state: &'a Model,
    /// What the user of the dashboard has chosen.
    pub(crate) ui: &'a UiState,
    /// Colours and signs.
    pub(crate) theme: Theme,
}

impl ViewContext<'_> {
    /// The text that this view is filtered by.
    pub(crate) fn filter(&self) -> &str {
        &self.ui.filters[self.ui.view]
    }

    /// Whether a text passes the filter.
    pub(crate) fn matches(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.filter().to_lowercase())
    }
}

/// A page of `lines`.
pub(crate) fn text(lines: &[Line<'_>], columns: u16) -> Buffer {
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(MOST);
    let mut page = draw::page(columns, rows);
    let area = page.area;
    draw::lines(&mut page, area, lines);
    page
}

//! The input of a view, and a page of lines.
//!
//! `screen` builds it for each frame.
//! Invariant: a page depends on its context alone.

use ratatui::buffer::Buffer;
use ratatui::text::Line;

use crate::event::Report;
use crate::sinks::tui::draw;
use crate::sinks::tui::model::Model;
use crate::sinks::tui::theme::Theme;
use crate::sinks::tui::ui_state::UiState;

/// Maximum rows of a page: a buffer counts its cells in 32 bits and holds all of them.
pub(super) const MOST: u16 = 4_000;

/// The input of a view.
#[derive(Clone, Copy)]
pub(crate) struct ViewContext<'a> {
    /// The report so far.
    pub(crate) report: &'a Report,
    /// The data beside the report.
    pub(crate) state: &'a Model,
    /// View, selection, filter.
    pub(crate) ui: &'a UiState,
    /// Colours and characters.
    pub(crate) theme: Theme,
}

impl ViewContext<'_> {
    /// Returns the filter of this view.
    pub(crate) fn filter(&self) -> &str {
        &self.ui.filters[self.ui.view]
    }

    /// Whether a text passes the filter.
    pub(crate) fn matches(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.filter().to_lowercase())
    }
}

/// Draws lines on a page.
pub(crate) fn text(lines: &[Line<'_>], columns: u16) -> Buffer {
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(MOST);
    let mut page = draw::page(columns, rows);
    let area = page.area;
    draw::lines(&mut page, area, lines);
    page
}

//! The views: each draws a page, as wide as the screen and as high as it needs.
//!
//! `screen` shows the visible part of the page.
//! Invariant: a page depends on its context alone.

mod backends;
mod client;
mod context;
mod details;
mod errors;
pub(super) mod health;
pub(super) mod help;
mod latency;
mod log;
mod overview;
pub(super) mod parts;
mod steps;
mod streams;
mod times;
mod users;

use ratatui::buffer::Buffer;

pub(super) use context::ViewContext;
pub(super) use details::draw as details;

/// Draws a page of the view with index `view` in `VIEWS`, for a screen of `columns` and `rows`; the
/// page may be higher.
pub(super) fn draw(view: usize, context: &ViewContext<'_>, columns: u16, rows: u16) -> Buffer {
    let draw = match view {
        0 => overview::draw,
        1 => latency::draw,
        2 => steps::draw,
        3 => users::draw,
        4 => errors::draw,
        5 => client::draw,
        6 => health::draw,
        7 => log::draw,
        _ => streams::draw,
    };
    draw(context, columns, rows)
}

//! The backends of services with several addresses, in the view of the client.
//!
//! Invariant: a row per backend, also for those that got no calls.

use ratatui::style::Style;
use ratatui::text::Line;

use super::context::ViewContext;
use super::parts::{show_share, table, time, title};
use crate::report::rows::{self, BackendStanding};
use crate::sinks::tui::table::{Cell, ViewTable, numbers, words};
use crate::sinks::tui::text::clean;
use crate::units::show_count;

/// Draws the table; nothing without such services.
pub(super) fn draw(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let theme = context.theme;
    let found = rows::backends(context.report);
    if found.is_empty() {
        return;
    }
    lines.push(Line::default());
    lines.push(title("Backends", columns, theme));
    let mut all = ViewTable::new(&[
        words("backend", 0),
        words("service", 3),
        words("state", 0),
        numbers("calls", 0),
        numbers("failed attempts", 1),
        numbers("errors", 0),
        numbers("p50", 2),
        numbers("p95", 0),
        numbers("p99", 1),
    ]);
    let found =
        found.iter().filter(|row| context.matches(row.name) || context.matches(row.service));
    for row in found {
        let calls = &row.whole.calls;
        let (state, style) = match row.state {
            None => ("· unknown", theme.dim()),
            Some(BackendStanding::InUse) => ("✓ in use", theme.good()),
            Some(BackendStanding::Unhealthy) => ("✗ unhealthy", theme.bad()),
            Some(BackendStanding::Ejected) => ("✗ ejected", theme.bad()),
        };
        let alarm = |is: bool| if is { theme.bad() } else { Style::new() };
        let errors = calls.calls.error_share();
        let mut cells = vec![
            Cell::plain(clean(row.name)),
            Cell(clean(row.service), theme.dim()),
            Cell(state.to_owned(), style),
            Cell::plain(show_count(calls.calls.made)),
            Cell(show_count(row.whole.failed), alarm(row.whole.failed > 0)),
            Cell(errors.map_or("-".to_owned(), show_share), alarm(errors > Some(0.0))),
        ];
        cells.extend([0.5, 0.95, 0.99].map(|p| Cell::plain(time(&calls.response, p))));
        all.row(cells);
    }
    table(lines, &all, columns, theme);
}

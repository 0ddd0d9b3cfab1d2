//! The table of steps: sorted, filtered, with a selection.
//!
//! Invariant: the selected step is visible, and stays selected when the order changes.

use ratatui::buffer::Buffer;
use ratatui::style::Style;
use ratatui::text::Line;

use super::context::ViewContext;
use super::parts::{share_style, show_share, time};
use crate::ids::StepId;
use crate::report::rows::{StepLabels, current_step, is_measuring};
use crate::sinks::tui::draw::{line, page, span};
use crate::sinks::tui::ranking::{COLUMNS, order};
use crate::sinks::tui::table::{Cell, Column, ViewTable, numbers, words};
use crate::sinks::tui::text::clean;
use crate::units::{counted, show_count, show_rate};

/// Draws the view, exactly `rows` rows high.
pub(super) fn draw(context: &ViewContext<'_>, columns: u16, rows: u16) -> Buffer {
    let mut page = page(columns, rows);
    let (report, theme, area) = (context.report, context.theme, page.area);
    let shown = order(report, context.ui.sort, context.filter());
    let (head, lines) = table(context, &shown, columns).lines(columns.into(), theme);
    line(&mut page, area, 0, &note(context, shown.len()));
    line(&mut page, area, 1, &head);
    let room = usize::from(rows).saturating_sub(2);
    let chosen = context.ui.place(context.state).unwrap_or(0);
    // The selected row is in the middle, except near both ends.
    let skip = chosen.saturating_sub(room / 2).min(lines.len().saturating_sub(room));
    for (row, (at, text)) in lines.iter().enumerate().skip(skip).take(room).enumerate() {
        let row = row as u16 + 2;
        line(&mut page, area, row, text);
        if at == chosen {
            let strip = ratatui::layout::Rect { y: row, height: 1, ..area };
            page.set_style(strip, theme.chosen());
        }
    }
    if lines.is_empty() {
        line(&mut page, area, 2, &super::parts::nothing("no step matches the filter", theme));
    }
    page
}

/// Returns the line above the table: number of steps, filter, order.
fn note(context: &ViewContext<'_>, shown: usize) -> Line<'static> {
    let (report, theme) = (context.report, context.theme);
    let all = report.info.plan.steps.len();
    let when = match (is_measuring(report), report.info.plan.warmup.is_zero()) {
        (false, _) => ", in the warm-up",
        (true, false) => ", after the warm-up",
        (true, true) => "",
    };
    let filter = match context.filter() {
        "" => String::new(),
        filter => format!(" with `{}`", clean(filter)),
    };
    let sort = context.ui.sort;
    let by = if sort.by == 0 { "plan order" } else { COLUMNS[sort.by] };
    let by = if sort.by == 0 { by.to_owned() } else { format!("by {by}") };
    let all = counted(all as u64, "step");
    let some =
        if shown == report.info.plan.steps.len() { all } else { format!("{shown} of {all}") };
    let text = format!("{some}{filter}, {by}; response times{when}  ·  > < sort  r reverse");
    Line::from(span(text, theme.dim()))
}

/// The least width of a screen with columns for workload and archetype.
const WIDE: u16 = 100;

fn table(context: &ViewContext<'_>, shown: &[StepId], room: u16) -> ViewTable {
    let report = context.report;
    let plan = &report.info.plan;
    // A column with the same value in each row is left out.
    let one_name = plan
        .steps
        .iter()
        .all(|step| plan.archetypes[step.archetype.index()] == plan.workloads[step.workload].name);
    let columns: [Column; 11] = [
        words(COLUMNS[0], if room < WIDE { 98 } else { 7 }),
        words(COLUMNS[1], if one_name || room < WIDE { 99 } else { 8 }),
        // With workload and archetype, names need room to be told apart.
        words(COLUMNS[2], 0).at_least(if room < WIDE { 24 } else { 14 }),
        numbers(COLUMNS[3], 1),
        numbers(COLUMNS[4], 5),
        numbers(COLUMNS[5], 0),
        numbers(COLUMNS[6], 4),
        numbers(COLUMNS[7], 0),
        numbers(COLUMNS[8], 2),
        numbers(COLUMNS[9], 6),
        numbers(COLUMNS[10], 3),
    ];
    let mut table = ViewTable::new(&columns).sorted(context.ui.sort.by, context.ui.sort.falling);
    let labels = (room < WIDE).then(|| StepLabels::new(report));
    shown.iter().for_each(|step| table.row(row(context, *step, labels.as_ref())));
    table
}

fn row(context: &ViewContext<'_>, step: StepId, labels: Option<&StepLabels<'_>>) -> Vec<Cell> {
    let theme = context.theme;
    let row = current_step(context.report, step);
    let name = labels.map_or(row.name.to_owned(), |labels| labels.label(step));
    let [workload, archetype, name] = [row.workload, row.archetype, &name].map(clean);
    let mut cells =
        vec![Cell(workload, theme.dim()), Cell(archetype, theme.dim()), Cell(name, Style::new())];
    if !row.was_called() {
        cells.push(Cell("0".to_owned(), theme.dim()));
        cells.extend((0..7).map(|_| Cell("-".to_owned(), theme.dim())));
        return cells;
    }
    let errors = row.calls().error_share().unwrap_or(0.0);
    let rate = show_rate(row.calls_per_s.unwrap_or_default());
    cells.push(Cell::plain(show_count(row.calls().made)));
    cells.push(Cell::plain(format!("{rate}/s")));
    cells.push(Cell(show_share(errors), share_style(errors, theme)));
    cells.extend([0.5, 0.95, 0.99, 1.0].map(|p| Cell::plain(time(&row.window.response, p))));
    cells.push(Cell(time(&row.window.service, 0.99), theme.dim()));
    cells
}

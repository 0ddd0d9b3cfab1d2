//! Tables with titles; the least important columns are left out if there is no room.
//!
//! Views fill it; it returns lines.
//! Invariant: no line is wider than its area; numbers are never cut: a column is complete or left
//! out; texts are cut in their middle.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::draw::span;
use super::text::{fit_middle, width};
use super::theme::Theme;

/// Space between two columns.
const GAP: usize = 2;

/// The width below which texts are not cut, if their column has no other.
const LEAST: usize = 14;

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// Title of the column.
    pub(super) title: &'static str,
    /// Whether the column has texts (left-aligned, may be cut) or numbers (right-aligned, never
    /// cut).
    pub(super) text: bool,
    /// The column with the highest value is left out first; zero is never left out.
    pub(super) order: u8,
    /// The width below which texts are not cut.
    least: usize,
}

impl Column {
    /// Sets the width below which texts are not cut.
    pub(super) const fn at_least(self, least: usize) -> Self {
        Self { least, ..self }
    }
}

/// A text with its style.
#[derive(Clone, Debug)]
pub(super) struct Cell(pub(super) String, pub(super) Style);

/// A table.
#[derive(Clone, Debug)]
pub(super) struct ViewTable {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// The column by which rows are sorted, and whether the largest comes first.
    sorted: Option<(usize, bool)>,
}

/// Returns a column of texts.
pub(super) const fn words(title: &'static str, order: u8) -> Column {
    Column { title, text: true, order, least: LEAST }
}

/// Returns a column of numbers.
pub(super) const fn numbers(title: &'static str, order: u8) -> Column {
    Column { title, text: false, order, least: LEAST }
}

impl Cell {
    /// Returns a text without a style.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self(text.into(), Style::new())
    }
}

impl ViewTable {
    /// Creates a table without rows.
    pub(super) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new(), sorted: None }
    }

    /// Marks the column by which rows are sorted.
    pub(super) fn sorted(mut self, column: usize, falling: bool) -> Self {
        self.sorted = Some((column, falling));
        self
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Whether the table has no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the titles, and a line for each row, in `columns` columns of the screen.
    pub(super) fn lines(&self, room: usize, theme: Theme) -> (Line<'static>, Vec<Line<'static>>) {
        let shown = self.shown(room);
        let head = shown.iter().map(|&(at, columns)| {
            let style = match self.sorted {
                Some((sorted, _)) if sorted == at => theme.accent().patch(theme.bold()),
                _ => theme.dim(),
            };
            (Cell(self.title(at), style), self.columns[at].text, columns)
        });
        let head = join(head.collect());
        let line = |row: &Vec<Cell>| {
            let cells = shown.iter().map(|&(at, columns)| {
                let cell = row.get(at).cloned().unwrap_or(Cell::plain(""));
                (cell, self.columns[at].text, columns)
            });
            join(cells.collect())
        };
        (head, self.rows.iter().map(line).collect())
    }

    fn title(&self, at: usize) -> String {
        match self.sorted {
            Some((sorted, true)) if sorted == at => format!("{}▼", self.columns[at].title),
            Some((sorted, false)) if sorted == at => format!("{}▲", self.columns[at].title),
            _ => self.columns[at].title.to_owned(),
        }
    }

    /// Returns the columns that fit, with their widths.
    fn shown(&self, room: usize) -> Vec<(usize, usize)> {
        let wanted = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(at));
            let widest = cells.map(|cell| width(&cell.0)).max().unwrap_or(0);
            widest.max(width(&self.title(at)))
        };
        let mut shown: Vec<(usize, usize)> =
            (0..self.columns.len()).map(|at| (at, wanted(at))).collect();
        loop {
            let over = sum(&shown).saturating_sub(room);
            if over == 0 || self.squeeze(&mut shown, over) {
                return shown;
            }
            let order = |at: usize| self.columns[shown[at].0].order;
            let last = (0..shown.len()).filter(|at| order(*at) > 0).max_by_key(|at| order(*at));
            match last {
                Some(at) => drop(shown.remove(at)),
                None if shown.len() > 1 => drop(shown.pop()),
                None => {
                    shown.iter_mut().for_each(|(_, columns)| *columns = room.min(*columns));
                    return shown;
                }
            }
        }
    }

    /// Narrows text columns, the widest first, and returns whether that was enough. A text keeps a
    /// minimum width.
    fn squeeze(&self, shown: &mut [(usize, usize)], over: usize) -> bool {
        let spare = |&(at, columns): &(usize, usize)| {
            let column = self.columns[at];
            if column.text { columns.saturating_sub(column.least) } else { 0 }
        };
        if shown.iter().map(spare).sum::<usize>() < over {
            return false;
        }
        for _ in 0..over {
            if let Some(widest) = shown.iter_mut().max_by_key(|one| spare(one)) {
                widest.1 -= 1;
            }
        }
        true
    }
}

fn sum(shown: &[(usize, usize)]) -> usize {
    let columns: usize = shown.iter().map(|(_, columns)| columns).sum();
    columns + GAP * shown.len().saturating_sub(1)
}

fn join(cells: Vec<(Cell, bool, usize)>) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = Vec::with_capacity(cells.len() * 3);
    for (Cell(text, style), left, columns) in cells {
        if !spans.is_empty() {
            spans.push(Span::raw(" ".repeat(GAP)));
        }
        let text = fit_middle(&text, columns);
        let room = " ".repeat(columns - width(&text));
        if left {
            spans.extend([span(text, style), Span::raw(room)]);
        } else {
            spans.extend([Span::raw(room), span(text, style)]);
        }
    }
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::tui::theme::Colours;

    const PLAIN: Theme = Theme { colours: Colours::None, unicode: true };

    fn table() -> ViewTable {
        let columns = [words("name", 0), numbers("calls", 0), numbers("p95", 2), numbers("max", 3)];
        let mut table = ViewTable::new(&columns).sorted(1, true);
        for (name, calls) in [("a name that is rather long", "1 234"), ("世界", "5")] {
            let cells = [name, calls, "10.0 ms", "1.00 s"].map(Cell::plain);
            table.row(cells.to_vec());
        }
        table
    }

    #[test]
    fn columns_go_by_their_order_and_texts_are_cut_before() {
        let head = |room| table().lines(room, PLAIN).0.to_string();
        assert_eq!(head(60), "name                        calls▼      p95     max");
        assert_eq!(head(40), "name             calls▼      p95     max");
        assert_eq!(head(36), "name                 calls▼      p95");
        assert_eq!(head(24), "name              calls▼");
        let rows = table().lines(24, PLAIN).1;
        assert_eq!(rows[0].to_string(), "a name t…er long   1 234");
        assert_eq!(rows[1].to_string(), "世界                   5");
    }

    #[test]
    fn no_line_is_wider_than_it_may_be() {
        for room in 0..80 {
            let (head, rows) = table().lines(room, PLAIN);
            assert!(head.width() <= room, "{room}: {head}");
            assert!(rows.iter().all(|row| row.width() <= room), "{room}");
        }
    }
}

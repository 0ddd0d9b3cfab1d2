//! Tables for the terminal, with aligned columns and colours, within 80 columns.
//!
//! Invariant: the width of a cell is that on the screen, without escape sequences; a cell is never
//! cut: a name that would make its table too wide has a line of its own.

use super::ansi::{DIM, paint, width};
use super::text_lines::{WIDTH, lines};

/// The alignment of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// The width that names of rows may have in any case, columns.
const NAME_WIDTH: usize = 12;

/// A table that is rendered when it is complete.
#[derive(Debug)]
pub(crate) struct TextTable {
    aligns: Vec<Align>,
    /// The column of the names of rows.
    names: usize,
    rows: Vec<TextRow>,
}

#[derive(Debug)]
enum TextRow {
    Cells(Vec<String>),
    Title(String),
    Note(String),
}

impl TextTable {
    /// Creates a table whose first column has the names of its rows.
    pub(crate) fn new(aligns: &[Align]) -> Self {
        Self { aligns: aligns.to_vec(), names: 0, rows: Vec::new() }
    }

    /// Sets the column that has the names of the rows.
    #[must_use]
    pub(crate) fn with_names_in(self, names: usize) -> Self {
        Self { names, ..self }
    }

    pub(crate) fn head<const N: usize>(&mut self, names: [&str; N]) {
        self.row(names.map(|name| paint(DIM, name)));
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(TextRow::Cells(cells.into()));
    }

    /// Adds a line that does not belong to the columns.
    pub(crate) fn title(&mut self, text: String) {
        self.rows.push(TextRow::Title(text));
    }

    /// Adds a plain text to the row before: beside its cells if it fits there, else below them.
    pub(crate) fn note(&mut self, text: &str) {
        self.rows.push(TextRow::Note(text.to_owned()));
    }

    pub(crate) fn render(&self, out: &mut String, indent: usize) {
        let (widths, gap) = self.widths(indent);
        let mut done: Vec<String> = Vec::new();
        for row in &self.rows {
            match row {
                TextRow::Title(text) => done.push(format!("{:indent$}{text}", "")),
                TextRow::Cells(cells) => {
                    done.extend(self.cell_lines(cells, &widths, gap, indent));
                }
                TextRow::Note(text) => add_note(&mut done, text, indent),
            }
        }
        for line in done {
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }

    /// The width of each column, and of the gap between two; where the table would be too wide, the
    /// column of names gives way, then the gap.
    fn widths(&self, indent: usize) -> (Vec<usize>, usize) {
        let mut widths = vec![0; self.aligns.len()];
        for row in &self.rows {
            if let TextRow::Cells(cells) = row {
                for (widest, cell) in widths.iter_mut().zip(cells) {
                    *widest = width(cell).max(*widest);
                }
            }
        }
        let name = widths[self.names];
        let all = |gap: usize| indent + widths.iter().map(|width| width + gap).sum::<usize>() - gap;
        let room = |gap: usize| (WIDTH + name).saturating_sub(all(gap));
        let gap = if room(2) < NAME_WIDTH.min(name) { 1 } else { 2 };
        let room = room(gap);
        widths[self.names] = name.min(room.max(NAME_WIDTH));
        (widths, gap)
    }

    /// A row on a line; on two if its name is wider than the column.
    fn cell_lines(
        &self,
        cells: &[String],
        widths: &[usize],
        gap: usize,
        indent: usize,
    ) -> Vec<String> {
        let mut done = Vec::new();
        let mut line = " ".repeat(indent);
        for (at, ((cell, widest), align)) in cells.iter().zip(widths).zip(&self.aligns).enumerate()
        {
            let cell_width = width(cell);
            if cell_width > *widest && at + 1 < cells.len() {
                let before = line.chars().count();
                line.push_str(cell);
                done.push(std::mem::replace(&mut line, " ".repeat(before + widest + gap)));
                continue;
            }
            let fill = " ".repeat(widest.saturating_sub(cell_width));
            match align {
                Align::Left => line.extend([cell.as_str(), &fill]),
                Align::Right => line.extend([fill.as_str(), cell]),
            }
            line.push_str(&" ".repeat(gap));
        }
        done.push(line);
        done
    }
}

/// Adds a note to the last line if there is room, else on lines of its own.
fn add_note(done: &mut Vec<String>, text: &str, indent: usize) {
    if let Some(last) = done.last_mut()
        && width(last) + width(text) <= WIDTH
    {
        last.push_str(&paint(DIM, text));
        return;
    }
    let indent = indent + 5;
    let wrapped = lines(text, WIDTH - indent);
    done.extend(wrapped.iter().map(|line| format!("{:indent$}{}", "", paint(DIM, line))));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(table: &TextTable) -> Vec<String> {
        let mut out = String::new();
        table.render(&mut out, 2);
        let strip = |line: &str| anstream::adapter::strip_str(line).to_string();
        out.lines().map(strip).collect()
    }

    #[test]
    fn a_long_name_has_a_line_of_its_own_in_a_wide_table() {
        let aligns = [Align::Left, Align::Right, Align::Right];
        let mut table = TextTable::new(&aligns);
        table.row(["short".to_owned(), "1".to_owned(), "x".repeat(40)]);
        table.row(["a step with a name of 33 columns".to_owned(), "2".to_owned(), "y".to_owned()]);
        let lines = shown(&table);
        assert!(lines.iter().all(|line| width(line) <= WIDTH), "{lines:#?}");
        assert_eq!(lines.len(), 2, "it fits: {lines:#?}");
        table.row([
            "a step with a name of 34  columns!".to_owned(),
            "3".to_owned(),
            "z".to_owned(),
        ]);
        let lines = shown(&table);
        assert!(lines.iter().all(|line| width(line) <= WIDTH), "{lines:#?}");
        assert_eq!(lines[2], "  a step with a name of 34  columns!", "{lines:#?}");
        let ends = [0, 1, 3].map(|at| width(&lines[at]));
        assert_eq!(ends, [80; 3], "{lines:#?}");
    }

    #[test]
    fn a_note_is_beside_its_row_or_wrapped_below() {
        let mut table = TextTable::new(&[Align::Left, Align::Left]).with_names_in(1);
        table.row(["x".to_owned(), "rule".to_owned()]);
        table.note("margin 3 % left");
        table.row(["x".to_owned(), "rule".to_owned()]);
        table.note(&"word ".repeat(20));
        let lines = shown(&table);
        assert_eq!(lines[0], "  x  rule  margin 3 % left");
        assert_eq!(lines[1], "  x  rule");
        assert!(lines[2].starts_with("       word") && lines.len() == 4, "{lines:#?}");
        assert!(lines.iter().all(|line| width(line) <= WIDTH), "{lines:#?}");
    }
}

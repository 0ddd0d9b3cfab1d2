//! Tables for the terminal, with aligned columns and colours.
//!
//! Invariant: the width of a cell is that on the screen, without escape sequences.

use super::ansi::{DIM, paint, width};

/// The alignment of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table that is rendered when it is complete.
#[derive(Debug)]
pub(crate) struct TextTable {
    aligns: Vec<Align>,
    rows: Vec<TextRow>,
}

#[derive(Debug)]
enum TextRow {
    Cells(Vec<String>),
    Title(String),
}

impl TextTable {
    pub(crate) fn new(aligns: &[Align]) -> Self {
        Self { aligns: aligns.to_vec(), rows: Vec::new() }
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

    pub(crate) fn render(&self, out: &mut String, indent: usize) {
        let mut widths = vec![0; self.aligns.len()];
        for row in &self.rows {
            if let TextRow::Cells(cells) = row {
                for (widest, cell) in widths.iter_mut().zip(cells) {
                    *widest = width(cell).max(*widest);
                }
            }
        }
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            match row {
                TextRow::Title(text) => line.push_str(text),
                TextRow::Cells(cells) => {
                    for ((cell, widest), align) in cells.iter().zip(&widths).zip(&self.aligns) {
                        let fill = " ".repeat(widest - width(cell));
                        match align {
                            Align::Left => line.extend([cell.as_str(), &fill]),
                            Align::Right => line.extend([fill.as_str(), cell]),
                        }
                        line.push_str("  ");
                    }
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}

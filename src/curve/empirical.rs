//! Measured durations: a column of a CSV file as a distribution.
//!
//! `scenario` and the compact form read it, `distribution` draws from it.
//! Invariant: its values are sorted and there is at least one.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::clamped;
use crate::units::{nanos, parse_duration};

/// Maximum rows that are read.
pub const MAX_ROWS: usize = 1_000_000;

/// Maximum bytes that are read: a row of such a file is rarely longer than this divided by its
/// rows.
const MAX_BYTES: u64 = 256 << 20;

/// Opens the file at a path.
pub type OpenFile<'a> = &'a dyn Fn(&Path) -> io::Result<File>;

/// A distribution of measured values, with linear interpolation between neighbours.
#[derive(Clone, Debug, PartialEq)]
pub struct Empirical {
    /// Path of the file, relative to the working directory.
    pub path: String,
    /// The column's name in the file's first row.
    pub column: String,
    /// The unit of bare numbers: `ns`, `us`, `ms`, `s`…; `None`: bare numbers are errors.
    pub unit: Option<String>,
    /// Sorted values, ns.
    sorted: Arc<[u64]>,
}

/// Why a column cannot be read; the text follows the file's name and a colon.
#[derive(Debug, thiserror::Error)]
pub enum EmpiricalError {
    /// The file does not exist.
    #[error("file not found")]
    NotFound,
    /// The file cannot be read.
    #[error("cannot read it: {0}")]
    Unreadable(io::Error),
    /// The file is not CSV.
    #[error("not a CSV file: {0}")]
    NotCsv(#[from] csv::Error),
    /// The file has no such column.
    #[error("no column `{column}`; its columns are {}", known.join(", "))]
    NoColumn {
        /// The name that was looked for.
        column: String,
        /// The first names in the file.
        known: Vec<String>,
    },
    /// The file has more than [`MAX_ROWS`] rows.
    #[error("more than {MAX_ROWS} rows")]
    TooManyRows,
    /// A cell is a number without a unit.
    #[error("`{cell}` in line {line} has no unit: set `unit: ms`, or write `{cell}ms`")]
    BareNumber {
        /// The beginning of the cell.
        cell: String,
        /// Line of the value.
        line: u64,
    },
    /// A cell is not a duration.
    #[error("`{cell}` in line {line} is not a duration such as 12ms")]
    NotADuration {
        /// The beginning of the cell.
        cell: String,
        /// Line of the value.
        line: u64,
    },
    /// The file has no rows.
    #[error("no rows")]
    NoRows,
}

impl Empirical {
    /// Reads a column of a file: cells are durations such as `12ms`; with a `unit`, bare numbers
    /// are in it.
    ///
    /// # Errors
    /// If the file cannot be read, is not CSV, or has no such column of durations.
    pub fn read(
        path: &Path,
        open: OpenFile<'_>,
        column: &str,
        unit: Option<&str>,
    ) -> Result<Self, EmpiricalError> {
        let file = open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => EmpiricalError::NotFound,
            _ => EmpiricalError::Unreadable(error),
        })?;
        let values = values(file.take(MAX_BYTES), column, unit)?;
        let path = path.display().to_string();
        Ok(Self { path, column: column.to_owned(), unit: unit.map(str::to_owned), sorted: values })
    }

    /// The value at a share `p` from 0 to 1: linear between order statistics.
    pub fn at(&self, p: f64) -> f64 {
        let place = p * (self.sorted.len() - 1) as f64;
        let (index, part) = (place as usize, place.fract());
        let low = self.sorted[index] as f64;
        match self.sorted.get(index + 1) {
            Some(&high) => low + (high as f64 - low) * part,
            None => low,
        }
    }

    /// The mean of the draws, clamped to a range.
    pub fn mean(&self, a: f64, b: f64) -> f64 {
        if let [only] = *self.sorted {
            return (only as f64).clamp(a, b);
        }
        // The quantile function is linear between neighbours: uniform distributions with equal
        // weights.
        let parts = self.sorted.windows(2);
        let sum: f64 =
            parts.map(|pair| clamped::uniform(pair[0] as f64, pair[1] as f64, a, b)).sum();
        sum / (self.sorted.len() - 1) as f64
    }
}

fn values(file: impl Read, column: &str, unit: Option<&str>) -> Result<Arc<[u64]>, EmpiricalError> {
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(file);
    let names = reader.headers()?;
    let Some(place) = names.iter().position(|name| name.trim_start_matches('\u{feff}') == column)
    else {
        let known = names.iter().take(20).map(str::to_owned).collect();
        return Err(EmpiricalError::NoColumn { column: column.to_owned(), known });
    };
    let mut values = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record)? {
        if values.len() == MAX_ROWS {
            return Err(EmpiricalError::TooManyRows);
        }
        let cell = record.get(place).unwrap_or_default();
        let value = cell_value(cell, unit).ok_or_else(|| {
            let line = record.position().map_or(0, csv::Position::line);
            let cell: String = cell.chars().take(40).collect();
            match unit {
                None if cell.parse::<f64>().is_ok() => EmpiricalError::BareNumber { cell, line },
                _ => EmpiricalError::NotADuration { cell, line },
            }
        })?;
        values.push(nanos(value));
    }
    if values.is_empty() {
        return Err(EmpiricalError::NoRows);
    }
    values.sort_unstable();
    Ok(values.into())
}

fn cell_value(cell: &str, unit: Option<&str>) -> Option<Duration> {
    let bare = !cell.is_empty() && cell.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match unit {
        Some(unit) if bare => parse_duration(&format!("{cell}{unit}")).ok(),
        _ => parse_duration(cell).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, column: &str, unit: Option<&str>) -> Result<Vec<u64>, String> {
        let values = values(text.as_bytes(), column, unit);
        values.map(|values| values.to_vec()).map_err(|error| error.to_string())
    }

    #[test]
    fn cells_are_durations_and_bare_numbers_need_a_unit() {
        let ms = 1_000_000;
        assert_eq!(read("a,took\n1,3ms\n2,1ms\n", "took", None), Ok(vec![ms, 3 * ms]));
        assert_eq!(read("took\n1.5\n2s\n", "took", Some("ms")), Ok(vec![1_500_000, 2_000 * ms]));
        for (text, column, unit, part) in [
            ("took\n12\n", "took", None, "`12` in line 2 has no unit"),
            ("took\n1ms\nfast\n", "took", Some("ms"), "`fast` in line 3"),
            ("took,b\n", "took", None, "no rows"),
            ("took,b\n1ms,2\n", "tok", None, "its columns are took, b"),
            ("a,took\n1\n", "took", None, "`` in line 2"),
        ] {
            let message = read(text, column, unit).unwrap_err();
            assert!(message.contains(part), "{text:?}: {message}");
        }
        let many = format!("t\n{}", "1ms\n".repeat(MAX_ROWS + 1));
        assert!(read(&many, "t", None).unwrap_err().contains("more than"));
    }

    #[test]
    fn values_are_linear_between_neighbours() {
        let empirical = |sorted: &[u64]| Empirical {
            path: String::new(),
            column: String::new(),
            unit: None,
            sorted: sorted.into(),
        };
        let three = empirical(&[10, 20, 60]);
        for (p, value) in [(0.0, 10.0), (0.25, 15.0), (0.5, 20.0), (0.75, 40.0), (1.0, 60.0)] {
            assert!((three.at(p) - value).abs() < 1e-9, "{p}");
        }
        // The mean of the interpolated distribution, not of the rows: (15 + 40) / 2.
        assert!((three.mean(0.0, f64::INFINITY) - 27.5).abs() < 1e-9);
        // 15 to 15, then 15 to 20: 16.25 over one half, and 20 over the other.
        assert!((three.mean(15.0, 20.0) - 18.125).abs() < 1e-9);
        assert!((empirical(&[7]).at(0.3) - 7.0).abs() < 1e-9);
    }
}

//! The rows of a feed: small files in memory, large ones read from disk on demand.
//!
//! `scenario` opens them; `engine` reads a row when a user takes it.
//! Invariant: memory is bounded whatever the file's size; a row is a map from column to value.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::FileExt;

use serde_json::Value as Json;

use super::sanitize::ColumnRules;
use crate::template::Value;
use crate::template::exact_json::{self as exact, to_value};
use crate::units::counted;

/// Files up to this size are held in memory: 32 MiB.
const IN_MEMORY: u64 = 32 << 20;

/// In larger files the offset of every 32nd row is indexed; the rows between are read from there.
const STRIDE: u64 = 32;

/// Maximum size of `STRIDE` rows: 16 MiB.
const MAX_STRETCH: usize = 16 << 20;

/// The UTF-8 byte order mark, which some programs put at the start of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The file format of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated (RFC 4180), column names in the first line.
    Csv,
    /// One JSON array of objects, or one object per line.
    Json,
}

/// Rows, with the rules for their columns.
#[derive(Debug)]
pub struct Rows {
    storage: RowStorage,
    rules: ColumnRules,
    /// The columns that the rules drop.
    dropped: Vec<String>,
}

#[derive(Debug)]
enum RowStorage {
    Memory(Vec<Value>),
    File(Stretches),
}

/// A large file of rows.
#[derive(Debug)]
struct Stretches {
    file: File,
    /// Column names of a CSV file; `None`: JSON lines.
    columns: Option<Vec<String>>,
    /// Offsets of rows 0, `STRIDE`, 2 × `STRIDE` …, and the end of the last row.
    begins: Vec<u64>,
    rows: u64,
}

/// Why a file cannot be used as rows.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// A line is malformed.
    #[error("line {line}: {message}")]
    Malformed {
        /// Line number, from 1.
        line: u64,
        /// What is wrong with it.
        message: String,
    },
    /// Two columns have the same name, and a row could hold only one of them.
    #[error("duplicate column `{0}`")]
    SameColumn(String),
    /// There are no rows.
    #[error("no rows")]
    Empty,
    /// A JSON array is too large to hold in memory.
    #[error("a JSON array larger than 32 MiB")]
    TooLarge,
}

impl Rows {
    /// Uses rows from memory, without what the rules take.
    ///
    /// # Errors
    /// If there are none.
    pub fn inline(rows: Vec<Value>, rules: ColumnRules) -> Result<Self, RowsError> {
        if rows.is_empty() {
            return Err(RowsError::Empty);
        }
        let is_dropped = |name: &String| rules.drops(name);
        let dropped: BTreeSet<String> = rows.iter().flat_map(names).filter(is_dropped).collect();
        let rows = rows.into_iter().map(|row| rules.apply(row)).collect();
        let dropped = dropped.into_iter().collect();
        Ok(Self { storage: RowStorage::Memory(rows), rules, dropped })
    }

    /// Reads a file of rows. It reads the whole file once, so that errors show before the run.
    ///
    /// # Errors
    /// If the file cannot be read, has no rows, or has a malformed one.
    pub fn read(file: File, format: Format, rules: ColumnRules) -> Result<Self, RowsError> {
        let size = file.metadata()?.len();
        if size > IN_MEMORY {
            return Self::index(file, format, rules);
        }
        let text = io::read_to_string(BufReader::new(file))?;
        let rows = match format {
            Format::Csv => csv_rows(text.as_bytes(), None)?,
            Format::Json => json_rows(&text)?,
        };
        Self::inline(rows, rules)
    }

    /// Indexes the rows of a large file.
    pub(super) fn index(file: File, format: Format, rules: ColumnRules) -> Result<Self, RowsError> {
        let stretches = match format {
            Format::Csv => index_csv(file)?,
            Format::Json => index_lines(file)?,
        };
        if stretches.rows == 0 {
            Err(RowsError::Empty)
        } else {
            let columns = stretches.columns.iter().flatten();
            let dropped = columns.filter(|name| rules.drops(name)).cloned().collect();
            Ok(Self { storage: RowStorage::File(stretches), rules, dropped })
        }
    }

    /// The rules for their columns.
    pub fn rules(&self) -> &ColumnRules {
        &self.rules
    }

    /// The number of rows; at least one.
    #[expect(clippy::len_without_is_empty, reason = "there is always a row")]
    pub fn len(&self) -> u64 {
        match &self.storage {
            RowStorage::Memory(rows) => rows.len() as u64,
            RowStorage::File(stretches) => stretches.rows,
        }
    }

    /// Returns all column names, those of the first row first; `None` for large JSON files, whose
    /// rows may all differ.
    pub fn columns(&self) -> Option<Vec<String>> {
        match &self.storage {
            RowStorage::File(stretches) => {
                let mut columns = stretches.columns.clone()?;
                columns.retain(|column| !self.rules.drops(column));
                Some(columns)
            }
            RowStorage::Memory(rows) => {
                let (mut all, mut seen) = (Vec::new(), HashSet::new());
                for name in rows.iter().flat_map(names) {
                    if seen.insert(name.clone()) {
                        all.push(name);
                    }
                }
                Some(all)
            }
        }
    }

    /// Returns all column names, also of dropped ones, in no order; `None` for large JSON files.
    pub fn all_columns(&self) -> Option<Vec<String>> {
        let mut columns = self.columns()?;
        columns.extend(self.dropped.iter().cloned());
        Some(columns)
    }

    /// Returns row `index`, which is below `len`.
    ///
    /// # Errors
    /// If the file can no longer be read or has changed.
    pub fn get(&self, index: u64) -> io::Result<Value> {
        match &self.storage {
            RowStorage::Memory(rows) => Ok(rows[index as usize].clone()),
            RowStorage::File(stretches) => stretches.get(index).map(|row| self.rules.apply(row)),
        }
    }
}

fn names(row: &Value) -> Vec<String> {
    row.try_iter().map(|keys| keys.map(|key| key.to_string()).collect()).unwrap_or_default()
}

impl Stretches {
    fn get(&self, index: u64) -> io::Result<Value> {
        let stretch = (index / STRIDE) as usize;
        let (begin, end) = (self.begins[stretch], self.begins[stretch + 1]);
        let mut bytes = vec![0; (end - begin) as usize];
        self.file.read_exact_at(&mut bytes, begin)?;
        let rows = match &self.columns {
            Some(columns) => csv_rows(&bytes, Some(columns)),
            None => json_rows(&String::from_utf8_lossy(&bytes)),
        };
        let changed = || io::Error::other("a data file changed during the run");
        rows.map_err(io::Error::other)?
            .into_iter()
            .nth((index % STRIDE) as usize)
            .ok_or_else(changed)
    }
}

/// Parses CSV text; `columns` are given if it is a part of a file.
fn csv_rows(text: &[u8], columns: Option<&[String]>) -> Result<Vec<Value>, RowsError> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut reader = csv_reader(text, columns.is_none());
    let columns = match columns {
        Some(columns) => columns.to_vec(),
        None => {
            named_once(reader.headers().map_err(malformed)?.iter().map(str::to_owned).collect())?
        }
    };
    let row = |record: csv::Result<csv::StringRecord>| {
        let record = record.map_err(malformed)?;
        if record.len() != columns.len() {
            return Err(uneven(record.position(), record.len(), columns.len()));
        }
        let cells = record.iter().map(Value::from);
        Ok(Value::from_pairs(columns.iter().map(String::as_str).zip(cells)))
    };
    reader.records().map(row).collect()
}

fn csv_reader<R: io::Read>(from: R, has_headers: bool) -> csv::Reader<R> {
    csv::ReaderBuilder::new().has_headers(has_headers).flexible(true).from_reader(from)
}

fn uneven(position: Option<&csv::Position>, cells: usize, columns: usize) -> RowsError {
    let line = position.map_or(0, csv::Position::line);
    let (cells, columns) = (counted(cells as u64, "cell"), counted(columns as u64, "column"));
    RowsError::Malformed { line, message: format!("{cells} for {columns}") }
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over")]
fn malformed(error: csv::Error) -> RowsError {
    let line = error.position().map_or(1, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => {
            RowsError::Malformed { line, message: "not UTF-8 text".to_owned() }
        }
        _ => RowsError::Malformed { line, message: error.to_string() },
    }
}

/// Parses one JSON array, or one object per line.
fn json_rows(text: &str) -> Result<Vec<Value>, RowsError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with('[') {
        let rows = exact::parse(text.as_bytes()).map_err(|error| RowsError::Malformed {
            line: error.line() as u64,
            message: error.to_string(),
        })?;
        return rows
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(index, row)| object(row, index as u64 + 1, "item"))
            .collect();
    }
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| json_line(line, number))
        .collect()
}

fn json_line(line: &str, number: u64) -> Result<Value, RowsError> {
    let row = exact::parse(line.as_bytes())
        .map_err(|error| RowsError::Malformed { line: number, message: error.to_string() })?;
    object(&row, number, "line")
}

fn object(row: &Json, number: u64, what: &str) -> Result<Value, RowsError> {
    match row {
        Json::Object(_) => Ok(to_value(row)),
        _ => {
            let message = format!("{what} {number} is not an object such as {{\"name\": \"Ana\"}}");
            Err(RowsError::Malformed { line: number, message })
        }
    }
}

fn index_csv(file: File) -> Result<Stretches, RowsError> {
    let mut reader = csv_reader(BufReader::with_capacity(1 << 20, file), true);
    let columns = named_once(reader.headers().map_err(malformed)?.iter().map(bare).collect())?;
    let (mut record, mut rows, mut begins) = (csv::StringRecord::new(), 0, Vec::new());
    loop {
        let begin = reader.position().byte();
        if !reader.read_record(&mut record).map_err(malformed)? {
            begins.push(begin);
            break;
        }
        if record.len() != columns.len() {
            return Err(uneven(record.position(), record.len(), columns.len()));
        }
        index_row(&mut begins, rows, begin)?;
        rows += 1;
    }
    Ok(Stretches { file: reader.into_inner().into_inner(), columns: Some(columns), begins, rows })
}

/// Returns the column names unless one occurs twice.
fn named_once(columns: Vec<String>) -> Result<Vec<String>, RowsError> {
    let mut seen = HashSet::new();
    match columns.iter().find(|column| !seen.insert(column.as_str())) {
        Some(twice) => Err(RowsError::SameColumn(twice.clone())),
        None => Ok(columns),
    }
}

fn bare(column: &str) -> String {
    column.strip_prefix('\u{feff}').unwrap_or(column).to_owned()
}

fn index_lines(file: File) -> Result<Stretches, RowsError> {
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mark =
        if reader.fill_buf()?.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    reader.consume(mark);
    let first = reader.fill_buf()?.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        return Err(RowsError::TooLarge);
    }
    let (mut line, mut at, mut rows) = (String::new(), mark as u64, 0);
    let mut begins = Vec::new();
    for number in 1.. {
        line.clear();
        let read = io::Read::take(&mut reader, MAX_STRETCH as u64).read_line(&mut line)? as u64;
        if read == 0 {
            begins.push(at);
            break;
        }
        if !line.trim().is_empty() {
            json_line(&line, number)?;
            index_row(&mut begins, rows, at)?;
            rows += 1;
        }
        at += read;
    }
    Ok(Stretches { file: reader.into_inner(), columns: None, begins, rows })
}

/// Indexes the start of row `row` if it is the first of a stretch.
fn index_row(begins: &mut Vec<u64>, row: u64, begin: u64) -> Result<(), RowsError> {
    let last = begins.last().copied().unwrap_or(begin);
    if begin - last > MAX_STRETCH as u64 {
        let message = format!("{STRIDE} rows before this one take more than 16 MiB");
        return Err(RowsError::Malformed { line: row + 2, message });
    }
    if row.is_multiple_of(STRIDE) {
        begins.push(begin);
    }
    Ok(())
}

//! Writes a record.
//!
//! `sinks::files` gives it entries.
//! Invariant: each entry reaches the file before the next one.

use std::io::{self, Write};

use super::entry::{RecordEntry, max_length};
use super::header;
use crate::event::packed::frame::Deflater;
use crate::stats::sample::SeriesLayout;

/// Writes a record.
pub struct RecordWriter<W: Write> {
    out: W,
    deflater: Deflater,
    value: Vec<u8>,
    layout: Option<SeriesLayout>,
}

impl<W: Write> RecordWriter<W> {
    /// Writes the first line.
    ///
    /// # Errors
    /// If `out` cannot be written.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(header::line().as_bytes())?;
        Ok(Self { out, deflater: Deflater::default(), value: Vec::new(), layout: None })
    }

    /// Writes an entry and flushes, so that a killed run loses only pending entries.
    ///
    /// # Errors
    /// If it cannot be written, or is longer than readers accept.
    pub fn write(&mut self, entry: &RecordEntry) -> io::Result<()> {
        if let RecordEntry::Started(info) = entry {
            self.layout = Some(info.plan.series_layout());
        }
        self.value.clear();
        entry.pack(&mut self.value);
        let kind = entry.kind();
        if max_length(kind, self.layout.as_ref()).is_none_or(|most| self.value.len() > most) {
            return Err(io::Error::other("an entry of the record is too long"));
        }
        self.deflater.write(&mut self.out, kind, &self.value)?;
        self.out.flush()
    }
}

//! Reads a record.
//!
//! `run::replay` takes its entries.
//! Invariant: each index in an entry refers to an existing item.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use super::entry::{RecordEntry, max_length};
use super::error::RecordError;
use super::header;
use crate::event::RunInfo;
use crate::event::packed::PackedBytes;
use crate::event::packed::frame::Inflater;
use crate::plan::RunManifest;
use crate::stats::sample::SeriesLayout;

/// Reads a record.
pub struct RecordReader<R: Read> {
    from: BufReader<R>,
    inflater: Inflater,
    version: u32,
    /// Deltas have to match this layout.
    layout: Option<SeriesLayout>,
}

impl<R: Read> RecordReader<R> {
    /// Opens a record and returns its run information.
    ///
    /// # Errors
    /// If it cannot be read, or is not a record.
    pub fn new(from: R) -> Result<(Arc<RunInfo>, Self), RecordError> {
        let mut from = BufReader::new(from);
        let mut first = Vec::new();
        from.by_ref().take(header::MAX_LINE).read_until(b'\n', &mut first)?;
        let version = header::version(&first)?;
        let mut reader = Self { from, inflater: Inflater::default(), version, layout: None };
        match reader.next_entry()? {
            Some(RecordEntry::Started(info)) if is_consistent(&info) => {
                reader.layout = Some(info.plan.series_layout());
                Ok((info, reader))
            }
            _ => Err(RecordError::Damaged("at its beginning")),
        }
    }

    /// Returns the next entry; `None` at the end, also of a truncated record.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn next_entry(&mut self) -> Result<Option<RecordEntry>, RecordError> {
        let layout = self.layout.as_ref();
        let frame = self.inflater.read(&mut self.from, |kind| max_length(kind, layout))?;
        let Some((kind, value)) = frame else { return Ok(None) };
        let mut from = PackedBytes { left: value, version: self.version };
        let entry = RecordEntry::unpack(kind, &mut from).filter(|_| from.left.is_empty());
        let entry = entry.ok_or(RecordError::Damaged("in an entry"))?;
        match (&entry, &self.layout) {
            (RecordEntry::Delta(delta), Some(layout)) if !delta.fits(layout) => {
                Err(RecordError::Damaged("in what a shard measured"))
            }
            _ => Ok(Some(entry)),
        }
    }
}

/// Whether every index in it refers to an existing item.
fn is_consistent(info: &RunInfo) -> bool {
    let plan: &RunManifest = &info.plan;
    let (loads, archetypes) = (plan.workloads.len(), plan.archetypes.len());
    let mut series = plan.steps.iter().chain(&plan.groups);
    let scheduled = plan.kind.scheduled.len() == loads;
    let places = plan.kind.workload_of.iter().all(|load| load.index() < loads);
    series.all(|one| one.archetype.index() < archetypes && one.workload.index() < loads)
        && plan.checks.len() == plan.steps.len()
        && plan.kind.workload_of.len() == plan.steps.len()
        && scheduled
        && places
        && (1..=4_096).contains(&info.generator.shards)
}

//! The record of a run: what its dispatcher took in, in order, as bytes. Whoever feeds it to a Fold
//! again gets the same report, with the same rules or with others.
//!
//! `sinks::files` writes `run.record`, `run::replay` reads it.
//! Invariant: a run that was killed leaves a record that is whole up to its last seconds.
//!
//! A line with the version, then frames: a head of 17 bytes (kind; length as it stands, and
//! inflated; checksum of what follows; checksum of the head), then the piece of one deflate stream
//! (RFC 1951) that holds the value. So a flipped bit is damage, and only an end is an end.

mod frame;
mod packed;
mod shapes;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;

use frame::{Deflater, Inflater};
use packed::{Packed, packed};

use super::{RunEvent, RunInfo, StopCause};
use crate::plan::RunManifest;
use crate::stats::sample::SeriesLayout;
use crate::stats::{Delta, GaugeSample, StateChange};

/// The name of the file.
pub const FILE: &str = "run.record";

/// What a record begins with. The number changes with what its frames hold.
const VERSION: &str = "manada record 7\n";

/// The longest opening: the scenario's files are 16 MiB at most.
const MAX_OPENING: usize = 64 << 20;

/// The longest entry that holds nothing but a few texts and numbers.
const MAX_SMALL: usize = 1 << 20;

/// The longest delta, and how much of it a workload, a series or a group of the plan takes: four
/// histograms, each bucket used in more than one second.
const MAX_DELTA: usize = 1 << 30;
const MAX_SERIES: usize = 1 << 20;

/// Something that a record holds.
#[derive(Clone, Debug)]
pub enum RecordEntry {
    /// It begins.
    Began(Arc<RunInfo>),
    /// A shard's delta.
    Measured(Arc<Delta>),
    /// A second is over.
    Stands(Arc<GaugeSample>),
    /// What is no shard's was written down among the changes.
    Entered(Arc<StateChange>),
    /// Something stops it, so many ns after its start.
    Stopped(StopCause, u64),
    /// It is over.
    Ended(RecordEnd),
}

/// What only the end of a run knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordEnd {
    /// Shards that failed, in words.
    pub broken: Vec<String>,
    /// The most memory the process held, bytes.
    pub rss_peak: Option<u64>,
}

packed! {
    RecordEnd { broken, rss_peak }
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file itself.
    #[error("{0}")]
    File(#[from] io::Error),
    /// Something else, or of another version.
    #[error("it is no record that this version of manada reads (expected `{}`)", VERSION.trim())]
    Foreign,
    /// Bytes that no record has.
    #[error("it is damaged {0}")]
    Damaged(&'static str),
}

impl RecordEntry {
    /// What is kept of an event; none: it follows from the others.
    pub fn of(event: &RunEvent) -> Option<Self> {
        Some(match event {
            RunEvent::Started(opening) => Self::Began(Arc::clone(opening)),
            RunEvent::Delta(delta) => Self::Measured(Arc::clone(delta)),
            RunEvent::Gauges(moment) => Self::Stands(Arc::clone(moment)),
            RunEvent::EventLogged(notice) => Self::Entered(Arc::clone(notice)),
            RunEvent::Stopped(stop, at_ns) => Self::Stopped(stop.clone(), *at_ns),
            RunEvent::Ended(report) => {
                let broken = report.broken.clone();
                Self::Ended(RecordEnd { broken, rss_peak: report.rss_peak })
            }
            _ => return None,
        })
    }

    /// Its kind, as a frame's head has it.
    fn kind(&self) -> u8 {
        match self {
            Self::Began(_) => 0,
            Self::Measured(_) => 1,
            Self::Stands(_) => 2,
            Self::Entered(_) => 3,
            Self::Stopped(..) => 4,
            Self::Ended(_) => 5,
        }
    }

    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Began(opening) => opening.pack(out),
            Self::Measured(delta) => delta.pack(out),
            Self::Stands(moment) => moment.pack(out),
            Self::Entered(notice) => notice.pack(out),
            Self::Stopped(stop, at_ns) => (stop.clone(), *at_ns).pack(out),
            Self::Ended(end) => end.pack(out),
        }
    }

    fn unpack(kind: u8, from: &mut &[u8]) -> Option<Self> {
        Some(match kind {
            0 => Self::Began(Packed::unpack(from)?),
            1 => Self::Measured(Packed::unpack(from)?),
            2 => Self::Stands(Packed::unpack(from)?),
            3 => Self::Entered(Packed::unpack(from)?),
            4 => {
                let (stop, at_ns) = Packed::unpack(from)?;
                Self::Stopped(stop, at_ns)
            }
            5 => Self::Ended(Packed::unpack(from)?),
            _ => return None,
        })
    }
}

/// The most bytes that an entry of a kind can need; `None` if there is no such kind, or not yet.
fn longest(kind: u8, shape: Option<&SeriesLayout>) -> Option<usize> {
    match (kind, shape) {
        (0, _) => Some(MAX_OPENING),
        (1, Some(shape)) => {
            let parts = shape.workloads + shape.checks.len() + shape.groups + shape.pools;
            Some(parts.saturating_mul(MAX_SERIES).saturating_add(MAX_SMALL).min(MAX_DELTA))
        }
        (2..=5, Some(_)) => Some(MAX_SMALL),
        _ => None,
    }
}

/// Writes a record.
pub struct RecordWriter<W: Write> {
    out: W,
    deflater: Deflater,
    value: Vec<u8>,
    shape: Option<SeriesLayout>,
}

impl<W: Write> RecordWriter<W> {
    /// Begins one.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(VERSION.as_bytes())?;
        Ok(Self { out, deflater: Deflater::default(), value: Vec::new(), shape: None })
    }

    /// Adds an entry, which reaches the file at once: a run that is killed loses what waits.
    ///
    /// # Errors
    /// When it cannot be written, or is longer than any reader takes.
    pub fn write(&mut self, entry: &RecordEntry) -> io::Result<()> {
        if let RecordEntry::Began(opening) = entry {
            self.shape = Some(opening.plan.series_layout());
        }
        self.value.clear();
        entry.pack(&mut self.value);
        let kind = entry.kind();
        if longest(kind, self.shape.as_ref()).is_none_or(|most| self.value.len() > most) {
            return Err(io::Error::other("an entry of the record is too long"));
        }
        self.deflater.write(&mut self.out, kind, &self.value)?;
        self.out.flush()
    }
}

/// Reads a record.
pub struct RecordReader<R: Read> {
    from: BufReader<R>,
    inflater: Inflater,
    /// What the deltas have to fit.
    shape: Option<SeriesLayout>,
}

impl<R: Read> RecordReader<R> {
    /// Begins to read; what it opens with.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn new(from: R) -> Result<(Arc<RunInfo>, Self), RecordError> {
        let mut from = BufReader::new(from);
        let mut first = Vec::new();
        from.by_ref().take(VERSION.len() as u64).read_until(b'\n', &mut first)?;
        if first != VERSION.as_bytes() {
            return Err(RecordError::Foreign);
        }
        let mut reader = Self { from, inflater: Inflater::default(), shape: None };
        match reader.entry()? {
            Some(RecordEntry::Began(opening)) if is_whole(&opening) => {
                reader.shape = Some(opening.plan.series_layout());
                Ok((opening, reader))
            }
            _ => Err(RecordError::Damaged("at its beginning")),
        }
    }

    /// The next entry; `None` at the end, also at that of a record that was cut off.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn entry(&mut self) -> Result<Option<RecordEntry>, RecordError> {
        let shape = self.shape.as_ref();
        let frame = self.inflater.read(&mut self.from, |kind| longest(kind, shape))?;
        let Some((kind, value)) = frame else { return Ok(None) };
        let mut left = value;
        let entry = RecordEntry::unpack(kind, &mut left).filter(|_| left.is_empty());
        let entry = entry.ok_or(RecordError::Damaged("in an entry"))?;
        match (&entry, &self.shape) {
            (RecordEntry::Measured(delta), Some(shape)) if !delta.fits(shape) => {
                Err(RecordError::Damaged("in what a shard measured"))
            }
            _ => Ok(Some(entry)),
        }
    }
}

/// Whether every number in it names something.
fn is_whole(opening: &RunInfo) -> bool {
    let plan: &RunManifest = &opening.plan;
    let (loads, archetypes) = (plan.workloads.len(), plan.archetypes.len());
    let mut series = plan.steps.iter().chain(&plan.groups);
    let scheduled = plan.kind.scheduled.len() == loads;
    let places = plan.kind.workload_of.iter().all(|load| *load < loads);
    series.all(|one| one.archetype < archetypes && one.workload < loads)
        && plan.checks.len() == plan.steps.len()
        && plan.kind.workload_of.len() == plan.steps.len()
        && scheduled
        && places
        && (1..=4_096).contains(&opening.generator.shards)
}

#[cfg(test)]
#[path = "tests.rs"]
pub(crate) mod tests;

//! The record of a run: what its dispatcher took in, in order, as bytes. Whoever feeds it to a Fold
//! again gets the same report, with the same rules or with others.
//!
//! `sinks::files` writes `run.record`, `run::replay` reads it.
//! Invariant: a run that was killed leaves a record that is whole up to its last seconds.
//!
//! A line with the version, then one deflate stream (RFC 1951) of frames: the length of what
//! follows, a tag, a value.

mod packed;
mod shapes;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use packed::{Packed, packed};

use super::{Opening, RunEvent, Stop};
use crate::plan::Outline;
use crate::stats::sample::Shape;
use crate::stats::{Delta, Moment, Notice};

/// The name of the file.
pub const FILE: &str = "run.record";

/// What a record begins with. The number changes with what its frames hold.
const VERSION: &str = "manada record 2\n";

/// The longest frame: a delta of 4,096 series over many seconds is a few dozen MB.
const MAX_FRAME: u64 = 1 << 30;

/// Something that a record holds.
#[derive(Clone, Debug)]
pub enum Entry {
    /// It begins.
    Began(Arc<Opening>),
    /// A shard's delta.
    Measured(Arc<Delta>),
    /// A second is over.
    Stands(Arc<Moment>),
    /// What is no shard's was written down among the changes.
    Entered(Arc<Notice>),
    /// Something stops it, so many ns after its start.
    Stopped(Stop, u64),
    /// It is over.
    Ended(End),
}

/// What only the end of a run knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Shards that failed, in words.
    pub broken: Vec<String>,
    /// The most memory the process held, bytes.
    pub rss_peak: Option<u64>,
}

packed! {
    End { broken, rss_peak }
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
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

impl Entry {
    /// What is kept of an event; none: it follows from the others.
    pub fn of(event: &RunEvent) -> Option<Self> {
        Some(match event {
            RunEvent::Began(opening) => Self::Began(Arc::clone(opening)),
            RunEvent::Measured(delta) => Self::Measured(Arc::clone(delta)),
            RunEvent::Stands(moment) => Self::Stands(Arc::clone(moment)),
            RunEvent::Entered(notice) => Self::Entered(Arc::clone(notice)),
            RunEvent::Stopped(stop, at_ns) => Self::Stopped(stop.clone(), *at_ns),
            RunEvent::Ended(report) => {
                let broken = report.broken.clone();
                Self::Ended(End { broken, rss_peak: report.rss_peak })
            }
            _ => return None,
        })
    }

    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Began(opening) => (0u8, Arc::clone(opening)).pack(out),
            Self::Measured(delta) => (1u8, Arc::clone(delta)).pack(out),
            Self::Stands(moment) => (2u8, Arc::clone(moment)).pack(out),
            Self::Entered(notice) => (3u8, Arc::clone(notice)).pack(out),
            Self::Stopped(stop, at_ns) => (4u8, (stop.clone(), *at_ns)).pack(out),
            Self::Ended(end) => {
                5u8.pack(out);
                end.pack(out);
            }
        }
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        Some(match u8::unpack(from)? {
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

/// Writes a record.
pub struct Writer<W: Write> {
    out: DeflateEncoder<W>,
    frame: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins one.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(VERSION.as_bytes())?;
        Ok(Self { out: DeflateEncoder::new(out, Compression::fast()), frame: Vec::new() })
    }

    /// Adds an entry; the end of a second, and of the run, reach the file at once.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        self.frame.clear();
        entry.pack(&mut self.frame);
        self.out.write_all(&(self.frame.len() as u64).to_le_bytes())?;
        self.out.write_all(&self.frame)?;
        match entry {
            Entry::Ended(_) => {
                self.out.try_finish()?;
                self.out.get_mut().flush()
            }
            Entry::Measured(_) => Ok(()),
            _ => self.out.flush(),
        }
    }
}

/// Reads a record.
pub struct Reader<R: Read> {
    from: DeflateDecoder<BufReader<R>>,
    /// What the deltas have to fit.
    shape: Option<Shape>,
}

impl<R: Read> Reader<R> {
    /// Begins to read; what it opens with.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn new(from: R) -> Result<(Arc<Opening>, Self), Unreadable> {
        let mut from = BufReader::new(from);
        let mut first = Vec::new();
        from.by_ref().take(VERSION.len() as u64).read_until(b'\n', &mut first)?;
        if first != VERSION.as_bytes() {
            return Err(Unreadable::Foreign);
        }
        let from = DeflateDecoder::new(from);
        let mut reader = Self { from, shape: None };
        match reader.entry()? {
            Some(Entry::Began(opening)) if is_whole(&opening) => {
                reader.shape = Some(opening.plan.shape());
                Ok((opening, reader))
            }
            _ => Err(Unreadable::Damaged("at its beginning")),
        }
    }

    /// The next entry; `None` at the end, also at that of a record that was cut off.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn entry(&mut self) -> Result<Option<Entry>, Unreadable> {
        let mut length = [0; 8];
        if !self.fill(&mut length)? {
            return Ok(None);
        }
        let length = u64::from_le_bytes(length);
        if length > MAX_FRAME {
            return Err(Unreadable::Damaged("in the length of an entry"));
        }
        let mut frame = Vec::new();
        match self.from.by_ref().take(length).read_to_end(&mut frame) {
            Ok(read) if (read as u64) < length => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            done => done?,
        };
        let entry = Entry::unpack(&mut frame.as_slice());
        let entry = entry.ok_or(Unreadable::Damaged("in an entry"))?;
        match (&entry, &self.shape) {
            (Entry::Measured(delta), Some(shape)) if !delta.fits(shape) => {
                Err(Unreadable::Damaged("in what a shard measured"))
            }
            _ => Ok(Some(entry)),
        }
    }

    /// Fills `bytes`; false when there are no more.
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<bool> {
        match self.from.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Whether every number in it names something.
fn is_whole(opening: &Opening) -> bool {
    let plan: &Outline = &opening.plan;
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
mod tests;

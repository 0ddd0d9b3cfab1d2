//! The frames that a coordinator merged, as a file: another coordinator goes on from it.
//!
//! `driver` adds each frame before it hands its deltas on, `run` reads a former one again.
//! Invariant: a frame is in the file before the snapshot that permits agents to forget it. A file
//! of a killed coordinator is intact up to its last frame.
//!
//! Format: a line with the hash of the shapes, then frames as in a record: first the run, then what
//! was merged, in order.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::event::packed::frame::{Deflater, FrameError, Inflater, checksum};
use crate::event::packed::{Packed, PackedBytes, Shape, packed};
use crate::event::record::header::VERSION;
use crate::fleet::payload::ShardDeltas;
use crate::fleet::protocol::{DeltaFrame, Member};

/// The longest first line, bytes.
const MAX_LINE: u64 = 128;

/// Maximum length of the description of a run, bytes.
const MAX_RUN: usize = 4 << 10;

/// The run of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JournalRun {
    /// The id on the bus, as bytes.
    id: Vec<u8>,
    /// The hash of the plan.
    plan: u64,
}

impl JournalRun {
    pub(super) fn new(id: &str, plan: u64) -> Self {
        Self { id: id.as_bytes().to_vec(), plan }
    }
}

/// A frame of a member.
pub(super) type MergedFrame = (Member, DeltaFrame<ShardDeltas>);

packed! {
    JournalRun { id, plan }
}

/// The first line of a journal of this build.
fn first_line() -> String {
    let mut shape = Shape::default();
    JournalRun::describe(&mut shape);
    MergedFrame::describe(&mut shape);
    format!("manada fleet journal 1 shapes {:08x}\n", checksum(shape.as_str().as_bytes()))
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FleetJournalError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] io::Error),
    /// Another build wrote it, or it is none.
    #[error("not a journal that this build of manada can read (expected `{0}`)")]
    Foreign(String),
    /// It is that of another run.
    #[error("it is of another run")]
    OtherRun,
    /// Its content is corrupt.
    #[error("damaged {0}")]
    Damaged(&'static str),
}

impl From<FrameError> for FleetJournalError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Unreadable(error) => Self::File(error),
            FrameError::Damaged(place) => Self::Damaged(place),
        }
    }
}

/// A journal that is written.
pub(super) struct FleetJournal {
    out: BufWriter<File>,
    deflater: Deflater,
    value: Vec<u8>,
}

impl FleetJournal {
    /// Creates a journal of a run; an existing file is not opened.
    pub(super) fn create(path: &Path, run: &JournalRun) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let out = BufWriter::new(file);
        let mut journal = Self { out, deflater: Deflater::default(), value: Vec::new() };
        journal.out.write_all(first_line().as_bytes())?;
        run.pack(&mut journal.value);
        journal.deflater.write(&mut journal.out, 0, &journal.value)?;
        journal.out.flush()?;
        Ok(journal)
    }

    /// Adds a frame; it is with the kernel when this returns.
    pub(super) fn add(&mut self, merged: &MergedFrame) -> io::Result<()> {
        self.value.clear();
        merged.pack(&mut self.value);
        self.deflater.write(&mut self.out, 1, &self.value)?;
        self.out.flush()
    }

    /// Waits until the file is on its disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.out.get_ref().sync_data()
    }
}

/// A journal that is read.
pub(super) struct FleetJournalReader {
    from: BufReader<File>,
    inflater: Inflater,
    max_frame: usize,
}

impl FleetJournalReader {
    /// Opens the journal of a run.
    pub(super) fn open(
        path: &Path,
        run: &JournalRun,
        max_frame: usize,
    ) -> Result<Self, FleetJournalError> {
        let file = File::open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file").into());
        }
        let mut from = BufReader::new(file);
        let mut line = Vec::new();
        from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        let expected = first_line();
        if line != expected.as_bytes() {
            return Err(FleetJournalError::Foreign(expected.trim().to_owned()));
        }
        let mut reader = Self { from, inflater: Inflater::default(), max_frame };
        match reader.read::<JournalRun>(0)? {
            Some(found) if found == *run => Ok(reader),
            Some(_) => Err(FleetJournalError::OtherRun),
            None => Err(FleetJournalError::Damaged("at its beginning")),
        }
    }

    /// The next frame; `None` at the end, also of a file that is cut.
    pub(super) fn next_frame(&mut self) -> Result<Option<MergedFrame>, FleetJournalError> {
        self.read(1)
    }

    fn read<T: Packed>(&mut self, kind: u8) -> Result<Option<T>, FleetJournalError> {
        let max_frame = self.max_frame;
        let most = |found: u8| match found {
            0 if kind == 0 => Some(MAX_RUN),
            1 if kind == 1 => Some(max_frame),
            _ => None,
        };
        let Some((_, value)) = self.inflater.read(&mut self.from, most)? else { return Ok(None) };
        let mut from = PackedBytes { left: value, version: VERSION };
        let read = T::unpack(&mut from).filter(|_| from.left.is_empty());
        read.map(Some).ok_or(FleetJournalError::Damaged("in a frame"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{RunOffset, Time};
    use crate::event::record::tests::info;
    use crate::fleet::protocol::{Incarnation, Ordinal};
    use crate::stats::{Gauges, Recorder};

    fn frame(first: u64) -> MergedFrame {
        let member = Member { ordinal: Ordinal(1), incarnation: Incarnation(9) };
        let layout = info(2).plan.series_layout();
        let mut payload = ShardDeltas::default();
        for shard in 0..2 {
            let mut recorder = Recorder::new(layout.clone(), shard, Time(0));
            payload.push(recorder.take_interval(Gauges::default(), Time(1_000_000_000)));
        }
        let offset = RunOffset::from_ns;
        (member, DeltaFrame { first, last: first, since: offset(7), until: offset(9), payload })
    }

    #[test]
    fn frames_read_back_as_written_and_a_cut_journal_is_intact_up_to_the_cut() {
        let folder = tempfile::tempdir().unwrap();
        let (path, run) = (folder.path().join("j"), JournalRun::new("r1", 7));
        let mut journal = FleetJournal::create(&path, &run).unwrap();
        (1..=3).for_each(|first| journal.add(&frame(first)).unwrap());
        journal.sync().unwrap();
        assert!(FleetJournal::create(&path, &run).is_err(), "never over another one");
        let read = |path: &Path| {
            let mut reader = FleetJournalReader::open(path, &run, 1 << 20)?;
            let mut firsts = Vec::new();
            while let Some((_, frame)) = reader.next_frame()? {
                assert_eq!(frame.payload.deltas.len(), 2);
                firsts.push(frame.first);
            }
            Ok::<_, FleetJournalError>(firsts)
        };
        assert_eq!(read(&path).unwrap(), [1, 2, 3]);
        for other in [JournalRun::new("r2", 7), JournalRun::new("r1", 8)] {
            let refused = FleetJournalReader::open(&path, &other, 1 << 20);
            assert!(matches!(refused, Err(FleetJournalError::OtherRun)));
        }
        let bytes = std::fs::read(&path).unwrap();
        let cut = folder.path().join("cut");
        let mut most = 0;
        for length in (first_line().len() + 60..bytes.len()).step_by(11) {
            std::fs::write(&cut, &bytes[..length]).unwrap();
            let firsts = read(&cut).unwrap();
            assert!([1, 2, 3].starts_with(&firsts), "{firsts:?}");
            most = most.max(firsts.len());
        }
        assert_eq!(most, 2);
        std::fs::write(&cut, b"manada record 10\n").unwrap();
        assert!(matches!(read(&cut), Err(FleetJournalError::Foreign(_))));
        let mut bad = bytes;
        let last = bad.len() - 3;
        bad[last] ^= 1;
        std::fs::write(&cut, bad).unwrap();
        assert!(matches!(read(&cut), Err(FleetJournalError::Damaged(_))));
    }
}

//! `--samples FILE`: calls one by one, as lines of JSON.
//!
//! `cli` opens it before the run, and prints how many calls it has after the run.
//! Invariant: a file has all calls of an iteration or, but for the seconds in which the bound
//! falls, none; calls that are left out are counted.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::call_names::CallNames;
use super::zstd_frames::ZstdFrames;
use crate::event::RunEvent;
use crate::sinks::Sink;

/// Calls that a file has, and calls that were left out.
#[derive(Clone, Debug, Default)]
pub struct SampleCounts(Arc<[AtomicU64; 2]>);

impl SampleCounts {
    /// The number of calls in the file, and of calls that were left out.
    pub fn get(&self) -> (u64, u64) {
        (self.0[0].load(Relaxed), self.0[1].load(Relaxed))
    }

    fn add(&self, written: u64, left_out: u64) {
        self.0[0].fetch_add(written, Relaxed);
        self.0[1].fetch_add(left_out, Relaxed);
    }
}

/// A file of calls.
#[derive(Debug)]
pub struct SamplesFile {
    out: ZstdFrames<File>,
    names: Option<CallNames>,
    counts: SampleCounts,
}

impl SamplesFile {
    /// Creates the file; it is compressed if its name ends in `.zst`.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create(path: &Path) -> io::Result<Self> {
        let is_compressed = path.extension().is_some_and(|ending| ending == "zst");
        let file = File::create(path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot write {}: {error}", path.display()))
        })?;
        let out = ZstdFrames::new(file, is_compressed);
        Ok(Self { out, names: None, counts: SampleCounts::default() })
    }

    /// The counts of the file, also after the sink has taken it.
    pub fn counts(&self) -> SampleCounts {
        self.counts.clone()
    }
}

impl Sink for SamplesFile {
    fn wants(event: &RunEvent) -> bool {
        matches!(event, RunEvent::Started(_) | RunEvent::Delta(_) | RunEvent::Ended(_))
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        match event {
            RunEvent::Started(info) => self.names = Some(CallNames::new(info)),
            RunEvent::Delta(delta) => {
                let Some(names) = &self.names else { return Ok(()) };
                let mut written = 0;
                for call in delta.kept.calls.iter().filter(|call| call.because.sampled) {
                    names.write_line(call, self.out.text())?;
                    self.out.write(false)?;
                    written += 1;
                }
                self.counts.add(written, delta.kept.sampled_left_out);
            }
            RunEvent::Ended(_) => self.out.write(true)?,
            _ => {}
        }
        Ok(())
    }
}

//! `latency.hlog`: HdrHistogram's interval log, for HistogramLogAnalyzer and similar tools.
//!
//! `files` passes it complete seconds. One line per second, step and kind, tagged `STEP.response`
//! and `STEP.service` with the step's id of `summary.json`; values in µs.
//! Invariant: a line counts responses, and timeouts at their age; calls without a duration are only
//! in steps.csv.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram as Hdr;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogWriterBuilder, IntervalLogWriterError, Tag,
};

use crate::stats::{Histogram, Latency, Window};

/// Writes the log, second by second.
#[derive(Debug)]
pub(super) struct HlogFile<W> {
    out: W,
}

impl<W: Write> HlogFile<W> {
    /// Writes the head of the log.
    pub(super) fn new(mut out: W, started_at: SystemTime) -> io::Result<Self> {
        let mut serializer = V2DeflateSerializer::new();
        IntervalLogWriterBuilder::new()
            .add_comment("[manada: all values in µs; tags are STEP-ID.KIND]")
            .with_start_time(started_at)
            .with_base_time(started_at)
            .begin_log_with(&mut out, &mut serializer)?;
        Ok(Self { out })
    }

    /// Writes the lines of one second.
    pub(super) fn write(&mut self, window: &Window) -> io::Result<()> {
        let start = Duration::from_secs(window.second.into());
        for (step, window) in window.steps.iter().enumerate() {
            let Some(window) = window else { continue };
            for (kind, latency) in [("response", &window.response), ("service", &window.service)] {
                self.line(&format!("{}.{kind}", step + 1), start, latency)?;
            }
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn line(&mut self, tag: &str, start: Duration, latency: &Latency) -> io::Result<()> {
        if latency.responses().count() + latency.timeouts().count() == 0 {
            return Ok(());
        }
        let hdr = to_hdr(latency)?;
        let mut serializer = V2DeflateSerializer::new();
        IntervalLogWriterBuilder::new()
            .begin_log_with(&mut self.out, &mut serializer)?
            .write_histogram(&hdr, start, Duration::from_secs(1), Tag::new(tag))
            .map_err(|error| match error {
                IntervalLogWriterError::IoError(error) => error,
                IntervalLogWriterError::SerializeError(error) => io::Error::other(error),
            })
    }
}

/// Returns the responses, and the timeouts at their age, as a histogram of HdrHistogram.
pub(crate) fn to_hdr(latency: &Latency) -> io::Result<Hdr<u64>> {
    let mut hdr = Hdr::<u64>::new_with_bounds(1, Histogram::MAX_US, 3).map_err(io::Error::other)?;
    for part in [latency.responses(), latency.timeouts()] {
        for (us, count) in part.buckets() {
            hdr.record_n(us.min(Histogram::MAX_US), count).map_err(io::Error::other)?;
        }
    }
    Ok(hdr)
}

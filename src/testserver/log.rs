//! The arrival log: a line for each request, written off the hot path.
//!
//! `shared` pushes records, a separate thread writes them; the oracles of MEASURING read the file.
//! Invariant: at most [`CAPACITY`] records wait; records beyond that are dropped and counted.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::counts::RequestEnd;
use super::head::IntendedStart;
use super::route::Route;

/// Records that may wait: 13 s of 20,000 requests per second, 20 MB at most.
const CAPACITY: usize = 1 << 18;
/// This many records wake the writer; fewer wait for the next nudge.
const BATCH: usize = 4_096;

/// The first line of the file.
pub(super) const HEADER: &str =
    "arrived_ns,done_ns,service_ns,route,answer,index,intended_ns,request\n";

/// A request. Times are CLOCK_MONOTONIC, the clock of a generator on the same machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogRecord {
    /// When the whole request had been read.
    pub arrived: u64,
    /// When the response was ready to be written; zero if there was none.
    pub done: u64,
    /// The service time drawn for the request, ns.
    pub service: u64,
    pub route: Route,
    pub end: RequestEnd,
    pub intended: Option<IntendedStart>,
    /// A hash of method, target and body, to compare requests.
    pub request: u64,
}

/// The log, shared by all threads of a server.
#[derive(Debug)]
pub(super) struct ArrivalLog {
    inbox: Arc<Inbox>,
    writer: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

#[derive(Debug, Default)]
struct Inbox {
    waiting: Mutex<PendingRecords>,
    nudge: Condvar,
    pushed: AtomicU64,
    /// Of those pushed: written, or failed to be.
    settled: AtomicU64,
    written: AtomicU64,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct PendingRecords {
    records: Vec<LogRecord>,
    nudged: bool,
    finished: bool,
}

impl ArrivalLog {
    /// Creates the file; an existing one is replaced.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(256 << 10, File::create(path)?);
        file.write_all(HEADER.as_bytes())?;
        let inbox = Arc::new(Inbox::default());
        let taken = Arc::clone(&inbox);
        let writer = std::thread::Builder::new()
            .name("arrival-log".to_owned())
            .spawn(move || taken.write_all(&mut file))?;
        Ok(Self { inbox, writer: Mutex::new(Some(writer)) })
    }

    /// Adds a record, or counts it as lost.
    pub fn push(&self, record: LogRecord) {
        let mut waiting = self.inbox.lock();
        if waiting.records.len() >= CAPACITY || waiting.finished {
            drop(waiting);
            self.inbox.lost.fetch_add(1, Relaxed);
            return;
        }
        waiting.records.push(record);
        self.inbox.pushed.fetch_add(1, Relaxed);
        if waiting.records.len().is_multiple_of(BATCH) {
            waiting.nudged = true;
            self.inbox.nudge.notify_one();
        }
    }

    /// Makes the writer write the waiting records soon.
    pub fn nudge(&self) {
        self.inbox.lock().nudged = true;
        self.inbox.nudge.notify_one();
    }

    /// Records in the file, and records lost.
    pub fn counts(&self) -> (u64, u64) {
        (self.inbox.written.load(Relaxed), self.inbox.lost.load(Relaxed))
    }

    /// Whether every pushed record is in the file, or has failed to be written.
    pub fn is_written(&self) -> bool {
        self.inbox.settled.load(Relaxed) >= self.inbox.pushed.load(Relaxed)
    }

    /// Writes the remaining records; returns the first error of all writes.
    pub fn finish(&self) -> io::Result<()> {
        self.inbox.lock().finished = true;
        self.inbox.nudge.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        match writer.map(JoinHandle::join) {
            Some(Ok(written)) => written,
            Some(Err(_)) => Err(io::Error::other("the writer of the arrival log panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for ArrivalLog {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, PendingRecords> {
        // Nothing panics while holding the lock; if it did, the records would still be valid.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the writer until the log is finished.
    fn write_all(&self, file: &mut impl Write) -> io::Result<()> {
        let mut batch = Vec::new();
        let mut result = Ok(());
        loop {
            let mut waiting = self.lock();
            while !waiting.nudged && !waiting.finished {
                waiting = self.nudge.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            waiting.nudged = false;
            let finished = waiting.finished;
            std::mem::swap(&mut batch, &mut waiting.records);
            drop(waiting);
            if result.is_ok() {
                result = batch.iter().try_for_each(|record| record.write(file));
                result = result.and_then(|()| file.flush());
            }
            // A full disk must not stop the server: the records count as lost, and `finish` reports
            // the error.
            let count = if result.is_ok() { &self.written } else { &self.lost };
            count.fetch_add(batch.len() as u64, Relaxed);
            self.settled.fetch_add(batch.len() as u64, Relaxed);
            batch.clear();
            if finished {
                return result;
            }
        }
    }
}

impl LogRecord {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut number = itoa::Buffer::new();
        for field in [self.arrived, self.done, self.service] {
            out.write_all(number.format(field).as_bytes())?;
            out.write_all(b",")?;
        }
        out.write_all(self.route.name().as_bytes())?;
        let end = match self.end {
            RequestEnd::Status(status) => number.format(status),
            RequestEnd::Reset => "reset",
            RequestEnd::Close => "close",
            RequestEnd::Hang => "hang",
            RequestEnd::Gone => "gone",
            RequestEnd::Cut => "cut",
        };
        write!(out, ",{end},")?;
        if let Some(IntendedStart { index, ns }) = self.intended {
            write!(out, "{index},{ns}")?;
        } else {
            out.write_all(b",")?;
        }
        writeln!(out, ",{:016x}", self.request)
    }
}

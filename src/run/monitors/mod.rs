//! Monitors: metrics of the generator and of the target that `--monitor` names, read once a second
//! on a thread of their own.
//!
//! `execute` starts them with the load; `dispatch` takes their latest readings each second.
//! Invariant: the run never waits for a reading; one that is late or missing is `None`.

mod error;
mod processes;
#[cfg(feature = "monitor")]
mod prometheus;
#[cfg(not(feature = "monitor"))]
#[path = "no_prometheus.rs"]
mod prometheus;
mod source;

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use error::MonitorError;
use processes::{Own, Pid};
use prometheus::Query;
pub use source::MonitorSource;

use crate::clock::{self, Time};
use crate::stats::Monitor;
use crate::stats::monitor::keep_most;

/// How often the thread checks whether it is woken in time. A longer pause of this process is
/// detected; a shorter one only by chance.
const LOOK: Duration = Duration::from_millis(10);

/// How long before the end of a second other servers are queried: their responses take time.
const AHEAD: Duration = Duration::from_millis(300);

const SECOND_NS: u64 = 1_000_000_000;

/// Readings of a second, in the order of the monitors.
type Readings = Vec<Option<f64>>;

/// The monitors of a run.
#[derive(Debug)]
pub(super) struct MonitorSet {
    readers: Vec<MonitorReader>,
}

/// Monitors that are read until this is dropped.
#[derive(Debug)]
pub(super) struct RunningMonitors {
    latest: Arc<Mutex<Readings>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum MonitorReader {
    Own(Own),
    Pid(Pid),
    Query(Query),
}

impl MonitorSet {
    /// The generator's monitors, and those of the target.
    ///
    /// # Errors
    /// If a monitor cannot be read.
    pub(super) fn new(watched: &[MonitorSource]) -> Result<Self, MonitorError> {
        let mut readers = vec![MonitorReader::Own(Own::new())];
        for one in watched {
            readers.push(match one {
                MonitorSource::Pid(pid) => MonitorReader::Pid(Pid::new(*pid)?),
                MonitorSource::Prometheus { url, query } => {
                    MonitorReader::Query(Query::new(url, query)?)
                }
            });
        }
        Ok(Self { readers })
    }

    /// The monitors, in the order of their readings.
    pub(super) fn list(&self) -> Vec<Monitor> {
        let monitors = |reader: &MonitorReader| match reader {
            MonitorReader::Own(own) => own.monitors(),
            MonitorReader::Pid(pid) => pid.monitors(),
            MonitorReader::Query(query) => vec![query.monitor()],
        };
        self.readers.iter().flat_map(monitors).collect()
    }

    /// Begins to read them, at each full second after `start`. `workers` are processes of the
    /// generator beside this one.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub(super) fn begin(mut self, start: Time, workers: &[u32]) -> io::Result<RunningMonitors> {
        for reader in &mut self.readers {
            if let MonitorReader::Own(own) = reader {
                own.add_workers(workers);
            }
        }
        let none = vec![None; self.list().len()];
        let (latest, over) = (Arc::new(Mutex::new(none)), Arc::<AtomicBool>::default());
        let (out, end) = (Arc::clone(&latest), Arc::clone(&over));
        let thread = std::thread::Builder::new().name("monitors".to_owned()).spawn(move || {
            // Without a descriptor for its clock there are no readings; the run reports the
            // shortage.
            let _ = clock::block_on(self.keep(start, &out, &end));
        })?;
        Ok(RunningMonitors { latest, over, thread: Some(thread) })
    }

    async fn keep(&mut self, start: Time, out: &Mutex<Readings>, over: &AtomicBool) {
        let (mut next, mut hiccup, mut asked) = (start.after(SECOND_NS), Duration::ZERO, false);
        while !over.load(Relaxed) {
            let at = (clock::now() + LOOK).min(next.max(clock::now()));
            clock::sleep_until(at).await;
            let now = clock::now();
            hiccup = hiccup.max(now - at);
            if !asked && now + AHEAD >= next {
                self.readers.iter_mut().for_each(MonitorReader::ask);
                asked = true;
            }
            if now >= next {
                let readings: Readings =
                    self.readers.iter_mut().flat_map(|reader| reader.read(hiccup)).collect();
                let mut latest = out.lock().unwrap_or_else(PoisonError::into_inner);
                // Readings that were not taken, since the whole process paused, are kept.
                latest.iter_mut().zip(readings).for_each(|(mine, new)| keep_most(mine, new));
                drop(latest);
                // Seconds that a long pause skipped are not read later.
                let behind = now.since(next) / SECOND_NS;
                next = next.after((behind + 1) * SECOND_NS);
                (hiccup, asked) = (Duration::ZERO, false);
            }
        }
    }
}

impl MonitorReader {
    fn ask(&mut self) {
        if let Self::Query(query) = self {
            query.ask();
        }
    }

    fn read(&mut self, hiccup: Duration) -> Readings {
        match self {
            Self::Own(own) => own.read(hiccup),
            Self::Pid(pid) => pid.read(),
            Self::Query(query) => vec![query.read()],
        }
    }
}

impl RunningMonitors {
    /// Takes the newest readings, one for each monitor; `None` until the next.
    pub(super) fn take(&self) -> Readings {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let none = vec![None; latest.len()];
        std::mem::replace(&mut *latest, none)
    }
}

impl Drop for RunningMonitors {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

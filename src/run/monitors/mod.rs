//! What is read beside the run, once a second on a thread of its own: the generator's health, and
//! the figures of the target that `--monitor` names.
//!
//! `run` starts it with the load; `dispatch` takes its latest readings into each second's Moment.
//! Invariant: the run never waits for a reading; one that is late or missing is none.

mod processes;
#[cfg(feature = "monitor")]
mod prometheus;
#[cfg(not(feature = "monitor"))]
#[path = "no_prometheus.rs"]
mod prometheus;
mod watched;

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use processes::{Own, Pid};
use prometheus::Query;
pub use watched::MonitorSource;

use crate::clock::{self, Time};
use crate::stats::Monitor;
use crate::stats::monitor::keep_most;

/// How often the thread looks whether it is woken in time. A pause of this process that is longer
/// is seen; shorter ones by chance.
const LOOK: Duration = Duration::from_millis(10);

/// How long before a second is over others are asked for their figures, which take a moment.
const AHEAD: Duration = Duration::from_millis(300);

const SECOND_NS: u64 = 1_000_000_000;

/// Readings of a second, in the order of the monitors.
type Readings = Vec<Option<f64>>;

/// All that is read.
#[derive(Debug)]
pub(super) struct MonitorSet {
    readers: Vec<MonitorReader>,
}

/// Dials being read, until this is dropped.
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
    /// The generator's own, and what is watched.
    ///
    /// # Errors
    /// What cannot be watched, and why.
    pub(super) fn new(watched: &[MonitorSource]) -> Result<Self, String> {
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

    /// What they are, in the order of their readings.
    pub(super) fn list(&self) -> Vec<Monitor> {
        let monitors = |reader: &MonitorReader| match reader {
            MonitorReader::Own(own) => own.monitors(),
            MonitorReader::Pid(pid) => pid.monitors(),
            MonitorReader::Query(query) => vec![query.monitor()],
        };
        self.readers.iter().flat_map(monitors).collect()
    }

    /// Begins to read, at each full second after `start`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn begin(mut self, start: Time) -> io::Result<RunningMonitors> {
        let none = vec![None; self.list().len()];
        let (latest, over) = (Arc::new(Mutex::new(none)), Arc::<AtomicBool>::default());
        let (out, end) = (Arc::clone(&latest), Arc::clone(&over));
        let thread = std::thread::Builder::new().name("monitors".to_owned()).spawn(move || {
            // Without a descriptor for its clock there are no readings; the run says more.
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
                // What nobody has taken yet, since all of us paused, is not forgotten.
                latest.iter_mut().zip(readings).for_each(|(mine, new)| keep_most(mine, new));
                drop(latest);
                // What a pause of many seconds left out is not made up for.
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
    /// The newest readings, one for each monitor; they are taken once, and are none until the next.
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

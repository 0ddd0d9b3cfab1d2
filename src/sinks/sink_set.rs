//! The sinks of a run, each on its own thread behind its own bounded queue.
//!
//! `run` publishes to it; `cli` adds the sinks and joins them at the end.
//! Invariant: a full queue of a screen drops, that of a file blocks; both are counted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::disk_budget::DiskBudget;
use crate::clock;
use crate::event::RunEvent;

/// Maximum frames in the queue of a screen: it shows the latest, so more would only be older.
const FRAMES: usize = 2;
/// Maximum other events in the queue of a screen: state changes come in bursts, as when one call
/// opens three breakers.
const LINES: usize = 256;
/// Maximum events in the queue of a file: deltas of some seconds, each up to megabytes.
const FILE_EVENTS: usize = 8;

/// A subscriber of a run's events, on a thread of its own.
pub trait Sink: Send + 'static {
    /// Whether the sink needs such events; others are not queued for it.
    fn wants(event: &RunEvent) -> bool
    where
        Self: Sized;

    /// Handles one event.
    ///
    /// # Errors
    /// If its output fails. It then gets no further event, and the end of the run reports the
    /// error.
    fn take(&mut self, event: &RunEvent) -> io::Result<()>;
}

/// What happens when a sink's queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The event is dropped and counted; the next frame replaces it.
    DropNewest,
    /// The dispatcher waits; shards keep and merge their deltas meanwhile.
    Block,
}

/// How long the end of a run waits for a screen that handles no event.
const SCREEN_WAIT: Duration = Duration::from_secs(2);
/// How long the end of a run waits for a file that handles no event, after the second signal.
const FILE_WAIT: Duration = Duration::from_secs(1);
/// How long the end of the load waits for files that are behind.
const SETTLE_WAIT: Duration = Duration::from_secs(2);
/// How often a full queue or a running thread is polled.
const POLL: Duration = Duration::from_millis(5);

/// The sinks of a run.
#[derive(Debug, Default)]
pub struct SinkSet {
    handles: Vec<SinkHandle>,
    /// How long files have blocked the run since the last [`Self::take_blocked_ns`], ns.
    blocked_ns: u64,
    /// Set by the second signal: files no longer block the run.
    hurry: Arc<AtomicBool>,
    /// What all files of the run write.
    disk: DiskBudget,
}

#[derive(Debug)]
struct SinkHandle {
    name: &'static str,
    wants: fn(&RunEvent) -> bool,
    queue: Option<SyncSender<RunEvent>>,
    when_full: WhenFull,
    /// Frames in its queue.
    frames: Arc<AtomicUsize>,
    dropped_frames: u64,
    /// Events that it was given and has not handled.
    pending: Arc<AtomicUsize>,
    /// Whether the sink handled no event for too long and gets no further one.
    is_stuck: bool,
    thread: JoinHandle<io::Result<()>>,
}

impl SinkSet {
    /// Creates an empty set. Once `hurry` is set, files no longer block the run.
    pub fn set_hurry(&mut self, hurry: Arc<AtomicBool>) {
        self.hurry = hurry;
    }

    /// Sets the bytes that the files of the run may write.
    pub fn set_disk(&mut self, disk: DiskBudget) {
        self.disk = disk;
    }

    /// The bytes that the files of the run may write, and have written.
    pub fn disk(&self) -> &DiskBudget {
        &self.disk
    }

    /// Adds a sink.
    ///
    /// # Errors
    /// If the system provides no thread.
    pub fn add<S: Sink>(
        &mut self,
        name: &'static str,
        when_full: WhenFull,
        mut sink: S,
    ) -> io::Result<()> {
        let bound = if when_full == WhenFull::DropNewest { FRAMES + LINES } else { FILE_EVENTS };
        let frames = Arc::new(AtomicUsize::new(0));
        let waiting = Arc::clone(&frames);
        let pending = Arc::new(AtomicUsize::new(0));
        let handled = Arc::clone(&pending);
        let (queue, events): (_, Receiver<RunEvent>) = sync_channel(bound);
        let thread = std::thread::Builder::new().name(format!("sink-{name}")).spawn(move || {
            while let Ok(event) = events.recv() {
                waiting.fetch_sub(usize::from(is_frame(&event)), Relaxed);
                sink.take(&event)?;
                handled.fetch_sub(1, Relaxed);
            }
            Ok(())
        })?;
        let wants = S::wants;
        let (dropped_frames, is_stuck) = (0, false);
        let queue = Some(queue);
        self.handles.push(SinkHandle {
            name,
            wants,
            queue,
            when_full,
            frames,
            dropped_frames,
            pending,
            is_stuck,
            thread,
        });
        Ok(())
    }

    /// Queues an event for each sink that needs it.
    pub fn publish(&mut self, event: &RunEvent) {
        let (last, frame) = (matches!(event, RunEvent::Ended(_)), is_frame(event));
        for handle in self.handles.iter_mut().filter(|handle| (handle.wants)(event)) {
            let Some(queue) = &handle.queue else { continue };
            let waits = last || handle.when_full == WhenFull::Block;
            if !waits && frame && handle.frames.load(Relaxed) >= FRAMES {
                handle.dropped_frames += 1;
                continue;
            }
            handle.frames.fetch_add(usize::from(frame), Relaxed);
            let sent = if waits {
                let hurry = (handle.when_full == WhenFull::Block).then_some(&*self.hurry);
                let before = clock::now();
                let sent = send(queue, event.clone(), hurry);
                self.blocked_ns += clock::now().since(before);
                sent.map_err(|stuck| handle.is_stuck = stuck)
            } else {
                match queue.try_send(event.clone()) {
                    Ok(()) => Ok(()),
                    Err(TrySendError::Full(_)) => {
                        handle.frames.fetch_sub(usize::from(frame), Relaxed);
                        handle.dropped_frames += 1;
                        Ok(())
                    }
                    Err(TrySendError::Disconnected(_)) => Err(()),
                }
            };
            if handle.when_full == WhenFull::Block && sent.is_ok() {
                handle.pending.fetch_add(1, Relaxed);
            }
            // Its thread has ended with an error, which `join` returns.
            if sent.is_err() {
                handle.queue = None;
            }
        }
    }

    /// Waits until all files have handled what was published, for a while.
    pub fn settle(&self) {
        let until = clock::now() + SETTLE_WAIT;
        let is_behind = |handle: &SinkHandle| {
            let is_file = handle.when_full == WhenFull::Block && handle.queue.is_some();
            is_file
                && !handle.thread.is_finished()
                && (1..usize::MAX / 2).contains(&handle.pending.load(Relaxed))
        };
        while self.handles.iter().any(is_behind)
            && !self.hurry.load(Relaxed)
            && clock::now() < until
        {
            std::thread::park_timeout(POLL);
        }
    }

    /// Whether a screen shows each second.
    pub fn has_screens(&self) -> bool {
        self.handles
            .iter()
            .any(|handle| handle.when_full == WhenFull::DropNewest && handle.queue.is_some())
    }

    /// Returns how long files have blocked the run since the last call, ns. The engine does not
    /// wait, but control commands and thresholds with `abort` do.
    pub fn take_blocked_ns(&mut self) -> u64 {
        std::mem::take(&mut self.blocked_ns)
    }

    /// Waits until all sinks have handled their events; for screens only a moment.
    pub fn join(self) -> SinkSummary {
        let mut summary = SinkSummary::default();
        for handle in self.handles {
            drop(handle.queue);
            let is_screen = handle.when_full == WhenFull::DropNewest;
            let ended = if !handle.is_stuck && wait_for_end(&handle.thread, is_screen, &self.hurry)
            {
                handle.thread.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")))
            } else {
                Err(io::Error::new(io::ErrorKind::TimedOut, "writing did not come to an end"))
            };
            if handle.dropped_frames > 0 {
                summary.dropped_frames.push((handle.name, handle.dropped_frames));
            }
            // An error of a screen does not affect the run.
            if let (None, Err(error), false) = (&summary.error, ended, is_screen) {
                summary.error = Some((handle.name, error));
            }
        }
        summary
    }
}

/// The results of the sinks of a run.
#[derive(Debug, Default)]
pub struct SinkSummary {
    /// The first file that failed, or that handled no event after the second signal, and its error.
    pub error: Option<(&'static str, io::Error)>,
    /// Screens that were too slow, and how many frames each dropped.
    pub dropped_frames: Vec<(&'static str, u64)>,
}

/// Queues an event and waits for room: for a screen a moment, for a file until there is room or
/// `hurry` is set.
///
/// # Errors
/// `true` if there was no room; `false` if the thread of the sink has ended.
fn send(
    queue: &SyncSender<RunEvent>,
    mut event: RunEvent,
    hurry: Option<&AtomicBool>,
) -> Result<(), bool> {
    let until = clock::now() + SCREEN_WAIT;
    loop {
        event = match queue.try_send(event) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Disconnected(_)) => return Err(false),
            Err(TrySendError::Full(event)) => event,
        };
        let is_late = hurry.map_or(clock::now() >= until, |hurry| hurry.load(Relaxed));
        if is_late {
            return Err(true);
        }
        std::thread::park_timeout(POLL);
    }
}

/// Waits until the thread of a sink has ended; `false` if that takes too long.
fn wait_for_end(thread: &JoinHandle<io::Result<()>>, is_screen: bool, hurry: &AtomicBool) -> bool {
    let mut until = is_screen.then(|| clock::now() + SCREEN_WAIT);
    while !thread.is_finished() {
        if until.is_none() && hurry.load(Relaxed) {
            until = Some(clock::now() + FILE_WAIT);
        }
        if until.is_some_and(|until| clock::now() >= until) {
            return false;
        }
        std::thread::park_timeout(POLL);
    }
    true
}

/// Whether screens show such events.
pub(super) fn is_for_screens(event: &RunEvent) -> bool {
    use RunEvent::{Ended, EventLogged, LogLines, Note, Started, StateChanges, Tick};
    matches!(
        event,
        Started(_) | Tick(_) | Note(_) | StateChanges(_) | EventLogged(_) | LogLines(..) | Ended(_)
    )
}

/// Whether a later event replaces this one.
fn is_frame(event: &RunEvent) -> bool {
    matches!(event, RunEvent::Tick(_) | RunEvent::Delta(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A screen that handles no event until it is released, and forwards the notes.
    struct Busy(Receiver<()>, SyncSender<String>);

    impl Sink for Busy {
        fn wants(_: &RunEvent) -> bool {
            true
        }

        fn take(&mut self, event: &RunEvent) -> io::Result<()> {
            let _ = self.0.recv();
            if let RunEvent::Note(text) = event {
                self.1.send(text.clone()).unwrap();
            }
            Ok(())
        }
    }

    /// A sink that handles no event until it is released, which may be never.
    fn stuck(full: WhenFull) -> (SinkSet, SyncSender<()>) {
        let ((go, held), (tell, _)) = (sync_channel(0), sync_channel(20));
        let mut sinks = SinkSet::default();
        sinks.add("stuck", full, Busy(held, tell)).unwrap();
        (sinks, go)
    }

    #[test]
    fn stuck_screen_blocks_nothing_and_its_lost_events_are_counted() {
        let (mut sinks, _go) = stuck(WhenFull::DropNewest);
        (0..999).for_each(|at| sinks.publish(&RunEvent::Note(at.to_string())));
        let summary = sinks.join();
        assert_eq!(summary.error.map(|(name, _)| name), None);
        // The queue holds FRAMES + LINES events; one more is with the screen.
        let dropped: u64 = summary.dropped_frames.iter().map(|(_, frames)| frames).sum();
        assert!((999 - (FRAMES + LINES) as u64 - 1..=999).contains(&dropped), "{dropped}");
    }

    #[test]
    fn stuck_file_is_given_up_after_the_second_signal() {
        let (mut sinks, _go) = stuck(WhenFull::Block);
        let hurry = Arc::new(AtomicBool::new(false));
        sinks.set_hurry(Arc::clone(&hurry));
        (0..FILE_EVENTS).for_each(|at| sinks.publish(&RunEvent::Note(at.to_string())));
        hurry.store(true, Relaxed);
        (0..9).for_each(|at| sinks.publish(&RunEvent::Note(at.to_string())));
        let (name, error) = sinks.join().error.unwrap();
        assert_eq!((name, error.kind()), ("stuck", io::ErrorKind::TimedOut));
    }

    #[test]
    fn busy_screen_gets_every_event_that_is_no_frame() {
        let ((go, held), (tell, told)) = (sync_channel(0), sync_channel(20));
        let mut sinks = SinkSet::default();
        sinks.add("busy", WhenFull::DropNewest, Busy(held, tell)).unwrap();
        (0..9).for_each(|at| sinks.publish(&RunEvent::Note(at.to_string())));
        drop(go);
        assert!(sinks.join().error.is_none());
        assert!(told.iter().eq((0..9).map(|at| at.to_string())));
    }
}

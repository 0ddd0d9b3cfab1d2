//! The audience of a run: each sink on its own thread behind its own bounded queue.
//!
//! `run` tells the audience what happens; `cli` seats the sinks.
//! Invariant: no sink can slow the engine. A screen that lags loses frames of its own, counted; a
//! file loses nothing; the last event reaches everybody.

mod endpoints;
pub mod exports;
pub mod files;
pub mod folder;
mod health;
mod hlog;
mod notice_throttle;
mod policy_timeseries;
mod pools;
pub mod progress;
mod timeline;
#[cfg(feature = "tui")]
pub mod tui;
#[cfg(feature = "web")]
pub mod web;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock;
use crate::event::RunEvent;

/// Frames waiting for a screen: it shows the newest, so more would only be older.
const FRAMES: usize = 2;
/// What else may wait for a screen: lines that are told once come in bursts, as when one call
/// opens three breakers.
const LINES: usize = 256;
/// Events waiting for a file: deltas of some seconds, and each may be megabytes.
const PAGES: usize = 8;

/// Somebody who watches a run.
pub trait Sink: Send + 'static {
    /// Whether it looks at such events at all; others are not put into its queue.
    fn wants(event: &RunEvent) -> bool
    where
        Self: Sized;

    /// Takes in one event.
    ///
    /// # Errors
    /// When what it writes to fails; it is told nothing more then, and the run's end says so.
    fn take(&mut self, event: &RunEvent) -> io::Result<()>;
}

/// What happens when a sink's queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The event is dropped and counted: the next frame shows more anyway.
    DropNewest,
    /// The dispatcher waits; shards keep their deltas and merge them meanwhile.
    Block,
}

/// How long a screen that takes nothing is waited for at the end.
const SCREEN_WAIT: Duration = Duration::from_secs(2);
/// How long a file that takes nothing is waited for once nothing is to be waited for any more.
const FILE_WAIT: Duration = Duration::from_secs(1);
/// How often a queue that is full, or a thread that has not ended, is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Everybody who watches a run.
#[derive(Debug, Default)]
pub struct SinkSet {
    seats: Vec<SinkHandle>,
    /// Set once nothing is to be waited for any more.
    hurry: Arc<AtomicBool>,
}

#[derive(Debug)]
struct SinkHandle {
    name: &'static str,
    wants: fn(&RunEvent) -> bool,
    queue: Option<SyncSender<RunEvent>>,
    full: WhenFull,
    /// Frames in its queue.
    frames: Arc<AtomicUsize>,
    dropped: u64,
    /// It took nothing for too long and was given up.
    is_stuck: bool,
    thread: JoinHandle<io::Result<()>>,
}

impl SinkSet {
    /// Once `hurry` is set, no file is waited for any more that takes nothing.
    pub fn set_hurry(&mut self, hurry: Arc<AtomicBool>) {
        self.hurry = hurry;
    }

    /// Seats a sink.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn add<S: Sink>(
        &mut self,
        name: &'static str,
        full: WhenFull,
        mut sink: S,
    ) -> io::Result<()> {
        let bound = if full == WhenFull::DropNewest { FRAMES + LINES } else { PAGES };
        let frames = Arc::new(AtomicUsize::new(0));
        let waiting = Arc::clone(&frames);
        let (queue, events): (_, Receiver<RunEvent>) = sync_channel(bound);
        let thread = std::thread::Builder::new().name(format!("sink-{name}")).spawn(move || {
            while let Ok(event) = events.recv() {
                waiting.fetch_sub(usize::from(is_frame(&event)), Relaxed);
                sink.take(&event)?;
            }
            Ok(())
        })?;
        let wants = S::wants;
        let (dropped, is_stuck) = (0, false);
        let queue = Some(queue);
        self.seats.push(SinkHandle { name, wants, queue, full, frames, dropped, is_stuck, thread });
        Ok(())
    }

    /// Tells everybody.
    pub fn publish(&mut self, event: &RunEvent) {
        let (last, frame) = (matches!(event, RunEvent::Ended(_)), is_frame(event));
        for seat in self.seats.iter_mut().filter(|seat| (seat.wants)(event)) {
            let Some(queue) = &seat.queue else { continue };
            let waits = last || seat.full == WhenFull::Block;
            if !waits && frame && seat.frames.load(Relaxed) >= FRAMES {
                seat.dropped += 1;
                continue;
            }
            seat.frames.fetch_add(usize::from(frame), Relaxed);
            let told = if waits {
                let hurry = (seat.full == WhenFull::Block).then_some(&*self.hurry);
                send(queue, event.clone(), hurry).map_err(|stuck| seat.is_stuck = stuck)
            } else {
                match queue.try_send(event.clone()) {
                    Ok(()) => Ok(()),
                    Err(TrySendError::Full(_)) => {
                        seat.frames.fetch_sub(usize::from(frame), Relaxed);
                        seat.dropped += 1;
                        Ok(())
                    }
                    Err(TrySendError::Disconnected(_)) => Err(()),
                }
            };
            // Its thread has ended with an error, which `leave` reports.
            if told.is_err() {
                seat.queue = None;
            }
        }
    }

    /// Whether there is a screen that shows each second.
    pub fn has_screens(&self) -> bool {
        self.seats.iter().any(|seat| seat.full == WhenFull::DropNewest && seat.queue.is_some())
    }

    /// Waits until everybody has taken in all they were told, screens for a moment only. The first
    /// error by name of its sink; what screens suffer is no error: they change nothing about a run.
    ///
    /// # Errors
    /// That of the first file that failed, or that took nothing once nothing was to be waited for.
    pub fn join(self) -> Result<(), (&'static str, io::Error)> {
        let mut result = Ok(());
        for seat in self.seats {
            drop(seat.queue);
            let is_screen = seat.full == WhenFull::DropNewest;
            let ended = if !seat.is_stuck && waited_for(&seat.thread, is_screen, &self.hurry) {
                seat.thread.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")))
            } else {
                Err(io::Error::new(io::ErrorKind::TimedOut, "writing did not come to an end"))
            };
            if let (Ok(()), Err(error), false) = (&result, ended, is_screen) {
                result = Err((seat.name, error));
            }
        }
        result
    }
}

/// Puts an event into a queue and waits for room: for a screen a moment, for a file until there is
/// some or `hurry` is set.
///
/// # Errors
/// True if it was given up; false if its thread has ended.
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
        std::thread::park_timeout(LOOK);
    }
}

/// Waits until a sink's thread has ended; false if that takes too long.
fn waited_for(thread: &JoinHandle<io::Result<()>>, is_screen: bool, hurry: &AtomicBool) -> bool {
    let mut until = is_screen.then(|| clock::now() + SCREEN_WAIT);
    while !thread.is_finished() {
        if until.is_none() && hurry.load(Relaxed) {
            until = Some(clock::now() + FILE_WAIT);
        }
        if until.is_some_and(|until| clock::now() >= until) {
            return false;
        }
        std::thread::park_timeout(LOOK);
    }
    true
}

/// What screens are made for.
fn is_for_screens(event: &RunEvent) -> bool {
    use RunEvent::{Ended, EventLogged, LogLines, Note, Started, StateChanges, Tick};
    matches!(
        event,
        Started(_) | Tick(_) | Note(_) | StateChanges(_) | EventLogged(_) | LogLines(..) | Ended(_)
    )
}

/// What a later one makes needless.
fn is_frame(event: &RunEvent) -> bool {
    matches!(event, RunEvent::Tick(_) | RunEvent::Delta(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A screen that is busy until it is let go, and hands on what it was told.
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

    /// Takes nothing until it is let go, which may be never.
    fn stuck(full: WhenFull) -> (SinkSet, SyncSender<()>) {
        let ((go, held), (tell, _)) = (sync_channel(0), sync_channel(20));
        let mut audience = SinkSet::default();
        audience.add("stuck", full, Busy(held, tell)).unwrap();
        (audience, go)
    }

    #[test]
    fn a_screen_that_takes_nothing_holds_nothing_up_and_is_no_error() {
        let (mut audience, _go) = stuck(WhenFull::DropNewest);
        (0..999).for_each(|at| audience.publish(&RunEvent::Note(at.to_string())));
        assert_eq!(audience.join().map_err(|(name, _)| name), Ok(()));
    }

    #[test]
    fn a_file_that_takes_nothing_is_given_up_when_nothing_is_waited_for_any_more() {
        let (mut audience, _go) = stuck(WhenFull::Block);
        let hurry = Arc::new(AtomicBool::new(false));
        audience.set_hurry(Arc::clone(&hurry));
        (0..PAGES).for_each(|at| audience.publish(&RunEvent::Note(at.to_string())));
        hurry.store(true, Relaxed);
        (0..9).for_each(|at| audience.publish(&RunEvent::Note(at.to_string())));
        let (name, error) = audience.join().unwrap_err();
        assert_eq!((name, error.kind()), ("stuck", io::ErrorKind::TimedOut));
    }

    #[test]
    fn a_busy_screen_misses_nothing_that_is_told_once() {
        let ((go, held), (tell, told)) = (sync_channel(0), sync_channel(20));
        let mut audience = SinkSet::default();
        audience.add("busy", WhenFull::DropNewest, Busy(held, tell)).unwrap();
        (0..9).for_each(|at| audience.publish(&RunEvent::Note(at.to_string())));
        drop(go);
        audience.join().unwrap();
        assert!(told.iter().eq((0..9).map(|at| at.to_string())));
    }
}

//! What a scheduler tells the thread of a run, and the waits of that thread.
//!
//! `scheduler` tells, `execution` waits.
//! Invariant: a word wakes the thread at once; it never waits longer than it asked for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{self, Time};
use crate::timetable::TimeSlot;

/// Maximum skipped slots that wait to be written.
const MAX_SKIPS: usize = 100;

/// Receives lines about what happens.
pub(super) type Told = dyn Fn(&str) + Send + Sync;

/// What ends a scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScheduleSignal {
    /// No slot starts any more; runs get SIGTERM and are waited for.
    End,
    /// Runs are killed.
    EndNow,
}

/// Why a run is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopReason {
    /// The scheduler ends.
    Shutdown,
    /// The run of a later slot takes its place.
    Replaced,
}

/// What the thread of a run is told.
#[derive(Debug, Default)]
pub(super) struct RunControl {
    words: Mutex<RunWords>,
    told: Condvar,
}

/// The words so far.
#[derive(Debug, Default)]
struct RunWords {
    /// Why the run is to end, and since when.
    stop: Option<(StopReason, Time)>,
    is_now: bool,
    skips: Vec<TimeSlot>,
    news: bool,
}

impl RunControl {
    /// Tells the run to end; the first reason counts.
    pub(super) fn stop(&self, reason: StopReason) {
        let now = clock::now();
        self.tell(|words| words.stop = words.stop.or(Some((reason, now))));
    }

    /// Tells the run to end at once.
    pub(super) fn stop_now(&self) {
        let now = clock::now();
        self.tell(|words| {
            words.stop = words.stop.or(Some((StopReason::Shutdown, now)));
            words.is_now = true;
        });
    }

    /// Tells that a slot is skipped; of too many, the later ones are not noted.
    pub(super) fn skip(&self, slot: TimeSlot) {
        self.tell(|words| {
            if words.skips.len() < MAX_SKIPS {
                words.skips.push(slot);
            }
        });
    }

    /// Why the run is to end; `None`: it may go on.
    pub(super) fn stopped(&self) -> Option<StopReason> {
        self.lock().stop.map(|(reason, _)| reason)
    }

    /// Since when the scheduler ends; `None`: it goes on.
    pub(super) fn shutdown_since(&self) -> Option<Time> {
        self.lock().stop.filter(|(reason, _)| *reason == StopReason::Shutdown).map(|(_, at)| at)
    }

    /// Whether nothing is to be waited for.
    pub(super) fn is_now(&self) -> bool {
        self.lock().is_now
    }

    /// Takes the slots that are skipped.
    pub(super) fn take_skips(&self) -> Vec<TimeSlot> {
        std::mem::take(&mut self.lock().skips)
    }

    /// Waits for so long, or until something is told.
    pub(super) fn wait(&self, time: Duration) {
        let words = self.lock();
        let waited = self.told.wait_timeout_while(words, time, |words| !words.news);
        waited.unwrap_or_else(PoisonError::into_inner).0.news = false;
    }

    fn tell(&self, change: impl FnOnce(&mut RunWords)) {
        let mut words = self.lock();
        change(&mut words);
        words.news = true;
        self.told.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, RunWords> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

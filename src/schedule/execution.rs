//! One run of a job: its attempts, with the commands before and after them, on a thread of its own.
//!
//! `scheduler` starts it with a claim.
//! Invariant: the lease is renewed as long as the run goes on, and the run ends before the lease
//! does; its end is written once, under the token of its claim.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::entry::HistoryEntry;
use super::lease::{LeaseKeeper, LeaseState};
use super::notification;
use super::notifier::NotifierHandle;
use super::outcome::JobOutcome;
use super::retries::wait_before_next;
use super::run_control::{RunControl, Told};
use super::store::{AfterEntry, Claim, SlotStore};
use crate::clock;
use crate::exit::ExitStatus;
use crate::timetable::{OverlapPolicy, ScheduleFile, ScheduledJob, TimeSlot, stamp};

/// How often a process is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// The wait before the end of a run is written again.
const REWRITE: Duration = Duration::from_millis(500);

/// A run that is to be carried out.
pub(super) struct JobRun {
    pub(super) file: Arc<ScheduleFile>,
    /// The place of its job in the file.
    pub(super) job: usize,
    pub(super) slot: Option<TimeSlot>,
    pub(super) claim: Claim,
    pub(super) store: Box<dyn SlotStore>,
    pub(super) lease: LeaseKeeper,
    pub(super) control: Arc<RunControl>,
    pub(super) notifier: Option<NotifierHandle>,
    pub(super) told: Arc<Told>,
    pub(super) machine: String,
}

impl JobRun {
    /// Carries the run out; returns the store and how the run ended.
    pub(super) fn run(mut self) -> (Box<dyn SlotStore>, JobOutcome) {
        if let Some(lost) = self.claim.lost.take() {
            self.tell(&format!(
                "the run of slot {} on {} was lost; it does not run again",
                lost.due.as_deref().unwrap_or("by hand"),
                lost.machine
            ));
            self.notify(&lost);
            self.claim.former = Some(JobOutcome::Lost);
        }
        let mut attempt = 1;
        let outcome = loop {
            let entry = self.entry(attempt);
            self.tell(&format!("attempt {attempt} starts, token {}", self.claim.token));
            let end = self.attempt(&entry);
            let why = end.why.as_deref();
            let mut entry = match why {
                Some(why) => entry.because(why),
                None => entry,
            };
            entry.exit = end.exit;
            let verdict = end.exit.and_then(ExitStatus::from_code).and_then(ExitStatus::verdict);
            entry.verdict = verdict.map(str::to_owned);
            let entry = entry.ended(end.outcome, wall_ms());
            let because = why.map_or_else(String::new, |why| format!(": {why}"));
            self.tell(&format!("attempt {attempt} {}{because}", end.outcome.name()));
            let job = &self.file.jobs[self.job];
            let key = job.retry_key(self.claim.token, attempt);
            match wait_before_next(&job.retries, end.outcome, attempt, key) {
                Some(wait) => {
                    attempt += 1;
                    let next = self.entry(attempt);
                    self.write(&entry, AfterEntry::Next(&next));
                    if let Some(outcome) = self.wait_for_next(Duration::from_nanos(wait)) {
                        let why = format!("ended before attempt {attempt}");
                        let entry = self.entry(attempt).because(&why).ended(outcome, wall_ms());
                        self.finish(&entry);
                        break outcome;
                    }
                }
                None => {
                    self.finish(&entry);
                    break end.outcome;
                }
            }
        };
        (self.store, outcome)
    }

    /// Its job.
    pub(super) fn job(&self) -> &ScheduledJob {
        &self.file.jobs[self.job]
    }

    fn tell(&self, what: &str) {
        (self.told)(&format!("{}: {what}", self.job().name));
    }

    fn entry(&self, attempt: u32) -> HistoryEntry {
        let folder = self.place(attempt, "").display().to_string();
        let new = HistoryEntry::new(&self.job().name, self.slot, &self.machine, wall_ms());
        HistoryEntry { attempt, token: self.claim.token, folder: Some(folder), ..new }
    }

    /// A path of an attempt: its report's folder, and files beside it.
    pub(super) fn place(&self, attempt: u32, ending: &str) -> PathBuf {
        let slot = self.slot.map_or_else(|| "by-hand".to_owned(), |slot| stamp(slot.0));
        let name = format!("{slot}-{}-{attempt}{ending}", self.claim.token);
        self.file.out.join(&self.job().name).join(name)
    }

    /// Waits before the next attempt; returns why there is none.
    fn wait_for_next(&mut self, wait: Duration) -> Option<JobOutcome> {
        self.tell(&format!("the next attempt follows in {}", crate::units::show_duration(wait)));
        let until = clock::now() + wait;
        loop {
            self.keep_lease();
            let now = clock::now();
            let cause = self.ending(now);
            if cause.is_some() || now >= until {
                return cause;
            }
            self.control.wait(LOOK.min(until - now));
        }
    }

    /// Renews the lease if it is time, and writes skipped slots.
    pub(super) fn keep_lease(&mut self) {
        let (token, name) = (self.claim.token, self.job().name.clone());
        let sent = clock::now();
        if self.lease.is_due(sent) {
            let held = self.store.renew(&name, token);
            if held == Ok(false) {
                self.tell("its lease is over: another scheduler may run it");
            }
            self.lease.answered(sent, held.ok());
        }
        for slot in self.control.take_skips() {
            let entry = HistoryEntry::new(&name, Some(slot), &self.machine, wall_ms());
            let entry = entry.because("the former run goes on");
            let entry = entry.ended(JobOutcome::Skipped, wall_ms());
            // A slot before it may wait in a queue.
            let until = (self.job().overlap == OverlapPolicy::Skip).then_some(slot);
            match self.store.skip(&name, token, until, &entry) {
                Ok(true) => self.tell(&format!(
                    "slot {} is skipped: the former run goes on",
                    entry.due.as_deref().unwrap_or_default()
                )),
                // The next holder decides.
                Ok(false) => {}
                Err(error) => self.tell(&error.to_string()),
            }
        }
    }

    /// Writes the last entry, releases the claim, and notifies.
    fn finish(&mut self, entry: &HistoryEntry) {
        if self.write(entry, AfterEntry::Release) {
            self.notify(entry);
        }
    }

    /// Writes an entry, again and again as long as the lease may last; returns whether it is
    /// written.
    fn write(&mut self, entry: &HistoryEntry, then: AfterEntry<'_>) -> bool {
        self.keep_lease();
        let (token, name) = (self.claim.token, self.job().name.clone());
        loop {
            match self.store.record(&name, token, entry, then) {
                Ok(true) => return true,
                Ok(false) => {
                    self.tell("its outcome was refused: the lease is over");
                    return false;
                }
                Err(error) => {
                    let is_over = self.lease.state(clock::now()) == LeaseState::Over;
                    if is_over || self.control.is_now() || self.lease.is_of_process() {
                        self.tell(&format!("its outcome is not written: {error}"));
                        return false;
                    }
                }
            }
            self.control.wait(REWRITE);
        }
    }

    fn notify(&self, entry: &HistoryEntry) {
        let (Some(notifier), Some(options), Some(outcome)) =
            (&self.notifier, &self.file.notify, entry.outcome)
        else {
            return;
        };
        let former = self.claim.former;
        let mut occasions = notification::occasions(former, outcome);
        occasions.retain(|occasion| options.on.contains(occasion));
        if !occasions.is_empty() {
            notifier.send(&notification::body(&self.file.name, &occasions, former, entry));
        }
    }
}

/// The wall clock, ms since the epoch.
pub(super) fn wall_ms() -> u64 {
    let since = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

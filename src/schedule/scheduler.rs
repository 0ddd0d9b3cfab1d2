//! The scheduler: looks at the clock, claims the slots that are due, and starts their runs.
//!
//! `cli` runs it, or triggers one job by it.
//! Invariant: it waits at most a second, so that a clock that jumps is noticed; nothing but a claim
//! starts a run, and a store that does not answer delays slots, never the end of runs.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::entry::HistoryEntry;
use super::execution::{JobRun, wall_ms};
use super::lease::LeaseKeeper;
use super::machine::{JobMachine, JobStep, MISSED_AFTER};
use super::notifier::{Notifier, NotifierHandle};
use super::outcome::JobOutcome;
use super::run_control::{RunControl, ScheduleSignal, StopReason, Told};
use super::seat::{JobSeat, StartedRun};
use super::store::{Acquired, Claim, SlotClaim, SlotStore, StoreFailure};
use super::store_source::StoreSource;
use crate::clock::{self, Time};
use crate::host;
use crate::timetable::{ScheduleFile, TimeSlot, rfc3339};

/// The longest wait between two looks at the clock.
const LOOK: Duration = Duration::from_millis(200);

/// The wait before a slot is claimed again that another machine holds, or that a store refused.
const RECLAIM: Duration = Duration::from_millis(500);

/// The wait before a store that does not answer is tried again.
const REOPEN: Duration = Duration::from_secs(1);

/// A jump of the wall clock that is said, ms.
const JUMP: i128 = 5_000;

/// A scheduler of a file.
pub struct Scheduler {
    file: Arc<ScheduleFile>,
    source: StoreSource,
    told: Arc<Told>,
    machine: String,
}

/// Why a scheduler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedulerEnd {
    /// No job has a slot any more.
    NoMoreSlots,
    /// It was told to end, and waited for its runs.
    Ended,
    /// It was told to end at once.
    EndedNow,
}

/// Why a job could not be triggered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TriggerError {
    /// Another process runs it.
    #[error("the job runs on {0}; trigger it when that run has ended")]
    Busy(String),
    /// The store cannot be used.
    #[error("{0}")]
    Store(#[from] StoreFailure),
    /// The webhook cannot be used.
    #[error("{0}")]
    Notifier(String),
}

/// What a scheduler at work knows besides its jobs.
struct SchedulerState {
    notifier: Option<NotifierHandle>,
    is_store_down: bool,
    reopen_at: Time,
    /// The wall clock and the steady one at the last look.
    looked: (u64, Time),
}

impl Scheduler {
    /// A scheduler of a file; `told` receives lines about what happens.
    ///
    /// # Errors
    /// If the address of the lock is not valid.
    pub fn new(
        file: ScheduleFile,
        told: impl Fn(&str) + Send + Sync + 'static,
    ) -> Result<Self, StoreFailure> {
        let source = StoreSource::of(&file)?;
        let machine = format!("{}:{}", host::host_name(), std::process::id());
        Ok(Self { file: Arc::new(file), source, told: Arc::new(told), machine })
    }

    /// The file.
    pub fn file(&self) -> &ScheduleFile {
        &self.file
    }

    /// The latest entries of jobs, newest first.
    ///
    /// # Errors
    /// If the store cannot be used.
    pub fn entries(
        &self,
        job: Option<&str>,
        most: usize,
    ) -> Result<Vec<HistoryEntry>, StoreFailure> {
        let mut store = self.source.open()?;
        let mut all = Vec::new();
        for one in self.file.jobs.iter().filter(|one| job.is_none_or(|job| job == one.name)) {
            all.extend(store.entries(&one.name, most)?);
        }
        // Texts of one form: their order is that of time.
        all.sort_by(|a, b| b.started.cmp(&a.started));
        all.truncate(most);
        Ok(all)
    }

    /// Runs a job now, in this process.
    ///
    /// # Errors
    /// If another process runs it, or the store cannot be used.
    pub fn trigger(
        &self,
        job: usize,
        signals: &Receiver<ScheduleSignal>,
    ) -> Result<JobOutcome, TriggerError> {
        let (notifier, handle) = self.notifier().map_err(TriggerError::Notifier)?;
        let mut store = self.source.open()?;
        let requested = clock::now();
        let claim = match self.claim(&mut *store, job, None, wall_ms())? {
            Acquired::Held(claim) => claim,
            Acquired::Busy { by } => return Err(TriggerError::Busy(by)),
            Acquired::Taken | Acquired::Early { .. } => {
                return Err(StoreFailure("the lock refused a run by hand".to_owned()).into());
            }
        };
        let run = self.start(job, None, claim, store, requested, handle);
        let run = run.map_err(|error| StoreFailure(format!("cannot start a thread: {error}")))?;
        while !run.thread.is_finished() {
            match signals.recv_timeout(LOOK) {
                Ok(ScheduleSignal::End) => run.control.stop(StopReason::Shutdown),
                Ok(ScheduleSignal::EndNow) => run.control.stop_now(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => RunControl::default().wait(LOOK),
            }
        }
        let is_now = run.control.is_now();
        let outcome = run.thread.join().map_or(JobOutcome::Broken, |(_, outcome)| outcome);
        if let Some(notifier) = notifier {
            notifier.finish(is_now);
        }
        Ok(outcome)
    }

    /// Runs the jobs when they are due, until a signal.
    ///
    /// # Errors
    /// If the webhook cannot be used, as text.
    pub fn run(&self, signals: &Receiver<ScheduleSignal>) -> Result<SchedulerEnd, String> {
        let (notifier, handle) = self.notifier()?;
        let mut jobs: Vec<JobSeat> = self.file.jobs.iter().map(|_| JobSeat::default()).collect();
        let mut state = SchedulerState {
            notifier: handle,
            is_store_down: false,
            reopen_at: Time(0),
            looked: (wall_ms(), clock::now()),
        };
        let end = self.work(&mut jobs, &mut state, signals);
        drop(state);
        if let Some(notifier) = notifier {
            notifier.finish(end == SchedulerEnd::EndedNow);
        }
        Ok(end)
    }

    fn work(
        &self,
        jobs: &mut [JobSeat],
        state: &mut SchedulerState,
        signals: &Receiver<ScheduleSignal>,
    ) -> SchedulerEnd {
        let mut end = None;
        loop {
            jobs.iter_mut().for_each(JobSeat::collect);
            let is_idle = jobs.iter().all(|seat| seat.run.is_none());
            if let Some(end) = end.filter(|_| is_idle) {
                return end;
            }
            if end.is_none() {
                self.look(jobs, state);
                let is_over = |(seat, job): (&mut JobSeat, _)| seat.is_over(job);
                if jobs.iter_mut().zip(&self.file.jobs).all(is_over) {
                    return SchedulerEnd::NoMoreSlots;
                }
            }
            let runs = jobs.iter().filter_map(|seat| seat.run.as_ref());
            match signals.recv_timeout(LOOK) {
                Ok(ScheduleSignal::End) => {
                    end = end.or(Some(SchedulerEnd::Ended));
                    runs.for_each(|run| run.control.stop(StopReason::Shutdown));
                    (self.told)("ending: no slot starts any more, runs are asked to end");
                }
                Ok(ScheduleSignal::EndNow) => {
                    end = Some(SchedulerEnd::EndedNow);
                    runs.for_each(|run| run.control.stop_now());
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Without a source of signals it goes on; the channel no longer waits.
                Err(RecvTimeoutError::Disconnected) => RunControl::default().wait(LOOK),
            }
        }
    }

    /// Looks at the clock and does what is due.
    fn look(&self, jobs: &mut [JobSeat], state: &mut SchedulerState) {
        let (now_ms, now) = (wall_ms(), clock::now());
        let (wall, steady) = std::mem::replace(&mut state.looked, (now_ms, now));
        let passed = i128::from(now.since(steady) / 1_000_000);
        let jump = i128::from(now_ms) - i128::from(wall) - passed;
        if jump.abs() > JUMP {
            (self.told)(&format!("the clock of this machine jumped by {} s", jump / 1_000));
        }
        for (at, seat) in jobs.iter_mut().enumerate() {
            if seat.machine.is_none() {
                self.open_job(at, seat, state, now_ms);
            }
        }
        let lease = self.source.lease().map_or(0, |lease| lease.as_millis() as u64);
        for at in 0..jobs.len() {
            let (job, seat) = (&self.file.jobs[at], &mut jobs[at]);
            let Some(machine) = &mut seat.machine else { continue };
            for step in machine.look(job, now_ms, lease + MISSED_AFTER) {
                match step {
                    JobStep::Start(slot) => self.start_slot(at, slot, jobs, state),
                    JobStep::Skip(slot) => jobs[at].with_run(|run| run.control.skip(slot)),
                    JobStep::Replace(_) => {
                        jobs[at].with_run(|run| run.control.stop(StopReason::Replaced));
                    }
                    JobStep::Missed(count, last) => (self.told)(&format!(
                        "{}: missed {}, the last one at {}; catch_up does not run them",
                        job.name,
                        crate::units::counted(count, "slot"),
                        rfc3339(last.0 * 1_000)
                    )),
                }
            }
        }
    }

    /// Reads the last slot of a job, which it goes on from.
    fn open_job(&self, at: usize, seat: &mut JobSeat, state: &mut SchedulerState, now_ms: u64) {
        let now = clock::now();
        if now < state.reopen_at || now < seat.reclaim_at {
            return;
        }
        // A connection for each of a thousand jobs would be too many: the next claim opens one.
        let store = seat.take_store(&self.source);
        let read = store.and_then(|mut store| store.last_slot(&self.file.jobs[at].name));
        self.answer(state, seat, read.as_ref().err());
        if let Ok(last) = read {
            seat.machine = Some(JobMachine::new(last, now_ms));
        }
    }

    /// Claims a slot and starts its run.
    fn start_slot(
        &self,
        at: usize,
        slot: TimeSlot,
        jobs: &mut [JobSeat],
        state: &mut SchedulerState,
    ) {
        let now = clock::now();
        let running = jobs.iter().filter(|seat| seat.run.is_some()).count();
        let (job, seat) = (&self.file.jobs[at], &mut jobs[at]);
        let is_waiting = now < seat.reclaim_at || now < state.reopen_at;
        if running >= self.file.max_running || is_waiting {
            return;
        }
        let claimed = seat.take_store(&self.source).and_then(|mut store| {
            let acquired = self.claim(&mut *store, at, Some(slot), job.due_ms(slot))?;
            Ok((store, acquired))
        });
        self.answer(state, seat, claimed.as_ref().err());
        let acquired = claimed.as_ref().ok().map(|(_, acquired)| acquired);
        if let Some(machine) = &mut seat.machine {
            machine.answered(acquired);
        }
        seat.is_told_busy &= matches!(acquired, Some(Acquired::Busy { .. }));
        match claimed {
            Ok((store, Acquired::Held(claim))) => {
                match self.start(at, Some(slot), claim, store, now, state.notifier.clone()) {
                    Ok(run) => seat.run = Some(run),
                    Err(error) => {
                        (self.told)(&format!("{}: cannot start a thread: {error}", job.name));
                        seat.ended();
                    }
                }
            }
            Ok((store, Acquired::Busy { by })) => {
                seat.wait_on(store, now + RECLAIM);
                if !std::mem::replace(&mut seat.is_told_busy, true) {
                    let due = rfc3339(slot.0 * 1_000);
                    (self.told)(&format!("{}: slot {due} waits: {by} holds the lease", job.name));
                }
            }
            Ok((store, Acquired::Early { ms })) => {
                seat.wait_on(store, now + Duration::from_millis(ms).min(RECLAIM));
            }
            Ok((_, Acquired::Taken)) | Err(_) => {}
        }
    }

    /// Says once that the store does not answer, and once that it does again.
    fn answer(
        &self,
        state: &mut SchedulerState,
        seat: &mut JobSeat,
        failed: Option<&StoreFailure>,
    ) {
        match failed {
            Some(failed) => {
                state.reopen_at = clock::now() + REOPEN;
                // The others come first: it may be the state of this job alone.
                seat.reclaim_at = state.reopen_at + REOPEN * 2;
                if !std::mem::replace(&mut state.is_store_down, true) {
                    (self.told)(&format!("{failed}; no job starts until it answers"));
                }
            }
            None if std::mem::take(&mut state.is_store_down) => {
                (self.told)("the lock answers again");
            }
            None => {}
        }
    }

    fn claim(
        &self,
        store: &mut dyn SlotStore,
        job: usize,
        slot: Option<TimeSlot>,
        due_ms: u64,
    ) -> Result<Acquired, StoreFailure> {
        let job = &self.file.jobs[job].name;
        let entry = HistoryEntry::new(job, slot, &self.machine, wall_ms());
        let entry = HistoryEntry { attempt: 1, ..entry };
        store.acquire(&SlotClaim { job, slot, due_ms, entry: &entry })
    }

    fn start(
        &self,
        job: usize,
        slot: Option<TimeSlot>,
        claim: Claim,
        store: Box<dyn SlotStore>,
        requested: Time,
        notifier: Option<NotifierHandle>,
    ) -> std::io::Result<StartedRun> {
        let control = Arc::new(RunControl::default());
        let run = JobRun {
            file: Arc::clone(&self.file),
            job,
            slot,
            claim,
            store,
            lease: LeaseKeeper::new(self.source.lease(), requested),
            control: Arc::clone(&control),
            notifier,
            told: Arc::clone(&self.told),
            machine: self.machine.clone(),
        };
        let thread = std::thread::Builder::new().name("run".to_owned()).spawn(move || run.run())?;
        Ok(StartedRun { control, thread })
    }

    fn notifier(&self) -> Result<(Option<Notifier>, Option<NotifierHandle>), String> {
        let Some(options) = &self.file.notify else { return Ok((None, None)) };
        let (notifier, handle) = Notifier::start(&options.url, Arc::clone(&self.told))?;
        Ok((Some(notifier), Some(handle)))
    }
}

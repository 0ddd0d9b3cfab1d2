//! The state of a job: which of its slots are due, waiting, missed or skipped.
//!
//! `scheduler` has one for each job and asks it after each wait.
//! Invariant: slots are looked at in their order and each once, whatever the wall clock does; at
//! most one slot waits, besides those that are caught up.

use std::collections::VecDeque;

use super::store::Acquired;
use crate::timetable::{CatchUp, OverlapPolicy, ScheduledJob, TimeSlot};

/// A slot that is noticed so late was missed, ms: schedulers look every second.
pub(super) const MISSED_AFTER: u64 = 10_000;

/// Maximum slots that `catch_up: all` runs.
pub(super) const MAX_CATCH_UP: usize = 100;

/// Maximum missed slots that are counted one by one.
const MAX_COUNTED: u64 = 10_000;

/// The state of a job.
#[derive(Debug)]
pub(super) struct JobMachine {
    /// The last slot that was looked at.
    cursor: TimeSlot,
    /// The slot that is to start.
    pending: Option<TimeSlot>,
    /// Missed slots that are to start, oldest first.
    missed: VecDeque<TimeSlot>,
    running: Option<TimeSlot>,
    /// What the pending slot waits for.
    waits: PendingWait,
    /// The slot after the cursor, computed once; `None`: not yet, or there is none.
    next: Option<TimeSlot>,
}

/// What a pending slot waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PendingWait {
    /// Its turn, or its time by the clock of the store.
    Turn,
    /// The lease that another process holds.
    Lease,
    /// A store that does not answer.
    Store,
}

/// What is to be done for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobStep {
    /// The slot is to be claimed and started.
    Start(TimeSlot),
    /// The slot is skipped, since a run of this process goes on.
    Skip(TimeSlot),
    /// The run of this process is to end: the slot takes its place.
    Replace(TimeSlot),
    /// Slots were missed and are not run: how many, at most [`MAX_COUNTED`], and the last one.
    Missed(u64, TimeSlot),
}

impl JobMachine {
    /// A job whose last slot is known from a store, or which is new at `now_ms`.
    pub(super) fn new(last: Option<TimeSlot>, now_ms: u64) -> Self {
        Self {
            cursor: last.unwrap_or(TimeSlot(now_ms / 1_000)),
            pending: None,
            missed: VecDeque::new(),
            running: None,
            waits: PendingWait::Turn,
            next: None,
        }
    }

    /// Looks at the clock. `patience_ms`: how long a slot may wait for a store that is down before
    /// it counts as missed.
    pub(super) fn look(
        &mut self,
        job: &ScheduledJob,
        now_ms: u64,
        patience_ms: u64,
    ) -> Vec<JobStep> {
        let mut steps = Vec::new();
        let due = self.take_due(job, now_ms, &mut steps);
        let last = due.back().copied();
        for slot in due {
            let is_missed = job.due_ms(slot) + MISSED_AFTER < now_ms;
            match job.catch_up {
                CatchUp::All if is_missed || !self.missed.is_empty() => {
                    self.remember(slot, &mut steps);
                }
                CatchUp::None if is_missed => count_missed(&mut steps, 1, slot),
                CatchUp::Last if is_missed && Some(slot) != last => {
                    count_missed(&mut steps, 1, slot);
                }
                _ => self.due(job, slot, &mut steps),
            }
        }
        let is_stale = |slot: &TimeSlot| job.due_ms(*slot) + patience_ms < now_ms;
        if self.waits == PendingWait::Store
            && job.catch_up == CatchUp::None
            && let Some(slot) = self.pending.take_if(|slot| is_stale(slot))
        {
            count_missed(&mut steps, 1, slot);
        }
        if self.running.is_none() && self.pending.is_none() {
            self.pending = self.missed.pop_front();
        }
        if self.running.is_none()
            && let Some(slot) = self.pending
        {
            steps.push(JobStep::Start(slot));
        }
        steps
    }

    /// Notes what a store said to the pending slot; `None`: it cannot be reached.
    pub(super) fn answered(&mut self, acquired: Option<&Acquired>) {
        self.waits = match acquired {
            Some(Acquired::Busy { .. }) => PendingWait::Lease,
            Some(_) => PendingWait::Turn,
            None => PendingWait::Store,
        };
        match acquired {
            Some(Acquired::Held(_)) => self.running = self.pending.take(),
            Some(Acquired::Taken) => self.pending = None,
            Some(Acquired::Busy { .. } | Acquired::Early { .. }) | None => {}
        }
    }

    /// Notes that the run of this process has ended.
    pub(super) fn ended(&mut self) {
        self.running = None;
    }

    /// Whether it has nothing to do any more.
    pub(super) fn is_over(&mut self, job: &ScheduledJob) -> bool {
        self.running.is_none()
            && self.pending.is_none()
            && self.missed.is_empty()
            && self.next_slot(job).is_none()
    }

    fn next_slot(&mut self, job: &ScheduledJob) -> Option<TimeSlot> {
        if self.next.is_none() {
            self.next = job.calendar.after(self.cursor.0).map(TimeSlot);
        }
        self.next
    }

    /// A slot that is due in time, or the last one of those that were missed.
    fn due(&mut self, job: &ScheduledJob, slot: TimeSlot, steps: &mut Vec<JobStep>) {
        let is_busy = self.running.is_some();
        match job.overlap {
            OverlapPolicy::Skip if is_busy => steps.push(JobStep::Skip(slot)),
            OverlapPolicy::Queue if self.pending.is_some() => self.leave_out(slot, steps),
            OverlapPolicy::Replace if is_busy => {
                steps.push(JobStep::Replace(slot));
                self.pending = Some(slot);
            }
            // If another machine runs the former slot, or holds its lease though it died, the
            // newest slot is the one to start.
            _ => {
                if let Some(former) = self.pending.replace(slot) {
                    self.leave_out(former, steps);
                }
            }
        }
    }

    /// Leaves a slot out. If another process runs the job, that one says so.
    fn leave_out(&self, slot: TimeSlot, steps: &mut Vec<JobStep>) {
        match self.waits {
            _ if self.running.is_some() => steps.push(JobStep::Skip(slot)),
            PendingWait::Lease => {}
            PendingWait::Turn | PendingWait::Store => count_missed(steps, 1, slot),
        }
    }

    /// Keeps a missed slot to be run; of too many, the oldest are left out.
    fn remember(&mut self, slot: TimeSlot, steps: &mut Vec<JobStep>) {
        self.missed.push_back(slot);
        if self.missed.len() > MAX_CATCH_UP
            && let Some(oldest) = self.missed.pop_front()
        {
            count_missed(steps, 1, oldest);
        }
    }

    /// Moves the cursor to the last slot that is due, and returns the last ones up to there.
    fn take_due(
        &mut self,
        job: &ScheduledJob,
        now_ms: u64,
        steps: &mut Vec<JobStep>,
    ) -> VecDeque<TimeSlot> {
        let (mut due, mut counted) = (VecDeque::new(), 0);
        while let Some(slot) = self.next_slot(job)
            && job.due_ms(slot) <= now_ms
        {
            (self.cursor, self.next) = (slot, None);
            due.push_back(slot);
            if due.len() > MAX_CATCH_UP
                && let Some(oldest) = due.pop_front()
            {
                counted += 1;
                count_missed(steps, 1, oldest);
            }
            // Years of seconds are not counted one by one.
            if counted == MAX_COUNTED
                && let Some(last) = job.calendar.last_between(self.cursor.0, now_ms / 1_000)
            {
                let kept = job.calendar.interval().unwrap_or(0) * (MAX_CATCH_UP as u64);
                self.cursor = self.cursor.max(TimeSlot(last.saturating_sub(kept.max(1))));
            }
        }
        due
    }
}

/// Adds missed slots to the step that counts them.
fn count_missed(steps: &mut Vec<JobStep>, count: u64, last: TimeSlot) {
    let found = steps.iter_mut().find_map(|step| match step {
        JobStep::Missed(all, slot) => Some((all, slot)),
        _ => None,
    });
    match found {
        Some((all, slot)) => (*all, *slot) = ((*all + count).min(MAX_COUNTED), last.max(*slot)),
        None => steps.push(JobStep::Missed(count.min(MAX_COUNTED), last)),
    }
}

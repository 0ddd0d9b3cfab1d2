//! Jobs of a schedule file, and the times at which they are due.
//!
//! `scenario` reads a file into a [`ScheduleFile`]; `schedule` runs its jobs.
//! Invariant: what is due when depends on the file and on the time that a caller gives, so all
//! machines with one file compute the same slots.

mod calendar;
#[cfg(test)]
mod calendar_tests;
mod job;
mod zone;

pub use calendar::{Calendar, CalendarError};
pub use job::{
    CatchUp, JobRetries, LockOptions, NotifyOn, NotifyOptions, OverlapPolicy, RetryOn,
    ScheduleFile, ScheduledJob, TimeSlot,
};
pub use zone::{ScheduleZone, parse_time, rfc3339, show_time, stamp};

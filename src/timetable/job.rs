//! The jobs of a schedule file, checked.
//!
//! `scenario` makes them, `schedule` and `cli` read them.
//! Invariant: names of jobs are unique, and valid as names of files.

use std::path::PathBuf;
use std::time::Duration;

use super::calendar::Calendar;
use super::zone::ScheduleZone;
use crate::plan::policy::BackoffPolicy;
use crate::seed::mixed;
use crate::units::nanos;

/// The intended time of a run: seconds since the epoch, before jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSlot(pub u64);

/// A schedule file.
#[derive(Clone, Debug)]
pub struct ScheduleFile {
    /// Its name, a part of keys and of the folder.
    pub name: String,
    /// The zone of its cron expressions, and of times that are shown.
    pub zone: ScheduleZone,
    /// The folder of the file: commands and runs start in it.
    pub folder: PathBuf,
    /// The folder of reports, outputs and, without `lock`, of the state.
    pub out: PathBuf,
    /// The Redis whose leases make a run the only one over machines; `None`: this machine alone.
    pub lock: Option<LockOptions>,
    /// Where runs are written as a history, as `--history` has it.
    pub history: Option<String>,
    /// Who is told about outcomes.
    pub notify: Option<NotifyOptions>,
    /// Maximum runs of this process at the same time.
    pub max_running: usize,
    /// The jobs, in the order of the file.
    pub jobs: Vec<ScheduledJob>,
}

/// The Redis of a schedule.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LockOptions {
    /// Its URL, perhaps with a password.
    pub url: String,
    /// How long a lease lasts without renewal.
    pub lease: Duration,
    /// Certificates that the server is verified with, in place of the system's.
    pub ca: Option<PathBuf>,
    /// The client's certificate.
    pub cert: Option<PathBuf>,
    /// The key of the client's certificate.
    pub key: Option<PathBuf>,
    /// Whether a connection to another machine may be without encryption.
    pub allow_plaintext: bool,
}

impl std::fmt::Debug for LockOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockOptions")
            .field("lease", &self.lease)
            .field("ca", &self.ca)
            .field("allow_plaintext", &self.allow_plaintext)
            .finish_non_exhaustive()
    }
}

/// A scenario that is run at times.
#[derive(Clone, Debug)]
pub struct ScheduledJob {
    /// Its name.
    pub name: String,
    /// The scenario file.
    pub scenario: PathBuf,
    /// Further arguments of `manada run`.
    pub args: Vec<String>,
    /// When it is due.
    pub calendar: Calendar,
    /// The longest delay after a slot.
    pub jitter: Duration,
    /// What becomes of a slot while the former run goes on.
    pub overlap: OverlapPolicy,
    /// How long an attempt may take.
    pub timeout: Option<Duration>,
    /// The time from SIGTERM to SIGKILL.
    pub grace: Duration,
    /// Further attempts of a run.
    pub retries: JobRetries,
    /// A shell command before the run.
    pub before: Option<String>,
    /// A shell command after the run.
    pub after: Option<String>,
    /// What becomes of slots that were missed.
    pub catch_up: CatchUp,
}

/// What becomes of a slot while the former run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverlapPolicy {
    /// It is skipped.
    Skip,
    /// It waits, alone: a further one is skipped.
    Queue,
    /// The former run is ended.
    Replace,
}

impl OverlapPolicy {
    /// The words of the language.
    pub const NAMES: [(&'static str, Self); 3] =
        [("skip", Self::Skip), ("queue", Self::Queue), ("replace", Self::Replace)];
}

/// What becomes of slots that were missed: while no scheduler ran, or when the clock jumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUp {
    /// They are left out.
    None,
    /// The last one is run.
    Last,
    /// All are run, one after the other; of very many, the last ones.
    All,
}

impl CatchUp {
    /// The words of the language.
    pub const NAMES: [(&'static str, Self); 3] =
        [("none", Self::None), ("last", Self::Last), ("all", Self::All)];
}

/// Further attempts of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRetries {
    /// The largest number.
    pub max: u32,
    /// The wait before each.
    pub backoff: BackoffPolicy,
    /// The outcomes after which there is one.
    pub when: Vec<RetryOn>,
}

/// An outcome after which there may be another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// The run was not carried out (exit code 1), or died.
    Broken,
    /// The run took longer than its timeout.
    Timeout,
    /// Thresholds failed (4).
    Fail,
    /// Thresholds rest on a measurement that is not trusted (5).
    Inconclusive,
    /// A safety limit stopped the run (6).
    Aborted,
    /// The command before the run failed.
    Before,
}

impl RetryOn {
    /// The words of the language.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("broken", Self::Broken),
        ("timeout", Self::Timeout),
        ("fail", Self::Fail),
        ("inconclusive", Self::Inconclusive),
        ("aborted", Self::Aborted),
        ("before", Self::Before),
    ];
}

impl Default for JobRetries {
    fn default() -> Self {
        let backoff = BackoffPolicy {
            base: Duration::from_secs(10),
            max: Duration::from_mins(10),
            ..BackoffPolicy::default()
        };
        Self { max: 0, backoff, when: vec![RetryOn::Broken, RetryOn::Timeout] }
    }
}

/// Who is told about outcomes.
#[derive(Clone, PartialEq, Eq)]
pub struct NotifyOptions {
    /// The URL of the webhook; it may be a secret, and no message shows it.
    pub url: String,
    /// The occasions.
    pub on: Vec<NotifyOn>,
}

impl std::fmt::Debug for NotifyOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NotifyOptions").field("on", &self.on).finish_non_exhaustive()
    }
}

/// An occasion of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyOn {
    /// A run did not pass.
    Failure,
    /// A run passed after one that did not.
    Recovery,
    /// A run ended otherwise than the one before.
    Change,
}

impl NotifyOn {
    /// The words of the language.
    pub const NAMES: [(&'static str, Self); 3] =
        [("failure", Self::Failure), ("recovery", Self::Recovery), ("change", Self::Change)];

    /// Its word.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name)
    }
}

impl ScheduledJob {
    /// The delay of a slot, ms: from its name and the slot alone.
    pub fn delay_ms(&self, slot: TimeSlot) -> u64 {
        let most = nanos(self.jitter) / 1_000_000;
        let words = self.name.bytes().map(u64::from).chain([slot.0]);
        // At most an hour: no overflow.
        ((u128::from(mixed(words)) * u128::from(most + 1)) >> 64) as u64
    }

    /// When a slot is due, ms since the epoch.
    pub fn due_ms(&self, slot: TimeSlot) -> u64 {
        slot.0 * 1_000 + self.delay_ms(slot)
    }

    /// A number that other runs do not have, for the waits before retries.
    pub fn retry_key(&self, token: u64, attempt: u32) -> u64 {
        mixed(self.name.bytes().map(u64::from).chain([token, u64::from(attempt)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timetable::ScheduleZone;

    fn job(name: &str, jitter: Duration) -> ScheduledJob {
        ScheduledJob {
            name: name.to_owned(),
            scenario: PathBuf::new(),
            args: Vec::new(),
            calendar: Calendar::cron("@hourly", &ScheduleZone::utc(), 0).unwrap(),
            jitter,
            overlap: OverlapPolicy::Skip,
            timeout: None,
            grace: Duration::from_secs(30),
            retries: JobRetries::default(),
            before: None,
            after: None,
            catch_up: CatchUp::None,
        }
    }

    #[test]
    fn jitter_is_a_function_of_name_and_slot() {
        let (one, other) = (job("a", Duration::from_secs(30)), job("b", Duration::from_secs(30)));
        let delays = |job: &ScheduledJob| -> Vec<u64> {
            (0..4_000).map(|slot| job.delay_ms(TimeSlot(slot * 3_600))).collect()
        };
        assert_eq!(delays(&one), delays(&one.clone()));
        assert_ne!(delays(&one), delays(&other));
        assert!(delays(&one).iter().all(|delay| *delay <= 30_000));
        // Uniform: mean 15 s, standard error 137 ms.
        let mean = delays(&one).iter().sum::<u64>() / 4_000;
        assert!((14_300..15_700).contains(&mean), "{mean}");
        assert_eq!(job("a", Duration::ZERO).due_ms(TimeSlot(7)), 7_000);
    }
}

//! One attempt of a run: the command before it, the run itself, the command after it.
//!
//! `execution` makes attempts.
//! Invariant: the lease is renewed while a process goes on; a process ends when its run has to.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::child::{JobProcess, ProcessEnd};
use super::entry::HistoryEntry;
use super::execution::{JobRun, LOOK};
use super::lease::LeaseState;
use super::outcome::JobOutcome;
use super::run_control::StopReason;
use crate::clock::{self, Time};
use crate::timetable::stamp;
use crate::units::nanos;

/// How long a command before or after a run may take, if its job has no timeout.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(10);

/// How a process is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    /// A run, or a command before it: ends when the run has to end.
    Run,
    /// A command after it, which runs whatever became of the run.
    After,
}

/// How an attempt ended.
pub(super) struct AttemptEnd {
    pub(super) outcome: JobOutcome,
    pub(super) exit: Option<u8>,
    pub(super) why: Option<String>,
}

impl JobRun {
    /// One attempt, with the commands around it.
    pub(super) fn attempt(&mut self, entry: &HistoryEntry) -> AttemptEnd {
        let before = self.job().before.clone();
        let failed = before.and_then(|command| self.before(&command, entry));
        let end = failed.unwrap_or_else(|| self.measure(entry));
        self.after(entry, end)
    }

    /// Runs the command before a run; `None`: it succeeded.
    fn before(&mut self, command: &str, entry: &HistoryEntry) -> Option<AttemptEnd> {
        let words = ["/bin/sh", "-c", command].map(OsString::from);
        let output = self.place(entry.attempt, "-before.log");
        let failed =
            |why| AttemptEnd { outcome: JobOutcome::BeforeFailed, exit: None, why: Some(why) };
        match self.process(&words, &[], &output, entry, Watched::Run) {
            Ok((_, Some(outcome))) => Some(AttemptEnd {
                outcome,
                exit: None,
                why: Some("in the command `before`".to_owned()),
            }),
            Ok((ProcessEnd { code: Some(0), .. }, None)) => None,
            Ok((end, None)) => {
                Some(failed(format!("`before` ended with {}: {}", shown(end), reason_in(&output))))
            }
            Err(error) => Some(failed(format!("`before` cannot be started: {error}"))),
        }
    }

    /// Runs the command after a run, whatever became of that.
    fn after(&mut self, entry: &HistoryEntry, mut end: AttemptEnd) -> AttemptEnd {
        let Some(command) = self.job().after.clone() else { return end };
        if self.control.is_now() {
            return end;
        }
        let words = ["/bin/sh", "-c", &command].map(OsString::from);
        let output = self.place(entry.attempt, "-after.log");
        let exit = end.exit.map_or_else(String::new, |code| code.to_string());
        let outcome = ("MANADA_OUTCOME", end.outcome.name().to_owned());
        let variables = [outcome, ("MANADA_EXIT", exit)];
        let failed = match self.process(&words, &variables, &output, entry, Watched::After) {
            Ok((ProcessEnd { code: Some(0), .. }, None)) => None,
            Ok((_, Some(_))) => Some("`after` took too long".to_owned()),
            Ok((end, None)) => {
                Some(format!("`after` ended with {}: {}", shown(end), reason_in(&output)))
            }
            Err(error) => Some(format!("`after` cannot be started: {error}")),
        };
        if let Some(failed) = failed {
            end.why = Some(end.why.map_or(failed.clone(), |why| format!("{why}; {failed}")));
        }
        end
    }

    /// Runs the scenario.
    fn measure(&mut self, entry: &HistoryEntry) -> AttemptEnd {
        let output = self.place(entry.attempt, ".log");
        let broken = |error: &io::Error| AttemptEnd {
            outcome: JobOutcome::Broken,
            exit: None,
            why: Some(format!("the run cannot be started: {error}")),
        };
        let words = match self.run_words(entry) {
            Ok(words) => words,
            Err(error) => return broken(&error),
        };
        let history = self.file.history.clone().map(|place| ("MANADA_HISTORY", place));
        let variables: Vec<_> = history.into_iter().collect();
        match self.process(&words, &variables, &output, entry, Watched::Run) {
            Ok((_, Some(outcome))) => AttemptEnd { outcome, exit: None, why: None },
            Ok((end, None)) => {
                let outcome = JobOutcome::of_exit(end.code);
                let has_reason = matches!(outcome, JobOutcome::Broken | JobOutcome::Invalid);
                let why = has_reason.then(|| format!("{}: {}", shown(end), reason_in(&output)));
                AttemptEnd { outcome, exit: end.code, why }
            }
            Err(error) => broken(&error),
        }
    }

    /// The command line of `manada run`.
    fn run_words(&self, entry: &HistoryEntry) -> io::Result<Vec<OsString>> {
        let job = self.job();
        let program = std::env::current_exe()?;
        let scenario = std::path::absolute(&job.scenario)?;
        let folder = std::path::absolute(self.place(entry.attempt, ""))?;
        let mut words: Vec<OsString> = vec![program.into(), "run".into(), scenario.into()];
        words.extend(["--ui", "none", "--out"].map(OsString::from));
        words.push(folder.into());
        let is_kept = std::env::var_os("MANADA_HISTORY").is_none_or(|place| place != "none");
        if cfg!(feature = "history") && (is_kept || self.file.history.is_some()) {
            // A name with `token` would be redacted.
            let token = self.claim.token.to_string();
            for (name, value) in
                [("schedule", &self.file.name), ("job", &job.name), ("claim", &token)]
            {
                words.extend([OsString::from("--tag"), format!("{name}={value}").into()]);
            }
        }
        words.extend(job.args.iter().map(OsString::from));
        Ok(words)
    }

    /// Starts a process and watches it to its end; also returns why it was ended, if it was.
    fn process(
        &mut self,
        words: &[OsString],
        variables: &[(&'static str, String)],
        output: &Path,
        entry: &HistoryEntry,
        watched: Watched,
    ) -> io::Result<(ProcessEnd, Option<JobOutcome>)> {
        if let Some(folder) = output.parent() {
            fs::create_dir_all(folder)?;
        }
        let folder = std::path::absolute(self.place(entry.attempt, ""))?.display().to_string();
        let slot = self.slot.map_or_else(String::new, |slot| stamp(slot.0));
        let mut all = vec![
            ("MANADA_SCHEDULE", self.file.name.clone()),
            ("MANADA_JOB", self.job().name.clone()),
            ("MANADA_SLOT", slot),
            ("MANADA_ATTEMPT", entry.attempt.to_string()),
            ("MANADA_FENCING_TOKEN", self.claim.token.to_string()),
            ("MANADA_RUN_FOLDER", folder),
        ];
        all.extend(variables.iter().cloned());
        let started = clock::now();
        let mut process = JobProcess::start(words, &all, &self.file.folder, output)?;
        let is_run = watched == Watched::Run && words.len() > 3;
        let timeout = self.job().timeout.or((!is_run).then_some(COMMAND_TIMEOUT));
        let (grace, mut cause, mut kill_at) = (nanos(self.job().grace), None, Time::NEVER);
        loop {
            if let Some(end) = process.poll()? {
                return Ok((end, cause));
            }
            self.keep_lease();
            let now = clock::now();
            if cause.is_none() {
                cause = self.cause(watched, started, timeout, now);
                if cause.is_some() {
                    process.terminate();
                    kill_at = now.after(grace);
                }
            }
            let is_over = watched == Watched::Run && self.lease.state(now) == LeaseState::Over;
            if is_over || self.control.is_now() || now >= kill_at {
                process.kill();
                cause = cause.or(Some(if is_over {
                    JobOutcome::LeaseLost
                } else {
                    JobOutcome::Stopped
                }));
            }
            self.control.wait(LOOK);
        }
    }

    /// Why a run has to end now; `None`: it may go on.
    pub(super) fn ending(&self, now: Time) -> Option<JobOutcome> {
        self.cause(Watched::Run, now, None, now)
    }

    /// Why a process has to end now; `None`: it may go on.
    fn cause(
        &self,
        watched: Watched,
        started: Time,
        timeout: Option<Duration>,
        now: Time,
    ) -> Option<JobOutcome> {
        let is_late = timeout.is_some_and(|timeout| now >= started + timeout);
        if watched == Watched::After {
            // A scheduler that ends waits for it, but not for longer than for a run.
            let ending = self.control.shutdown_since();
            let is_last = ending.is_some_and(|since| now >= since.max(started) + self.job().grace);
            return (is_late || is_last).then_some(JobOutcome::TimedOut);
        }
        if self.lease.state(now) >= LeaseState::Ending {
            return Some(JobOutcome::LeaseLost);
        }
        match self.control.stopped() {
            Some(StopReason::Shutdown) => Some(JobOutcome::Stopped),
            Some(StopReason::Replaced) => Some(JobOutcome::Replaced),
            None => is_late.then_some(JobOutcome::TimedOut),
        }
    }
}

/// How a process ended, in words.
fn shown(end: ProcessEnd) -> String {
    match (end.code, end.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit code".to_owned(),
    }
}

/// The line of an output that has the reason: the first error, else the last line.
fn reason_in(output: &Path) -> String {
    let text = fs::read(output).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let is_error = |line: &&str| line.starts_with("error: ") || line.starts_with("manada: ");
    let last = || text.lines().rev().find(|line| !line.trim().is_empty());
    let line = text.lines().find(is_error).or_else(last);
    line.map_or_else(|| "no output".to_owned(), |line| line.trim().chars().take(200).collect())
}

//! `manada schedule`: runs scenarios at times, and shows when they run and how they ended.
//!
//! Invariant: data goes to standard output, what a scheduler does to standard error, line by line.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};

use clap::Subcommand;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::output::{finish, finish_text, print_error, print_remark};
use super::signals::Signals;
use crate::clock;
use crate::event::Interrupt;
use crate::exit::ExitStatus;
use crate::scenario::{Mistakes, ScheduleContext, WrongArgument, load_schedule};
use crate::schedule::{
    self, JobOutcome, ScheduleSignal, Scheduler, SchedulerEnd, entries_json, entries_text, table,
};
use crate::suggest::did_you_mean;
use crate::timetable::{ScheduleFile, ScheduledJob, TimeSlot, parse_time, rfc3339, show_time};

/// Maximum times of `next`, and entries of `history`.
const MAX_LISTED: u64 = 1_000;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  manada schedule run nightly.yaml
  manada schedule next nightly.yaml -n 10 --from 2026-10-24T12:00
  manada schedule trigger nightly.yaml smoke
  manada schedule history nightly.yaml --job smoke --json")]
pub(super) struct Args {
    #[command(subcommand)]
    command: ScheduleCommand,
}

#[derive(Debug, Subcommand)]
enum ScheduleCommand {
    /// Run the jobs of a file when they are due, until a signal
    ///
    /// The first SIGTERM or SIGINT is passed on to runs, which are waited for; the second ends them
    /// at once.
    Run {
        /// Schedule file
        file: PathBuf,
    },
    /// List the jobs of a file, their next times and last outcomes
    List {
        /// Schedule file
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the next times of jobs
    Next {
        /// Schedule file
        file: PathBuf,
        /// Number of times of each job
        #[arg(short = 'n', long, value_name = "N", default_value_t = 5,
            value_parser = clap::value_parser!(u64).range(1..=MAX_LISTED))]
        count: u64,
        /// Times after this one, e.g. 2026-10-24T12:00 in the zone of the file (default: now)
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Of this job only
        #[arg(long, value_name = "NAME")]
        job: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run a job now
    ///
    /// In this process, under the lock of the schedule; its exit code is that of the run.
    Trigger {
        /// Schedule file
        file: PathBuf,
        /// Name of the job
        job: String,
    },
    /// Show how runs ended, the latest first
    History {
        /// Schedule file
        file: PathBuf,
        /// Of this job only
        #[arg(long, value_name = "NAME")]
        job: Option<String>,
        /// Number of entries
        #[arg(long, value_name = "N", default_value_t = 20,
            value_parser = clap::value_parser!(u64).range(1..=MAX_LISTED))]
        last: u64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of the command that starts a process of a job.
#[derive(Debug, clap::Args)]
pub(super) struct GuardedArgs {
    /// Process id of the scheduler
    parent: u32,
    /// Program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    words: Vec<OsString>,
}

/// A text for standard output, or an error with its exit status.
type Shown = Result<String, (String, ExitStatus)>;

/// Whether `manada run` takes these arguments of a job.
pub(super) type ArgsCheck = dyn Fn(&[String]) -> Result<(), WrongArgument>;

pub(super) fn run(args: &Args, check_args: &ArgsCheck) -> ExitStatus {
    let path = match &args.command {
        ScheduleCommand::Run { file }
        | ScheduleCommand::List { file, .. }
        | ScheduleCommand::Next { file, .. }
        | ScheduleCommand::Trigger { file, .. }
        | ScheduleCommand::History { file, .. } => file,
    };
    let file = match load(path, check_args) {
        Ok(file) => file,
        Err(mistakes) => {
            print_remark(&mistakes.render(true));
            return ExitStatus::Scenario;
        }
    };
    let shown = match &args.command {
        ScheduleCommand::Run { .. } => return run_jobs(file),
        ScheduleCommand::Trigger { job, .. } => return trigger(file, job),
        ScheduleCommand::List { json, .. } => list(file, *json),
        ScheduleCommand::Next { count, from, job, json, .. } => {
            next(&file, *count, from.as_deref(), job.as_deref(), *json)
        }
        ScheduleCommand::History { job, last, json, .. } => {
            history(file, job.as_deref(), *last, *json)
        }
    };
    finish_text(shown)
}

fn load(path: &Path, check_args: &ArgsCheck) -> Result<ScheduleFile, Mistakes> {
    load_schedule(path, ScheduleContext { now: wall_seconds(), check_args })
}

/// Reports all mistakes of a schedule file.
pub(super) fn check(path: &Path, check_args: &ArgsCheck) -> ExitStatus {
    match load(path, check_args) {
        Ok(file) => {
            let jobs = crate::units::counted(file.jobs.len() as u64, "job");
            let text = format!("{}: no mistakes; {jobs}\n", path.display());
            finish(anstream::stdout().write_all(text.as_bytes()), ExitStatus::Pass)
        }
        Err(mistakes) => {
            print_remark(&mistakes.render(true));
            ExitStatus::Scenario
        }
    }
}

/// Becomes the program of a job.
pub(super) fn run_guarded(args: &GuardedArgs) -> ExitStatus {
    let error = schedule::guarded(args.parent, &args.words);
    print_error(&format_args!("cannot start a process of a job: {error}"));
    ExitStatus::Broken
}

/// The scheduler of a file, which prints what it does.
fn scheduler(file: ScheduleFile) -> Result<Scheduler, (String, ExitStatus)> {
    let told = |what: &str| {
        let time = rfc3339(wall_seconds() * 1_000).replace(".000Z", "Z");
        print_remark(&format_args!("{time} {what}"));
    };
    Scheduler::new(file, told).map_err(|error| (error.to_string(), ExitStatus::Usage))
}

/// Handles signals: the first one ends a scheduler in good order, the second one at once.
fn signals() -> Result<(Receiver<ScheduleSignal>, Receiver<Interrupt>), String> {
    let failed = |error| format!("cannot handle signals: {error}");
    let handler = Signals::start().map_err(failed)?;
    let (heard, mut listener) = mpsc::channel(4);
    handler.pass_to(heard);
    let (sender, receiver) = sync_channel(4);
    let (kinds, kind) = sync_channel(4);
    let pass_on = move || {
        let mut signal = ScheduleSignal::End;
        while let Some(interrupt) = listener.blocking_recv() {
            if interrupt == Interrupt::Quit {
                signal = ScheduleSignal::EndNow;
            }
            let _ = kinds.try_send(interrupt);
            if sender.try_send(signal).is_err() {
                return;
            }
            signal = ScheduleSignal::EndNow;
        }
    };
    std::thread::Builder::new().name("listener".to_owned()).spawn(pass_on).map_err(failed)?;
    Ok((receiver, kind))
}

fn run_jobs(file: ScheduleFile) -> ExitStatus {
    let (name, jobs) = (file.name.clone(), file.jobs.len() as u64);
    let scheduler = match scheduler(file) {
        Ok(scheduler) => scheduler,
        Err((why, status)) => {
            print_error(&why);
            return status;
        }
    };
    let ended = signals().and_then(|(signals, kinds)| {
        print_remark(&format_args!("schedule {name}: {}", crate::units::counted(jobs, "job")));
        Ok((scheduler.run(&signals)?, kinds))
    });
    match ended {
        // As a service it was asked to end, and did.
        Ok((SchedulerEnd::Ended | SchedulerEnd::NoMoreSlots, _)) => ExitStatus::Pass,
        Ok((SchedulerEnd::EndedNow, kinds)) => status_of_signal(&kinds),
        Err(why) => {
            print_error(&why);
            ExitStatus::Broken
        }
    }
}

fn status_of_signal(kinds: &Receiver<Interrupt>) -> ExitStatus {
    kinds.try_iter().last().unwrap_or(Interrupt::Term).exit_status()
}

fn trigger(file: ScheduleFile, job: &str) -> ExitStatus {
    let found = find_job(&file, job).and_then(|at| Ok((scheduler(file)?, at)));
    let done = found.and_then(|(scheduler, at)| {
        let (signals, kinds) = signals().map_err(|why| (why, ExitStatus::Broken))?;
        let outcome = scheduler.trigger(at, &signals);
        Ok((outcome.map_err(|error| (error.to_string(), ExitStatus::Broken))?, kinds))
    });
    match done {
        Ok((outcome, kinds)) => match outcome {
            JobOutcome::Passed => ExitStatus::Pass,
            JobOutcome::Failed => ExitStatus::Fail,
            JobOutcome::Inconclusive => ExitStatus::Inconclusive,
            JobOutcome::Aborted => ExitStatus::Aborted,
            JobOutcome::Invalid => ExitStatus::Scenario,
            JobOutcome::Stopped => status_of_signal(&kinds),
            _ => ExitStatus::Broken,
        },
        Err((why, status)) => {
            print_error(&why);
            status
        }
    }
}

/// The place of a job in its file.
fn find_job(file: &ScheduleFile, name: &str) -> Result<usize, (String, ExitStatus)> {
    let at = file.jobs.iter().position(|job| job.name == name);
    at.ok_or_else(|| {
        let known = file.jobs.iter().map(|job| job.name.as_str());
        let list: Vec<&str> = known.clone().collect();
        let near = did_you_mean(name, known);
        let why = format!("no job `{name}`{near}\nthe file has {}", list.join(", "));
        (why, ExitStatus::Usage)
    })
}

/// The jobs of a file, or one of them.
fn chosen<'f>(
    file: &'f ScheduleFile,
    job: Option<&str>,
) -> Result<&'f [ScheduledJob], (String, ExitStatus)> {
    match job {
        None => Ok(&file.jobs),
        Some(name) => find_job(file, name).map(|at| &file.jobs[at..=at]),
    }
}

fn list(file: ScheduleFile, is_json: bool) -> Shown {
    let scheduler = scheduler(file)?;
    let (file, now) = (scheduler.file(), wall_seconds());
    let zone = &file.zone;
    let (mut rows, mut items) = (Vec::new(), Vec::new());
    rows.push(["JOB", "WHEN", "NEXT", "LAST", "SCENARIO"].map(str::to_owned));
    for job in &file.jobs {
        // Without the lock the times are still known.
        let last = scheduler.entries(Some(&job.name), 1).map(|entries| entries.into_iter().next());
        let next = job.calendar.after(now);
        let shown = match &last {
            Ok(None) => "-".to_owned(),
            Ok(Some(entry)) => entry.outcome.map_or("running", JobOutcome::name).to_owned(),
            Err(_) => "unknown".to_owned(),
        };
        rows.push([
            job.name.clone(),
            job.calendar.shown().to_owned(),
            next.map_or_else(|| "never".to_owned(), |next| show_time(next, zone)),
            shown,
            job.scenario.display().to_string(),
        ]);
        items.push(json!({
            "job": job.name,
            "when": job.calendar.shown(),
            "time_zone": job.calendar.zone().name(),
            "next": next.map(|next| rfc3339(next * 1_000)),
            "last": last.as_ref().ok().and_then(Option::as_ref),
            "error": last.as_ref().err().map(ToString::to_string),
            "scenario": job.scenario.display().to_string(),
        }));
        if let Err(error) = last {
            print_remark(&format_args!("note: {error}"));
        }
    }
    let document = json!({ "schedule": file.name, "jobs": items });
    Ok(if is_json { text(&document) } else { table(&rows) })
}

fn next(
    file: &ScheduleFile,
    count: u64,
    from: Option<&str>,
    job: Option<&str>,
    is_json: bool,
) -> Shown {
    let zone = &file.zone;
    let from = match from {
        None => wall_seconds(),
        Some(text) => parse_time(text, zone).ok_or_else(|| {
            let why = format!(
                "invalid `--from {text}`: expected a time such as 2026-10-24T12:00 or \
                 2026-10-24T12:00:00Z"
            );
            (why, ExitStatus::Usage)
        })?,
    };
    let (mut rows, mut items) = (Vec::new(), Vec::new());
    rows.push(["JOB", "SLOT", "UTC", "DELAY"].map(str::to_owned));
    for job in chosen(file, job)? {
        let mut at = from;
        for _ in 0..count {
            let Some(slot) = job.calendar.after(at) else { break };
            let delay = job.delay_ms(TimeSlot(slot));
            rows.push([
                job.name.clone(),
                show_time(slot, zone),
                rfc3339(slot * 1_000).replace(".000Z", "Z"),
                format!("{:.3} s", delay as f64 / 1e3),
            ]);
            items.push(json!({
                "job": job.name,
                "slot": slot,
                "due": rfc3339(slot * 1_000),
                "local": show_time(slot, zone),
                "delay_ms": delay,
            }));
            at = slot;
        }
    }
    let document = json!({ "schedule": file.name, "time_zone": zone.name(), "slots": items });
    Ok(if is_json { text(&document) } else { table(&rows) })
}

fn history(file: ScheduleFile, job: Option<&str>, last: u64, is_json: bool) -> Shown {
    chosen(&file, job)?;
    let zone = file.zone.clone();
    let entries = scheduler(file)?.entries(job, last as usize);
    let entries = entries.map_err(|error| (error.to_string(), ExitStatus::Broken))?;
    Ok(match () {
        () if is_json => text(&entries_json(&entries)),
        () if entries.is_empty() => "no runs yet\n".to_owned(),
        () => entries_text(&entries, &zone),
    })
}

fn text(document: &Value) -> String {
    format!("{document:#}\n")
}

fn wall_seconds() -> u64 {
    let since = clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_secs()
}

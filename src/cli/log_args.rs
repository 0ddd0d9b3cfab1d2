//! `--log`: the events of a run as lines of a log.
//!
//! `call_args` has its options; `execute` opens it before the run and waits for it after it.
//! Invariant: a file that cannot be written is an error before the load, and never one after it.

use std::io;
use std::path::Path;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::output::print_remark;
use crate::exit::ExitStatus;
use crate::plan::Plan;
use crate::sinks::run_log::{
    LogLevel, LogOptions, LogRotation, LogTarget, LogTotalsHandle, RunLogSink,
};
use crate::sinks::{SinkSet, WhenFull};
use crate::stats::CallSampling;
use crate::units::{counted, show_count};

/// Calls that are kept for each line that a log may have, so that there is a choice.
const CHOICE: u64 = 2;

/// Maximum lines of a kind per second.
const MAX_PER_SECOND: u64 = 10_000;

/// Options for logs.
#[derive(Clone, Debug, Args)]
pub(super) struct LogArgs {
    /// Write events and failed calls of the run to FILE, as lines of json or logfmt
    ///
    /// Without FILE they go to standard error, in place of the progress display. Lines are added to
    /// those that FILE has.
    #[arg(long, value_name = "FORMAT[:FILE]", hide_short_help = true, help_heading = "Results")]
    log: Option<LogTarget>,
    /// Least important lines that --log writes
    #[arg(long, value_enum, default_value_t = LogLevel::Info, value_name = "LEVEL",
        requires = "log", hide_short_help = true, help_heading = "Results")]
    log_level: LogLevel,
    /// Maximum lines of --log per second, of each kind
    ///
    /// What is left out is counted, each second and at the end.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = per_second,
        requires = "log", hide_short_help = true, help_heading = "Results")]
    log_rate: u64,
    /// Begin a new file of --log at a size, e.g. 100MB:5
    ///
    /// FILE becomes FILE.1, that one FILE.2, and so on; KEEP (default: 5) former files are kept.
    #[arg(
        long,
        value_name = "SIZE[:KEEP]",
        requires = "log",
        hide_short_help = true,
        help_heading = "Results"
    )]
    log_rotate: Option<LogRotation>,
}

/// The log of a run.
#[derive(Debug)]
pub(super) struct OpenLog {
    options: LogOptions,
    run_id: String,
    scenario: String,
    totals: LogTotalsHandle,
}

/// The values of `--log-level`.
impl ValueEnum for LogLevel {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Error => "Failed calls and thresholds, a run that fails, lost load",
            Self::Warn => "Also breakers that open, a client in trouble, an interrupted run",
            Self::Info => "Also start and end, other changes, commands, notes, `log` steps",
            Self::Debug => "Also single calls and iterations",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

/// Parses `--log-rate`.
fn per_second(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(lines @ 1..=MAX_PER_SECOND) => Ok(lines),
        Ok(0) => Err("expected at least 1; for fewer lines raise --log-level, such as \
                      --log-level warn, or leave --log out"
            .to_owned()),
        _ => Err(format!("expected a number of lines from 1 to {MAX_PER_SECOND}")),
    }
}

impl LogArgs {
    /// Which calls the shards keep for the log; `None` without one.
    pub(super) fn sampling(&self) -> Option<CallSampling> {
        self.log.as_ref()?;
        // Failed calls are kept anyway.
        let (below, most_per_second) = match self.log_level {
            LogLevel::Debug => (u64::MAX, self.log_rate * CHOICE),
            LogLevel::Error | LogLevel::Warn | LogLevel::Info => (0, 0),
        };
        Some(CallSampling { below, most_per_second })
    }

    /// The file of the log, if it has one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.log.as_ref()?.path.as_deref()
    }

    /// Whether lines go to standard error.
    pub(super) fn takes_stderr(&self) -> bool {
        self.log.as_ref().is_some_and(|target| target.path.is_none())
    }

    /// Opens the log and adds its sink.
    ///
    /// # Errors
    /// If an option is wrong, or its file cannot be written.
    pub(super) fn open(&self, plan: &Plan, sinks: &mut SinkSet) -> io::Result<Option<OpenLog>> {
        let Some(target) = &self.log else { return Ok(None) };
        if self.log_rotate.is_some() && target.path.is_none() {
            let why = "`--log-rotate` needs a file; name one, such as `--log json:run.log`";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let options = LogOptions {
            target: target.clone(),
            level: self.log_level,
            per_second: usize::try_from(self.log_rate).unwrap_or(usize::MAX),
            rotation: self.log_rotate,
        };
        let (run_id, scenario) = (plan.run_id.clone(), plan.scenario.clone());
        let disk = sinks.disk().clone();
        let sink = RunLogSink::open_in(options.clone(), &run_id, &scenario, disk)?;
        let totals = sink.totals();
        sinks.add("log", WhenFull::Block, sink)?;
        Ok(Some(OpenLog { options, run_id, scenario, totals }))
    }
}

impl OpenLog {
    /// Adds why the run has no report.
    pub(super) fn add_failure(&self, why: &str, status: ExitStatus) {
        if self.totals.get().has_end {
            return;
        }
        // A log is never the reason of a failure; that of the run is printed.
        if let Ok(mut sink) = RunLogSink::open(self.options.clone(), &self.run_id, &self.scenario) {
            sink.add_failure(&self.scenario, why, status);
        }
    }

    /// Prints how many lines the log has, and what was left out or lost.
    pub(super) fn finish(self) {
        let totals = self.totals.get();
        let path = self.options.target.path.as_ref().map(|path| path.display().to_string());
        let name = path.as_deref().unwrap_or("--log");
        if let Some(error) = &totals.error {
            print_remark(&format_args!(
                "{name}: {} not written: {error}; the report is complete",
                counted(totals.lost, "line")
            ));
        }
        if path.is_some() {
            let left_out = match totals.left_out {
                0 => String::new(),
                left_out => {
                    format!("; {} left out, raise --log-rate for more", show_count(left_out))
                }
            };
            print_remark(&format_args!("{name}: {}{left_out}", counted(totals.written, "line")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_a_number_of_lines() {
        assert_eq!(per_second("1"), Ok(1));
        assert_eq!(per_second("10000"), Ok(MAX_PER_SECOND));
        assert!(per_second("0").unwrap_err().contains("--log-level warn"));
        for text in ["", "-1", "10/s", "10001", "many"] {
            assert!(per_second(text).unwrap_err().contains("from 1 to 10000"), "{text}");
        }
    }
}

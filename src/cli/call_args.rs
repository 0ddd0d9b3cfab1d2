//! `--samples`, `--trace-ratio`, `--trace-url`, `--log`: what leaves a run call by call.
//!
//! `run` and `hit` put it into the plan, since shards keep the calls; `execute` opens the files.
//! Invariant: a file that cannot be written is an error before the load.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::log_args::{LogArgs, OpenLog};
use super::output::print_remark;
use crate::exit::ExitStatus;
use crate::plan::{CallRecordOptions, Plan, TraceUrl};
use crate::sinks::calls::{SampleTotals, SampleTotalsHandle, SamplesFile};
use crate::sinks::{SinkSet, WhenFull};
use crate::stats::CallSampling;
use crate::stats::trace_ids::keys_of_share;
use crate::units::{Rate, counted, parse_rate, parse_share, show_count};

/// Maximum number of sampled calls per second that are traced.
const TRACED_CALLS: u64 = 2_000;

/// Options for calls one by one.
#[derive(Clone, Debug, Args)]
pub(super) struct CallArgs {
    /// Write calls one by one to FILE, as lines of JSON
    ///
    /// A FILE that ends in .zst is compressed by Zstandard. The file is written during the run, and
    /// replaces an earlier one.
    #[arg(long, value_name = "FILE", hide_short_help = true, help_heading = "Results")]
    samples: Option<PathBuf>,
    /// Maximum rate of calls in the file of --samples
    ///
    /// If there are more, all calls of a part of the iterations are written: the same part of all
    /// steps. The number that was left out is printed.
    #[arg(long, value_name = "RATE", default_value = "10000/s", value_parser = parse_rate,
        requires = "samples", hide_short_help = true, help_heading = "Results")]
    samples_rate: Rate,
    /// Share of iterations that are traced, e.g. 1% (default: no traces)
    ///
    /// Requests carry the header traceparent (W3C Trace Context), by which the spans of a target
    /// join those of the run. --otlp receives the spans of these iterations, of failed calls, and
    /// of the slowest call of each step and second.
    #[arg(long, value_name = "SHARE", value_parser = trace_ratio, hide_short_help = true,
        help_heading = "Results")]
    trace_ratio: Option<f64>,
    /// Where a trace is shown, e.g. http://127.0.0.1:16686/trace/{trace_id}
    ///
    /// Reports link to the traces of the slowest calls of each step and of failures. Placeholders:
    /// {trace_id}, {span_id}, {run_id}, and {start_ms} and {end_ms}, a range in milliseconds since
    /// 1970 that begins a minute before the call and ends a minute after it.
    #[arg(long, value_name = "URL", value_parser = TraceUrl::parse, requires = "trace_ratio",
        hide_short_help = true, help_heading = "Results")]
    trace_url: Option<TraceUrl>,
    #[command(flatten)]
    pub(super) log: LogArgs,
}

/// The files of a run.
#[derive(Debug, Default)]
pub(super) struct CallFiles {
    samples: Option<(PathBuf, SampleTotalsHandle)>,
    log: Option<OpenLog>,
}

/// Parses `--trace-ratio`.
fn trace_ratio(text: &str) -> Result<f64, String> {
    let share = parse_share(text).map_err(|error| error.to_string())?;
    if share > 1.0 {
        return Err("expected at most 100%; two per cent are written 2% or 0.02".to_owned());
    }
    Ok(share)
}

impl CallArgs {
    /// Has the shards of a plan keep what is wanted. `exports_spans`: a receiver gets spans.
    pub(super) fn apply(&self, plan: &mut Plan, exports_spans: bool) {
        let trace_context = self.trace_ratio.map(keys_of_share);
        let sampling = match (&self.samples, trace_context) {
            (Some(_), _) => CallSampling {
                below: u64::MAX,
                most_per_second: self.samples_rate.as_f64().ceil() as u64,
            },
            (None, Some(below)) => CallSampling { below, most_per_second: TRACED_CALLS },
            (None, None) => match self.log.sampling() {
                Some(sampling) => sampling,
                None => return,
            },
        };
        plan.trace_url.clone_from(&self.trace_url);
        plan.call_records = Some(CallRecordOptions { sampling, trace_context, exports_spans });
    }

    /// The files that are written, with the options that name them.
    pub(super) fn files(&self) -> Vec<(&'static str, &Path)> {
        let samples = self.samples.as_deref().map(|path| ("--samples", path));
        let log = self.log.path().map(|path| ("--log", path));
        samples.into_iter().chain(log).collect()
    }

    /// Opens the files.
    ///
    /// # Errors
    /// If one cannot be written.
    pub(super) fn open(&self, plan: &Plan, sinks: &mut SinkSet) -> io::Result<CallFiles> {
        let log = self.log.open(plan, sinks)?;
        let Some(path) = &self.samples else { return Ok(CallFiles { samples: None, log }) };
        if path.as_os_str() == "-" {
            let why = "standard output is for the summary and --json; `--samples` expects a file, \
                       such as calls.ndjson, or /dev/stdout";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let mut file = SamplesFile::create(path)?;
        file.count_in(sinks.disk().clone());
        let totals = file.totals();
        sinks.add("samples", WhenFull::Block, file)?;
        Ok(CallFiles { samples: Some((path.clone(), totals)), log })
    }
}

impl CallFiles {
    /// Adds to the log why the run has no report.
    pub(super) fn log_failure(&self, why: &str, status: ExitStatus) {
        if let Some(log) = &self.log {
            log.add_failure(why, status);
        }
    }

    /// Prints how many calls the files have, and what they have not.
    pub(super) fn finish(self) {
        if let Some(log) = self.log {
            log.finish();
        }
        let Some((path, totals)) = self.samples else { return };
        let SampleTotals { written, left_out, lost, error } = totals.get();
        let path = path.display();
        if let Some(error) = error {
            print_remark(&format_args!(
                "{path}: {} not written: {error}; the report is complete",
                counted(lost, "call")
            ));
        }
        if left_out == 0 {
            return print_remark(&format_args!("{path}: {}", counted(written, "call")));
        }
        let share = 100.0 * written as f64 / (written + lost + left_out) as f64;
        print_remark(&format_args!(
            "{path}: {} of {} ({share:.1} %); raise --samples-rate for more",
            show_count(written),
            counted(written + lost + left_out, "call")
        ));
    }
}

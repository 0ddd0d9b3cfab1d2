//! Arguments that several commands share, and their parsers.
//!
//! Invariant: a parsed value is valid; a parse error says what was expected.

#[cfg(feature = "web")]
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};

use super::call_args::CallArgs;
use super::cost_args::CostArgs;
#[cfg(feature = "history")]
use super::history_args::HistoryArgs;
use super::limits::{self, UserLimits};
use super::metrics::MetricsArgs;
use super::sandbox_args::SandboxArgs;
use crate::engine::startup::tier::EngineSize;
use crate::event::LossPolicy;
use crate::files::Files;
use crate::fleet::workers::MAX_PROCESSES;
use crate::redact::Redactor;
use crate::scenario::ScenarioOverrides;
use crate::seed::Seed;
use crate::sinks::exports::ExportTarget;
use crate::units::{Rate, parse_duration, parse_rate};
use crate::verdict::Threshold;

/// Options of `run` and `hit` for the load and its judgement.
#[derive(Debug, Args)]
pub(super) struct GeneratorArgs {
    /// Threshold, e.g. 'errors < 1%'; repeatable
    ///
    /// Added to those of the scenario. The exit code is 4 if a threshold fails.
    #[arg(long, value_name = "RULE", value_parser = rule, help_heading = "Results")]
    pub(super) threshold: Vec<String>,
    /// Random seed, e.g. 42 (default: random, printed)
    #[arg(long, value_name = "N", value_parser = seed, hide_short_help = true,
        help_heading = "Load")]
    pub(super) seed: Option<Seed>,
    #[command(flatten)]
    pub(super) size: SizeArgs,
    #[command(flatten)]
    pub(super) loss: LossArgs,
}

/// Options of all commands that execute a run.
#[derive(Debug, Args)]
pub(super) struct CommonArgs {
    /// Folder for the report, e.g. reports/today
    ///
    /// `run` writes to reports/NAME-TIME by default; `hit` writes files only with --out.
    #[arg(long, value_name = "DIR", help_heading = "Results")]
    pub(super) out: Option<PathBuf>,
    /// Replace an existing report in the folder of --out
    #[arg(long, hide_short_help = true, help_heading = "Results")]
    pub(super) force: bool,
    /// Display during the run
    #[arg(long, value_enum, default_value_t = UiKind::Auto, value_name = "KIND",
        hide_short_help = true, help_heading = "Display")]
    pub(super) ui: UiKind,
    /// Keep the dashboard in the terminal open after the run, until q
    #[cfg(feature = "tui")]
    #[arg(long, hide_short_help = true, help_heading = "Display")]
    pub(super) stay: bool,
    /// Record a metric of the target: `pid PID` or `prometheus URL QUERY`
    ///
    /// Put it after the scenario or URL; repeatable. For example --monitor pid 4711, or
    /// --monitor prometheus http://127.0.0.1:9090 'sum(rate(http_requests_total[5s]))'.
    // `spellings` joins its words to one.
    #[arg(
        long,
        alias = "watch",
        value_name = "pid PID|prometheus URL QUERY",
        hide_short_help = true,
        help_heading = "Results"
    )]
    pub(super) monitor: Vec<String>,
    /// Dashboard in the browser; its URL is printed
    ///
    /// ADDR is the address to listen on (default: 127.0.0.1:7373, or a free port).
    #[cfg(feature = "web")]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, require_equals = true,
        help_heading = "Display")]
    #[expect(clippy::option_option, reason = "clap's form of a value that may be left out")]
    pub(super) web: Option<Option<SocketAddr>>,
    #[command(flatten)]
    pub(super) sandbox: SandboxArgs,
    /// Disable live control (control socket, hotkeys, dashboard controls)
    #[arg(long, hide_short_help = true, help_heading = "Display")]
    pub(super) no_control: bool,
    #[cfg(feature = "history")]
    #[command(flatten)]
    pub(super) history: HistoryArgs,
    #[command(flatten)]
    pub(super) metrics: MetricsArgs,
    #[command(flatten)]
    pub(super) calls: CallArgs,
    #[command(flatten)]
    pub(super) cost: CostArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// Options for the size of the load generator.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct SizeArgs {
    /// Number of cores that generate load, e.g. 2 (default: by need)
    ///
    /// Each shard is a thread on a core of its own. The report names the number and the reason.
    #[arg(long, value_name = "N", hide_short_help = true, help_heading = "Load",
        value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub(super) shards: Option<u64>,
    /// Number of processes that generate load, or auto
    ///
    /// One process is limited in open files. `auto` starts more if the plan needs more than a
    /// process may have. Limits of the run are divided among processes exactly; the report names
    /// the number and the reason.
    #[arg(long, value_name = "N|auto", hide_short_help = true, help_heading = "Load",
        default_value = "auto", value_parser = processes, hide_default_value = true)]
    pub(super) processes: Processes,
}

/// What becomes of the load of a lost process.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct LossArgs {
    /// What becomes of the load of a process that is lost
    #[arg(long, value_enum, default_value_t = LossPolicy::Redistribute, value_name = "POLICY",
        hide_short_help = true, help_heading = "Load")]
    pub(super) on_loss: LossPolicy,
}

/// The values of `--on-loss`.
impl ValueEnum for LossPolicy {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Redistribute, Self::Continue, Self::Abort]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Redistribute => (
                "redistribute",
                "The other processes serve it after half a second; what is due before counts as \
                 unserved",
            ),
            Self::Continue => ("continue", "It counts as unserved"),
            Self::Abort => ("abort", "The run stops"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

/// The value of `--processes`; `None`: by need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Processes(Option<usize>);

impl SizeArgs {
    /// The size as the tier is chosen by.
    pub(super) fn size(self) -> EngineSize {
        let shards = self.shards.map(|shards| shards as usize);
        EngineSize { shards, processes: self.processes.0 }
    }
}

/// Parses `--processes`.
fn processes(text: &str) -> Result<Processes, String> {
    if text == "auto" {
        return Ok(Processes(None));
    }
    match text.parse::<usize>() {
        Ok(count @ 1..=MAX_PROCESSES) => Ok(Processes(Some(count))),
        _ => Err(format!("expected `auto`, or a number from 1 to {MAX_PROCESSES}")),
    }
}

/// Options for the output of a finished run.
#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Export to .html .json .csv .xml .md .svg
    ///
    /// The format follows from the file's extension, or is given as FORM:FILE; repeatable. For
    /// example junit.xml, markdown:- (standard output), or github (annotations of GitHub Actions
    /// on standard error).
    #[arg(long, value_name = "[FORM:]FILE", value_parser = export_target,
        help_heading = "Results")]
    pub(super) report: Vec<ExportTarget>,
    /// Print summary.json instead of the summary
    #[arg(long, help_heading = "Results")]
    pub(super) json: bool,
    /// Print only the summary; -qq: only set the exit code
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Display")]
    pub(super) quiet: u8,
    /// Print a line per second, the run's settings, and library errors
    #[arg(short, long, conflicts_with = "quiet", hide_short_help = true, help_heading = "Display")]
    pub(super) verbose: bool,
}

/// Options that overlay a scenario before it is read.
#[derive(Debug, Args)]
pub(super) struct OverlayArgs {
    /// Apply an environment of the scenario, e.g. staging
    #[arg(short, long, value_name = "NAME", help_heading = "Scenario")]
    pub(super) environment: Option<String>,
    /// Replace a value, e.g. safety.max_users=100; repeatable
    ///
    /// PATH is a path of keys, e.g. workloads.api.arrivals.max_users. VALUE is YAML.
    #[arg(long, value_name = "PATH=VALUE", help_heading = "Scenario")]
    pub(super) set: Vec<String>,
    /// Allow the scenario to read files of a folder; repeatable
    #[arg(long, value_name = "DIR", hide_short_help = true, help_heading = "Scenario")]
    pub(super) allow_files: Vec<PathBuf>,
}

/// Options that change the load of a scenario.
#[derive(Debug, Args)]
pub(super) struct LoadArgs {
    /// Number of users, e.g. 200 or shoppers=200
    ///
    /// W is the name of a closed-model workload; it can be left out if there is only one.
    #[arg(long, value_name = "[W=]N", help_heading = "Load",
        value_parser = |text: &str| named(text, count))]
    users: Vec<(Option<String>, u64)>,
    /// Starts per second, e.g. 200/s or api=200/s
    ///
    /// W is the name of an open-model workload; it can be left out if there is only one.
    #[arg(long, value_name = "[W=]N/s", help_heading = "Load",
        value_parser = |text: &str| named(text, rate))]
    rate: Vec<(Option<String>, Rate)>,
    /// Duration of the load, e.g. 5m; scales all stages
    #[arg(long, value_name = "D", value_parser = duration, help_heading = "Load")]
    duration: Option<Duration>,
}

/// Builds the overrides of a scenario from the command line.
pub(super) fn overrides(
    changes: &OverlayArgs,
    load: &LoadArgs,
    limits: &UserLimits,
    files: &Files,
) -> ScenarioOverrides {
    ScenarioOverrides {
        source: files.clone(),
        environment: changes.environment.clone(),
        set: changes.set.clone(),
        users: load.users.clone(),
        rate: load.rate.clone(),
        duration: load.duration,
        safety: limits::safety_file(files),
        files: changes.allow_files.clone(),
        authorised: limits.authorised.clone(),
        ..ScenarioOverrides::default()
    }
}

/// Whether the last key of a `PATH=VALUE`, or a word in it, shows that the value is a credential.
pub(super) fn is_credential(redactor: &Redactor<'_>, text: &str) -> bool {
    let (path, value) = text.split_once('=').unwrap_or(("", text));
    let key = path.rsplit('.').next().unwrap_or(path).trim();
    let is_template = value.contains("{{");
    (redactor.is_sensitive(key) && !is_template) || redactor.word(text) != text
}

/// The display of a run in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum UiKind {
    /// `tui` on a terminal, `bar` on a simple one, else `plain`.
    Auto,
    /// Dashboard with live control.
    #[cfg(feature = "tui")]
    Tui,
    /// One line per workload, updated in place.
    Bar,
    /// A line every 5 s, after 2 minutes every 30 s; with `-v` every second.
    Plain,
    /// No display.
    None,
}

pub(super) fn rule(text: &str) -> Result<String, String> {
    match Threshold::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            let help = error.help.map_or(String::new(), |help| format!("; {help}"));
            Err(format!("{}: expected {}{help}", error.message, error.expected))
        }
    }
}

pub(super) fn seed(text: &str) -> Result<Seed, String> {
    text.parse()
        .ok()
        .and_then(Seed::new)
        .ok_or_else(|| format!("expected a whole number below {}", Seed::END))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("expected a duration above zero".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("expected {error}")),
    }
}

pub(super) fn zero_or_more(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| format!("expected {error}"))
}

pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let rate = parse_rate(text).map_err(|error| format!("expected {error}"))?;
    if rate.units() == 0 { Err("expected a rate above zero".to_owned()) } else { Ok(rate) }
}

/// A destination of `--report`; `md:` is short for `markdown:`, as a file's extension is.
fn export_target(text: &str) -> Result<ExportTarget, String> {
    match text.strip_prefix("md:") {
        Some(place) => format!("markdown:{place}").parse(),
        None => text.parse(),
    }
}

/// A count such as `10000`, `10k` or `2m`.
pub(super) fn count(text: &str) -> Result<u64, String> {
    let (digits, scale) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1_000),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(scale))
        .filter(|number| *number > 0)
        .ok_or_else(|| "expected a whole number above zero, such as 200 or 10k".to_owned())
}

/// `VALUE` for the only workload, or `WORKLOAD=VALUE`.
pub(super) fn named<T>(
    text: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<(Option<String>, T), String> {
    match text.split_once('=') {
        Some((name, value)) => Ok((Some(name.to_owned()), read(value)?)),
        None => Ok((None, read(text)?)),
    }
}

/// Parses a rate; as in other tools a plain number is per second.
pub(super) fn plain_rate(text: &str) -> Result<Rate, String> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_number { rate(&format!("{text}/s")) } else { rate(text) }
}

//! `manada history`: lists, shows, compares over time and deletes the runs of the history.
//!
//! Invariant: only `prune` and `delete` change the history.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use serde_json::Value;

use super::args::duration;
use super::history_args::{find_place, place, print_none, tag};
use super::output::finish_text;
use crate::exit::ExitStatus;
use crate::history::{self, LISTED, Retention, RunFilter, TrendError, TrendMetric};
use crate::redact;
use crate::store::{Access, Database, StoreError, StorePlace};

/// Maximum runs of a list.
const MAX_RUNS: i64 = 10_000;
/// Maximum time that reading or deleting may take.
const LIMIT: Duration = Duration::from_mins(1);

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_long_help = "\
Examples:
  manada history
  manada history --scenario shop --tag release=1.4 --last 5
  manada history show 5f3a
  manada history trend response.p95 --scenario shop
  manada history trend 'step(\"pay\").errors' --scenario shop --html trend.html
  manada history prune --keep 100
  manada history delete 5f3a")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<HistoryCommand>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    output: ListOutput,
}

#[derive(Debug, Subcommand)]
enum HistoryCommand {
    /// Show a run: its figures, thresholds, commit and machine
    Show {
        /// Id of the run, or its beginning
        run: String,
        #[command(flatten)]
        output: ListOutput,
    },
    /// Show a metric over the runs, oldest first
    Trend {
        /// Metric as in a threshold, e.g. response.p95 or 'step("pay").errors'
        #[arg(value_parser = TrendMetric::parse)]
        metric: TrendMetric,
        #[command(flatten)]
        filter: FilterArgs,
        /// Write a page with a chart to this file
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        #[command(flatten)]
        output: ListOutput,
    },
    /// Delete old runs
    ///
    /// With both --keep and --older a run is deleted that either of them deletes.
    Prune {
        /// Keep the latest N runs of each scenario
        #[arg(long, value_name = "N", required_unless_present = "older")]
        keep: Option<u64>,
        /// Delete runs that are older, e.g. 720h
        #[arg(long, value_name = "D", value_parser = duration)]
        older: Option<Duration>,
        /// Of this scenario only
        #[arg(long, value_name = "NAME")]
        scenario: Option<String>,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Delete a run
    Delete {
        /// Id of the run, or its beginning
        run: String,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// Which runs are listed.
#[derive(Debug, clap::Args)]
struct FilterArgs {
    /// Only runs of this scenario
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// Only runs with this tag; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = tag)]
    tag: Vec<(String, String)>,
    /// Number of runs, the latest ones
    #[arg(long, value_name = "N", default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=MAX_RUNS))]
    last: u32,
}

/// Where the history is.
#[derive(Debug, clap::Args)]
struct PlaceArgs {
    /// The history: a file, or postgres://… (default: $MANADA_HISTORY, or in your data folder)
    #[arg(long, value_name = "PATH|URL", value_parser = place)]
    history: Option<StorePlace>,
}

/// The form of the output.
#[derive(Debug, clap::Args)]
struct ListOutput {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

impl FilterArgs {
    fn filter(&self) -> RunFilter {
        let (scenario, tags) = (self.scenario.clone(), self.tag.clone());
        RunFilter { scenario, tags, last: self.last }
    }
}

/// What a command prints, or why it cannot.
type Outcome = Result<String, (String, ExitStatus)>;

pub(super) fn run(args: &Args) -> ExitStatus {
    let outcome = match &args.command {
        None => list(&args.filter, &args.output),
        Some(HistoryCommand::Show { run, output }) => show(run, output),
        Some(HistoryCommand::Trend { metric, filter, html, output }) => {
            trend(metric, filter, html.as_ref(), output)
        }
        Some(HistoryCommand::Prune { keep, older, scenario, place }) => {
            prune(*keep, *older, scenario.clone(), place)
        }
        Some(HistoryCommand::Delete { run, place }) => delete(run, place),
    };
    finish_text(outcome)
}

fn list(filter: &FilterArgs, output: &ListOutput) -> Outcome {
    let (filter, is_json) = (filter.filter(), output.json);
    with_history(&output.place, Access::Read, move |database| {
        let runs = history::runs(database, &filter, &LISTED)?;
        Ok(if is_json { json(&history::listed(&runs)) } else { history::list(&runs) })
    })
}

fn show(run: &str, output: &ListOutput) -> Outcome {
    let (run, is_json) = (run.to_owned(), output.json);
    with_history(&output.place, Access::Read, move |database| {
        let id = history::find(database, &run)?;
        let run = history::run(database, &id)?;
        Ok(if is_json { json(&history::shown_json(&run)) } else { history::show(&run) })
    })
}

fn trend(
    metric: &TrendMetric,
    filter: &FilterArgs,
    html: Option<&PathBuf>,
    output: &ListOutput,
) -> Outcome {
    let (metric, filter) = (metric.clone(), filter.filter());
    let found = with_history(&output.place, Access::Read, move |database| {
        Ok(match history::trend(database, &metric, &filter) {
            Err(TrendError::Store(error)) => return Err(error),
            other => other,
        })
    })?;
    let found = found.map_err(|error| (error.to_string(), ExitStatus::Usage))?;
    if let Some(path) = html {
        let page = history::trend_page(&found);
        std::fs::write(path, redact::redact_secrets(&page).as_bytes()).map_err(|error| {
            (format!("cannot write {}: {error}", path.display()), ExitStatus::Broken)
        })?;
    }
    Ok(if output.json {
        json(&history::trend_document(&found))
    } else {
        history::trend_text(&found)
    })
}

fn prune(
    keep: Option<u64>,
    older: Option<Duration>,
    scenario: Option<String>,
    place: &PlaceArgs,
) -> Outcome {
    let keep = Retention { runs: keep.unwrap_or(u64::MAX), age: older.unwrap_or(Duration::MAX) };
    with_history(place, Access::Write, move |database| {
        history::prune_now(database, scenario.as_deref(), keep).map(history::deleted)
    })
}

fn delete(run: &str, place: &PlaceArgs) -> Outcome {
    let run = run.to_owned();
    with_history(place, Access::Write, move |database| {
        let id = history::find(database, &run)?;
        history::delete(database, &id)?;
        Ok(format!("deleted run {id}\n"))
    })
}

/// Does a job with the history, within [`LIMIT`].
fn with_history<T: Send + 'static>(
    place: &PlaceArgs,
    access: Access,
    job: impl FnOnce(&mut dyn Database) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, (String, ExitStatus)> {
    let found = find_place(place.history.as_ref()).map_err(|why| (why, ExitStatus::Usage))?;
    let Some(place) = found else {
        print_none();
        return Err(("nothing to read".to_owned(), ExitStatus::Usage));
    };
    let own = place.clone();
    let result = history::within(LIMIT, move || job(&mut *history::open(&own, access)?));
    result.map_err(|error| {
        let status = match error {
            StoreError::NoSuchRun(why) => return (why, ExitStatus::Usage),
            StoreError::Missing => ExitStatus::Scenario,
            _ => ExitStatus::Broken,
        };
        (format!("cannot use the history ({place}): {error}"), status)
    })
}

fn json(document: &Value) -> String {
    format!("{document:#}\n")
}

//! The commands of the command line, with their arguments.
//!
//! `mod` parses them and runs the command; `worker` and `agent_words` parse the command line of a
//! coordinator.
//! Invariant: each command has its arguments in a file of its own.

use clap::{Parser, Subcommand, ValueEnum};

#[cfg(feature = "metrics")]
use super::dashboards;
#[cfg(feature = "history")]
use super::history;
#[cfg(feature = "schedule")]
use super::schedule;
#[cfg(feature = "redis")]
use super::{agent, coordinate};
use super::{
    check, control, doctor, hit, k8s, man, merge, plan, probe_limits, report, run, shift, target,
};

/// A load-testing traffic simulator with virtual users and a trust verdict
#[derive(Debug, Parser)]
#[command(name = "manada", version, max_term_width = 100, arg_required_else_help = true)]
// As in curl and k6, the last one of repeated flags counts.
#[command(args_override_self = true)]
#[command(after_help = "\
Examples:
  manada hit http://127.0.0.1:8080/ -c 50 -d 30s
  manada run scenarios/quickstart.yaml
More: manada --help, manada COMMAND --help")]
#[command(after_long_help = "\
Examples:
  manada run scenarios/quickstart.yaml        run against the built-in test server
  manada hit http://127.0.0.1:8080/ -c 50     50 users for 10 seconds
  manada check my-scenario.yaml               list all mistakes of a scenario
  manada check my-scenario.yaml --once        dry run: each archetype once, call by call
  manada plan my-scenario.yaml                forecast: load, connections, needs of this machine
  manada doctor                               check the limits of this machine
  manada control quickstart pause             pause a running test from another terminal
  manada report reports/quickstart-…          show a finished run again
  manada history                              list earlier runs

Exit codes:
  0    passed
  1    run not carried out, or its report not written
  2    invalid command-line arguments
  3    invalid scenario
  4    thresholds failed
  5    inconclusive: thresholds rest on a measurement that is not trusted
  6    stopped by a safety limit
  129, 130, 131, 143    ended by SIGHUP, SIGINT, SIGQUIT, SIGTERM")]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: CliCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum CliCommand {
    /// Run a scenario
    Run(Box<run::Args>),
    /// Load one or several URLs, without a scenario
    Hit(Box<hit::Args>),
    /// Move a running load to another target, step by step
    ///
    /// Runs a scenario, and moves the users of a service to --to as long as rules hold there; else
    /// all go back, and the exit code is 4.
    Shift(Box<shift::Args>),
    /// Check a scenario, or dry-run it with --once
    Check(check::Args),
    /// Forecast the load and the needs of a scenario
    ///
    /// Computes users, calls, connections, rows of data and the needs of this machine. Sends
    /// nothing.
    Plan(plan::Args),
    /// Show, judge or export a finished run
    Report(report::Args),
    /// Make the report of a run from the journals of its agents
    ///
    /// `manada agent --journal DIR` writes them. Needed if the coordinator's own report is lost.
    Merge(merge::Args),
    /// List earlier runs, and show a metric over them
    ///
    /// `manada run` writes each run to the history.
    #[cfg(feature = "history")]
    History(history::Args),
    /// Control a running test
    ///
    /// Pauses or scales the load, sets a rate or a number of users, forces a breaker, mutes a step.
    Control(control::Args),
    /// Check the limits of this machine
    ///
    /// Lists the limits that affect load tests, and how to raise them.
    Doctor(doctor::Args),
    /// Find the rate limit of a target
    ///
    /// Or its limit of connections. Sends few requests, and compares the limit with headers.
    ProbeLimits(Box<probe_limits::Args>),
    /// Serve the built-in test server
    ///
    /// A small shop with configurable latencies and faults. It counts and logs what it receives.
    Target(target::Args),
    /// Generate a part of the load of a run on many machines
    ///
    /// The run is that of `manada run --agents`; a Redis or Valkey joins them.
    #[cfg(feature = "redis")]
    Agent(Box<agent::Args>),
    /// Go on with a run on many machines whose coordinator died
    #[cfg(feature = "redis")]
    Coordinate(Box<coordinate::Args>),
    /// One of several processes of a run
    #[command(hide = true)]
    Worker,
    /// Run scenarios at times
    ///
    /// By cron expressions, on one machine or on several that share a Redis.
    #[cfg(feature = "schedule")]
    Schedule(Box<schedule::Args>),
    /// A process of a job
    #[cfg(feature = "schedule")]
    #[command(hide = true)]
    Guarded(schedule::GuardedArgs),
    /// Write rules and dashboards for Prometheus and Grafana
    ///
    /// Made for a scenario: an alert for each of its thresholds.
    #[cfg(feature = "metrics")]
    Dashboards(Box<dashboards::Args>),
    /// Print objects of Kubernetes that run agents
    K8s(Box<k8s::Args>),
    /// Print a JSON Schema, for editors
    #[command(after_long_help = "\
Examples:
  manada schema > manada.schema.json
  manada schema archetype > archetype.schema.json
  manada schema schedule > schedule.schema.json
  manada schema prices > prices.schema.json

Editors (first line of a scenario, for a YAML language server):
  # yaml-language-server: $schema=manada.schema.json")]
    Schema {
        /// Kind of file
        #[arg(value_enum, default_value_t = FileKind::Scenario)]
        of: FileKind,
    },
    /// Print a completion script for a shell
    #[command(after_long_help = "\
Examples:
  manada completions bash > ~/.local/share/bash-completion/completions/manada
  manada completions zsh > ~/.zfunc/_manada
  manada completions fish > ~/.config/fish/completions/manada.fish")]
    Completions {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Print a man page, or write all of them
    Man(man::Args),
}

/// The kinds of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FileKind {
    /// A scenario.
    Scenario,
    /// An archetype in a file of its own.
    Archetype,
    /// A schedule file.
    Schedule,
    /// A file of prices.
    Prices,
}

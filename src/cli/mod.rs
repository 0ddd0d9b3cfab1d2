//! The command line: one file per command.
//!
//! `main` calls it and turns the ExitStatus into an exit code.
//! Invariant: the only folder that knows clap; it decides nothing about a run beyond its
//! arguments.

mod args;
mod check;
mod control;
mod doctor;
mod execute;
mod hit;
mod limits;
mod output;
mod plan;
mod report;
mod run;
mod screen;
mod signals;
mod spellings;
mod target;

use std::borrow::Cow;
use std::io::{self, Write};

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use crate::exit::ExitStatus;
use crate::redact::{Redactor, SensitiveNames};
use crate::scenario::schema::{SchemaOf, document};
use output::print_remark;

/// A load-testing traffic simulator: realistic virtual users, and figures with a trust verdict.
#[derive(Debug, Parser)]
#[command(name = "manada", version, max_term_width = 100, arg_required_else_help = true)]
// As in curl and k6, the last one of repeated flags counts.
#[command(args_override_self = true)]
#[command(after_help = "\
Examples:
  manada run scenarios/quickstart.yaml        a first run, against a test server of its own
  manada hit http://127.0.0.1:8080/ -c 50     50 users for 10 seconds
  manada check my-scenario.yaml               all mistakes of a scenario
  manada plan my-scenario.yaml                forecast: load, connections, needs of this machine
  manada doctor                               limits of this machine
  manada control quickstart pause             pause a running test from another terminal
  manada report reports/quickstart-…          show a finished run again
  manada check my-scenario.yaml --once        dry run: each archetype once, call by call

Exit codes: 0 pass, 1 run not carried out, 2 usage, 3 scenario, 4 thresholds failed,
5 inconclusive, 6 stopped by a safety limit, 129/130/131/143 ended by SIGHUP, SIGINT,
SIGQUIT, SIGTERM.")]
struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run a scenario.
    Run(run::Args),
    /// Load one URL, without a scenario.
    Hit(Box<hit::Args>),
    /// Check a scenario and report all mistakes; with --once also dry-run it.
    Check(check::Args),
    /// Forecast what a scenario would do and need, without sending anything.
    Plan(plan::Args),
    /// Show a finished run again, judge it by other thresholds, or write it in another format.
    Report(report::Args),
    /// Control a running test: pause, scale, set a rate, force a breaker, mute a step.
    Control(control::Args),
    /// Check this machine: limits that affect load tests, and how to raise them.
    Doctor(doctor::Args),
    /// Serve the built-in test server: a small shop with known latencies.
    Target(target::Args),
    /// Print a JSON Schema of scenarios or archetypes, for editors.
    #[command(after_help = "\
Examples:
  manada schema > manada.schema.json
  manada schema archetype > archetype.schema.json
In a scenario, for editors with a YAML language server:
  # yaml-language-server: $schema=manada.schema.json")]
    Schema {
        /// Kind of file.
        #[arg(value_enum, default_value_t = FileKind::Scenario)]
        of: FileKind,
    },
    /// Print a completion script for a shell.
    #[command(after_help = "Example: manada completions bash \
            > ~/.local/share/bash-completion/completions/manada")]
    Completions {
        /// Shell.
        shell: clap_complete::Shell,
    },
}

/// The kinds of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FileKind {
    /// A scenario.
    Scenario,
    /// An archetype in a file of its own.
    Archetype,
}

/// Runs the command of the command line.
pub fn main() -> ExitStatus {
    let (words, notes) = spellings::rewrite(std::env::args_os());
    let words = match Cli::try_parse_from(words) {
        Ok(words) => words,
        Err(error) => {
            let is_requested = !error.use_stderr();
            // Help into a closed pipe is not an error.
            let text = error.render().to_string();
            let names = SensitiveNames::default();
            match Redactor::new(&names).text(&text) {
                // The error quotes the wrong word, which may contain a credential.
                Cow::Owned(hidden) if !is_requested => print_remark(&hidden),
                _ => drop(error.print()),
            }
            return if is_requested { ExitStatus::Pass } else { ExitStatus::Usage };
        }
    };
    for note in notes {
        print_remark(&format!("note: {note}\n"));
    }
    match words.command {
        CliCommand::Run(args) => run::run(&args),
        CliCommand::Hit(args) => hit::run(&args),
        CliCommand::Check(args) => check::run(&args),
        CliCommand::Plan(args) => plan::run(&args),
        CliCommand::Report(args) => report::run(&args),
        CliCommand::Control(args) => control::run(&args),
        CliCommand::Doctor(args) => doctor::run(&args),
        CliCommand::Target(args) => target::run(args),
        CliCommand::Schema { of } => schema(of),
        CliCommand::Completions { shell } => completions(shell),
    }
}

fn schema(of: FileKind) -> ExitStatus {
    let of = match of {
        FileKind::Scenario => SchemaOf::Scenario,
        FileKind::Archetype => SchemaOf::Archetype,
    };
    let text = format!("{:#}\n", document(of));
    output::finish(io::stdout().write_all(text.as_bytes()), ExitStatus::Pass)
}

fn completions(shell: clap_complete::Shell) -> ExitStatus {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "manada", &mut script);
    output::finish(io::stdout().write_all(&script), ExitStatus::Pass)
}

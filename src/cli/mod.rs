//! The command line: one file per command.
//!
//! `main` calls it and turns the ExitStatus into an exit code.
//! Invariant: the only folder that knows clap; it decides nothing about a run beyond its
//! arguments.

#[cfg(feature = "redis")]
mod agent;
pub mod agent_words;
mod args;
#[cfg(feature = "redis")]
mod bus_args;
mod check;
mod control;
mod doctor;
mod execute;
#[cfg(test)]
mod help_tests;
mod hit;
mod hit_streams;
mod limits;
mod man;
mod output;
mod plan;
mod report;
mod run;
mod screen;
mod signals;
mod spellings;
mod target;
#[cfg(feature = "trace")]
mod trace_output;
mod worker;

use std::borrow::Cow;
use std::io::{self, Write};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use crate::exit::ExitStatus;
use crate::redact::{Redactor, SensitiveNames};
use crate::scenario::schema::{SchemaOf, document};
use crate::suggest::nearest;
use output::print_remark;

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

Exit codes:
  0    passed
  1    run not carried out, or its report not written
  2    invalid command-line arguments
  3    invalid scenario
  4    thresholds failed
  5    inconclusive: thresholds rest on a measurement that is not trusted
  6    stopped by a safety limit
  129, 130, 131, 143    ended by SIGHUP, SIGINT, SIGQUIT, SIGTERM")]
struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Run a scenario
    Run(run::Args),
    /// Load one or several URLs, without a scenario
    Hit(Box<hit::Args>),
    /// Check a scenario, or dry-run it with --once
    Check(check::Args),
    /// Forecast the load and the needs of a scenario
    ///
    /// Computes users, calls, connections, rows of data and the needs of this machine. Sends
    /// nothing.
    Plan(plan::Args),
    /// Show, judge or export a finished run
    Report(report::Args),
    /// Control a running test
    ///
    /// Pauses or scales the load, sets a rate or a number of users, forces a breaker, mutes a step.
    Control(control::Args),
    /// Check the limits of this machine
    ///
    /// Lists the limits that affect load tests, and how to raise them.
    Doctor(doctor::Args),
    /// Serve the built-in test server
    ///
    /// A small shop with configurable latencies and faults. It counts and logs what it receives.
    Target(target::Args),
    /// Generate a part of the load of a run on many machines
    ///
    /// The run is that of `manada run --agents`; a Redis or Valkey joins them.
    #[cfg(feature = "redis")]
    Agent(agent::Args),
    /// One of several processes of a run
    #[command(hide = true)]
    Worker,
    /// Print a JSON Schema, for editors
    #[command(after_long_help = "\
Examples:
  manada schema > manada.schema.json
  manada schema archetype > archetype.schema.json

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
enum FileKind {
    /// A scenario.
    Scenario,
    /// An archetype in a file of its own.
    Archetype,
}

/// Runs the command of the command line.
pub fn main() -> ExitStatus {
    let (words, notes) = spellings::rewrite(std::env::args_os());
    let name = words.get(1).and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let words = match Cli::try_parse_from(words) {
        Ok(words) => words,
        Err(mut error) => {
            suggest_word(&mut error);
            suggest_flag(&mut error, &name);
            let is_requested = !error.use_stderr();
            // Help into a closed pipe is not an error.
            match redact_error(&error.render().to_string()) {
                Some(hidden) if !is_requested => print_remark(&hidden),
                _ => drop(error.print()),
            }
            return if is_requested { ExitStatus::Pass } else { ExitStatus::Usage };
        }
    };
    #[cfg(feature = "trace")]
    if let Err(why) = trace_output::open() {
        output::print_error(&why);
        return ExitStatus::Usage;
    }
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
        #[cfg(feature = "redis")]
        CliCommand::Agent(args) => agent::run(&args),
        CliCommand::Worker => worker::run(),
        CliCommand::Schema { of } => schema(of),
        CliCommand::Completions { shell } => completions(shell),
        CliCommand::Man(args) => man::run(&args, Cli::command()),
    }
}

/// Adds "a similar subcommand exists" or "a similar value exists" where clap has none: by its own
/// measure `rn` does not resemble `run`.
fn suggest_word(error: &mut clap::Error) {
    let (wrong, known, place) = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let command = Cli::command();
            let names = command.get_subcommands().map(|one| one.get_name().to_owned());
            (ContextKind::InvalidSubcommand, names.collect(), ContextKind::SuggestedSubcommand)
        }
        ErrorKind::InvalidValue => match error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(known)) => {
                (ContextKind::InvalidValue, known.clone(), ContextKind::SuggestedValue)
            }
            _ => return,
        },
        _ => return,
    };
    let (Some(ContextValue::String(word)), None) = (error.get(wrong), error.get(place)) else {
        return;
    };
    let near = nearest(word, known.iter().map(String::as_str)).map(str::to_owned);
    match (near, place) {
        (Some(near), ContextKind::SuggestedSubcommand) => {
            error.insert(place, ContextValue::Strings(vec![near]));
        }
        (Some(near), _) => {
            error.insert(place, ContextValue::String(near));
        }
        (None, _) => {}
    }
}

/// Replaces clap's suggestion by our flag for what a flag of another tool does; `name` is the
/// command's.
fn suggest_flag(error: &mut clap::Error, name: &str) {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return };
    let advice = match (error.kind(), error.get(ContextKind::InvalidValue)) {
        (ErrorKind::UnknownArgument, _) => spellings::flag_of_other_tool(name, flag),
        (ErrorKind::ValueValidation, Some(ContextValue::String(value))) => {
            spellings::misread_value(name, flag, value)
        }
        _ => None,
    };
    let Some(advice) = advice else { return };
    let mut root = Cli::command();
    root.build();
    // Its usage shows the argument that it suggests.
    if let Some(command) = root.find_subcommand_mut(name)
        && error.remove(ContextKind::SuggestedArg).is_some()
    {
        error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
    }
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice.into()]));
}

/// Redacts an error of clap, which quotes the wrong word; `None` if it contains no credential.
fn redact_error(text: &str) -> Option<String> {
    // The placeholder of `--user` is no element of XML whose content is a password.
    let text = text.replace("<USER:PASSWORD>", "USER:PASSWORD");
    match Redactor::new(&SensitiveNames::default()).text(&text) {
        Cow::Owned(hidden) => Some(hidden.replace("USER:PASSWORD", "<USER:PASSWORD>")),
        Cow::Borrowed(_) => None,
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

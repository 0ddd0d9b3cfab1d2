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
mod calibration;
mod call_args;
mod ceiling_args;
mod check;
mod commands;
mod control;
#[cfg(feature = "redis")]
mod coordinate;
mod cost;
mod cost_args;
#[cfg(feature = "metrics")]
mod dashboards;
mod destinations;
mod doctor;
mod execute;
mod file_set;
#[cfg(test)]
mod help_tests;
#[cfg(feature = "history")]
mod history;
#[cfg(feature = "history")]
mod history_args;
#[cfg(feature = "history")]
mod history_writer;
mod hit;
mod hit_streams;
#[cfg(feature = "schedule")]
mod job_args;
mod k8s;
mod limits;
mod load_generators;
mod load_scenario;
mod log_args;
mod man;
mod measured_run;
mod merge;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "no_metrics.rs"]
mod metrics;
#[cfg(feature = "metrics")]
mod otlp;
mod output;
mod output_folder;
mod parse_error;
mod plan;
mod prepare;
mod probe_limits;
mod rebuilt;
mod report;
mod run;
mod sandbox;
mod sandbox_args;
#[cfg(feature = "schedule")]
mod schedule;
mod screen;
mod shift;
mod shown_command;
mod signals;
mod spellings;
mod target;
#[cfg(feature = "trace")]
mod trace_output;
mod worker;

use std::io::{self, Write};

use clap::{CommandFactory, Parser};

use crate::exit::ExitStatus;
use crate::scenario::schema::{SchemaOf, document};
use agent_words::words_for_agents;
use commands::{Cli, CliCommand, FileKind};
use output::print_remark;

/// Runs the command of the command line.
pub fn main() -> ExitStatus {
    let (words, notes) = spellings::rewrite(std::env::args_os());
    let name = words.get(1).and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let words = match Cli::try_parse_from(words) {
        Ok(words) => words,
        Err(mut error) => {
            parse_error::add_suggestions(&mut error, &name);
            let is_requested = !error.use_stderr();
            // Help into a closed pipe is not an error.
            match parse_error::redacted(&error.render().to_string()) {
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
        CliCommand::Run(args) => run::run(&args, words_for_agents),
        CliCommand::Shift(args) => run::run(&args.into_run(), words_for_agents),
        CliCommand::Hit(args) => hit::run(&args),
        #[cfg(feature = "schedule")]
        CliCommand::Check(args) => check::run_any(&args, &job_args::check),
        #[cfg(not(feature = "schedule"))]
        CliCommand::Check(args) => check::run(&args),
        CliCommand::Plan(args) => plan::run(&args),
        CliCommand::Report(args) => report::run(&args),
        CliCommand::Merge(args) => merge::run(&args),
        #[cfg(feature = "history")]
        CliCommand::History(args) => history::run(&args),
        CliCommand::Control(args) => control::run(&args),
        CliCommand::Doctor(args) => doctor::run(&args),
        CliCommand::ProbeLimits(args) => probe_limits::run(&args),
        CliCommand::Target(args) => target::run(args),
        #[cfg(feature = "redis")]
        CliCommand::Agent(args) => agent::run(&args, worker::compile_words),
        #[cfg(feature = "redis")]
        CliCommand::Coordinate(args) => coordinate::run(&args, worker::compile_words),
        CliCommand::Worker => worker::run(),
        #[cfg(feature = "schedule")]
        CliCommand::Schedule(args) => schedule::run(&args, &job_args::check),
        #[cfg(feature = "schedule")]
        CliCommand::Guarded(args) => schedule::run_guarded(&args),
        #[cfg(feature = "metrics")]
        CliCommand::Dashboards(args) => dashboards::run(&args),
        CliCommand::K8s(args) => k8s::run(&args),
        CliCommand::Schema { of } => schema(of),
        CliCommand::Completions { shell } => completions(shell),
        CliCommand::Man(args) => man::run(&args, Cli::command()),
    }
}

fn schema(of: FileKind) -> ExitStatus {
    let of = match of {
        FileKind::Scenario => SchemaOf::Scenario,
        FileKind::Archetype => SchemaOf::Archetype,
        FileKind::Schedule => SchemaOf::Schedule,
        FileKind::Prices => SchemaOf::Prices,
    };
    let text = format!("{:#}\n", document(of));
    output::finish(io::stdout().write_all(text.as_bytes()), ExitStatus::Pass)
}

fn completions(shell: clap_complete::Shell) -> ExitStatus {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "manada", &mut script);
    output::finish(io::stdout().write_all(&script), ExitStatus::Pass)
}

//! `manada worker`: one of several processes of a run. `run` and `hit` start it; it is not for
//! people.
//!
//! Invariant: it compiles the plan that the command line of the coordinator names, by the same
//! code.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStringExt;

use clap::Parser;

use super::commands::{Cli, CliCommand};
use super::hit::HitFailure;
use super::output::print_error;
use super::{hit, run, spellings};
use crate::event::link::WorkerSetup;
use crate::exit::ExitStatus;
use crate::files::Files;
use crate::fleet::worker::{self, PlanRefusal};
use crate::plan::Plan;
use crate::scenario::Mistakes;

pub(super) fn run() -> ExitStatus {
    if io::stdin().is_terminal() {
        print_error(&"`manada worker` is started by `manada run --processes`, not by hand");
        return ExitStatus::Usage;
    }
    worker::run(compile).unwrap_or_else(|error| {
        print_error(&format_args!("worker: {error}"));
        ExitStatus::Broken
    })
}

/// Compiles the plan of the coordinator's command line.
fn compile(setup: &WorkerSetup) -> Result<Plan, PlanRefusal> {
    let words = setup.words.iter().map(|word| OsString::from_vec(word.clone()));
    compile_words(&mut words.into_iter(), &Files::default())
}

/// Compiles the plan of a command line; its files are read from `files`.
pub(super) fn compile_words(
    words: &mut dyn Iterator<Item = OsString>,
    files: &Files,
) -> Result<Plan, PlanRefusal> {
    let (words, _) = spellings::rewrite(words);
    let parsed = Cli::try_parse_from(words);
    let parsed = parsed.map_err(|error| (error.to_string(), ExitStatus::Usage))?;
    let shown = |(mistakes, status): (Mistakes, ExitStatus)| (mistakes.render(false), status);
    match parsed.command {
        CliCommand::Run(args) => run::compile(&args, files).map(|(plan, _)| plan).map_err(shown),
        CliCommand::Shift(args) => {
            run::compile(&args.into_run(), files).map(|(plan, _)| plan).map_err(shown)
        }
        CliCommand::Hit(args) => hit::compile(&args, files).map_err(|failure| match failure {
            HitFailure::File(why) => (why, ExitStatus::Scenario),
            HitFailure::Mistakes(mistakes, status) => shown((mistakes, status)),
        }),
        _ => Err(("not a command with a load".to_owned(), ExitStatus::Usage)),
    }
}

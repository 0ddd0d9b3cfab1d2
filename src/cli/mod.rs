//! The door: words on the command line become calls, endings become exit codes.
//!
//! `main` calls it. The only folder that knows clap.
//! Invariant: every command returns an `Ending`; nothing below exits the process.

mod target;

use clap::{Parser, Subcommand};

use crate::exit::Ending;

#[derive(Debug, Parser)]
#[command(name = "manada", version, about)]
struct Words {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The built-in target: a small shop of known truth to aim at.
    Target(target::Args),
}

/// Reads the command line and does what it says.
pub fn main() -> Ending {
    let words = match Words::try_parse() {
        Ok(words) => words,
        Err(error) => {
            let asked = !error.use_stderr();
            // Nothing is left to say when the terminal is gone.
            let _ = error.print();
            return if asked { Ending::Pass } else { Ending::Usage };
        }
    };
    match words.command {
        Command::Target(args) => target::run(args),
    }
}

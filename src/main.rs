//! The entry point: calls the command line and returns its exit code.
//!
//! Invariant: it contains no logic.

use std::process::ExitCode;

fn main() -> ExitCode {
    manada::cli::main().into()
}

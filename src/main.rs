//! The door: words in, an exit code out.
//!
//! Invariant: nothing is decided here.

use std::process::ExitCode;

fn main() -> ExitCode {
    manada::cli::main().into()
}

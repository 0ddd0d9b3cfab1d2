//! The door: words in, an exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    manada::cli::main().into()
}

//! Output of the commands, and errors of writing it.
//!
//! Invariant: data goes to standard output, everything else to standard error; a closed reader (`|
//! head`) is not an error.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use crate::exit::ExitStatus;
use crate::host;
use crate::printable::printable_lines;
use crate::redact::{self, Redactor, SensitiveNames};
use crate::report::formats::NotCarriedOut;
use crate::sinks::exports::{self, ExportTarget};

/// The size that a writable pipe accepts at least, bytes (PIPE_BUF, pipe(7)).
const CHUNK: usize = 4_096;

/// Maximum wait for a full pipe.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// Returns the exit status after a write to standard output.
pub(super) fn finish(written: io::Result<()>, status: ExitStatus) -> ExitStatus {
    match written.and_then(|()| io::stdout().flush()) {
        Ok(()) => status,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => status,
        Err(error) => {
            print_error(&format_args!("cannot write to standard output: {error}"));
            ExitStatus::Broken
        }
    }
}

/// Prints the text of a command that passed, without secrets, or why it did not; returns the exit
/// status.
pub(super) fn finish_text(outcome: Result<String, (String, ExitStatus)>) -> ExitStatus {
    match outcome {
        Ok(text) => {
            let text = redact::redact_secrets(&text);
            finish(anstream::stdout().write_all(text.as_bytes()), ExitStatus::Pass)
        }
        Err((why, status)) => {
            print_error(&why);
            status
        }
    }
}

/// Prints an error to standard error.
pub(super) fn print_error(what: &dyn Display) {
    let names = SensitiveNames::default();
    let text = printable_lines(&Redactor::new(&names).sentence(&what.to_string()));
    write_line(&format!("manada: {text}"));
}

/// Reports why a run was not carried out, on standard error and in all files of `--report`.
pub(super) fn fail(
    reports: &[ExportTarget],
    scenario: &str,
    why: &dyn Display,
    status: ExitStatus,
) -> ExitStatus {
    print_error(why);
    report_failure(reports, scenario, &why.to_string(), status)
}

/// Writes why a run was not carried out to all files of `--report`.
pub(super) fn report_failure(
    reports: &[ExportTarget],
    scenario: &str,
    why: &str,
    status: ExitStatus,
) -> ExitStatus {
    let run = NotCarriedOut::new(scenario, why, status);
    let written = exports::write_not_carried_out(&run, reports);
    // If the destination of a report was the reason, it has been printed already.
    if let Err(error) = written.map_err(|error| error.to_string())
        && !why.contains(&error)
    {
        print_error(&format_args!("cannot write the report: {error}"));
    }
    status
}

/// Prints a remark to standard error.
pub(super) fn print_remark(what: &dyn Display) {
    write_line(&what.to_string());
}

/// Writes a line to standard error, as far as the reader takes it: a stalled reader does not block
/// the program.
fn write_line(text: &str) {
    let line = format!("{}\n", redact::redact_secrets(text));
    let mut out = anstream::stderr();
    for chunk in line.as_bytes().chunks(CHUNK) {
        if !host::takes_more(&io::stderr(), WRITE_TIMEOUT) || out.write_all(chunk).is_err() {
            return;
        }
    }
}

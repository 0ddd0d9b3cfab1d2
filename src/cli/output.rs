//! What the commands print, and what happens when nobody reads it.
//!
//! Invariant: data goes to standard output, everything else to standard error; a reader that has
//! gone (`| head`) is no error.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use crate::exit::ExitStatus;
use crate::host;
use crate::printable::printable_lines;
use crate::redact::{self, Redactor, SensitiveNames};
use crate::report::formats::NotCarriedOut;
use crate::sinks::exports::{self, ExportTarget};

/// What a pipe that takes something takes at least (PIPE_BUF, pipe(7)).
const PIECE: usize = 4_096;

/// How long a full pipe is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// The ending after writing to standard output.
pub(super) fn finish(written: io::Result<()>, ending: ExitStatus) -> ExitStatus {
    match written.and_then(|()| io::stdout().flush()) {
        Ok(()) => ending,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ending,
        Err(error) => {
            complain(&format_args!("cannot write to standard output: {error}"));
            ExitStatus::Broken
        }
    }
}

/// Says what is wrong, on standard error.
pub(super) fn complain(what: &dyn Display) {
    let names = SensitiveNames::default();
    let text = printable_lines(&Redactor::new(&names).sentence(&what.to_string()));
    say(&format!("manada: {text}"));
}

/// Says why a run was not carried out, and writes it to all that `--report` names.
pub(super) fn fail(
    reports: &[ExportTarget],
    scenario: &str,
    why: &dyn Display,
    ending: ExitStatus,
) -> ExitStatus {
    complain(why);
    report_failure(reports, scenario, &why.to_string(), ending)
}

/// Writes why a run was not carried out to all that `--report` names.
pub(super) fn report_failure(
    reports: &[ExportTarget],
    scenario: &str,
    why: &str,
    ending: ExitStatus,
) -> ExitStatus {
    let run = NotCarriedOut::new(scenario, why, ending);
    let written = exports::write_not_carried_out(&run, reports);
    // Where a report's place was the reason, it has been said.
    if let Err(error) = written.map_err(|error| error.to_string())
        && !why.contains(&error)
    {
        complain(&format_args!("the report could not be written: {error}"));
    }
    ending
}

/// Says something by the way, on standard error.
pub(super) fn remark(what: &dyn Display) {
    say(&what.to_string());
}

/// Writes a line to standard error, as far as somebody takes it: a reader that has stopped reading
/// holds nothing up.
fn say(text: &str) {
    let line = format!("{}\n", redact::redact_secrets(text));
    let mut out = anstream::stderr();
    for piece in line.as_bytes().chunks(PIECE) {
        if !host::takes_more(&io::stderr(), PATIENCE) || out.write_all(piece).is_err() {
            return;
        }
    }
}

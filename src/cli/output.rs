//! What the commands print, and what happens when nobody reads it.
//!
//! Invariant: data goes to standard output, everything else to standard error; a reader that has
//! gone (`| head`) is no error.

use std::fmt::Display;
use std::io::{self, Write};

use crate::exit::Ending;
use crate::printable::printable_lines;
use crate::redact::{self, Names, Redactor};

/// The ending after writing to standard output.
pub(super) fn finish(written: io::Result<()>, ending: Ending) -> Ending {
    match written.and_then(|()| io::stdout().flush()) {
        Ok(()) => ending,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ending,
        Err(error) => {
            complain(&format_args!("cannot write to standard output: {error}"));
            Ending::Broken
        }
    }
}

/// Says what is wrong, on standard error.
pub(super) fn complain(what: &dyn Display) {
    let names = Names::default();
    let text = printable_lines(&Redactor::new(&names).sentence(&what.to_string()));
    let _ = writeln!(anstream::stderr(), "manada: {text}");
}

/// Says something by the way, on standard error.
pub(super) fn remark(what: &dyn Display) {
    let _ = writeln!(anstream::stderr(), "{}", redact::secrets(&what.to_string()));
}

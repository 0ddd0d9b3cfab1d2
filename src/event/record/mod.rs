//! The record of a run: the dispatcher's input as bytes, in order. A RunAggregator that gets it
//! again produces the same report, also with other thresholds.
//!
//! `sinks::files` writes `run.record`, `run::replay` reads it.
//! Invariant: the record of a killed run is intact up to its last seconds.
//!
//! Format: a line with the version and the hash of the shapes of entries, then frames. A frame is a
//! head of 17 bytes (kind; length in the file and inflated; checksum of the data; checksum of the
//! head) and the part of one deflate stream (RFC 1951) that holds the value. So a flipped bit is
//! detected as damage, and truncation as an end.

mod entry;
mod error;
pub(crate) mod header;
mod reader;
mod writer;

pub(crate) use entry::max_delta;
pub use entry::{RecordEnd, RecordEntry};
pub use error::RecordError;
pub use reader::RecordReader;
pub use writer::RecordWriter;

/// The name of the file.
pub const FILE: &str = "run.record";

/// The name of the file with what a coordinator merged, from which another one can go on.
pub const FLEET_JOURNAL: &str = "fleet.journal";

/// The name of the journal of an agent: a record of what its shards measured.
pub fn journal_name(ordinal: u16, incarnation: u64) -> String {
    format!("agent-{ordinal}-{incarnation}.record")
}

/// The ordinal and the incarnation in the name of a journal; `None` if it is none.
pub fn parse_journal_name(name: &str) -> Option<(u16, u64)> {
    let (ordinal, incarnation) =
        name.strip_prefix("agent-")?.strip_suffix(".record")?.split_once('-')?;
    Some((ordinal.parse().ok()?, incarnation.parse().ok()?))
}

#[cfg(test)]
pub(crate) mod tests;

#[cfg(test)]
mod changes_tests;

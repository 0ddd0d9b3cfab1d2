//! How a stream ended, in the words of reports.
//!
//! `reader` records it.
//! Invariant: the words are few: a close code or a kind, and a side.

use std::fmt::Write as _;

use crate::wire::message_stream::StreamEnd;

/// Close code and side, or the kind of failure: `1000 by us`, `1006 by target`, `no_pong`.
pub(crate) fn describe(end: StreamEnd) -> String {
    if let Some(kind) = end.failure {
        return kind.name().to_owned();
    }
    let mut text = end.code.map_or_else(|| "end".to_owned(), |code| code.to_string());
    let _ = write!(text, " by {}", if end.is_ours { "us" } else { "target" });
    text
}

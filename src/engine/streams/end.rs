//! How a stream ended, in the words of reports.
//!
//! `reader` records it.
//! Invariant: the words are few: a close code or a kind, and a side.

use std::fmt::Write as _;

use crate::protocol::status;
use crate::wire::message_stream::StreamEnd;

/// Close code, or status of a broker or of gRPC, and side; or the kind of failure: `1000 by us`,
/// `1006 by target`, `mqtt SESSION_TAKEN_OVER by target`, `grpc OK by us`, `no_pong`.
pub(crate) fn describe(end: StreamEnd, has_statuses: bool) -> String {
    if let Some(kind) = end.failure {
        return kind.name().to_owned();
    }
    let shown =
        |code: u16| if has_statuses { status::name(code).into_owned() } else { code.to_string() };
    let mut text = end.code.map_or_else(|| "end".to_owned(), shown);
    let _ = write!(text, " by {}", if end.is_ours { "us" } else { "target" });
    text
}

//! What a connection to PostgreSQL knows from one exchange to the next: its prepared statements,
//! and whether a transaction is open.
//!
//! `client` reads it before an exchange and updates it after one.
//! Invariant: a statement counts as prepared only once the server has parsed it on this connection.

use crate::plan::operation::{Operation, SqlMode};

/// The state of a connection to PostgreSQL.
#[derive(Debug, Default)]
pub(in crate::wire) struct SqlSession {
    /// The ids of the statements that the connection has prepared: at most those of the scenario.
    prepared: Vec<u64>,
    /// Whether a transaction is open, or has failed and was not ended.
    pub(in crate::wire) is_in_transaction: bool,
}

/// What an exchange changed of a session.
#[derive(Clone, Copy, Debug)]
pub(in crate::wire) struct SessionChanges {
    /// The connection has no prepared statement any more.
    pub(in crate::wire) has_lost_statements: bool,
    /// The statement of the request was parsed.
    pub(in crate::wire) has_parsed: bool,
    /// A transaction is open, or has failed and was not ended.
    pub(in crate::wire) is_in_transaction: bool,
}

impl SqlSession {
    /// The part of a request that is sent: without the parsing of a statement that the connection
    /// has prepared. `session` is `None` on a connection without an exchange.
    pub(in crate::wire) fn request<'b>(
        session: Option<&Self>,
        operation: &Operation,
        bytes: &'b [u8],
    ) -> &'b [u8] {
        let is_prepared = prepared_id(operation)
            .is_some_and(|id| session.is_some_and(|session| session.prepared.contains(&id)));
        if is_prepared { without_first_message(bytes) } else { bytes }
    }

    /// Notes what an exchange changed.
    pub(in crate::wire) fn note(&mut self, operation: &Operation, changes: SessionChanges) {
        if changes.has_lost_statements {
            self.prepared.clear();
        } else if let Some(id) = prepared_id(operation).filter(|_| changes.has_parsed)
            && !self.prepared.contains(&id)
        {
            self.prepared.push(id);
        }
        self.is_in_transaction = changes.is_in_transaction;
    }
}

/// The id of a statement that is parsed once; `None` for others.
fn prepared_id(operation: &Operation) -> Option<u64> {
    match operation {
        Operation::Sql(statement) if statement.mode == SqlMode::Prepared => Some(statement.id),
        _ => None,
    }
}

/// What follows the first message of a request: its kind, and its length with that of the length.
fn without_first_message(bytes: &[u8]) -> &[u8] {
    let length = bytes.get(1..).and_then(|rest| rest.first_chunk());
    let length = length.map_or(0, |length| u32::from_be_bytes(*length) as usize);
    bytes.get(1 + length..).unwrap_or(bytes)
}

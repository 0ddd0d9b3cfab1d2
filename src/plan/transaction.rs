//! Transactions of a database: the steps between a begin and a commit, repeated as a whole.
//!
//! `scenario` compiles them, `engine::iterations::transaction_steps` runs them.
//! Invariant: all calls of a transaction go to one service, over one connection.

/// A transaction: calls by their index in `Archetype::calls`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionPlan {
    /// The call that begins it.
    pub begin: usize,
    /// The call that commits it.
    pub commit: usize,
    /// The call that rolls it back.
    pub rollback: usize,
    /// How often it is tried again after a serialization failure or a deadlock.
    pub retries: u32,
    /// The step after it.
    pub to: usize,
}

/// The isolation of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IsolationLevel {
    /// A statement sees what was committed before it.
    ReadCommitted,
    /// The transaction sees what was committed before its first statement.
    RepeatableRead,
    /// As if transactions ran one after the other.
    Serializable,
}

impl IsolationLevel {
    /// The levels by their words, which are those of SQL.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("read committed", Self::ReadCommitted),
        ("repeatable read", Self::RepeatableRead),
        ("serializable", Self::Serializable),
    ];

    /// The statement that begins a transaction; without a level, the server's own.
    pub fn begin(level: Option<Self>) -> String {
        let word = Self::NAMES.iter().find(|(_, known)| Some(*known) == level);
        word.map_or_else(|| "begin".to_owned(), |(word, _)| format!("begin isolation level {word}"))
    }
}

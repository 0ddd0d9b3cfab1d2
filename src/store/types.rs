//! Values, rows, statements and errors of a database, and the trait of all of them.
//!
//! Invariant: a row has the types that its table declares; another type is an error, never a
//! default.

use std::time::Duration;

/// How a database is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read only.
    Read,
    /// To read and write; what does not exist is created.
    Write,
}

/// Maximum time that a statement waits for locks, or runs on a server.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(4);

/// Maximum time to connect to a server.
#[cfg(feature = "postgres")]
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// A value of a column or a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum StoreValue {
    /// No value.
    Null,
    /// A `BIGINT`.
    Integer(i64),
    /// A `DOUBLE PRECISION`.
    Real(f64),
    /// A `TEXT`.
    Text(String),
    /// A `BYTEA`.
    Bytes(Vec<u8>),
}

/// A row of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Vec<StoreValue>);

/// A statement with its parameters.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The SQL.
    pub sql: &'static str,
    /// The values of `?1`, `?2` and so on.
    pub values: Vec<StoreValue>,
}

/// A database; one thread at a time uses it.
pub trait Database: Send {
    /// Returns the version of the tables; zero if there are none.
    ///
    /// # Errors
    /// If it cannot be read, or the database belongs to something else.
    fn version(&mut self) -> Result<usize, StoreError>;

    /// Creates or changes the tables: `versions` are the statements that lead from each version to
    /// the next. Nothing happens if they are current; several processes may do it at once.
    ///
    /// # Errors
    /// If a statement fails, or the tables are newer than `versions`; nothing is changed then.
    fn migrate(&mut self, versions: &[&str]) -> Result<(), StoreError>;

    /// Carries out all statements, or none; returns the number of changed rows.
    ///
    /// # Errors
    /// If one fails.
    fn transact(&mut self, statements: &[Statement]) -> Result<u64, StoreError>;

    /// Returns the rows of a query.
    ///
    /// # Errors
    /// If it fails.
    fn query(&mut self, sql: &str, values: &[StoreValue]) -> Result<Vec<Row>, StoreError>;
}

/// Why a database cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The place is not written as one.
    #[error("{0}")]
    Place(String),
    /// There is nothing at the place.
    #[error("there is none yet; a run writes it")]
    Missing,
    /// The file is a database of another program, or no database.
    #[error("{0}; it is left alone: choose another with --history")]
    Foreign(String),
    /// The tables are those of a later version.
    #[error(
        "its tables have version {found}, and this manada knows version {known}; it is left alone: \
         update manada, or choose another with --history"
    )]
    Newer {
        /// The version of the tables.
        found: usize,
        /// The version that this program knows.
        known: usize,
    },
    /// It could not be opened or reached.
    #[error("{0}")]
    Unreachable(String),
    /// What is looked for is not there, or not told apart from others.
    #[error("{0}")]
    NoSuchRun(String),
    /// A statement failed.
    #[error("{0}")]
    Failed(String),
    /// It did not answer in time.
    #[error("no answer within {0} s; is it reachable, and not locked?")]
    Slow(u64),
}

/// A type that a column of a row can have.
pub trait StoredType: Sized {
    /// The value as this type; `None` if it has another.
    fn of(value: &StoreValue) -> Option<Self>;
}

impl StoredType for i64 {
    fn of(value: &StoreValue) -> Option<Self> {
        if let StoreValue::Integer(number) = value { Some(*number) } else { None }
    }
}

impl StoredType for f64 {
    fn of(value: &StoreValue) -> Option<Self> {
        if let StoreValue::Real(number) = value { Some(*number) } else { None }
    }
}

impl StoredType for String {
    fn of(value: &StoreValue) -> Option<Self> {
        if let StoreValue::Text(text) = value { Some(text.clone()) } else { None }
    }
}

impl StoredType for Vec<u8> {
    fn of(value: &StoreValue) -> Option<Self> {
        if let StoreValue::Bytes(bytes) = value { Some(bytes.clone()) } else { None }
    }
}

impl<T: StoredType> StoredType for Option<T> {
    fn of(value: &StoreValue) -> Option<Self> {
        if *value == StoreValue::Null { Some(None) } else { T::of(value).map(Some) }
    }
}

impl Row {
    /// Returns the value of a column, by its place in the query.
    ///
    /// # Errors
    /// If it has another type: the file is damaged, or was changed by something else.
    pub fn get<T: StoredType>(&self, column: usize) -> Result<T, StoreError> {
        self.0.get(column).and_then(T::of).ok_or_else(|| {
            StoreError::Failed(format!("column {column} of a row has an unexpected type"))
        })
    }
}

impl From<i64> for StoreValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<f64> for StoreValue {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl From<&str> for StoreValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for StoreValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<T: Into<StoreValue>> From<Option<T>> for StoreValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

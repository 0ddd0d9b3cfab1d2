//! Databases behind one trait: an SQLite file, or PostgreSQL.
//!
//! `history` keeps its tables in them. Both understand the same SQL, whose parameters are `?1`,
//! `?2` and so on, and whose types are `BIGINT`, `DOUBLE PRECISION`, `TEXT` and `BYTEA`.
//! Invariant: a call ends in a bounded time or with an error, and an error names no credential.

mod place;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_tls;
mod sqlite;
mod types;

pub use place::StorePlace;
pub use types::{Access, Database, Row, Statement, StoreError, StoreValue, StoredType};

/// Opens the database of a place.
///
/// # Errors
/// If there is none, it cannot be reached, or it is not such a database.
pub fn open(place: &StorePlace, access: Access) -> Result<Box<dyn Database>, StoreError> {
    match place {
        StorePlace::File(path) => Ok(Box::new(sqlite::SqliteFile::open(path, access)?)),
        #[cfg(feature = "postgres")]
        StorePlace::Postgres(url) => Ok(Box::new(postgres::PostgresStore::open(url, access)?)),
    }
}

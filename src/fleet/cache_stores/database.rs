//! A layer in a table of PostgreSQL, or of an SQLite file.
//!
//! `cache_stores` opens it.
//! Invariant: a row is read up to the largest entry, however long it is; rows that are over are
//! deleted when a process connects.

use std::time::UNIX_EPOCH;

use crate::cache::{LayerFailure, LayerStore, LeaseOwner, MAX_STORED};
use crate::clock;
use crate::plan::cache::{LayerKind, LayerPlan};
use crate::store::{self, Access, Database, Statement, StoreError, StorePlace, StoreValue};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS manada_cache (\
                     name TEXT PRIMARY KEY, value BYTEA NOT NULL, expires_ms BIGINT NOT NULL)";

const CLEAN: &str = "DELETE FROM manada_cache WHERE expires_ms < ?1";

const GET: &str = "SELECT CASE WHEN length(value) <= CAST(?2 AS BIGINT) THEN value END \
                   FROM manada_cache WHERE name = ?1 AND expires_ms > ?3";

const PUT: &str = "INSERT INTO manada_cache (name, value, expires_ms) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (name) DO UPDATE \
                   SET value = excluded.value, expires_ms = excluded.expires_ms";

const REMOVE: &str = "DELETE FROM manada_cache WHERE name = ?1";

/// A connection, made with the first request and again after a failure.
struct DatabaseStore {
    place: StorePlace,
    kind: LayerKind,
    open: Option<Box<dyn Database>>,
}

// The connections of both databases may move to the thread that uses them.
pub(super) fn place(layer: &LayerPlan) -> Result<StorePlace, String> {
    match layer.place.strip_prefix("sqlite:") {
        Some(path) => Ok(StorePlace::File(path.into())),
        None => StorePlace::parse(&layer.place).map_err(|error| error.to_string()),
    }
}

/// Stores with a connection each.
pub(super) fn open(
    layer: &LayerPlan,
    connections: usize,
) -> Result<Vec<Box<dyn LayerStore>>, String> {
    let place = place(layer)?;
    let store = |_| -> Box<dyn LayerStore> {
        Box::new(DatabaseStore { place: place.clone(), kind: layer.kind, open: None })
    };
    Ok((0..connections).map(store).collect())
}

/// The ports of a layer's servers.
#[cfg(feature = "postgres")]
pub(super) fn ports(layer: &LayerPlan) -> Vec<u16> {
    place(layer).map(|place| place.ports()).unwrap_or_default()
}

/// The wall clock, ms since the epoch.
fn now_ms() -> i64 {
    clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}

impl DatabaseStore {
    fn database(&mut self) -> Result<&mut Box<dyn Database>, StoreError> {
        let database = match self.open.take() {
            Some(open) => open,
            None => {
                let mut database = store::open(&self.place, Access::Write)?;
                if self.kind == LayerKind::Sqlite {
                    // A file of anything else is left alone.
                    database.migrate(&[TABLE])?;
                } else {
                    // Its version is that of the history's tables, which may be beside it.
                    let table = [Statement { sql: TABLE, values: Vec::new() }];
                    // Of several that create it at once, PostgreSQL refuses all but one.
                    database.transact(&table).or_else(|_| database.transact(&table))?;
                }
                let now = StoreValue::Integer(now_ms());
                database.transact(&[Statement { sql: CLEAN, values: vec![now] }])?;
                database
            }
        };
        Ok(self.open.insert(database))
    }

    /// Does something with the database; after a failure the connection is closed.
    fn with<T>(
        &mut self,
        act: impl FnOnce(&mut dyn Database) -> Result<T, StoreError>,
    ) -> Result<T, LayerFailure> {
        let done = self.database().and_then(|database| act(database.as_mut()));
        done.map_err(|error| {
            self.open = None;
            LayerFailure(format!("{}: {error}", self.place))
        })
    }
}

impl LayerStore for DatabaseStore {
    fn connect(&mut self) -> Result<(), LayerFailure> {
        self.with(|_| Ok(()))
    }

    fn get(&mut self, name: &str) -> Result<Option<Vec<u8>>, LayerFailure> {
        let most = StoreValue::Integer(MAX_STORED as i64);
        let values = [StoreValue::from(name), most, StoreValue::Integer(now_ms())];
        let rows = self.with(|database| database.query(GET, &values))?;
        let Some(row) = rows.first() else { return Ok(None) };
        // A value that is too long, or of another type, is one that does not open.
        Ok(Some(row.get::<Vec<u8>>(0).unwrap_or_default()))
    }

    fn put(
        &mut self,
        name: &str,
        bytes: Vec<u8>,
        expires_ms: u64,
        _left_ms: u64,
    ) -> Result<(), LayerFailure> {
        let expires = StoreValue::Integer(i64::try_from(expires_ms).unwrap_or(i64::MAX));
        let values = vec![StoreValue::from(name), StoreValue::from(bytes), expires];
        self.with(|database| database.transact(&[Statement { sql: PUT, values }])).map(drop)
    }

    fn remove(&mut self, name: &str) -> Result<(), LayerFailure> {
        let values = vec![StoreValue::from(name)];
        self.with(|database| database.transact(&[Statement { sql: REMOVE, values }])).map(drop)
    }

    fn lease(&mut self, _: &str, _: LeaseOwner, _: u64) -> Result<bool, LayerFailure> {
        Err(LayerFailure("a database has no leases".to_owned()))
    }

    fn release(&mut self, _: &str, _: LeaseOwner) -> Result<(), LayerFailure> {
        Err(LayerFailure("a database has no leases".to_owned()))
    }
}

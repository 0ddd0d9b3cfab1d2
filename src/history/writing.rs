//! Writes a run to the history after its report, within a time limit.
//!
//! `cli::execute` calls it.
//! Invariant: the limit holds whatever the database does.

use std::time::{Duration, UNIX_EPOCH};

use super::entry::RunEntry;
use super::place::within;
use super::tables::{Retention, VERSIONS, insert, prune};
use crate::clock;
use crate::store::{self, Access, Database, StoreError, StorePlace};

/// Maximum time that a run takes for its history.
pub const LIMIT: Duration = Duration::from_secs(5);

/// Stores a run, and deletes runs of its scenario that are no longer kept.
///
/// # Errors
/// If the database cannot be used, or not within [`LIMIT`].
pub fn write(place: &StorePlace, entry: RunEntry) -> Result<(), StoreError> {
    let place = place.clone();
    within(LIMIT, move || {
        let mut database = store::open(&place, Access::Write)?;
        database.migrate(&VERSIONS)?;
        insert(&mut *database, &entry)?;
        prune(&mut *database, Some(&entry.scenario), Retention::default(), now_ms()).map(drop)
    })
}

/// Deletes runs that are not kept, of one scenario or of all; returns their number.
///
/// # Errors
/// If the database fails.
pub fn prune_now(
    database: &mut dyn Database,
    scenario: Option<&str>,
    keep: Retention,
) -> Result<usize, StoreError> {
    prune(database, scenario, keep, now_ms())
}

/// The time, ms since 1970.
fn now_ms() -> i64 {
    clock::wall().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

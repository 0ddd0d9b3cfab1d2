//! A database in an SQLite file.
//!
//! `store` opens it. Several processes may use the file at once: it has a write-ahead log, and a
//! locked file is waited for.
//! Invariant: a file of another program, or of a later version, is never changed.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, ToSql, TransactionBehavior, params_from_iter};

use super::types::{Access, Database, Row, STATEMENT_TIMEOUT, Statement, StoreError, StoreValue};

/// The number in the head of our files, `MNDA`.
const APPLICATION: i64 = 0x4D4E_4441;

/// An open file.
#[derive(Debug)]
pub(super) struct SqliteFile {
    connection: Connection,
}

impl SqliteFile {
    /// Opens a file; to write, it and its folder are created if necessary.
    pub(super) fn open(path: &Path, access: Access) -> Result<Self, StoreError> {
        let flags = match access {
            Access::Read if !path.exists() => return Err(StoreError::Missing),
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Write => {
                create(path).map_err(|error| {
                    StoreError::Unreachable(format!(
                        "cannot create it: {error}; choose another with --history"
                    ))
                })?;
                OpenFlags::SQLITE_OPEN_READ_WRITE
            }
        };
        if !fs::metadata(path).is_ok_and(|found| found.is_file()) {
            return Err(StoreError::Foreign("it is not a regular file".to_owned()));
        }
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(error)?;
        connection.busy_timeout(STATEMENT_TIMEOUT).map_err(error)?;
        let mut file = Self { connection };
        file.version()?;
        if access == Access::Write {
            // Two processes that create the file at once: the second one finds it locked, and its
            // statements wait for it in the other mode as well.
            let _ = file.connection.pragma_update(None, "journal_mode", "WAL");
            file.connection.pragma_update(None, "synchronous", "NORMAL").map_err(error)?;
        }
        Ok(file)
    }

    fn number(&self, sql: &str) -> Result<i64, StoreError> {
        number(&self.connection, sql)
    }
}

fn number(connection: &Connection, sql: &str) -> Result<i64, StoreError> {
    connection.query_row(sql, (), |row| row.get(0)).map_err(error)
}

/// Creates a file that only this user can read, and its folder.
fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(drop),
    }
}

impl Database for SqliteFile {
    fn version(&mut self) -> Result<usize, StoreError> {
        let application = self.number("PRAGMA application_id")?;
        if application == APPLICATION {
            return Ok(usize::try_from(self.number("PRAGMA user_version")?).unwrap_or(usize::MAX));
        }
        if application == 0 && self.number("SELECT count(*) FROM sqlite_schema")? == 0 {
            return Ok(0);
        }
        Err(StoreError::Foreign("it is a database of another program".to_owned()))
    }

    fn migrate(&mut self, versions: &[&str]) -> Result<(), StoreError> {
        if self.version()? == versions.len() {
            return Ok(());
        }
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(error)?;
        // Another process may have been first.
        let found = number(&transaction, "PRAGMA user_version")?;
        let found = usize::try_from(found).unwrap_or(usize::MAX);
        if found > versions.len() {
            return Err(StoreError::Newer { found, known: versions.len() });
        }
        for sql in &versions[found..] {
            transaction.execute_batch(sql).map_err(error)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION).map_err(error)?;
        transaction.pragma_update(None, "user_version", versions.len() as i64).map_err(error)?;
        transaction.commit().map_err(error)
    }

    fn transact(&mut self, statements: &[Statement]) -> Result<u64, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(error)?;
        let mut changed = 0;
        // Rows of a table come one after the other, and share a prepared statement.
        for same in statements.chunk_by(|one, other| one.sql == other.sql) {
            let mut prepared = transaction.prepare(same[0].sql).map_err(error)?;
            for Statement { values, .. } in same {
                changed += prepared.execute(params_from_iter(values)).map_err(error)? as u64;
            }
        }
        transaction.commit().map_err(error)?;
        Ok(changed)
    }

    fn query(&mut self, sql: &str, values: &[StoreValue]) -> Result<Vec<Row>, StoreError> {
        let mut prepared = self.connection.prepare(sql).map_err(error)?;
        let columns = prepared.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            let cells = (0..columns).map(|column| row.get_ref(column).map(cell));
            cells.collect::<Result<Vec<_>, _>>().map(Row)
        };
        let rows = prepared.query_map(params_from_iter(values), row).map_err(error)?;
        rows.collect::<Result<Vec<_>, _>>().map_err(error)
    }
}

fn cell(value: ValueRef<'_>) -> StoreValue {
    match value {
        ValueRef::Null => StoreValue::Null,
        ValueRef::Integer(number) => StoreValue::Integer(number),
        ValueRef::Real(number) => StoreValue::Real(number),
        ValueRef::Text(text) => StoreValue::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => StoreValue::Bytes(bytes.to_vec()),
    }
}

impl ToSql for StoreValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Integer(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Owned(Value::Real(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// An error of SQLite with what to do.
#[expect(clippy::needless_pass_by_value, reason = "an argument of `map_err`")]
fn error(error: rusqlite::Error) -> StoreError {
    let cure = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            return StoreError::Foreign("it is not an SQLite file".to_owned());
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            return StoreError::Foreign("the file is damaged".to_owned());
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            return StoreError::Failed(format!(
                "another process has kept it locked for {} s",
                STATEMENT_TIMEOUT.as_secs()
            ));
        }
        Some(ErrorCode::DiskFull) => "; free some space, or choose another file with --history",
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            "; make the file and its folder writable, or choose another file with --history"
        }
        _ => "",
    };
    StoreError::Failed(format!("{error}{cure}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    const ONE: &str = "CREATE TABLE a (n BIGINT NOT NULL, x DOUBLE PRECISION, t TEXT, b BYTEA);";
    const TWO: &str = "ALTER TABLE a ADD COLUMN more TEXT;";

    #[test]
    fn values_come_back_with_their_types() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/history.db");
        let mut file = SqliteFile::open(&path, Access::Write).unwrap();
        file.migrate(&[ONE]).unwrap();
        let values = vec![7.into(), 1.0.into(), "text".into(), vec![0_u8, 255].into()];
        let sql = "INSERT INTO a (n, x, t, b) VALUES (?1, ?2, ?3, ?4)";
        let insert = Statement { sql, values: values.clone() };
        assert_eq!(file.transact(&[insert]).unwrap(), 1);
        let mut reader = SqliteFile::open(&path, Access::Read).unwrap();
        let rows = reader.query("SELECT n, x, t, b FROM a WHERE n = ?1", &[7.into()]).unwrap();
        assert_eq!(rows, [Row(values)]);
        assert!(reader.transact(&[Statement { sql: "DELETE FROM a", values: vec![] }]).is_err());
        assert_eq!(rows[0].get::<i64>(0), Ok(7));
        assert!(rows[0].get::<String>(0).is_err() && rows[0].get::<i64>(9).is_err());
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn a_transaction_is_carried_out_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = SqliteFile::open(&folder.path().join("h.db"), Access::Write).unwrap();
        file.migrate(&[ONE]).unwrap();
        let insert = |n: Option<i64>| Statement {
            sql: "INSERT INTO a (n) VALUES (?1)",
            values: vec![n.into()],
        };
        assert!(file.transact(&[insert(Some(1)), insert(None)]).is_err());
        assert_eq!(file.query("SELECT n FROM a", &[]).unwrap(), []);
    }

    #[test]
    fn tables_are_migrated_step_by_step_and_newer_ones_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        let open = || SqliteFile::open(&path, Access::Write).unwrap();
        assert_eq!(open().version(), Ok(0));
        open().migrate(&[ONE]).unwrap();
        assert_eq!(open().version(), Ok(1));
        open().migrate(&[ONE, TWO]).unwrap();
        open().migrate(&[ONE, TWO]).unwrap();
        assert_eq!(open().query("SELECT more FROM a", &[]).unwrap(), []);
        let refused = StoreError::Newer { found: 2, known: 1 };
        assert_eq!(open().migrate(&[ONE]), Err(refused));
    }

    #[test]
    fn foreign_and_damaged_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
        drop(other);
        let text = folder.path().join("notes.txt");
        fs::write(&text, "not a database, but a text of some length\n".repeat(40)).unwrap();
        for (path, why) in [
            (path.as_path(), "another program"),
            (text.as_path(), "not an SQLite file"),
            (folder.path(), "not a regular file"),
        ] {
            let before = fs::read(path).ok();
            for access in [Access::Read, Access::Write] {
                let error = SqliteFile::open(path, access).unwrap_err();
                assert!(matches!(&error, StoreError::Foreign(_)), "{error:?}");
                assert!(error.to_string().contains(why), "{error}");
            }
            assert_eq!(fs::read(path).ok(), before);
        }
        let missing = SqliteFile::open(&folder.path().join("none.db"), Access::Read);
        assert_eq!(missing.unwrap_err(), StoreError::Missing);
    }
}

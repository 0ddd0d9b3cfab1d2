//! A database on a PostgreSQL server.
//!
//! `store` opens it, with a connection that ends with the command. Several hosts of a URL are tried
//! in turn: writing takes the one that accepts writes, reading any of them, in a session that
//! cannot write.
//! Invariant: no message has a user or a password.

use std::error::Error;

use postgres::config::{Host, SslMode, TargetSessionAttrs};
use postgres::types::private::BytesMut;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config};

use super::postgres_tls::PostgresTls;
use super::types::{
    Access, CONNECT_TIMEOUT, Database, Row, STATEMENT_TIMEOUT, Statement, StoreError, StoreValue,
};

/// The lock that processes take before they create tables, `manada`.
const MIGRATION_LOCK: i64 = 0x6D61_6E61_6461;

/// The table with the version of the others.
const VERSION_TABLE: &str = "CREATE TABLE IF NOT EXISTS manada_schema (version BIGINT NOT NULL)";

/// A connection.
pub(super) struct PostgresStore {
    client: Client,
}

/// The URL as the client reads it, and the file of `sslrootcert`.
fn parse(url: &str) -> Result<(Config, Option<String>), StoreError> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut roots = None;
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslrootcert", path)) => roots = Some(path.to_owned()),
            // A server over TLS is always verified.
            Some(("sslmode", "verify-full" | "verify-ca")) => kept.push("sslmode=require"),
            _ => kept.push(pair),
        }
    }
    let mut config: Config = format!("{base}?{}", kept.join("&")).parse().map_err(|_| {
        // The error of the parser may quote the password.
        StoreError::Place(
            "not a URL of PostgreSQL; expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, and \
             special characters of the password in percent-encoding"
                .to_owned(),
        )
    })?;
    if roots.is_some() && config.get_ssl_mode() == SslMode::Prefer {
        config.ssl_mode(SslMode::Require);
    }
    Ok((config, roots))
}

/// Checks a URL.
pub(super) fn check(url: &str) -> Result<(), StoreError> {
    parse(url).map(drop)
}

/// Returns the ports of a URL's servers.
pub(super) fn ports(url: &str) -> Vec<u16> {
    let ports = parse(url).map(|(config, _)| config.get_ports().to_vec()).unwrap_or_default();
    if ports.is_empty() { vec![5432] } else { ports }
}

/// Returns hosts and database of a URL.
pub(super) fn shown(url: &str) -> String {
    let Ok((config, _)) = parse(url) else { return "postgres://…".to_owned() };
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(at, host)| {
        let name = match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        };
        match ports.get(at).or(ports.first()) {
            Some(5432) | None => name,
            Some(port) => format!("{name}:{port}"),
        }
    });
    let hosts: Vec<String> = hosts.collect();
    format!("postgres://{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

impl PostgresStore {
    /// Connects.
    pub(super) fn open(url: &str, access: Access) -> Result<Self, StoreError> {
        let (mut config, roots) = parse(url)?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        config.application_name("manada");
        if access == Access::Write {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let tls = PostgresTls::new(roots.as_deref()).map_err(StoreError::Unreachable)?;
        let mut client = config.connect(tls).map_err(|error| {
            StoreError::Unreachable(format!("cannot connect: {}", told(&error)))
        })?;
        let ms = STATEMENT_TIMEOUT.as_millis();
        let mode = match access {
            Access::Read => "; SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            Access::Write => "",
        };
        let sql = format!("SET statement_timeout = {ms}; SET lock_timeout = {ms}{mode}");
        client.batch_execute(&sql).map_err(|error| failed(&error))?;
        Ok(Self { client })
    }
}

impl Database for PostgresStore {
    fn version(&mut self) -> Result<usize, StoreError> {
        let sql = "SELECT to_regclass('manada_schema') IS NOT NULL";
        let row = self.client.query_one(sql, &[]).map_err(|error| failed(&error))?;
        if !row.try_get::<_, bool>(0).map_err(|error| failed(&error))? {
            return Ok(0);
        }
        let sql = "SELECT coalesce(max(version), 0) FROM manada_schema";
        let row = self.client.query_one(sql, &[]).map_err(|error| failed(&error))?;
        let version = row.try_get::<_, i64>(0).map_err(|error| failed(&error))?;
        Ok(usize::try_from(version).unwrap_or(usize::MAX))
    }

    fn migrate(&mut self, versions: &[&str]) -> Result<(), StoreError> {
        let known = versions.len();
        match self.version()? {
            found if found == known => return Ok(()),
            found if found > known => return Err(StoreError::Newer { found, known }),
            _ => {}
        }
        let failed = |error: postgres::Error| failed(&error);
        let mut transaction = self.client.transaction().map_err(failed)?;
        transaction
            .execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK])
            .map_err(failed)?;
        transaction.batch_execute(VERSION_TABLE).map_err(failed)?;
        let sql = "SELECT coalesce(max(version), 0) FROM manada_schema";
        let row = transaction.query_one(sql, &[]).map_err(failed)?;
        // Another process may have been first.
        let found = usize::try_from(row.get::<_, i64>(0)).unwrap_or(usize::MAX).min(known);
        for (at, sql) in versions.iter().enumerate().skip(found) {
            transaction.batch_execute(sql).map_err(failed)?;
            let version = at as i64 + 1;
            let sql = "INSERT INTO manada_schema (version) VALUES ($1)";
            transaction.execute(sql, &[&version]).map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }

    fn transact(&mut self, statements: &[Statement]) -> Result<u64, StoreError> {
        let failed = |error: postgres::Error| failed(&error);
        let mut transaction = self.client.transaction().map_err(failed)?;
        let mut changed = 0;
        // Rows of a table come one after the other, and share a prepared statement.
        for same in statements.chunk_by(|one, other| one.sql == other.sql) {
            let prepared = transaction.prepare(&numbered(same[0].sql)).map_err(failed)?;
            for Statement { values, .. } in same {
                changed += transaction.execute(&prepared, &parameters(values)).map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)?;
        Ok(changed)
    }

    fn query(&mut self, sql: &str, values: &[StoreValue]) -> Result<Vec<Row>, StoreError> {
        let rows = self.client.query(&numbered(sql), &parameters(values));
        rows.map_err(|error| failed(&error))?.iter().map(row).collect()
    }
}

/// The parameters as PostgreSQL writes them.
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}

fn parameters(values: &[StoreValue]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

fn row(row: &postgres::Row) -> Result<Row, StoreError> {
    let cell = |(at, column): (usize, &postgres::Column)| {
        let found = match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(at).map(StoreValue::from),
            Type::FLOAT8 => row.try_get::<_, Option<f64>>(at).map(StoreValue::from),
            Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(at).map(StoreValue::from),
            _ => row.try_get::<_, Option<&str>>(at).map(StoreValue::from),
        };
        found.map_err(|error| failed(&error))
    };
    row.columns().iter().enumerate().map(cell).collect::<Result<Vec<_>, _>>().map(Row)
}

impl ToSql for StoreValue {
    fn to_sql(
        &self,
        of: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Integer(number) => number.to_sql_checked(of, out),
            Self::Real(number) => number.to_sql_checked(of, out),
            Self::Text(text) => text.to_sql_checked(of, out),
            Self::Bytes(bytes) => bytes.to_sql_checked(of, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// An error with all its causes; the client's own text often hides the cause.
fn told(error: &postgres::Error) -> String {
    if let Some(server) = error.as_db_error() {
        return server.message().to_owned();
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(one) = cause {
        let more = one.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = one.source();
    }
    text
}

fn failed(error: &postgres::Error) -> StoreError {
    StoreError::Failed(told(error))
}

//! Why a monitor cannot be read.
//!
//! `source` and the readers return it; `cli` and `RunError` show it.
//! Invariant: the text names the monitor.

/// What `--monitor` takes.
const EXPECTED: &str = "expected `--monitor pid N` or `--monitor prometheus URL QUERY`";

/// A monitor that cannot be read, or arguments that name none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MonitorError {
    /// The argument after `pid` is no process id.
    #[error("`{0}` is no process id: {EXPECTED}")]
    NoPid(String),
    /// The query of a Prometheus server is missing.
    #[error("no query for {0}: {EXPECTED}")]
    NoQuery(String),
    /// The address of a Prometheus server is not an http URL.
    #[error("`{0}` is no http:// URL: {EXPECTED}")]
    NoUrl(String),
    /// An argument is no kind of monitor.
    #[error("`{0}` is no monitor: {EXPECTED}")]
    NoMonitor(String),
    /// There are more monitors than this many.
    #[error("{count} monitors: expected at most {most}")]
    TooMany {
        /// How many were named.
        count: usize,
        /// The limit.
        most: usize,
    },
    /// There is no process of this id.
    #[error("cannot monitor process {0}: there is no such process")]
    NoProcess(u32),
    /// A Prometheus server cannot be queried.
    #[error("cannot monitor {monitor}: {reason}")]
    Unavailable {
        /// The query and the server.
        monitor: String,
        /// The error of the server or of the connection.
        reason: String,
    },
}

//! Why a monitor cannot be read.
//!
//! `source` and the readers return it; `cli` and `RunError` show it.
//! Invariant: the text names the monitor.

use crate::suggest::did_you_mean;

/// The kinds of monitors.
const KINDS: [&str; 2] = ["pid", "prometheus"];

/// What `--monitor` takes.
const EXPECTED: &str = "expected `--monitor pid N` or `--monitor prometheus URL QUERY`";

/// A monitor that cannot be read, or arguments that name none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MonitorError {
    /// The argument after `pid` is no process id.
    #[error("`{0}` is not a process ID; {EXPECTED}")]
    NoPid(String),
    /// The query of a Prometheus server is missing.
    #[error("no query after {0}; {EXPECTED}")]
    NoQuery(String),
    /// The address of a Prometheus server is not an http URL.
    #[error("`{0}` is not an http:// URL; {EXPECTED}")]
    NoUrl(String),
    /// An argument is no kind of monitor.
    #[error("unknown monitor `{0}`; {EXPECTED}{near}", near = did_you_mean(.0, KINDS))]
    NoMonitor(String),
    /// There are more monitors than this many.
    #[error("{count} monitors; at most {most} are allowed")]
    TooMany {
        /// How many were named.
        count: usize,
        /// The limit.
        most: usize,
    },
    /// There is no process of this id.
    #[error("cannot monitor process {0}: no such process")]
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

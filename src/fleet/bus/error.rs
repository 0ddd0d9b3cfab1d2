//! Why the bus of a fleet cannot be used.
//!
//! `address` and `client` return it; `cli` prints it.
//! Invariant: each error says where, what was found, and what to do; no password is in it.

use std::path::PathBuf;

use crate::exit::ExitStatus;
use crate::printable::printable;

/// Why a bus cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The URL is not one of a bus.
    #[error(
        "the URL of the bus is not valid: {why}; expected \
         rediss://[user[:password]@]host[:port][/database], or redis:// on this machine"
    )]
    InvalidUrl {
        /// What is wrong with it, without user and password.
        why: String,
    },
    /// The connection to another machine would not be encrypted.
    #[error(
        "{address} is on another machine, and redis:// is not encrypted; use rediss://, or \
         --insecure-bus on a network that you trust"
    )]
    Plaintext {
        /// The address.
        address: String,
    },
    /// The id of the run cannot be part of a key.
    #[error("`{run}` is not the id of a run; expected 1 to 64 letters, digits, `-`, `_` and `.`")]
    InvalidRun {
        /// The id.
        run: String,
    },
    /// A file with certificates or a key cannot be used.
    #[error("{}: {why}; expected {expected} in PEM", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What it should contain.
        expected: &'static str,
    },
    /// Options that do not fit together.
    #[error("{0}")]
    Options(&'static str),
    /// No connection to the bus, or it is lost.
    #[error("the bus at {address} cannot be reached: {why}; {cure}")]
    Unreachable {
        /// The address.
        address: String,
        /// Why.
        why: String,
        /// What to do.
        cure: &'static str,
    },
    /// User and password are missing or wrong.
    #[error(
        "the bus at {address} refused the user or the password: {why}; give them in its URL, or \
         the password in MANADA_BUS_PASSWORD"
    )]
    WrongPassword {
        /// The address.
        address: String,
        /// The error of the server.
        why: String,
    },
    /// The user may not do this.
    #[error(
        "the bus at {address} does not permit this user a command, key or channel: {why}; \
         `manada agent --acl` prints the rule that a user needs"
    )]
    NoPermission {
        /// The address.
        address: String,
        /// The error of the server, which names command, key or channel.
        why: String,
    },
    /// The encrypted connection failed.
    #[error("no encrypted connection to the bus at {address}: {why}; {cure}")]
    Tls {
        /// The address.
        address: String,
        /// Why.
        why: String,
        /// What to do.
        cure: &'static str,
    },
    /// The server is another one than a bus needs.
    #[error(
        "the server at {address} cannot be the bus: {why}; expected Redis or Valkey, from version \
         7.0 on"
    )]
    OtherServer {
        /// The address.
        address: String,
        /// What was found.
        why: String,
    },
    /// The server refused a command.
    #[error("the bus at {address} refused a command: {why}; {cure}")]
    Refused {
        /// The address.
        address: String,
        /// The error of the server.
        why: String,
        /// What to do.
        cure: &'static str,
    },
    /// A value was written by another build of Manada.
    #[error(
        "{key} was written by another build of manada; use the same build on all machines, and \
         another id for each run"
    )]
    OtherBuild {
        /// The key.
        key: String,
    },
    /// A value cannot be read.
    #[error(
        "{key} is {why}; another program may have written it: use a database, or a user, for \
         Manada alone"
    )]
    Damaged {
        /// The key.
        key: String,
        /// How it is damaged.
        why: &'static str,
    },
    /// A value is too large for the bus.
    #[error("{what} is too large for the bus: {bytes} bytes, at most {most}; {cure}")]
    TooLarge {
        /// The value.
        what: String,
        /// Its length.
        bytes: usize,
        /// The maximum.
        most: usize,
        /// What to do.
        cure: &'static str,
    },
}

impl BusError {
    /// The exit status of the program.
    pub fn ending(&self) -> ExitStatus {
        match self {
            Self::InvalidUrl { .. }
            | Self::Plaintext { .. }
            | Self::InvalidRun { .. }
            | Self::File { .. }
            | Self::Options(_) => ExitStatus::Usage,
            _ => ExitStatus::Broken,
        }
    }
}

/// The most characters of an error of the server that are kept.
const MAX_REPLY: usize = 300;

/// Makes one line of a text of the server: it is not trusted.
pub(super) fn one_line(text: &str) -> String {
    let short: String = text.chars().take(MAX_REPLY).collect();
    printable(&short)
}

//! What a file is read as.
//!
//! Each reader of a file names it.
//! Invariant: the roles whose files stay on their machine are named here alone.

use serde::{Deserialize, Serialize};

/// What a file is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileRole {
    /// A scenario, an archetype, or a file that one of them includes.
    Scenario,
    /// The user's own limits.
    Limits,
    /// A request body or a message.
    Body,
    /// Rows of a feed.
    Data,
    /// Rows of a feed with rules for its columns: stay on their machine.
    SanitizedData,
    /// A column of measured durations.
    Distribution,
    /// A list of URLs.
    Urls,
    /// Descriptors of gRPC, or what they are compiled from.
    Schema,
    /// Certificates that are trusted.
    Certificates,
    /// A client certificate: stays on its machine.
    ClientCertificate,
    /// A private key: stays on its machine.
    PrivateKey,
}

impl FileRole {
    /// Whether such a file is sent to agents.
    pub const fn travels(self) -> bool {
        !matches!(self, Self::ClientCertificate | Self::PrivateKey | Self::SanitizedData)
    }
}

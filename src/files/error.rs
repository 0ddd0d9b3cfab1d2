//! Why files cannot be sent to agents, or what was received is not a bundle.
//!
//! Invariant: each error names the file, what was expected, and what to do.

use std::io;

use crate::units::show_bytes;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// All files together exceed the bound.
    #[error(
        "the plan is too large for agents: its files have {}, at most {} are sent; the largest: \
         {}. Use smaller files",
        show_bytes(*length),
        show_bytes(*most),
        largest.iter().map(|(path, length)| format!("`{path}` {}", show_bytes(*length)))
            .collect::<Vec<_>>().join(", ")
    )]
    TooLarge {
        /// Length of all files, bytes.
        length: u64,
        /// The bound, bytes.
        most: u64,
        /// Path and length of the largest files.
        largest: Vec<(String, u64)>,
    },
    /// The plan reads more files than are sent.
    #[error("the plan is too large for agents: {count} files, at most {most} are sent")]
    TooMany {
        /// Number of files.
        count: usize,
        /// The bound.
        most: usize,
    },
    /// A file has another content than when it was compiled.
    #[error("`{0}` changed while the plan was compiled; start the run again")]
    Changed(String),
    /// A file can no longer be read.
    #[error("`{path}` can no longer be read: {error}")]
    Unreadable {
        /// Path of the file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// A file has no content that can be read twice.
    #[error("`{0}` is not a regular file, and agents need its content; write it to a file")]
    NotRegular(String),
    /// Something was read from standard input.
    #[error("agents cannot read standard input; write it to a file and name that")]
    StandardInput,
    /// A file contains a private key.
    #[error(
        "`{0}` contains a private key, which is not sent to agents; move the key to a file of its \
         own for `key:`, or read it with `secret(\"NAME\")`"
    )]
    PrivateKey(String),
    /// A path is not text.
    #[error("the path `{0}` is not UTF-8 text; rename the file")]
    NotText(String),
    /// Received bytes are not a bundle, or not a whole one.
    #[error("damaged bundle: {0}; start coordinator and agents with the same version of Manada")]
    Damaged(&'static str),
}

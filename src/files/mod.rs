//! The files that a scenario is compiled from: read from disk, or from the bundle of a coordinator.
//!
//! `scenario` and `cli` open every file of a scenario through [`Files`]. A coordinator compiles
//! with a [`FileRecorder`] and makes a [`Bundle`] of what was read; an agent unpacks it and
//! compiles the same command line from it.
//! Invariant: what an agent compiles is what the coordinator compiled, whatever is on its disk.

mod access;
mod bundle;
mod error;
mod hash;
mod manifest;
mod recording;
mod role;
#[cfg(test)]
mod tests;
mod unpacked;
mod variable;

pub use access::{FileRecorder, Files};
pub use bundle::Bundle;
pub use error::BundleError;
pub use hash::Sha256Hash;
pub use manifest::{BundleFile, BundleManifest, MAX_BUNDLE};
pub use role::FileRole;
pub use variable::{VariableCheck, VariableError};

//! The manifest of a bundle: its files by path and hash, and what an agent has to have itself.
//!
//! `recording` makes it, `bundle` packs it with the contents.
//! Invariant: a manifest that was received is checked before it is used.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::error::BundleError;
use super::hash::Sha256Hash;
use super::role::FileRole;
use super::variable::{VariableCheck, VariableError, VariableFault};

/// Maximum length of all contents, bytes.
pub const MAX_BUNDLE: u64 = 512 << 20;

/// Maximum number of files.
pub(super) const MAX_FILES: usize = 10_000;

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleFile {
    /// The path under which the scenario was compiled.
    pub path: String,
    /// That path on the coordinator, without links and `..`.
    pub real: String,
    /// What it is read as.
    pub role: FileRole,
    /// The hash of its content.
    pub sha256: Sha256Hash,
    /// Length of its content, bytes.
    pub length: u64,
}

/// What is in a bundle, and what an agent has to have itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleManifest {
    /// The files, sorted by path.
    pub files: Vec<BundleFile>,
    /// Paths of private keys and client certificates.
    pub not_sent: Vec<String>,
    /// Environment variables that the scenario reads, by name; never their values.
    pub variables: BTreeMap<String, VariableCheck>,
}

impl BundleManifest {
    /// Checks the variables of this process for the run `run`.
    ///
    /// # Errors
    /// If some are missing, or have other values than those of the coordinator.
    pub fn check_variables(&self, run: &str) -> Result<(), VariableError> {
        let mut error = VariableError::default();
        for (name, check) in &self.variables {
            match check.find(run, name, std::env::var_os(name).as_deref()) {
                Some(VariableFault::Missing) => error.missing.push(name.clone()),
                Some(VariableFault::Other) => error.other.push(name.clone()),
                None => {}
            }
        }
        if error == VariableError::default() { Ok(()) } else { Err(error) }
    }

    /// The contents in the order in which they are packed: that of the first file with each.
    pub(super) fn contents(&self) -> impl Iterator<Item = &BundleFile> {
        let mut seen = BTreeSet::new();
        self.files.iter().filter(move |file| seen.insert(file.sha256))
    }

    /// Checks what an unpacked manifest promises.
    pub(super) fn check(&self) -> Result<(), BundleError> {
        if self.files.len().max(self.not_sent.len()).max(self.variables.len()) > MAX_FILES {
            return Err(BundleError::Damaged("too many entries"));
        }
        let is_sorted = self.files.is_sorted_by(|a, b| a.path < b.path);
        if !is_sorted || self.files.iter().any(|file| !file.role.travels()) {
            return Err(BundleError::Damaged("a manifest that no coordinator makes"));
        }
        let lengths = self.contents().try_fold(0u64, |sum, file| sum.checked_add(file.length));
        match lengths {
            Some(..=MAX_BUNDLE) => Ok(()),
            _ => Err(BundleError::Damaged("larger than the bound")),
        }
    }
}

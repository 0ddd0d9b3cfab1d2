//! How the processes of a fleet compare the environment variables that a scenario reads.
//!
//! `cli` makes a check of each variable for the bundle; an agent compares its own environment with
//! them before it compiles.
//! Invariant: no value is in a check. A fingerprint has 32 bits: less than any value worth hiding,
//! and enough that a different value is noticed. It differs from run to run.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What an agent checks of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VariableCheck {
    /// It is set; its value may be any.
    Set,
    /// Its value has this fingerprint.
    Equal(u32),
    /// It is not set: the scenario has a default.
    Unset,
}

/// What is wrong with a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VariableFault {
    Missing,
    Other,
}

impl VariableCheck {
    /// The check by which each agent of the run `run` must have this value.
    pub fn equal(run: &str, name: &str, value: Option<&OsStr>) -> Self {
        value.map_or(Self::Unset, |value| Self::Equal(fingerprint(run, name, value)))
    }

    /// Compares the value that this process has; `None` if nothing is wrong.
    pub(super) fn find(
        self,
        run: &str,
        name: &str,
        value: Option<&OsStr>,
    ) -> Option<VariableFault> {
        match (self, value) {
            (Self::Set | Self::Equal(_), None) => Some(VariableFault::Missing),
            (Self::Equal(_) | Self::Unset, _) if Self::equal(run, name, value) != self => {
                Some(VariableFault::Other)
            }
            _ => None,
        }
    }
}

/// Names, values and ids of runs contain no zero byte.
fn fingerprint(run: &str, name: &str, value: &OsStr) -> u32 {
    let mut hasher = Sha256::new();
    for part in [b"manada variable", run.as_bytes(), name.as_bytes(), value.as_bytes()] {
        hasher.update(part);
        hasher.update([0]);
    }
    let hash: [u8; 32] = hasher.finalize().into();
    u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]])
}

/// Variables of this process with which it does not run the scenario as the coordinator does.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentences())]
pub struct VariableError {
    /// Not set here.
    pub missing: Vec<String>,
    /// Set to another value than at the coordinator, or only here.
    pub other: Vec<String>,
}

impl VariableError {
    fn sentences(&self) -> String {
        let mut sentences = Vec::new();
        if !self.missing.is_empty() {
            sentences.push(format!(
                "the scenario reads environment variables that this machine does not have: {}; set \
                 them, since values of variables are never sent",
                self.missing.join(", ")
            ));
        }
        if !self.other.is_empty() {
            sentences.push(format!(
                "environment variables have other values here than at the coordinator: {}; set the \
                 same ones here, or start the run with --env-may-differ if they are to differ",
                self.other.join(", ")
            ));
        }
        sentences.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_values_are_noticed_and_a_fingerprint_is_of_one_run_and_one_name() {
        let value = |text: &'static str| Some(OsStr::new(text));
        let check = VariableCheck::equal("r1", "PLACE", value("north"));
        let find = |text| check.find("r1", "PLACE", text);
        assert_eq!(find(value("north")), None);
        assert_eq!(find(value("south")), Some(VariableFault::Other));
        assert_eq!(find(value("")), Some(VariableFault::Other));
        assert_eq!(find(None), Some(VariableFault::Missing));
        assert_ne!(check, VariableCheck::equal("r2", "PLACE", value("north")));
        assert_ne!(check, VariableCheck::equal("r1", "OTHER", value("north")));
        let unset = VariableCheck::equal("r1", "PLACE", None);
        assert_eq!(unset.find("r1", "PLACE", None), None);
        assert_eq!(unset.find("r1", "PLACE", value("")), Some(VariableFault::Other));
        assert_eq!(VariableCheck::Set.find("r1", "PLACE", value("any")), None);
        assert_eq!(VariableCheck::Set.find("r1", "PLACE", None), Some(VariableFault::Missing));
    }
}

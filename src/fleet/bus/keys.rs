//! The names of a run's keys and channels on the bus.
//!
//! Invariant: all keys of a run have one hash tag, so one slot of a cluster has them all; no name
//! has a character that is special in patterns of keys.

use super::error::BusError;
use crate::fleet::protocol::{DeltaStream, Member, Ordinal};

/// The longest id of a run, bytes.
const MAX_RUN: usize = 64;

/// How long a key is kept after its last renewal, seconds: seven days.
pub(super) const EXPIRY: u64 = 7 * 24 * 3_600;

/// Checks the id of a run as it may come from a command line.
///
/// # Errors
/// If it is empty, longer than 64 bytes, or has other characters than letters, digits, `-`, `_` and
/// `.`.
pub fn check_run_id(run: &str) -> Result<(), BusError> {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if run.is_empty() || run.len() > MAX_RUN || !run.bytes().all(is_valid) {
        return Err(BusError::InvalidRun { run: super::error::one_line(run) });
    }
    Ok(())
}

/// The names of a run's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BusKeys {
    /// What all names begin with, with a colon at the end.
    prefix: String,
}

impl BusKeys {
    /// The names of a run.
    ///
    /// # Errors
    /// If the id is not valid.
    pub(super) fn of(run: &str) -> Result<Self, BusError> {
        check_run_id(run)?;
        Ok(Self { prefix: format!("manada:{{{run}}}:") })
    }

    /// A name, or a pattern of names, of the run.
    pub(super) fn named(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) fn control(&self) -> String {
        self.named("control")
    }

    pub(super) fn snapshot(&self) -> String {
        self.named("snapshot")
    }

    /// The channel of hints.
    pub(super) fn wake(&self) -> String {
        self.named("wake")
    }

    pub(super) fn beat(&self, ordinal: Ordinal) -> String {
        format!("{}beat:{}", self.prefix, ordinal.0)
    }

    pub(super) fn delta(&self, stream: DeltaStream) -> String {
        let Member { ordinal, incarnation } = stream.member;
        format!("{}delta:{}:{}:{}", self.prefix, ordinal.0, incarnation.0, stream.generation)
    }

    pub(super) fn last(&self, member: Member) -> String {
        format!("{}final:{}:{}", self.prefix, member.ordinal.0, member.incarnation.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::protocol::Incarnation;

    #[test]
    fn keys_of_a_run_share_its_hash_tag() {
        let keys = BusKeys::of("r-1.2_x").unwrap();
        let member = Member { ordinal: Ordinal(3), incarnation: Incarnation(9) };
        let stream = DeltaStream { member, generation: 2 };
        assert_eq!(keys.control(), "manada:{r-1.2_x}:control");
        assert_eq!(keys.beat(Ordinal(3)), "manada:{r-1.2_x}:beat:3");
        assert_eq!(keys.delta(stream), "manada:{r-1.2_x}:delta:3:9:2");
        assert_eq!(keys.last(member), "manada:{r-1.2_x}:final:3:9");
    }

    #[test]
    fn ids_that_are_no_part_of_a_key_are_refused() {
        let long = "x".repeat(65);
        for run in ["", "a b", "a*", "{a}", "a:b", "ä", "a\n", &long] {
            assert!(check_run_id(run).is_err(), "{run}");
        }
        assert!(check_run_id(&long[1..]).is_ok());
        let error = check_run_id("a\u{1b}[31m").unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'), "{error}");
    }
}

//! Agents that take no part in a run, and why.
//!
//! `agents` collects them before the load, for lines on the screen and for the error if too few
//! agents are left.
//! Invariant: an agent is named once, with its last reason; reasons are texts of other machines:
//! they are bounded and printable.

use std::collections::BTreeMap;
use std::fmt;

use crate::fleet::protocol::{MAX_REASON, MemberRefusal};
use crate::printable::printable;

/// The most agents that an error names.
const MAX_NAMED: usize = 4;

/// Agents that take no part, by ordinal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedAgents(BTreeMap<u16, String>);

impl RefusedAgents {
    /// Notes why an agent takes no part.
    pub(super) fn add(&mut self, ordinal: u16, line: String) {
        self.0.insert(ordinal, line);
    }
}

impl fmt::Display for RefusedAgents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.values().take(MAX_NAMED).try_for_each(|line| write!(f, "\n  {line}"))?;
        match self.0.len().saturating_sub(MAX_NAMED) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

/// Why an agent takes no part, as a line; `reason` has its own words.
pub(super) fn refusal(ordinal: u16, why: MemberRefusal, reason: &[u8], agents: u16) -> String {
    match why {
        MemberRefusal::OtherPlan => format!(
            "agent {ordinal} is refused: it compiled another plan; its variables, or files that do \
             not travel, differ"
        ),
        MemberRefusal::TooMany => format!(
            "agent {ordinal} is refused: the run has {agents} agents, with ordinals from 0 to {}",
            agents - 1
        ),
        MemberRefusal::TooLate => format!(
            "agent {ordinal} was started again after the load had been divided: it takes no part, \
             and ends"
        ),
        MemberRefusal::Unable => {
            let reason = String::from_utf8_lossy(&reason[..reason.len().min(MAX_REASON)]);
            let lines: Vec<&str> =
                reason.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            format!("agent {ordinal} does not run the plan: {}", printable(&lines.join("; ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_one_printable_line_each_and_some_agents_are_named() {
        let unable = |ordinal, reason: &[u8]| refusal(ordinal, MemberRefusal::Unable, reason, 9);
        let line = unable(1, b"no\n\x1b[31m disk\xff");
        assert!(line.starts_with("agent 1 does not run the plan: no; "), "{line}");
        assert!(!line.contains(['\u{1b}', '\n']), "{line}");
        assert!(unable(1, &[b'a'; 10_000]).len() < 1_100);
        let mut refused = RefusedAgents::default();
        assert_eq!(refused.to_string(), "");
        for ordinal in [0, 1, 1, 2, 3, 4, 5] {
            refused.add(ordinal, format!("line {ordinal}"));
        }
        let shown = refused.to_string();
        assert!(shown.ends_with("\n  line 3\n  and 2 more"), "{shown}");
        assert_eq!(shown.matches("line 1").count(), 1);
    }
}

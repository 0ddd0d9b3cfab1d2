//! Why journals of agents cannot be merged.
//!
//! Invariant: each error names the journals that it is about.

use crate::event::record::RecordError;
use crate::verdict::UnmatchedRule;

/// Why journals of agents cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A journal cannot be read.
    #[error("cannot read the journal {0}: {1}")]
    Journal(String, #[source] RecordError),
    /// A rule selects nothing of the run.
    #[error(transparent)]
    Rule(#[from] UnmatchedRule),
    /// No journal has a delta.
    #[error("no journal has anything that was measured")]
    Empty,
    /// Journals of two runs.
    #[error(
        "{} and {} are journals of two runs, {} and {}; give those of one",
        names.0, names.1, ids.0, ids.1
    )]
    OtherRun {
        /// The journals.
        names: (String, String),
        /// The ids of their runs.
        ids: (String, String),
    },
    /// Journals of two plans.
    #[error(
        "{} and {} have the same run id, but other plans or other numbers of agents; give the \
         journals of one run",
        names.0, names.1
    )]
    OtherPlan {
        /// The journals.
        names: (String, String),
    },
    /// Two journals of one agent.
    #[error("{one} and {other} both have what agent {agent} measured; give one of them")]
    Twice {
        /// The agent.
        agent: u64,
        /// The first journal.
        one: String,
        /// The other one.
        other: String,
    },
    /// A journal grew between the two readings.
    #[error("a journal changed while it was read: an agent still runs; merge again when it ended")]
    Changed,
}

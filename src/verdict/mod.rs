//! The meaning of "good", and whether the measurement can be trusted.
//!
//! Thresholds come from the scenario and the command line; `run` judges them on a Snapshot.
//! Invariant: thresholds are judged in one place, from counts and histograms of the Snapshot.

pub mod cache_metric;
pub mod judge;
mod judgement;
pub mod message_metric;
mod metric;
mod metric_form;
mod rule_error;
pub mod scope;
mod side_rule;
pub mod threshold;
pub mod trust;
pub mod watch;

pub use judge::Judgement;
pub use rule_error::{RuleError, UnmatchedRule};
pub use scope::{Scope, Subject, Subjects};
pub use side_rule::{SideJudgement, SideRule};
pub use threshold::{Comparison, Threshold};
pub use trust::{Trust, TrustContext};
pub use watch::Watch;

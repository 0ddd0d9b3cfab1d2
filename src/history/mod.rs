//! The history of runs: what each run leaves in a database, and what is read from it.
//!
//! `cli` writes a run after its report, and shows, compares over time and deletes runs.
//! Invariant: writing never fails a run, and ends in a bounded time; figures are those that
//! thresholds are judged by, so they equal summary.json.

mod commit;
mod entry;
mod figures;
mod intervals;
mod json;
mod place;
mod read;
mod stored;
mod tables;
mod text;
mod trend;
mod trend_page;
mod trend_text;
mod writing;

pub use commit::SourceCommit;
pub use entry::{RunContext, RunEntry};
pub use intervals::{IntervalSink, IntervalSums};
pub use json::{listed, shown as shown_json};
pub use place::{default_place, within};
pub use read::{RunFilter, StoredTrend, TrendError, find, open, run, runs, trend};
pub use stored::StoredRun;
pub use tables::{Retention, delete};
pub use text::{LISTED, deleted, list, show};
pub use trend::{TrendMetric, TrendRow};
pub use trend_page::page as trend_page;
pub use trend_text::{document as trend_document, render as trend_text};
pub use writing::{LIMIT, prune_now, write};

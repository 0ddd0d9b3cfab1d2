//! Writes a run to the history after its report.
//!
//! `execute` calls it.
//! Invariant: no error of the history changes the result of a run; each is one line on standard
//! error.

use super::history_args::{HistoryArgs, find_place};
use super::output::{print_error, print_remark};
use crate::event::Report;
use crate::history::{self, IntervalSink, RunContext, RunEntry, SourceCommit};
use crate::plan::Plan;
use crate::sinks::{SinkSet, WhenFull};
use crate::store::StorePlace;

/// Writes a run to the history; it does nothing if there is none.
#[derive(Debug)]
pub(super) struct HistoryWriter(Option<HistoryDestination>);

#[derive(Debug)]
struct HistoryDestination {
    place: StorePlace,
    context: RunContext,
    intervals: IntervalSink,
}

impl HistoryWriter {
    /// Adds the sink that sums up the seconds of the run; `is_default`: without an option, too.
    pub(super) fn begin(
        plan: &Plan,
        commit: Option<SourceCommit>,
        args: &HistoryArgs,
        is_default: bool,
        sinks: &mut SinkSet,
    ) -> Self {
        if !args.is_wanted(is_default) {
            if !args.tag.is_empty() {
                print_remark(&"`--tag` has no effect: the run is not written to a history");
            }
            return Self(None);
        }
        let place = match find_place(args.history.as_ref()) {
            Ok(place) => place,
            Err(why) => {
                print_error(&format_args!("the run will not be in the history: {why}"));
                return Self(None);
            }
        };
        let destination = place.map(|place| {
            let intervals = IntervalSink::default();
            if let Err(error) = sinks.add("history", WhenFull::Block, intervals.clone()) {
                print_error(&format_args!("the history will have no intervals: {error}"));
            }
            let context =
                RunContext { tags: args.tag.clone(), commit, names: plan.safety.names.clone() };
            HistoryDestination { place, context, intervals }
        });
        Self(destination)
    }

    /// Writes the run.
    pub(super) fn write(self, report: &Report) {
        let Some(HistoryDestination { place, context, intervals }) = self.0 else { return };
        let entry = RunEntry::new(report, &context, &intervals.sums());
        if let Err(error) = history::write(&place, entry) {
            print_error(&format_args!("the run is not in the history ({place}): {error}"));
        }
    }
}

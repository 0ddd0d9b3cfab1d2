//! When a sink pushes the report so far.
//!
//! Sinks whose receivers want cumulative metrics every few seconds use it.
//! Invariant: the final report is always pushed.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{self, Time};
use crate::event::{Report, RunEvent};

/// The time between two pushes.
const INTERVAL: Duration = Duration::from_secs(5);

/// A timer; the first report of a run is due at once.
#[derive(Debug, Default)]
pub(in crate::sinks) struct PushTimer {
    next: Option<Time>,
}

impl PushTimer {
    /// Whether an event has a report that may be due.
    pub(in crate::sinks) const fn wants(event: &RunEvent) -> bool {
        matches!(event, RunEvent::Tick(_) | RunEvent::Ended(_))
    }

    /// The report to be pushed now, if one is.
    pub(in crate::sinks) fn due<'e>(&mut self, event: &'e RunEvent) -> Option<&'e Arc<Report>> {
        match event {
            RunEvent::Tick(report) => {
                let now = clock::now();
                let is_due = self.next.is_none_or(|next| now >= next);
                is_due.then(|| {
                    self.next = Some(now + INTERVAL);
                    report
                })
            }
            RunEvent::Ended(report) => Some(report),
            _ => None,
        }
    }
}

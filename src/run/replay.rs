//! A finished run again, from its record: the same report, or judged by other rules.
//!
//! `manada report` calls it; the audience hears what it would have heard, but for what only people
//! looked at while it went on.
//! Invariant: nothing is measured here: what the record does not hold is not in the report.

use std::io::Read;
use std::sync::Arc;

use super::fold::Fold;
use crate::event::record::{End, Entry, Reader, Unreadable};
use crate::event::{Opening, Report, RunEvent, Stop};
use crate::sinks::Audience;
use crate::verdict::Threshold;

/// Makes the report of a record. `rules`: judged in place of the run's own.
///
/// # Errors
/// When it cannot be read.
pub fn replay(
    record: impl Read,
    rules: Option<Vec<Threshold>>,
    audience: &mut Audience,
) -> Result<Arc<Report>, Unreadable> {
    let (opening, mut reader) = Reader::new(record)?;
    let opening = rules.map_or_else(|| Arc::clone(&opening), |rules| judged_by(&opening, rules));
    audience.tell(&RunEvent::Began(Arc::clone(&opening)));
    let shards = opening.generator.shards;
    let (mut fold, mut end) = (Fold::new(opening, shards), None);
    let mut elapsed_ns = 0;
    while let Some(entry) = reader.entry()? {
        match entry {
            Entry::Began(_) => return Err(Unreadable::Damaged("by a second beginning")),
            Entry::Measured(delta) => {
                elapsed_ns = elapsed_ns.max(delta.gauges.elapsed_ns);
                let closed = fold.absorb(&delta);
                audience.tell(&RunEvent::Measured(delta));
                if !closed.is_empty() {
                    audience.tell(&RunEvent::Closed(Arc::new(closed)));
                }
            }
            Entry::Stands(moment) => {
                fold.second((*moment).clone());
                audience.tell(&RunEvent::Stands(moment));
            }
            Entry::Entered(notice) => {
                fold.notice((*notice).clone());
                audience.tell(&RunEvent::Entered(notice));
            }
            Entry::Stopped(stop, at_ns) => {
                fold.stop(stop.clone(), at_ns);
                audience.tell(&RunEvent::Stopped(stop, at_ns));
            }
            Entry::Ended(known) => end = Some(known),
        }
    }
    if end.is_none() {
        // It was killed, or goes on: what there is was all until here.
        fold.stop(Stop::Lost, elapsed_ns);
    }
    audience.tell(&RunEvent::Closed(Arc::new(fold.finish())));
    let End { broken, rss_peak } = end.unwrap_or_default();
    let report = Arc::new(fold.conclude(broken, rss_peak));
    audience.tell(&RunEvent::Ended(Arc::clone(&report)));
    Ok(report)
}

/// The same run with other rules.
fn judged_by(opening: &Opening, rules: Vec<Threshold>) -> Arc<Opening> {
    let mut plan = (*opening.plan).clone();
    plan.thresholds = rules;
    Arc::new(Opening { plan: Arc::new(plan), ..opening.clone() })
}

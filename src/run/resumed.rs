//! What the dispatcher of a resumed run does first: it takes what the former coordinator merged.
//!
//! `dispatch` calls it before its loop.
//! Invariant: the report has what a coordinator that had never ended would have, as far as the
//! record and the journal of the former one go.

use super::dispatch::Dispatch;
use super::dispatch_io::FormerEntries;
use crate::clock::RunOffset;
use crate::event::record::RecordEntry;
use crate::event::{RunEvent, ShardCommand, StopCause};
use crate::stats::{Change, ChangeSubject, StateChange};

impl Dispatch<'_> {
    /// Takes the entries of a former coordinator.
    pub(super) fn replay(&mut self, former: FormerEntries) {
        let mut newer = Vec::new();
        for entry in former {
            // The fleet is led meanwhile: its deltas must not wait.
            while let Ok(delta) = self.source.deltas.try_recv() {
                newer.push(delta);
            }
            match entry {
                RecordEntry::Delta(delta) => {
                    let delta = std::sync::Arc::unwrap_or_clone(delta);
                    self.measured(Box::new(delta));
                }
                RecordEntry::Gauges(mut sample) => {
                    // This coordinator may have other monitors.
                    let monitors = (self.io.process.monitors)().len();
                    if sample.monitors.len() != monitors {
                        std::sync::Arc::make_mut(&mut sample).monitors = vec![None; monitors];
                    }
                    self.io.sinks.publish(&RunEvent::Gauges(sample.clone()));
                    let sample = std::sync::Arc::unwrap_or_clone(sample);
                    if let (_, Some(rule)) = self.io.aggregator.second(sample)
                        && self.io.aggregator.stopped().is_none()
                    {
                        let note = format!("stopping: threshold `{rule}` failed");
                        self.stop(&note, StopCause::Rule(rule));
                    }
                }
                RecordEntry::EventLogged(change) => self.replay_change((*change).clone()),
                RecordEntry::Stopped(cause, at) => self.replay_stop(cause, at),
                RecordEntry::Started(_) | RecordEntry::Ended(_) => {}
            }
        }
        newer.into_iter().for_each(|delta| self.measured(Box::new(delta)));
    }

    fn replay_change(&mut self, change: StateChange) {
        match (&change.subject, &change.change) {
            (_, Change::Redistributed { .. }) => self.former_moves.push(change.clone()),
            (ChangeSubject::Workload(name), Change::Load { to, .. }) => {
                self.control.restore(name, *to, change.at);
                self.losses.set_curves(&self.control.curves());
            }
            _ => {}
        }
        self.record_change(change);
    }

    /// The former coordinator had stopped the run: agents may not have heard of it.
    fn replay_stop(&mut self, cause: StopCause, at: RunOffset) {
        if self.stopped_at.is_none() {
            self.stopped_at = Some(at);
            self.cancel_at = crate::clock::now() + self.plan.grace;
            self.source.broadcast(&ShardCommand::Drain);
        }
        self.io.sinks.publish(&RunEvent::Stopped(cause.clone(), at));
        self.io.aggregator.stop(cause, at);
    }
}

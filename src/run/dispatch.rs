//! The loop of a run: deltas in, events out, commands down.
//!
//! Invariant: it has the only view in which all numbers agree; whoever shows numbers got them here.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::clock::{self, Time, Timer};
use crate::event::{Command, RunEvent, Source};
use crate::plan::Plan;
use crate::sinks::Audience;
use crate::stats::Tally;
use crate::stats::delta::Halt;

/// What came from outside to end the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// SIGINT: Ctrl-C.
    Int,
    /// SIGTERM.
    Term,
}

/// What ended a run before its load was over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Somebody outside.
    Signal(Interrupt),
    /// A check with `on_fail: abort`, or a feed with `at_end: stop run`.
    Flow(Halt),
}

/// What the loop woke up for.
enum Happened {
    Measured(Box<crate::stats::Delta>),
    Interrupted(Interrupt),
    Second,
    /// No shard is left.
    Silence,
}

/// Folds a run until its last shard is done. The first interrupt drains, the second cuts; a drain
/// that outlasts the grace is cut too.
pub async fn dispatch(
    plan: &Arc<Plan>,
    start: Time,
    mut source: Source,
    tally: &mut Tally,
    audience: &mut Audience,
    mut interrupts: mpsc::Receiver<Interrupt>,
) -> Option<Stop> {
    let mut stopped = None;
    let mut left = source.commands.len();
    let alarm = Timer::new();
    let mut next_second = start.after(SECOND_NS + SHED_NS);
    let mut cut_at = Time::NEVER;
    loop {
        let happened = tokio::select! {
            biased;
            delta = source.deltas.recv() => {
                delta.map_or(Happened::Silence, |delta| Happened::Measured(Box::new(delta)))
            }
            Some(interrupt) = interrupts.recv() => Happened::Interrupted(interrupt),
            () = alarm.wait_until(next_second.min(cut_at)) => Happened::Second,
        };
        match happened {
            Happened::Measured(delta) => {
                tally.absorb(&delta);
                if !delta.lines.is_empty() {
                    audience.tell(&RunEvent::Said(delta.lines.clone(), delta.lines_lost));
                }
                if let (Some(halt), None) = (&delta.halt, &stopped) {
                    cut_at = clock::now() + plan.grace;
                    tally.stop(clock::now().since(start));
                    source.tell(Command::Drain);
                    audience.tell(&RunEvent::Note(format!("stopping: {}", halt.reason())));
                    stopped = Some(Stop::Flow(halt.clone()));
                }
                left -= usize::from(delta.last);
                audience.tell(&RunEvent::Measured(Arc::from(delta)));
                if left == 0 {
                    return stopped;
                }
            }
            Happened::Silence => return stopped,
            Happened::Interrupted(interrupt) if stopped.is_none() => {
                stopped = Some(Stop::Signal(interrupt));
                cut_at = clock::now() + plan.grace;
                tally.stop(clock::now().since(start));
                source.tell(Command::Drain);
                audience.tell(&RunEvent::Note(format!(
                    "stopping: no new iterations, {} for those under way (again to stop now)",
                    crate::units::show_duration(plan.grace)
                )));
            }
            Happened::Interrupted(interrupt) => {
                // The second one stops at once; what the first was is what ended the run.
                if !matches!(stopped, Some(Stop::Signal(_))) {
                    stopped = Some(Stop::Signal(interrupt));
                }
                source.tell(Command::Cut);
                audience.tell(&RunEvent::Note("stopping now".to_owned()));
            }
            Happened::Second => {
                let now = clock::now();
                if now >= cut_at {
                    cut_at = Time::NEVER;
                    source.tell(Command::Cut);
                }
                if now >= next_second {
                    next_second = next_second.after(SECOND_NS);
                    let snapshot = tally.snapshot(super::load_end_ns(plan));
                    audience.tell(&RunEvent::Second(Arc::new(snapshot)));
                }
            }
        }
    }
}

const SECOND_NS: u64 = 1_000_000_000;

/// How long after a full second its deltas are looked at together: shards need a moment to shed.
const SHED_NS: u64 = 50_000_000;

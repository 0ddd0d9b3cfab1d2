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
use crate::verdict::Watch;

/// What came from outside to end the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// SIGINT: Ctrl-C.
    Int,
    /// SIGTERM.
    Term,
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
    watch: &mut Watch,
    audience: &mut Audience,
    mut interrupts: mpsc::Receiver<Interrupt>,
) -> Option<Interrupt> {
    let mut interrupted = None;
    let mut left = source.commands.len();
    let alarm = Timer::new();
    let mut next_second = start.after(SECOND_NS + SHED_NS);
    let mut cut_at = Time::NEVER;
    let mut stopped_ns = u64::MAX;
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
                watch.absorb(&delta);
                left -= usize::from(delta.last);
                audience.tell(&RunEvent::Measured(Arc::from(delta)));
                if left == 0 {
                    return interrupted;
                }
            }
            Happened::Silence => return interrupted,
            Happened::Interrupted(interrupt) if interrupted.is_none() => {
                interrupted = Some(interrupt);
                // Of a run that stops by itself the first Ctrl-C changes nothing but the ending.
                if stopped_ns == u64::MAX {
                    cut_at = clock::now() + plan.grace;
                    stopped_ns = clock::now().since(start);
                    tally.stop(stopped_ns);
                }
                source.tell(Command::Drain);
                audience.tell(&RunEvent::Note(format!(
                    "stopping: no new iterations, {} for those under way (again to stop now)",
                    crate::units::show_duration(plan.grace)
                )));
            }
            Happened::Interrupted(_) => {
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
                    let end = super::load_end_ns(plan).unwrap_or(u64::MAX).min(stopped_ns);
                    if let Some(rule) = watch.judge(Some(end), &snapshot)
                        && stopped_ns == u64::MAX
                    {
                        stopped_ns = now.since(start);
                        cut_at = now + plan.grace;
                        tally.stop(stopped_ns);
                        source.tell(Command::Drain);
                        audience.tell(&RunEvent::Note(format!("stopping: `{rule}` does not hold")));
                    }
                    audience.tell(&RunEvent::Second(Arc::new(snapshot)));
                }
            }
        }
    }
}

const SECOND_NS: u64 = 1_000_000_000;

/// How long after a full second its deltas are looked at together: shards need a moment to shed.
const SHED_NS: u64 = 50_000_000;

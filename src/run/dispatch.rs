//! The loop of a run: deltas in, events out, commands down.
//!
//! Invariant: it has the only view in which all numbers agree; whoever shows numbers got them here.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::aggregator::RunAggregator;
use super::control::Controller;
use super::error_rate_abort::ErrorRateAbort;
use super::supervisor::ResilienceController;
use crate::clock::{self, Time, Timer};
use crate::event::{
    ControlCommand, ControlReply, ControlRequest, DeltaSource, Interrupt, RunEvent, ShardCommand,
    StopCause,
};
use crate::plan::Plan;
use crate::sinks::SinkSet;
use crate::stats::{ChangeKind, Delta, GaugeSample, StateChange, StateChanges};
use crate::units::show_duration;

/// A wait for report files that is worth a note, ns.
const BLOCKED_NS: u64 = 100_000_000;

/// What may come from outside while a run goes on.
#[derive(Debug)]
pub struct DispatchInputs {
    /// To end it.
    pub interrupts: mpsc::Receiver<Interrupt>,
    /// To change what it asks.
    pub commands: mpsc::Receiver<ControlRequest>,
}

/// What the loop woke up for.
enum LoopEvent {
    Measured(Box<Delta>),
    Interrupted(Interrupt),
    Control(ControlRequest),
    Second,
    /// No shard is left.
    Silence,
}

/// What io a run.
pub struct DispatchIo<'a> {
    /// All numbers and rules.
    pub aggregator: &'a mut RunAggregator,
    /// Who looks on.
    pub sinks: &'a mut SinkSet,
    /// What is read off once a second.
    pub process: ProcessGauges<'a>,
}

/// What is read off once a second beside the numbers of the shards.
pub struct ProcessGauges<'a> {
    /// How much memory the process holds, bytes.
    pub rss: &'a mut dyn FnMut() -> Option<u64>,
    /// How much it may hold.
    pub limit: Option<u64>,
    /// The monitors of the run's opening, in their order.
    pub monitors: &'a mut dyn FnMut() -> Vec<Option<f64>>,
}

/// A run under way.
struct Dispatch<'a> {
    plan: &'a Plan,
    start: Time,
    source: DeltaSource,
    io: DispatchIo<'a>,
    lookout: ErrorRateAbort,
    control: Controller<'a>,
    steward: ResilienceController<'a>,
    /// When the run was stopped, ns after its start.
    stopped_ns: u64,
    /// When a drain has lasted long enough.
    cut_at: Time,
    /// When shards that have not ended are not waited for any more.
    give_up_at: Time,
    /// Shards that have not ended.
    under_way: Vec<bool>,
}

/// Folds a run until its last shard is done. The first interrupt drains, the second cuts; a drain
/// that outlasts the grace is cut too. Shards that do not end within seconds of being cut are
/// returned: work of one of their users does not come to an end.
pub async fn dispatch<'a>(
    plan: &'a Arc<Plan>,
    start: Time,
    source: DeltaSource,
    io: DispatchIo<'a>,
    mut outside: DispatchInputs,
) -> Vec<usize> {
    let left = source.commands.len();
    let limit = io.process.limit;
    let mut run = Dispatch {
        plan,
        start,
        source,
        io,
        lookout: ErrorRateAbort::new(&plan.safety.error_limits),
        control: Controller::new(plan),
        steward: ResilienceController::new(plan, left, limit),
        stopped_ns: u64::MAX,
        cut_at: Time::NEVER,
        give_up_at: Time::NEVER,
        under_way: vec![true; left],
    };
    let alarm = Timer::new();
    let mut next_second = start.after(SECOND_NS + SHED_NS);
    loop {
        let happened = tokio::select! {
            biased;
            delta = run.source.deltas.recv() => {
                delta.map_or(LoopEvent::Silence, |delta| LoopEvent::Measured(Box::new(delta)))
            }
            Some(interrupt) = outside.interrupts.recv() => LoopEvent::Interrupted(interrupt),
            Some(asked) = outside.commands.recv() => LoopEvent::Control(asked),
            () = alarm.wait_until(next_second.min(run.cut_at).min(run.give_up_at)) => {
                LoopEvent::Second
            }
        };
        match happened {
            LoopEvent::Measured(delta) => {
                if delta.last
                    && let Some(under_way) = run.under_way.get_mut(delta.shard)
                {
                    *under_way = false;
                }
                run.measured(delta);
                if !run.under_way.contains(&true) {
                    run.last_second(next_second);
                    return Vec::new();
                }
            }
            LoopEvent::Silence => return Vec::new(),
            LoopEvent::Interrupted(interrupt) => run.interrupted(interrupt),
            LoopEvent::Control(asked) => run.handle_control(asked),
            LoopEvent::Second => {
                let now = clock::now();
                if now >= run.cut_at {
                    run.cut_at = Time::NEVER;
                    run.cut(now.after(GRACE_CUT_NS));
                }
                if now >= run.give_up_at {
                    return run.stuck();
                }
                if now >= next_second {
                    next_second = next_second.after(SECOND_NS);
                    run.second();
                }
            }
        }
    }
}

const SECOND_NS: u64 = 1_000_000_000;

/// How long shards may take to end once they were cut at the end of the grace, ns.
const GRACE_CUT_NS: u64 = 10_000_000_000;

/// The same once somebody has said a second time that the run is to end.
const SIGNAL_CUT_NS: u64 = 2_000_000_000;

/// How long after a full second its deltas are looked at together: shards need a moment to shed.
const SHED_NS: u64 = 50_000_000;

impl Dispatch<'_> {
    /// A shard has shed.
    fn measured(&mut self, delta: Box<Delta>) {
        let closed = self.io.aggregator.absorb(&delta);
        self.steward.absorb(&delta);
        if delta.changes != StateChanges::default() {
            let noticed = RunEvent::StateChanges(Arc::new(delta.changes.clone()));
            self.io.sinks.publish(&noticed);
        }
        if !delta.lines.is_empty() {
            let said = RunEvent::LogLines(delta.lines.clone(), delta.lines_lost);
            self.io.sinks.publish(&said);
        }
        if let (Some(halt), None) = (&delta.halt, self.io.aggregator.stopped()) {
            self.stop(&format!("stopping: {}", halt.reason()), StopCause::Flow(halt.clone()));
        }
        self.io.sinks.publish(&RunEvent::Delta(Arc::from(delta)));
        if !closed.is_empty() {
            self.io.sinks.publish(&RunEvent::SecondsCompleted(Arc::new(closed)));
        }
    }

    /// Somebody outside wants it to end.
    fn interrupted(&mut self, interrupt: Interrupt) {
        let asked = matches!(self.io.aggregator.stopped(), Some(StopCause::Signal(_)));
        if asked {
            self.cut(clock::now().after(SIGNAL_CUT_NS));
            self.io.sinks.publish(&RunEvent::Note("stopping now".to_owned()));
            return;
        }
        if interrupt == Interrupt::Quit {
            self.stop("stopping now", StopCause::Signal(interrupt));
            self.cut(clock::now().after(SIGNAL_CUT_NS));
            return;
        }
        // Of a run that stops by itself the first Ctrl-C changes nothing but the ending.
        let grace = show_duration(self.plan.grace);
        let note =
            format!("stopping: no new iterations, {grace} for those under way (again to stop now)");
        self.stop(&note, StopCause::Signal(interrupt));
    }

    /// Somebody outside wants something else to be asked.
    fn handle_control(&mut self, asked: ControlRequest) {
        let answer = self.control(&asked);
        if let Some(reply) = asked.reply {
            // Who does not wait for it any more does not miss it.
            drop(reply.send(answer));
        } else {
            let (Ok(words) | Err(words)) = answer;
            self.io.sinks.publish(&RunEvent::Note(words.replace('\n', ", ")));
        }
    }

    fn control(&mut self, asked: &ControlRequest) -> ControlReply {
        let speaks = matches!(
            asked.command,
            ControlCommand::Status
                | ControlCommand::Help
                | ControlCommand::Keys
                | ControlCommand::Mark(_)
                | ControlCommand::Stop
        );
        if self.io.aggregator.stopped().is_some() && !speaks {
            return Err("the run is ending: nothing is asked any more".to_owned());
        }
        let now_ns = clock::now().since(self.start);
        let done = self.control.handle(&asked.command, now_ns, &self.source)?;
        if asked.reply.is_some() && !done.changes.is_empty() {
            // Screens hear of it in one note, since they have room for few.
            let all: Vec<String> =
                done.changes.iter().map(|(whose, what, _)| format!("{whose}: {what}")).collect();
            let note = format!("{} ({})", all.join(", "), asked.origin);
            self.io.sinks.publish(&RunEvent::Note(note));
        }
        for (subject, change, at_ns) in done.changes {
            let cause = asked.origin.to_owned();
            let notice = StateChange { at_ns, kind: ChangeKind::Control, subject, change, cause };
            self.enter(notice);
        }
        if done.stops {
            self.interrupted(Interrupt::Control);
        }
        Ok(done.answer)
    }

    /// A second is over.
    fn second(&mut self) {
        let now_ns = clock::now().since(self.start);
        let moment = self.moment(now_ns);
        self.io.sinks.publish(&RunEvent::Gauges(Arc::new(moment.clone())));
        let (snapshot, rule) = self.io.aggregator.second(moment);
        if let (Some(rule), None) = (rule, self.io.aggregator.stopped()) {
            self.stop(&format!("stopping: `{rule}` does not hold"), StopCause::Rule(rule));
        }
        let storm = self.lookout.second(&snapshot.calls());
        if let (Some(why), None) = (storm, self.io.aggregator.stopped()) {
            self.stop(&format!("stopping: {why}"), StopCause::ErrorRate(why));
        }
        self.control.standing.second(&snapshot);
        for act in self.steward.second(now_ns, (self.io.process.rss)()) {
            if let Some(order) = act.order {
                self.source.broadcast(&ShardCommand::Order(order));
            }
            let mut noticed = StateChanges::default();
            noticed.push(act.notice.clone(), 1);
            self.io.sinks.publish(&RunEvent::StateChanges(Arc::new(noticed)));
            self.enter(act.notice);
        }
        let blocked_ns = self.io.sinks.take_blocked_ns();
        if blocked_ns >= BLOCKED_NS {
            let ms = blocked_ns / 1_000_000;
            let note = format!(
                "writing the report files blocked for {ms} ms: commands and rules waited as long"
            );
            self.io.sinks.publish(&RunEvent::Note(note));
        }
        // Judging takes time, and is left out if no screen shows it.
        if self.io.sinks.has_screens() {
            let report = self.io.aggregator.so_far(snapshot);
            self.io.sinks.publish(&RunEvent::Tick(Arc::new(report)));
        }
    }

    /// The run is over: how it stood at the end of its last whole second, which was to be looked at
    /// at `next_second`. There is nothing left to judge or to control.
    fn last_second(&mut self, next_second: Time) {
        let now = clock::now();
        if now.after(SHED_NS) >= next_second && now < next_second {
            let moment = self.moment(next_second.since(self.start));
            self.io.sinks.publish(&RunEvent::Gauges(Arc::new(moment.clone())));
            self.io.aggregator.second(moment);
        }
    }

    /// How things stand at the end of the second that is over.
    fn moment(&mut self, now_ns: u64) -> GaugeSample {
        let gauges = self.io.aggregator.gauges();
        let second = now_ns.saturating_sub(SECOND_NS + SHED_NS) / SECOND_NS;
        GaugeSample {
            second: second as u32,
            target: self.asked_in(second, gauges.elapsed_ns),
            users: gauges.users,
            running: gauges.running_calls,
            connections: gauges.connections,
            monitors: (self.io.process.monitors)(),
        }
    }

    /// What is asked of each workload at the instant at which the shards read their gauges,
    /// `measured_ns` since the run's start, and within the second still: what a load asks at its
    /// very end is nothing.
    fn asked_in(&self, second: u64, measured_ns: u64) -> Vec<f64> {
        let (begin, end) = (second * SECOND_NS, (second + 1) * SECOND_NS);
        self.control.target_levels(measured_ns.clamp(begin, end - 1))
    }

    /// Writes a change down that is no shard's.
    fn enter(&mut self, notice: StateChange) {
        self.io.sinks.publish(&RunEvent::EventLogged(Arc::new(notice.clone())));
        self.io.aggregator.record_change(notice);
    }

    /// Ends everything now, and waits for shards until `give_up_at`.
    fn cut(&mut self, give_up_at: Time) {
        self.source.broadcast(&ShardCommand::Cancel);
        self.give_up_at = self.give_up_at.min(give_up_at);
    }

    /// The shards that have not ended.
    fn stuck(&self) -> Vec<usize> {
        let shards = self.under_way.iter().enumerate();
        shards.filter(|(_, under_way)| **under_way).map(|(shard, _)| shard).collect()
    }

    /// Begins nothing new; what runs may end within the grace.
    fn stop(&mut self, note: &str, stop: StopCause) {
        if self.stopped_ns == u64::MAX {
            let now = clock::now();
            self.cut_at = now + self.plan.grace;
            self.stopped_ns = now.since(self.start);
        }
        self.source.broadcast(&ShardCommand::Drain);
        self.io.sinks.publish(&RunEvent::Note(note.to_owned()));
        self.io.sinks.publish(&RunEvent::Stopped(stop.clone(), self.stopped_ns));
        self.io.aggregator.stop(stop, self.stopped_ns);
    }
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;

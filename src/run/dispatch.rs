//! The loop of a run: deltas in, events out, commands down.
//!
//! `execute` runs it; simulations run it under virtual time.
//! Invariant: all numbers that are shown come from here, where they agree.

use std::sync::{Arc, PoisonError};

use super::control::Controller;
use super::dispatch_io::LoopInput;
pub use super::dispatch_io::{DispatchInputs, DispatchIo, ProcessGauges};
use super::error_rate_abort::ErrorRateAbort;
use super::losses::Losses;
use super::shift::ShiftController;
use super::supervisor::ResilienceController;
use crate::clock::{self, RunOffset, Time, Timer};
use crate::event::{
    ControlCommand, ControlError, ControlReply, ControlRequest, DeltaSource, Interrupt, LossPolicy,
    RunEvent, ShardCommand, StopCause,
};
use crate::plan::Plan;
use crate::stats::{ChangeCause, Delta, GaugeSample, StateChange, StateChanges};
use crate::units::show_duration;

/// A wait for report files that is worth a note, ns.
const BLOCKED_NS: u64 = 100_000_000;

/// What ended a wait of the loop.
enum LoopEvent {
    Input(LoopInput),
    Second,
    /// No shard is left.
    Silence,
}

/// A run under way.
pub(super) struct Dispatch<'a> {
    pub(super) plan: &'a Plan,
    pub(super) start: Time,
    pub(super) source: DeltaSource,
    pub(super) io: DispatchIo<'a>,
    pub(super) error_rate_abort: ErrorRateAbort,
    pub(super) control: Controller<'a>,
    pub(super) resilience: ResilienceController<'a>,
    /// The shift of the run, if it has one.
    pub(super) shift: Option<ShiftController>,
    /// When the run was stopped; `None` while it goes on.
    pub(super) stopped_at: Option<RunOffset>,
    /// When a drain is over and calls are cancelled.
    pub(super) cancel_at: Time,
    /// When shards that have not ended are not waited for any more.
    pub(super) give_up_at: Time,
    /// Shards that have not ended.
    pub(super) under_way: Vec<bool>,
    /// Workers that were lost.
    pub(super) losses: Losses<'a>,
    /// Whether the run stops when one is lost.
    pub(super) aborts_on_loss: bool,
    /// Moves of slots that a former coordinator recorded.
    pub(super) former_moves: Vec<StateChange>,
}

/// Runs the loop until the last shard has ended. The first interrupt drains, the second cancels; a
/// drain that outlasts the grace is cancelled, too. Returns the shards that do not end within
/// seconds after that: work of one of their users does not come to an end.
pub async fn dispatch<'a>(
    plan: &'a Arc<Plan>,
    start: Time,
    source: DeltaSource,
    io: DispatchIo<'a>,
    mut outside: DispatchInputs,
) -> Vec<usize> {
    let (left, limit) = (source.shards, io.process.limit);
    // Threads are not lost.
    let followed = if source.workers.is_closed() { 0 } else { left };
    let mut run = Dispatch {
        plan,
        start,
        source,
        io,
        error_rate_abort: ErrorRateAbort::new(&plan.safety.error_limits),
        control: Controller::new(plan),
        resilience: ResilienceController::new(plan, left, limit),
        shift: ShiftController::new(plan),
        stopped_at: None,
        cancel_at: Time::NEVER,
        give_up_at: Time::NEVER,
        under_way: vec![true; left],
        losses: Losses::new(plan, start, followed, outside.on_loss),
        aborts_on_loss: outside.on_loss == LossPolicy::Abort,
        former_moves: Vec::new(),
    };
    let former = std::mem::replace(&mut outside.former, Box::new(std::iter::empty()));
    run.replay(former);
    let alarm = Timer::new();
    let mut next_second = first_second(start);
    let mut is_silent = false;
    loop {
        let happened = tokio::select! {
            biased;
            delta = run.source.deltas.recv(), if !is_silent => {
                let input = |delta| LoopEvent::Input(LoopInput::Measured(Box::new(delta)));
                delta.map_or(LoopEvent::Silence, input)
            }
            Some(event) = run.source.workers.recv() => LoopEvent::Input(LoopInput::Worker(event)),
            Some(input) = outside.next() => LoopEvent::Input(input),
            () = alarm.wait_until(next_second.min(run.cancel_at).min(run.give_up_at)) => {
                LoopEvent::Second
            }
        };
        match happened {
            LoopEvent::Silence => {
                // The last sender of deltas reported its loss before it ended.
                while let Ok(event) = run.source.workers.try_recv() {
                    run.take_worker(event);
                }
                is_silent = true;
                run.keep_vacant();
            }
            LoopEvent::Input(input) => run.take(input),
            LoopEvent::Second => {
                let now = clock::now();
                if now >= run.cancel_at {
                    run.cancel_at = Time::NEVER;
                    run.cancel(now.after(GRACE_CUT_NS));
                }
                if now >= run.give_up_at {
                    break;
                }
                if now >= next_second {
                    next_second = next_second.after(SECOND_NS);
                    run.second();
                }
            }
        }
        if !run.under_way.contains(&true) {
            run.last_second(next_second);
            break;
        }
    }
    run.finish_shift(&mut outside.interrupts).await;
    run.stuck()
}

const SECOND_NS: u64 = 1_000_000_000;

/// When the next second is to be evaluated: a run that is resumed began long ago.
fn first_second(start: Time) -> Time {
    let over = clock::now().since(start) / SECOND_NS;
    start.after((over + 1) * SECOND_NS + SETTLE_NS)
}

/// How long shards may take to end after they were cancelled at the end of the grace, ns.
const GRACE_CUT_NS: u64 = 10_000_000_000;

/// The same after a second interrupt, ns.
const SIGNAL_CUT_NS: u64 = 2_000_000_000;

/// How long after a full second its deltas are evaluated, ns: shards need time to send them.
const SETTLE_NS: u64 = 50_000_000;

impl Dispatch<'_> {
    /// Takes an input.
    fn take(&mut self, input: LoopInput) {
        match input {
            LoopInput::Measured(delta) => self.measured(delta),
            LoopInput::Worker(event) => self.take_worker(event),
            LoopInput::Interrupted(interrupt) => self.interrupted(interrupt),
            LoopInput::Control(request) => self.handle_control(request),
            LoopInput::Health(change) => self.health_changed(change),
        }
    }

    /// Takes the delta of a shard.
    pub(super) fn measured(&mut self, delta: Box<Delta>) {
        if let (true, Some(under_way)) = (delta.last, self.under_way.get_mut(delta.shard)) {
            *under_way = false;
        }
        self.losses.absorb(&delta);
        let closed = self.io.aggregator.absorb(&delta);
        self.resilience.absorb(&delta);
        if let Some(shift) = &mut self.shift {
            shift.absorb(&delta);
        }
        if delta.changes != StateChanges::default() {
            let changes = RunEvent::StateChanges(Arc::new(delta.changes.clone()));
            self.io.sinks.publish(&changes);
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

    /// Handles an interrupt.
    pub(super) fn interrupted(&mut self, interrupt: Interrupt) {
        let request = matches!(self.io.aggregator.stopped(), Some(StopCause::Signal(_)));
        if request {
            self.io.sinks.publish(&RunEvent::Note("stopping now".to_owned()));
            self.stop_now();
            return;
        }
        if interrupt == Interrupt::Quit {
            self.stop("stopping now", StopCause::Signal(interrupt));
            self.stop_now();
            return;
        }
        // If the run stops by itself, the first Ctrl-C changes only the exit status.
        let grace = show_duration(self.plan.grace);
        let note =
            format!("stopping: no new iterations, running ones have {grace} (again: stop now)");
        self.stop(&note, StopCause::Signal(interrupt));
    }

    /// Waits for nothing any more.
    fn stop_now(&mut self) {
        self.cancel(clock::now().after(SIGNAL_CUT_NS));
        self.give_up_shift("was skipped, as the run had to stop at once");
    }

    /// Executes a control command and replies.
    fn handle_control(&mut self, request: ControlRequest) {
        let answer = self.control(&request);
        if let Some(reply) = request.reply {
            // The sender may not wait for the reply any more.
            drop(reply.send(answer));
        } else {
            let words = answer.unwrap_or_else(|why| why.to_string());
            self.io.sinks.publish(&RunEvent::Note(words.replace('\n', ", ")));
        }
    }

    fn control(&mut self, request: &ControlRequest) -> ControlReply {
        let speaks = matches!(
            request.command,
            ControlCommand::Status
                | ControlCommand::Help
                | ControlCommand::Keys
                | ControlCommand::Mark(_)
                | ControlCommand::Stop
        );
        if self.io.aggregator.stopped().is_some() && !speaks {
            return Err(ControlError::Ending);
        }
        let now = RunOffset::of(clock::now(), self.start);
        let done = self.control.handle(&request.command, now, &self.source)?;
        self.losses.set_curves(&self.control.curves());
        if request.reply.is_some() && !done.changes.is_empty() {
            // Screens get one note, since they have room for few.
            let all: Vec<String> =
                done.changes.iter().map(|(whose, what, _)| format!("{whose}: {what}")).collect();
            let note = format!("{} ({})", all.join(", "), request.origin);
            self.io.sinks.publish(&RunEvent::Note(note));
        }
        for (subject, change, at) in done.changes {
            let cause = ChangeCause::Control { origin: request.origin };
            self.record_change(StateChange { at, subject, change, cause });
        }
        if done.stops {
            self.interrupted(Interrupt::Control);
        }
        Ok(done.answer)
    }

    /// Ends a second: gauges, rules, resilience, screens.
    fn second(&mut self) {
        let now = RunOffset::of(clock::now(), self.start);
        for delta in self.losses.take(now) {
            self.measured(Box::new(delta));
        }
        let moment = self.moment(now);
        self.io.sinks.publish(&RunEvent::Gauges(Arc::new(moment.clone())));
        let (snapshot, rule) = self.io.aggregator.second(moment);
        if let (Some(rule), None) = (rule, self.io.aggregator.stopped()) {
            self.stop(&format!("stopping: threshold `{rule}` failed"), StopCause::Rule(rule));
        }
        let excess = self.error_rate_abort.second(&snapshot.calls());
        if let (Some(why), None) = (excess, self.io.aggregator.stopped()) {
            self.stop(&format!("stopping: {why}"), StopCause::ErrorRate(why));
        }
        self.shift_second(now);
        self.control.status.second(&snapshot);
        for action in self.resilience.second(now, (self.io.process.rss)()) {
            if let Some(order) = action.order {
                self.source.broadcast(&ShardCommand::Order(order));
            }
            self.tell_change(action.notice);
        }
        let blocked_ns = self.io.sinks.take_blocked_ns();
        if blocked_ns >= BLOCKED_NS {
            let ms = blocked_ns / 1_000_000;
            let note = format!(
                "writing report files blocked for {ms} ms, which delayed commands and rules"
            );
            self.io.sinks.publish(&RunEvent::Note(note));
        }
        for kind in self.io.sinks.disk().take_ended() {
            let note = format!("{}: not written any more, `max_disk` is near", kind.name());
            self.io.sinks.publish(&RunEvent::Note(note));
        }
        // Judging takes time, and is left out if no screen shows it.
        if self.io.sinks.has_screens() {
            let mut report = self.io.aggregator.so_far(snapshot);
            if let Some(agents) = &self.source.agents {
                report.workers.clone_from(&agents.lock().unwrap_or_else(PoisonError::into_inner));
            }
            self.io.sinks.publish(&RunEvent::Tick(Arc::new(report)));
        }
    }

    /// Takes the gauges at the end of the last whole second, which was to be evaluated at
    /// `next_second`. The run is over: there is nothing left to judge or to control.
    fn last_second(&mut self, next_second: Time) {
        let now = clock::now();
        if now.after(SETTLE_NS) >= next_second && now < next_second {
            let moment = self.moment(RunOffset::of(next_second, self.start));
            self.io.sinks.publish(&RunEvent::Gauges(Arc::new(moment.clone())));
            self.io.aggregator.second(moment);
        }
    }

    /// The gauges at the end of the second that is over.
    fn moment(&mut self, now: RunOffset) -> GaugeSample {
        let gauges = self.io.aggregator.gauges();
        let second = now.ns().saturating_sub(SECOND_NS + SETTLE_NS) / SECOND_NS;
        GaugeSample {
            second: second as u32,
            target: self.asked_in(second, gauges.elapsed_ns),
            users: gauges.users,
            running: gauges.running_calls,
            connections: gauges.connections,
            streams: gauges.streams,
            streams_wanted: gauges.streams_wanted,
            monitors: (self.io.process.monitors)(),
        }
    }

    /// The load of each workload at the moment at which the shards read their gauges, `measured_ns`
    /// after the run's start, but still within the second: at its very end a load is zero.
    fn asked_in(&self, second: u64, measured_ns: u64) -> Vec<f64> {
        let (begin, end) = (second * SECOND_NS, (second + 1) * SECOND_NS);
        let at = RunOffset::from_ns(measured_ns.clamp(begin, end - 1));
        self.control.target_levels(at)
    }

    /// Records a change that no shard caused.
    pub(super) fn record_change(&mut self, notice: StateChange) {
        self.io.sinks.publish(&RunEvent::EventLogged(Arc::new(notice.clone())));
        self.io.aggregator.record_change(notice);
    }

    /// Cancels everything, and waits for shards until `give_up_at`.
    fn cancel(&mut self, give_up_at: Time) {
        self.source.broadcast(&ShardCommand::Cancel);
        self.give_up_at = self.give_up_at.min(give_up_at);
    }

    /// Ends the loop: returns the shards that have not ended.
    fn stuck(&mut self) -> Vec<usize> {
        if let Some(shift) = &self.shift {
            self.io.aggregator.set_shift(shift.report());
        }
        let shards = self.under_way.iter().enumerate();
        shards.filter(|(_, under_way)| **under_way).map(|(shard, _)| shard).collect()
    }

    /// Begins nothing new; iterations may end within the grace.
    pub(super) fn stop(&mut self, note: &str, stop: StopCause) {
        let now = clock::now();
        if self.stopped_at.is_none() {
            self.cancel_at = now + self.plan.grace;
        }
        let at = *self.stopped_at.get_or_insert(RunOffset::of(now, self.start));
        self.source.broadcast(&ShardCommand::Drain);
        for delta in self.losses.drain(at) {
            self.measured(Box::new(delta));
        }
        self.io.sinks.publish(&RunEvent::Note(note.to_owned()));
        self.io.sinks.publish(&RunEvent::Stopped(stop.clone(), at));
        self.io.aggregator.stop(stop, at);
    }
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;

//! One user, one iteration: a scenario's `setup` and `teardown`, and the dry run of `check --once`.
//!
//! `run` calls it before and after the load.
//! Invariant: it is a run like any other, of one shard; nothing of it enters the run's own numbers.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cache::CacheSet;
use crate::clock;
use crate::engine::iterations::trace_recorder::TraceRecorder;
use crate::engine::shard_loop;
use crate::engine::startup::setup::Variables;
use crate::engine::startup::start::set_up_with;
use crate::event::{DryRunTrace, ShardCommand};
use crate::plan::slots::ShardRange;
use crate::plan::{Address, Archetype, Plan};
use crate::protocol::status;
use crate::stats::delta::Halt;
use crate::stats::{Snapshot, Tally};
use crate::wire::Wire;

/// The results of a single user's run.
#[derive(Debug)]
pub struct SingleUserRun {
    /// The user's variables at its end.
    pub variables: Variables,
    /// The figures of the run.
    pub snapshot: Snapshot,
    /// The names of the run's series.
    pub steps: Vec<String>,
    /// The lines of `log` steps.
    pub lines: Vec<String>,
    /// Why the run was stopped, if it was.
    pub halt: Option<Halt>,
}

/// Runs one iteration of `archetype` with the services of `plan`; `stop` cancels it.
pub async fn run_single_user(
    plan: &Plan,
    archetype: &Archetype,
    addresses: Vec<Address>,
    wire: Wire,
    (globals, caches): (Variables, &Arc<CacheSet>),
    stop: impl Future<Output = ()>,
) -> SingleUserRun {
    execute(plan, archetype, addresses, wire, (globals, caches), None, stop).await
}

/// The same, with a trace of all that happened.
pub async fn run_traced(
    plan: &Plan,
    archetype: &Archetype,
    addresses: Vec<Address>,
    wire: Wire,
    globals: Variables,
    recorder: &TraceRecorder,
) -> (SingleUserRun, DryRunTrace) {
    // A signal ends the process at once: `check` has no signal handler.
    let never = std::future::pending();
    let trace = Some(recorder.clone());
    // A dry run leaves nothing behind, so it uses no store.
    let caches = CacheSet::in_memory(plan);
    let run = execute(plan, archetype, addresses, wire, (globals, &caches), trace, never).await;
    let recorded = recorder.take();
    let (kind, failure) = (archetype.name.clone(), run.failure());
    let unreached = Vec::new();
    (
        run,
        DryRunTrace {
            kind,
            number: 1,
            events: recorded.events,
            more: recorded.more,
            failure,
            unreached,
        },
    )
}

async fn execute(
    plan: &Plan,
    archetype: &Archetype,
    addresses: Vec<Address>,
    wire: Wire,
    (globals, caches): (Variables, &Arc<CacheSet>),
    trace: Option<TraceRecorder>,
    stop: impl Future<Output = ()>,
) -> SingleUserRun {
    let plan = Arc::new(plan.for_single_user(archetype));
    let (mut setups, mut source) =
        set_up_with(&plan, addresses, ShardRange::whole(1), clock::now(), (&globals, caches));
    let final_variables = Arc::new(Mutex::new(Vec::new()));
    let mut tally = Tally::new(&plan.series_layout(), 1, vec![false]);
    let (mut lines, mut halt) = (Vec::new(), None);
    if let Some(mut setup) = setups.pop() {
        setup.final_variables = Some(Arc::clone(&final_variables));
        setup.trace = trace;
        tokio::task::spawn_local(shard_loop::run(setup, wire));
        let (mut stop, mut stopped) = (pin!(stop), false);
        loop {
            let delta = tokio::select! {
                delta = source.deltas.recv() => delta,
                () = &mut stop, if !stopped => {
                    stopped = true;
                    source.broadcast(&ShardCommand::Cancel);
                    continue;
                }
            };
            let Some(delta) = delta else { break };
            tally.absorb(&delta);
            lines.extend(delta.lines);
            halt = halt.or(delta.halt);
            if delta.last {
                break;
            }
        }
    }
    let variables =
        std::mem::take(&mut *final_variables.lock().unwrap_or_else(PoisonError::into_inner));
    let steps = plan.steps.iter().map(|series| series.name.clone()).collect();
    SingleUserRun {
        variables: Arc::new(variables),
        snapshot: tally.snapshot(None),
        steps,
        lines,
        halt,
    }
}

impl SingleUserRun {
    /// Why the iteration did not complete, as text; `None` if all calls were ok.
    pub fn failure(&self) -> Option<String> {
        let calls = self.snapshot.calls();
        if self.snapshot.iterations().completed == 1 && calls.ok == calls.made {
            return None;
        }
        let mut why = Vec::new();
        for (name, step) in self.steps.iter().zip(&self.snapshot.measured.steps) {
            let Some(step) = step else { continue };
            if step.calls.ok < step.calls.made {
                why.push(format!("`{name}` failed"));
            }
        }
        let statuses = self.snapshot.statuses.iter();
        for (status, count) in statuses.filter(|(status, _)| status::is_error(*status)) {
            why.push(format!("{count} × status {}", status::name(*status)));
        }
        for (index, count) in &self.snapshot.errors {
            let (phase, kind, hint) = crate::stats::outcome::error_at(*index);
            why.push(format!("{count} × {phase} {kind} ({hint})"));
        }
        for (name, _) in &self.snapshot.unset {
            why.push(format!("variable `{name}` was not set"));
        }
        why.extend(self.snapshot.failed_expressions.iter().map(|(text, _)| text.clone()));
        if why.is_empty() {
            why.push("an `expect` failed".to_owned());
        }
        Some(why.join(", "))
    }
}

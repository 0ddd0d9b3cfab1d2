//! The dry run of `check --once`: one user runs `setup`, each archetype and `teardown`.
//!
//! `cli` calls it; it uses the same targets, wire and engine as a run.
//! Invariant: after a failed `setup` nothing runs that needs it.

use super::error::RunError;
use super::{look_up, targets};
use crate::clock;
use crate::engine::single_user::{SingleUserRun, run_traced};
use crate::engine::{self, TraceRecorder, Variables};
use crate::event::DryRunTrace;
use crate::exit::ExitStatus;
use crate::plan::{Address, Archetype, Plan, Step};
use crate::sinks::SinkSet;
use crate::stats::delta::Halt;
use crate::stats::outcome;
use crate::wire::Wire;

/// The result of a dry run.
#[derive(Debug)]
pub struct DryRun {
    /// The trace of each iteration, in order.
    pub traces: Vec<DryRunTrace>,
    /// How the dry run ended.
    pub ending: ExitStatus,
}

/// The sums over all iterations.
#[derive(Default)]
struct DryRunTotals {
    failed: bool,
    forbidden: bool,
    answers: u64,
    unreached: u64,
}

/// Maximum iterations of one archetype.
const MAX_WALKS: usize = 32;

/// Runs each archetype of a plan, or the one named `only`. With `is_random` each runs once and
/// draws its branches at random; else as often as it takes to reach each branch.
///
/// # Errors
/// If the built-in target or TLS cannot be set up, or a service may not be reached.
pub fn dry_run(plan: &Plan, only: Option<&str>, is_random: bool) -> Result<DryRun, RunError> {
    let (addresses, _running_targets) = targets::start(plan)?;
    look_up::before_load(plan, &addresses, &mut SinkSet::default(), &|_| {})?;
    let (mut traces, mut sum) = (Vec::new(), DryRunTotals::default());
    let mut globals = Variables::default();
    let mut walk = |archetype: &Archetype, globals: &Variables| -> Result<_, RunError> {
        let recorder = TraceRecorder::new(!is_random);
        let first = traces.len();
        let (mut left, mut held) = (Variables::default(), true);
        for number in 1..=MAX_WALKS {
            let (once, mut trace) = run_archetype(plan, archetype, &addresses, globals, &recorder)?;
            held &= sum.add(&once);
            trace.number = number;
            traces.push(trace);
            left = once.variables;
            if !recorder.has_more() {
                break;
            }
        }
        if let Some(last) = traces[first..].last_mut().filter(|_| !is_random) {
            last.unreached = unreached(archetype, &recorder, held);
        }
        Ok((left, held))
    };
    let mut may_go_on = true;
    if let Some(setup) = &plan.setup {
        (globals, may_go_on) = walk(setup, &globals)?;
    }
    if may_go_on {
        let wanted = |one: &&Archetype| only.is_none_or(|name| one.name == name);
        for archetype in plan.archetypes.iter().filter(wanted) {
            walk(archetype, &globals)?;
        }
        if let Some(teardown) = &plan.teardown {
            walk(teardown, &globals)?;
        }
    }
    let ending = sum.ending();
    Ok(DryRun { traces, ending })
}

fn run_archetype(
    plan: &Plan,
    archetype: &Archetype,
    addresses: &[Address],
    globals: &Variables,
    recorder: &TraceRecorder,
) -> Result<(SingleUserRun, DryRunTrace), RunError> {
    let endpoints = engine::endpoints(plan, addresses);
    let wire = Wire::real(endpoints.map_err(|e| RunError::World("cannot set up TLS", e))?);
    let (addresses, globals) = (addresses.to_vec(), Variables::clone(globals));
    // Think times are left out: a dry run has no reader to simulate.
    let archetype = &archetype.clone().without_waits();
    clock::block_on(run_traced(plan, archetype, addresses, wire, globals, recorder))
        .map_err(|e| RunError::World("cannot start a shard", e))
}

/// The steps that no iteration reached, and why. `held` is `true` if all iterations completed.
fn unreached(archetype: &Archetype, recorder: &TraceRecorder, held: bool) -> Vec<(String, String)> {
    let names = archetype.series.iter().enumerate();
    let missed = names.filter(|(_, name)| !recorder.has_reached(name));
    missed
        .map(|(series, name)| {
            let ended =
                if held { "no iteration reached it" } else { "the iteration ended before it" };
            let why = guard(archetype, series).unwrap_or(ended);
            (name.clone(), why.to_owned())
        })
        .collect()
}

/// The innermost step that decides whether the first call of a series is made.
fn guard(archetype: &Archetype, series: usize) -> Option<&'static str> {
    let is_it = |call: usize| usize::from(archetype.calls[call].series) == series;
    let steps = &archetype.steps;
    let at = steps.iter().position(|step| match step {
        Step::Call(call) => is_it(*call),
        Step::Parallel(parallel) => parallel.branches.iter().any(|branch| is_it(branch.call)),
        _ => false,
    })?;
    let within = |from: usize, to: usize| from < at && at < to;
    steps[..at].iter().enumerate().rev().find_map(|(from, step)| match step {
        Step::If { to, .. } if within(from, *to) => {
            Some("the condition of its `if` or `while` was false")
        }
        // The steps that hold end with a jump beyond those of `else`.
        Step::If { to, .. } if *to <= at => match steps.get(to.wrapping_sub(1)) {
            Some(Step::Jump(end)) if at < *end => {
                Some("it is in an `else`, and the condition was true")
            }
            _ => None,
        },
        Step::Round { to, .. } if within(from, *to) => Some("its loop ran zero times"),
        Step::Rescue { to } if within(from, *to) => {
            Some("it is a `fallback`, and its step did not fail")
        }
        _ => None,
    })
}

impl DryRunTotals {
    /// Adds an iteration; `true` if it completed.
    fn add(&mut self, once: &SingleUserRun) -> bool {
        let snapshot = &once.snapshot;
        let mut checks = snapshot.measured.steps.iter().flatten().flat_map(|step| &step.checks);
        let went = once.failure().is_none();
        self.failed |= !went || checks.any(|[_, failed]| *failed > 0);
        self.forbidden |= matches!(once.halt, Some(Halt::Safety(_)));
        self.answers += snapshot.statuses.iter().map(|(_, count)| count).sum::<u64>();
        let unreached = snapshot.errors.iter().filter(|(index, _)| {
            let (phase, kind, _) = outcome::error_at(*index);
            ["dns", "connect", "tls"].contains(&phase) && kind != "forbidden"
        });
        self.unreached += unreached.map(|(_, count)| count).sum::<u64>();
        went
    }

    fn ending(&self) -> ExitStatus {
        match self {
            Self { forbidden: true, .. } => ExitStatus::Aborted,
            Self { answers: 0, unreached: 1.., .. } => ExitStatus::Broken,
            Self { failed: true, .. } => ExitStatus::Fail,
            _ => ExitStatus::Pass,
        }
    }
}

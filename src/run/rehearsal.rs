//! `check --once`: `setup`, each archetype and `teardown`, each walked once by one user.
//!
//! `cli` calls it; it uses the same targets, wire and engine as a run.
//! Invariant: nothing is walked that a failed `setup` was needed for.

use super::{Trouble, look_up, start_targets};
use crate::clock;
use crate::engine::once::{Once, witnessed};
use crate::engine::{self, Variables};
use crate::event::Walked;
use crate::exit::Ending;
use crate::plan::{Address, Archetype, Plan};
use crate::sinks::Audience;
use crate::stats::delta::Halt;
use crate::stats::outcome;
use crate::wire::Wire;

/// What came of it.
#[derive(Debug)]
pub struct Rehearsal {
    /// Each walk, in order.
    pub walks: Vec<Walked>,
    /// How it ended.
    pub ending: Ending,
}

/// What all walks add up to.
#[derive(Default)]
struct Sum {
    failed: bool,
    forbidden: bool,
    answers: u64,
    unreached: u64,
}

/// Walks a plan once; `only` names the one archetype to walk.
///
/// # Errors
/// When the built-in target or TLS cannot be set up, or a service may not be reached.
pub fn rehearse(plan: &Plan, only: Option<&str>) -> Result<Rehearsal, Trouble> {
    let (addresses, _targets) = start_targets(plan)?;
    look_up::before_load(plan, &addresses, &mut Audience::default(), &|_| {})?;
    let (mut walks, mut sum) = (Vec::new(), Sum::default());
    let mut globals = Variables::default();
    let mut walk = |archetype: &Archetype, globals: &Variables| -> Result<_, Trouble> {
        let (once, walked) = alone(plan, archetype, &addresses, globals)?;
        let held = sum.add(&once);
        walks.push(walked);
        Ok((once.variables, held))
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
    Ok(Rehearsal { walks, ending })
}

fn alone(
    plan: &Plan,
    archetype: &Archetype,
    addresses: &[Address],
    globals: &Variables,
) -> Result<(Once, Walked), Trouble> {
    let endpoints = engine::endpoints(plan, addresses);
    let wire = Wire::real(endpoints.map_err(|e| Trouble::World("cannot set up TLS", e))?);
    let (addresses, globals) = (addresses.to_vec(), Variables::clone(globals));
    // Nobody waits for a person who reads.
    let archetype = &archetype.clone().without_waits();
    clock::block_on(witnessed(plan, archetype, addresses, wire, globals))
        .map_err(|e| Trouble::World("cannot start a shard", e))
}

impl Sum {
    /// Adds a walk; whether it went through.
    fn add(&mut self, once: &Once) -> bool {
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

    fn ending(&self) -> Ending {
        match self {
            Self { forbidden: true, .. } => Ending::Aborted,
            Self { answers: 0, unreached: 1.., .. } => Ending::Broken,
            Self { failed: true, .. } => Ending::Fail,
            _ => Ending::Pass,
        }
    }
}

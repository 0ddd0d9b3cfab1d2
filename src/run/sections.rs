//! The scenario's `setup` and `teardown`: runs of one user.
//!
//! `execute` runs them before and after the load.
//! Invariant: `teardown` runs whenever `setup` may have begun to change the target.

use std::cell::Cell;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::agents::PendingAgents;
use super::error::RunError;
use crate::cache::CacheSet;
use crate::clock;
use crate::engine::single_user::{SingleUserRun, run_single_user as run_user};
use crate::engine::{self, Variables};
use crate::event::Interrupt;
use crate::plan::{Address, Archetype, Plan};
use crate::stats::delta::Halt;
use crate::wire::Wire;

/// Runs the scenario's `setup`; every user begins with the variables that it sets. If a signal
/// stops it, `teardown` runs, since `setup` may have begun to change the target.
pub(super) fn setup(
    plan: &Plan,
    (addresses, caches): (&[Address], &Arc<CacheSet>),
    pending: Option<&mut PendingAgents>,
    interrupts: &impl Fn(mpsc::Sender<Interrupt>),
) -> Result<Variables, RunError> {
    if let Some(done) = pending.map(PendingAgents::globals).transpose()?.flatten() {
        // A former coordinator of the run has carried it out.
        return Ok(done);
    }
    let Some(setup) = &plan.setup else { return Ok(Variables::default()) };
    let (done, stopped) =
        run_single_user(plan, setup, addresses, (Variables::default(), caches), interrupts)?;
    if let Some(interrupt) = stopped {
        teardown(plan, addresses, (done.variables, caches), interrupts);
        return Err(RunError::Interrupted(interrupt));
    }
    match (done.failure(), done.halt) {
        (_, Some(Halt::Safety(why))) => Err(RunError::Stopped(why)),
        (None, _) => Ok(done.variables),
        (Some(why), _) => Err(RunError::Setup(why)),
    }
}

/// Runs the scenario's `teardown`; returns why it failed, `None` if it did not.
pub(super) fn teardown(
    plan: &Plan,
    addresses: &[Address],
    given: (Variables, &Arc<CacheSet>),
    interrupts: &impl Fn(mpsc::Sender<Interrupt>),
) -> Option<String> {
    let teardown = plan.teardown.as_ref()?;
    match run_single_user(plan, teardown, addresses, given, interrupts) {
        Ok((_, Some(interrupt))) => Some(format!("stopped by {interrupt}")),
        Ok((done, None)) => done.failure(),
        // The run itself is over: its results are reported all the same.
        Err(trouble) => Some(trouble.to_string()),
    }
}

/// Runs one iteration of a section; also returns the signal that stopped it, if one did.
fn run_single_user(
    plan: &Plan,
    archetype: &Archetype,
    addresses: &[Address],
    given: (Variables, &Arc<CacheSet>),
    interrupts: &impl Fn(mpsc::Sender<Interrupt>),
) -> Result<(SingleUserRun, Option<Interrupt>), RunError> {
    let wire = Wire::real(
        engine::endpoints(plan, addresses).map_err(|e| RunError::World("cannot set up TLS", e))?,
    );
    let stopped = Cell::new(None);
    let user = async {
        let (sender, mut receiver) = mpsc::channel(4);
        interrupts(sender);
        let stop = async {
            match receiver.recv().await {
                Some(interrupt) => stopped.set(Some(interrupt)),
                None => std::future::pending::<()>().await,
            }
        };
        run_user(plan, archetype, addresses.to_vec(), wire, given, stop).await
    };
    let done = clock::block_on(user).map_err(|e| RunError::World("cannot start a shard", e))?;
    Ok((done, stopped.get()))
}

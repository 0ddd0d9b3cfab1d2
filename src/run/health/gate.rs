//! Health checks before and after the load: the run waits for healthy services.
//!
//! `execute` calls it.
//! Invariant: a signal ends the wait; each wait ends at its limit.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::checker::{HealthChecker, HealthWire};
use crate::clock;
use crate::event::{Interrupt, RunEvent};
use crate::run::error::RunError;
use crate::sinks::SinkSet;
use crate::stats::snapshot::Recovery;
use crate::units::show_duration;
use crate::wire::ConnectionSlot;

/// The longest time between two checks while the run waits.
const PAUSE: Duration = Duration::from_millis(250);

/// A wait longer than this is reported.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why each backend is not healthy; `None` for a healthy one.
pub(in crate::run) type HealthErrors = Vec<Option<String>>;

/// Waits before the load until all services are healthy. Returns for each backend why it is not; a
/// service is healthy enough if one of its backends is.
///
/// # Errors
/// If a service is unhealthy when its time is over, or a signal comes.
pub(in crate::run) fn before_load(
    checker: &HealthChecker,
    sinks: &mut SinkSet,
    interrupts: &impl Fn(mpsc::Sender<Interrupt>),
) -> Result<HealthErrors, RunError> {
    if checker.is_empty() {
        return Ok(Vec::new());
    }
    let begun = clock::now();
    let within = |at: usize| begun + checker.backends[at].policy.within;
    let mut is_reported = false;
    let errors = wait(checker, interrupts, |errors| {
        let failed = |at: &usize| errors[*at].is_some();
        let mut waiting = (0..errors.len()).filter(failed).filter(|at| clock::now() < within(*at));
        let Some(first) = waiting.next() else { return true };
        if !is_reported && clock::now() >= begun + PATIENCE {
            is_reported = true;
            let (name, error) = (checker.name(first), errors[first].as_deref());
            let text = format!("waiting for {name} to be healthy: {}", error.unwrap_or_default());
            sinks.publish(&RunEvent::Note(text));
        }
        false
    })?;
    for (at, backend) in checker.backends.iter().enumerate() {
        let Some(error) = &errors[at] else { continue };
        let others = checker.backends.iter().zip(&errors);
        let is_left = others
            .into_iter()
            .any(|(other, error)| other.service == backend.service && error.is_none());
        let shift = checker.shifted();
        let is_left = is_left && shift != Some(backend.service);
        let (name, within) = (checker.name(at), show_duration(backend.policy.within));
        if !is_left {
            return Err(RunError::Unhealthy(format!(
                "{name} was not healthy within {within}: {error}"
            )));
        }
        let text = format!("{name} is unhealthy ({error}); the load begins without it");
        sinks.publish(&RunEvent::Note(text));
    }
    Ok(errors)
}

/// Waits after the load until all backends are healthy, for at most `limit`.
///
/// # Errors
/// If a signal comes, or the system refuses what checks need.
pub(in crate::run) fn recovery(
    checker: &HealthChecker,
    limit: Duration,
    interrupts: &impl Fn(mpsc::Sender<Interrupt>),
) -> Result<Recovery, RunError> {
    let begun = clock::now();
    let mut is_healthy = false;
    wait(checker, interrupts, |errors| {
        is_healthy = errors.iter().all(Option::is_none);
        is_healthy || clock::now() >= begun + limit
    })?;
    let us = u64::try_from((clock::now() - begun).as_micros()).unwrap_or(u64::MAX);
    Ok(Recovery { us, is_healthy })
}

/// Checks all backends again and again until `is_over`.
fn wait(
    checker: &HealthChecker,
    interrupts: &impl Fn(mpsc::Sender<Interrupt>),
    mut is_over: impl FnMut(&HealthErrors) -> bool,
) -> Result<HealthErrors, RunError> {
    let (sender, mut signals) = mpsc::channel(4);
    interrupts(sender);
    let broken = |error| RunError::World("cannot check the health of the services", error);
    let waited = clock::block_on(async {
        let wire = checker.wire().map_err(broken)?;
        let mut slots: Vec<ConnectionSlot> =
            checker.backends.iter().map(|_| wire.new_slot()).collect();
        loop {
            let next = clock::now() + pause(checker);
            let errors = tokio::select! {
                errors = check_all(checker, &wire, &mut slots) => errors,
                Some(interrupt) = signals.recv() => return Err(RunError::Interrupted(interrupt)),
            };
            if is_over(&errors) {
                return Ok(errors);
            }
            tokio::select! {
                () = clock::sleep_until(next.max(clock::now())) => {}
                Some(interrupt) = signals.recv() => return Err(RunError::Interrupted(interrupt)),
            }
        }
    });
    waited.map_err(broken)?
}

/// The time between two checks: the shortest of all services.
fn pause(checker: &HealthChecker) -> Duration {
    checker.backends.iter().map(|one| one.policy.every).fold(PAUSE, Duration::min)
}

/// Checks all backends at once.
async fn check_all(
    checker: &HealthChecker,
    wire: &HealthWire,
    slots: &mut [ConnectionSlot],
) -> HealthErrors {
    let checks = checker.backends.iter().zip(slots);
    join_all(checks.map(|(backend, slot)| async { wire.check(backend, slot).await.err() })).await
}

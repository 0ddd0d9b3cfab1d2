//! The limits of live control: a load that the scenario could not have does not become possible
//! later.
//!
//! `control` checks each change before it is made.
//! Invariant: less load is always allowed.

use super::workload_override::{WorkloadOverride, is_open};
use crate::clock::RunOffset;
use crate::curve::Curve;
use crate::event::control::MAX_USERS;
use crate::event::{ControlError, ScheduleChange};
use crate::forecast::needs;
use crate::ids::WorkloadId;
use crate::plan::data::RowPick;
use crate::plan::safety::{TRIAL_RATE, TRIAL_USERS};
use crate::plan::{ArrivalProcess, Load, Plan, ServiceTarget, Workload};
use crate::units::Rate;

/// Checks whether the changes may be made.
///
/// # Errors
/// The limit that forbids it, where it was set, and the cure.
pub(super) fn allows(
    plan: &Plan,
    now: &[WorkloadOverride],
    changes: &[(ScheduleChange, Curve)],
) -> Result<(), ControlError> {
    let at = changes.first().map_or(RunOffset::ZERO, |(change, _)| change.at);
    // The highest level of users and rate (in its units) that is still to come.
    let (mut users, mut rate, mut more_users, mut more_rate) = (0u64, 0u64, false, false);
    for (id, (workload, asks)) in WorkloadId::number(plan.workloads.iter().zip(now)) {
        let change = changes.iter().find(|(change, _)| change.workload == id);
        let from = at.in_workload(workload.zero()).ns();
        let before = asks.curve.peak_after(from);
        let after = change.map_or(before, |(_, curve)| curve.peak_after(from));
        let (sum, more) = if is_open(&workload.load) {
            (&mut rate, &mut more_rate)
        } else {
            (&mut users, &mut more_users)
        };
        *sum = sum.saturating_add(after);
        *more |= after > before;
        if let Some((_, curve)) = change.filter(|_| after > before) {
            has_rows(plan, workload, curve, after)?;
        }
    }
    let places: u64 =
        plan.workloads.iter().filter(|load| is_open(&load.load)).map(Workload::peak_users).sum();
    let most = plan.safety.max_users.as_ref();
    if let Some((most, by)) = most.filter(|(most, _)| more_users && users + places > *most) {
        let (users, by) = (users + places, Some(by.clone()));
        return Err(ControlError::TooManyUsers { users, most: *most, by });
    }
    if more_users && users > MAX_USERS {
        return Err(ControlError::TooManyUsers { users, most: MAX_USERS, by: None });
    }
    allows_connections(plan, now, changes)?;
    let most = plan.safety.max_rate.as_ref();
    if let Some((most, by)) = most.filter(|(most, _)| more_rate && rate > most.units()) {
        let (rate, by) = (Rate::from_units(rate), Some(by.clone()));
        return Err(ControlError::TooHighRate { rate, most: *most, by });
    }
    if more_rate && rate > Rate::MAX.units() {
        let rate = Rate::from_units(rate);
        return Err(ControlError::TooHighRate { rate, most: Rate::MAX, by: None });
    }
    let beyond =
        more_users && users > TRIAL_USERS || more_rate && rate > Rate::per_s(TRIAL_RATE).units();
    let remote = plan.services.iter().filter(|service| !service.is_local());
    let mut hosts = remote.flat_map(|service| {
        let own = match &service.target {
            ServiceTarget::Url(address) => Some(&address.host),
            ServiceTarget::Builtin(_) => None,
        };
        own.into_iter().chain(service.transport.bootstrap.iter().map(|(host, _)| host))
    });
    match hosts.find(|host| beyond && plan.safety.is_trial_target(host)) {
        Some(host) => Err(ControlError::Trial { host: host.clone() }),
        None => Ok(()),
    }
}

/// Checks whether more users keep `max_connections`: where they share connections, they do.
fn allows_connections(
    plan: &Plan,
    now: &[WorkloadOverride],
    changes: &[(ScheduleChange, Curve)],
) -> Result<(), ControlError> {
    let Some(limit) = &plan.safety.ceilings.connections else { return Ok(()) };
    let at = changes.first().map_or(RunOffset::ZERO, |(change, _)| change.at);
    let (mut users, mut has_more) = (Vec::new(), false);
    for (id, (workload, asks)) in WorkloadId::number(plan.workloads.iter().zip(now)) {
        let from = at.in_workload(workload.zero()).ns();
        let before = asks.curve.peak_after(from);
        let change = changes.iter().find(|(change, _)| change.workload == id);
        let after = change.map_or(before, |(_, curve)| curve.peak_after(from));
        let is_open = is_open(&workload.load);
        has_more |= !is_open && after > before;
        users.push(if is_open { workload.peak_users() } else { after });
    }
    let connections = needs::needs(plan, &users).connections;
    if !has_more || connections <= limit.most {
        return Ok(());
    }
    let (most, by) = (limit.most, limit.origin.clone());
    Err(ControlError::TooManyConnections { connections, most, by })
}

/// Checks whether feeds with unique rows suffice for more users or starts than were planned: rows
/// are dealt before the run.
fn has_rows(
    plan: &Plan,
    workload: &Workload,
    curve: &Curve,
    peak: u64,
) -> Result<(), ControlError> {
    let planned = match &workload.load {
        Load::Closed(users) => peak <= users.curve.peak(),
        Load::Open(arrivals) => {
            arrivals.process == ArrivalProcess::Poisson
                || arrivals.iterations.is_some()
                || curve.total() <= arrivals.curve.total()
        }
    };
    let kinds = workload.shares.iter().map(|share| &plan.archetypes[share.archetype]);
    let mut draws = kinds.flat_map(|kind| &kind.data);
    match draws.find(|draw| draw.feed.pick == RowPick::Unique).filter(|_| !planned) {
        None => Ok(()),
        Some(draw) => Err(ControlError::TooFewRows {
            workload: workload.name.clone(),
            feed: draw.feed.name.clone(),
        }),
    }
}

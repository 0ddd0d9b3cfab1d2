//! What this machine is, what it gives to a run, and whether a plan fits it.
//!
//! `execute` asks before the load; `cli` shows the limits.
//! Invariant: a plan that does not fit is refused before anything is sent.

use super::error::RunError;
use crate::engine::startup::tier;
use crate::forecast::{self, MachineLimits, MachineShortage};
use crate::host;
use crate::plan::{Load, Plan, ceilings};
use crate::units::{counted, show_bytes, show_count};

/// The facts of the machine, by name.
pub fn facts() -> Vec<(String, String)> {
    let facts = host::MachineFacts::read();
    let mut all = vec![
        ("manada", env!("CARGO_PKG_VERSION").to_owned()),
        ("kernel", host::kernel()),
        ("cores", host::cores().len().to_string()),
    ];
    all.extend(facts.memory().map(|bytes| ("memory", show_bytes(bytes))));
    all.extend(facts.descriptors().map(|most| ("descriptors", show_count(most))));
    all.into_iter().map(|(name, what)| (name.to_owned(), what)).collect()
}

/// The limits of this machine, its soft limits raised, for a load on this number of processes.
pub fn limits(processes: usize) -> MachineLimits {
    let facts = host::MachineFacts::read();
    MachineLimits {
        descriptors: host::raise_descriptors().or(facts.descriptors()),
        processes: processes.max(1) as u64,
        ports: facts.ports(),
        memory: facts.memory(),
    }
}

/// The open files that a process may have, its soft limit raised.
pub fn descriptors() -> Option<u64> {
    limits(1).descriptors
}

/// Refuses a plan that cannot be divided among processes.
pub fn check_division(plan: &Plan, processes: usize) -> Result<(), RunError> {
    match tier::single_process(plan) {
        Some(why) if processes > 1 => Err(RunError::SingleProcess(why)),
        _ => Ok(()),
    }
}

/// Refuses a plan that needs more than this machine has.
pub(super) fn check(plan: &Plan, processes: usize) -> Result<(), RunError> {
    check_division(plan, processes)?;
    refuse(&forecast::certain_shortages(plan, &limits(processes)))
}

/// Refuses a plan of which this machine cannot generate the part of one of so many agents.
///
/// # Errors
/// If the part needs more than this machine has.
pub fn check_part(plan: &Plan, agents: u16) -> Result<(), RunError> {
    let needs = forecast::certain_needs(plan).on_machines(agents.into());
    refuse(&forecast::shortages(&needs, &limits(1)))
}

fn refuse(shortages: &[MachineShortage]) -> Result<(), RunError> {
    if shortages.is_empty() {
        return Ok(());
    }
    let why: Vec<String> = shortages.iter().map(ToString::to_string).collect();
    Err(RunError::TooBig(why.join("\n")))
}

/// The memory for bodies that checks and captures look at, bytes: half of the memory budget, or of
/// the free memory. The other half is for users, connections and parsed bodies.
pub fn body_budget(plan: &Plan) -> u64 {
    let given = plan.memory_budget();
    let free = host::MachineFacts::read().free_memory();
    [given, free].into_iter().flatten().min().unwrap_or(1 << 30) / 2
}

/// Remarks for the reader of the report about this run.
pub(super) fn remarks(plan: &Plan) -> Vec<String> {
    let mut remarks = Vec::new();
    if plan.has_local_target() {
        remarks.push("target and generator share this machine".to_owned());
    }
    let ceilings = plan.safety.ceilings.words();
    if !ceilings.is_empty() {
        remarks.push(format!("at most {}", ceilings.join(", ")));
    }
    if let Some(pool) = plan.policies.pools.iter().find(|pool| pool.name == ceilings::POOL) {
        remarks.push(format!(
            "users share {}, since each could open one of its own and `max_connections` is lower",
            counted(pool.connections, "connection")
        ));
    }
    for service in &plan.services {
        if service.transport.tls.insecure {
            remarks.push(format!("service {}: certificates are not verified", service.name));
        }
    }
    for load in &plan.workloads {
        if matches!(load.load, Load::Closed(_)) && plan.paced(load).contains(&false) {
            remarks.push(format!(
                "workload {} is closed: its users wait for responses, so its response times omit \
                 queueing (coordinated omission)",
                load.name
            ));
        }
    }
    remarks
}

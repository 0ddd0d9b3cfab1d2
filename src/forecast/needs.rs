//! The machine resources that a plan needs, and whether the machine has them.
//!
//! `run` checks it before the start, `cli plan` without a run.
//! Invariant: a plan is refused only for its certain needs: users of the closed model, and
//! arrivals with think time; each shortage names the limit, the number and the remedy.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use super::connections::connections;
use super::load::{InFlight, TargetAssumptions};
use super::visits::VisitAssumptions;
use crate::ids::{ServiceId, WorkloadId};
use crate::plan::ceilings::Ceiling;
use crate::plan::transport::HttpVersion;
use crate::plan::{Load, Plan, Service, ServiceTarget, Share, Workload};
use crate::units::{show_bytes, show_count};

/// File descriptors that the program needs beside its connections.
pub const OWN_DESCRIPTORS: u64 = 64;

/// Memory of the program without users, bytes: code, a shard's buffers, a few histograms, and the
/// report as it is written. Measured: the quickstart's 39 users peak at 16.6 MB resident, release
/// build.
pub const OWN_BYTES: u64 = 16 << 20;

/// A user with its task, timer and flow, bytes: 1.1 KB for the task (`engine::users::worker`), half
/// a kilobyte around it.
pub const USER_BYTES: u64 = 1_600;

/// A variable with a value, bytes: the value and a short text.
pub const VARIABLE_BYTES: u64 = 96;

/// An HTTP/1.1 connection, bytes. Measured: 10 users take 14 MB and 10,000 take 33 to 34 MB, so 2
/// KB for a user and its connection.
pub const CONNECTION_BYTES: u64 = 640;

/// Additional bytes of an HTTP/2 connection. Measured: 29 KB (ARCHITECTURE.md).
pub const HTTP2_BYTES: u64 = 29 << 10;

/// Additional bytes of a TLS connection: rustls's state, and a record of 16 KiB in each direction
/// while data flows.
pub const TLS_BYTES: u64 = 36 << 10;

/// The machine's limits. `None`: unknown, and never a reason to refuse a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineLimits {
    /// Maximum open files of a process.
    pub descriptors: Option<u64>,
    /// Processes that the load is divided among; at least one.
    pub processes: u64,
    /// Local ports for connections to one address.
    pub ports: Option<u64>,
    /// Memory for this process, bytes.
    pub memory: Option<u64>,
}

impl Default for MachineLimits {
    fn default() -> Self {
        Self { descriptors: None, processes: 1, ports: None, memory: None }
    }
}

/// The resources that a plan needs for a number of concurrent users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineNeeds {
    /// Concurrent users.
    pub users: u64,
    /// Concurrent connections.
    pub connections: u64,
    /// Open files.
    pub descriptors: u64,
    /// Connections to each address from each local address, largest first.
    pub ports: Vec<PortNeed>,
    /// Memory, bytes.
    pub memory: u64,
}

impl MachineNeeds {
    /// Returns the needs in this number of processes: the descriptors of one of them, and the
    /// memory of all. Several processes have a coordinator besides.
    #[must_use]
    pub fn in_processes(&self, processes: u64) -> Self {
        let programs = if processes > 1 { processes } else { 0 };
        Self {
            descriptors: self.connections.div_ceil(processes.max(1)) + OWN_DESCRIPTORS,
            memory: self.memory + programs * OWN_BYTES,
            ..self.clone()
        }
    }
}

impl MachineNeeds {
    /// Returns the needs of one of this number of machines among which the load is divided.
    #[must_use]
    pub fn on_machines(&self, machines: u64) -> Self {
        let part = |all: u64| all.div_ceil(machines.max(1));
        let port =
            |need: &PortNeed| PortNeed { connections: part(need.connections), ..need.clone() };
        Self {
            users: part(self.users),
            connections: part(self.connections),
            descriptors: part(self.connections) + OWN_DESCRIPTORS,
            ports: self.ports.iter().map(port).collect(),
            memory: OWN_BYTES + part(self.memory.saturating_sub(OWN_BYTES)),
        }
    }
}

/// Connections from one local address to one target address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortNeed {
    /// `host:port`.
    pub address: String,
    /// Number of connections.
    pub connections: u64,
    /// Whether the port need is certainly one address, and not a name that may have several.
    pub is_single: bool,
}

/// A resource that the machine has too little of for the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineShortage {
    /// The resource.
    pub what: &'static str,
    /// What the plan needs.
    pub needed: String,
    /// What the machine offers.
    pub limit: String,
    /// The remedy.
    pub cure: String,
}

impl fmt::Display for MachineShortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the plan needs {}, {}; {}", self.needed, self.limit, self.cure)
    }
}

/// Returns the certain needs of a plan that this machine cannot meet. A target may respond in no
/// time, so arrivals are certain to stay only for their think time, and users that share
/// connections are certain to need only one.
pub fn certain_shortages(plan: &Plan, limits: &MachineLimits) -> Vec<MachineShortage> {
    let needs = certain_needs(plan);
    let mut found = shortages(&needs, limits);
    found.extend(ceiling_shortages(plan, &needs.in_processes(limits.processes)));
    found
}

/// Returns the certain needs of a plan.
pub fn certain_needs(plan: &Plan) -> MachineNeeds {
    count(plan, &certain_users(plan), true)
}

/// Returns the limits that `needs` exceed.
pub fn shortages(needs: &MachineNeeds, limits: &MachineLimits) -> Vec<MachineShortage> {
    let mut found = Vec::new();
    let needs = needs.in_processes(limits.processes);
    let descriptors = needs.descriptors;
    if let Some(limit) = limits.descriptors.filter(|limit| descriptors > *limit) {
        found.push(MachineShortage {
            what: "descriptors",
            needed: format!("{} open files", show_count(descriptors)),
            limit: format!("a process can have {}", show_count(limit)),
            cure: format!(
                "run `ulimit -n {}` in this shell (`manada doctor` says how to raise the hard \
                 limit), divide the load among processes with `--processes`, or lower the number \
                 of users",
                descriptors.next_power_of_two()
            ),
        });
    }
    let most = needs.ports.iter().filter(|need| need.is_single).max_by_key(|need| need.connections);
    if let (Some(limit), Some(need)) = (limits.ports, most)
        && need.connections > limit
    {
        let connections = show_count(need.connections);
        found.push(MachineShortage {
            what: "ports",
            needed: format!("{connections} connections to {} at once", need.address),
            limit: format!("a local address has {} ports for them", show_count(limit)),
            cure: "widen the port range: `sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"`, \
                   or give the service several addresses in `source`"
                .to_owned(),
        });
    }
    if let Some(limit) = limits.memory.filter(|limit| needs.memory > *limit) {
        found.push(MachineShortage {
            what: "memory",
            needed: format!("{} of memory", show_bytes(needs.memory)),
            limit: format!("this machine has {}", show_bytes(limit)),
            cure: "lower the number of users, or use a larger machine".to_owned(),
        });
    }
    found
}

/// Returns the users of each workload that are certain to be concurrent.
pub fn certain_users(plan: &Plan) -> Vec<u64> {
    let instant_target = TargetAssumptions { fallback_s: 0.0, series_s: Vec::new() };
    let sure = |id: WorkloadId| match &plan.workloads[id].load {
        Load::Closed(_) => plan.workloads[id].peak_users(),
        Load::Open(arrivals) => {
            let peak = |visits| {
                InFlight::estimate(plan, id, visits, &instant_target)
                    .map_or(0.0, |flight| flight.peak)
            };
            let sure = [0.0, 1.0].map(|condition_holds| {
                peak(VisitAssumptions { condition_holds, rounds: 0.0, takes_while_rounds: false })
            });
            (sure[0].min(sure[1]).floor() as u64).min(arrivals.max_users)
        }
    };
    WorkloadId::first(plan.workloads.len()).map(sure).collect()
}

/// Returns the connections that the most users hold outside of all pools.
pub fn fixed_connections(plan: &Plan) -> u64 {
    let users: Vec<u64> = plan.workloads.iter().map(Workload::peak_users).collect();
    connections(plan, &parts(plan, &users), false, |_| 0).unpooled
}

/// Returns the users of each share of each workload.
fn parts(plan: &Plan, users: &[u64]) -> Vec<Vec<u64>> {
    let of = |(workload, users): (&Workload, &u64)| {
        let total: f64 = workload.shares.iter().map(|share| share.weight).sum();
        let part = |share: &Share| (*users as f64 * share.weight / total).round() as u64;
        workload.shares.iter().map(part).collect()
    };
    plan.workloads.iter().zip(users).map(of).collect()
}

/// Returns the ceilings of a plan that its needs exceed.
pub fn ceiling_shortages(plan: &Plan, needs: &MachineNeeds) -> Vec<MachineShortage> {
    let memory = plan.safety.ceilings.memory.as_ref().filter(|one| needs.memory > one.most);
    let shortage = |one: &Ceiling| MachineShortage {
        what: "max_memory",
        needed: format!("{} of memory", show_bytes(needs.memory)),
        limit: format!("{} allows {}", one.origin, show_bytes(one.most)),
        cure: "lower the number of users, or raise `max_memory` there".to_owned(),
    };
    memory.map(shortage).into_iter().collect()
}

/// Returns what a plan needs with these concurrent users of each workload, if all their calls
/// overlap.
pub fn needs(plan: &Plan, users: &[u64]) -> MachineNeeds {
    count(plan, users, false)
}

fn count(plan: &Plan, users: &[u64], only_certain: bool) -> MachineNeeds {
    let mut needs =
        MachineNeeds { users: users.iter().sum(), memory: OWN_BYTES, ..MachineNeeds::default() };
    let parts = parts(plan, users);
    for (workload, parts) in plan.workloads.iter().zip(&parts) {
        for (share, part) in workload.shares.iter().zip(parts) {
            let variables = plan.archetypes[share.archetype].variables.len() as u64;
            needs.memory += part * (USER_BYTES + variables * VARIABLE_BYTES);
        }
    }
    let bytes_of = |service: ServiceId| connection_bytes(&plan.services[service]);
    let found = connections(plan, &parts, only_certain, bytes_of);
    needs.connections = found.total;
    needs.memory += found.bytes;
    needs.descriptors = needs.connections + OWN_DESCRIPTORS;
    let mut ports: BTreeMap<String, PortNeed> = BTreeMap::new();
    for (service, connections) in found.to {
        let service = &plan.services[service];
        let Some((address, is_single)) = address(service) else { continue };
        let sources = service.transport.sources.len().max(1) as u64;
        let need = PortNeed { address: address.clone(), connections: 0, is_single };
        ports.entry(address).or_insert(need).connections += connections.div_ceil(sources);
    }
    needs.ports = ports.into_values().collect();
    needs.ports.sort_by_key(|need| std::cmp::Reverse(need.connections));
    needs
}

fn connection_bytes(service: &Service) -> u64 {
    let tls = matches!(&service.target, ServiceTarget::Url(address) if address.tls);
    let tls_bytes = if tls { TLS_BYTES } else { 0 };
    let http2 = service.transport.version == HttpVersion::Http2;
    CONNECTION_BYTES + tls_bytes + if http2 { HTTP2_BYTES } else { 0 }
}

/// Returns the address of a service's connections as the kernel sees it, and whether it is
/// certainly one address; `None` if they take no port.
fn address(service: &Service) -> Option<(String, bool)> {
    if service.transport.unix.is_some() {
        return None;
    }
    let (host, port) =
        match (&service.transport.proxy, &service.transport.connect_to, &service.target) {
            (Some(proxy), _, _) => (proxy.host.as_str(), proxy.port),
            (None, Some((host, port)), _) => (host.as_str(), *port),
            (None, None, ServiceTarget::Url(address)) => (address.host.as_str(), address.port),
            (None, None, ServiceTarget::Builtin(_)) => {
                return Some((format!("`{}`", service.name), true));
            }
        };
    let is_single = service.transport.bootstrap.is_empty()
        && (host == "localhost" || host.parse::<IpAddr>().is_ok());
    Some((format!("{host}:{port}"), is_single))
}

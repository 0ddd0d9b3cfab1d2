//! What a plan needs of the machine, and whether the machine has it.
//!
//! `run` refuses with it before it begins, `cli plan` before anybody runs.
//! Invariant: a plan is refused only for what it surely needs: users of the closed model, and
//! arrivals that think; each refusal names the limit, the number and the cure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use super::connections::connections;
use super::load::{Assumptions, InFlight};
use super::visits::VisitAssumptions;
use crate::plan::transport::HttpVersion;
use crate::plan::{Load, Plan, Service, ServiceTarget, Share};
use crate::units::{show_bytes, show_count};

/// Descriptors the program needs beside its connections.
pub const OWN_DESCRIPTORS: u64 = 64;

/// Memory of the program without users: code, a shard's buffers, a few histograms, and the report
/// as it is written. Measured: the quickstart's 39 users peak at 16.6 MB resident, release build.
pub const OWN_BYTES: u64 = 16 << 20;

/// A user with its task, timer and flow: 1.5 KB for the task (`engine::seat`), 1 KB around it.
pub const USER_BYTES: u64 = 2_560;

/// A variable that is set: a value and a short text.
pub const VARIABLE_BYTES: u64 = 96;

/// A connection of HTTP/1.1. Measured: 3,000 users take 22 MB (ARCHITECTURE.md), so 5 KB for a user
/// and its connection, and half of that is the user's.
pub const CONNECTION_BYTES: u64 = 2_560;

/// What HTTP/2 adds to a connection. Measured: 29 KB (ARCHITECTURE.md).
pub const HTTP2_BYTES: u64 = 29 << 10;

/// What TLS adds to a connection: rustls's state, and a record of 16 KiB each way while it speaks.
pub const TLS_BYTES: u64 = 36 << 10;

/// What the machine gives; `None` is not known, and nothing is refused for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineLimits {
    /// Open files of this process, at most.
    pub descriptors: Option<u64>,
    /// Local ports for connections to one address.
    pub ports: Option<u64>,
    /// Memory for this process, bytes.
    pub memory: Option<u64>,
}

/// What a plan takes with so many users at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineNeeds {
    /// Users at once.
    pub users: u64,
    /// Their connections.
    pub connections: u64,
    /// Open files.
    pub descriptors: u64,
    /// Connections to each address from each local address, the most first.
    pub ports: Vec<PortNeed>,
    /// Bytes.
    pub memory: u64,
}

/// Connections from one local address to one address of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortNeed {
    /// `host:port`.
    pub address: String,
    /// How many.
    pub connections: u64,
    /// Whether it surely is one address, and no name that may stand for several.
    pub single: bool,
}

/// Why a plan cannot be carried out here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineShortage {
    /// What there is too little of.
    pub what: &'static str,
    /// What the plan needs.
    pub needed: String,
    /// What this machine gives.
    pub limit: String,
    /// How to mend it.
    pub cure: String,
}

impl fmt::Display for MachineShortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the plan needs {}, {}; {}", self.needed, self.limit, self.cure)
    }
}

/// Everything the plan surely needs and this machine does not have. A target may answer in no time,
/// so arrivals surely stay no longer than they think, and those who share connections need one.
pub fn refuse(plan: &Plan, limits: &MachineLimits) -> Vec<MachineShortage> {
    short_of(&count(plan, &least(plan), true), limits)
}

/// What so much need is too much for.
pub fn short_of(needs: &MachineNeeds, limits: &MachineLimits) -> Vec<MachineShortage> {
    let mut found = Vec::new();
    if let Some(limit) = limits.descriptors.filter(|limit| needs.descriptors > *limit) {
        found.push(MachineShortage {
            what: "descriptors",
            needed: format!("{} open files", show_count(needs.descriptors)),
            limit: format!("this process may have {}", show_count(limit)),
            cure: format!(
                "`ulimit -n {}` in this shell (the hard limit may have to be raised first: \
                 `manada doctor`), or lower the number of users",
                needs.descriptors.next_power_of_two()
            ),
        });
    }
    let most = needs.ports.iter().filter(|need| need.single).max_by_key(|need| need.connections);
    if let (Some(limit), Some(need)) = (limits.ports, most)
        && need.connections > limit
    {
        let connections = show_count(need.connections);
        found.push(MachineShortage {
            what: "ports",
            needed: format!("{connections} connections to {} at once", need.address),
            limit: format!("each local address has {} ports for them", show_count(limit)),
            cure: "widen the range: `sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"`, or \
                   give the service several addresses in `source`"
                .to_owned(),
        });
    }
    if let Some(limit) = limits.memory.filter(|limit| needs.memory > *limit) {
        found.push(MachineShortage {
            what: "memory",
            needed: format!("{} of memory", show_bytes(needs.memory)),
            limit: format!("this machine gives {}", show_bytes(limit)),
            cure: "lower the number of users, or use a larger machine".to_owned(),
        });
    }
    found
}

/// The users of each workload that are surely there at once.
pub fn least(plan: &Plan) -> Vec<u64> {
    let at_once = Assumptions { fallback_s: 0.0, series_s: Vec::new() };
    let sure = |index: usize| match &plan.workloads[index].load {
        Load::Closed(_) => plan.workloads[index].peak_users(),
        Load::Open(arrivals) => {
            let peak = |view| InFlight::of(plan, index, view, &at_once).map_or(0.0, |of| of.peak);
            let sure = [0.0, 1.0]
                .map(|chance| peak(VisitAssumptions { chance, rounds: 0.0, whole: false }));
            (sure[0].min(sure[1]).floor() as u64).min(arrivals.max_users)
        }
    };
    (0..plan.workloads.len()).map(sure).collect()
}

/// What a plan needs with so many users of each workload at once, if all their calls overlap.
pub fn needs(plan: &Plan, users: &[u64]) -> MachineNeeds {
    count(plan, users, false)
}

fn count(plan: &Plan, users: &[u64], surely: bool) -> MachineNeeds {
    let mut needs =
        MachineNeeds { users: users.iter().sum(), memory: OWN_BYTES, ..MachineNeeds::default() };
    let mut parts: Vec<Vec<u64>> = Vec::new();
    for (workload, users) in plan.workloads.iter().zip(users) {
        let total: f64 = workload.shares.iter().map(|share| share.weight).sum();
        let part = |share: &Share| {
            let part = (*users as f64 * share.weight / total).round() as u64;
            let variables = plan.archetypes[share.archetype].variables.len() as u64;
            needs.memory += part * (USER_BYTES + variables * VARIABLE_BYTES);
            part
        };
        parts.push(workload.shares.iter().map(part).collect());
    }
    let bytes_of = |service: usize| connection_bytes(&plan.services[service]);
    let found = connections(plan, &parts, surely, bytes_of);
    needs.connections = found.total;
    needs.memory += found.bytes;
    needs.descriptors = needs.connections + OWN_DESCRIPTORS;
    let mut ports: BTreeMap<String, PortNeed> = BTreeMap::new();
    for (service, connections) in found.to {
        let service = &plan.services[service];
        let Some((address, single)) = address(service) else { continue };
        let sources = service.transport.sources.len().max(1) as u64;
        let of = PortNeed { address: address.clone(), connections: 0, single };
        ports.entry(address).or_insert(of).connections += connections.div_ceil(sources);
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

/// Where its connections go, as the kernel sees it; `None` where they take no port.
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
    let single = host == "localhost" || host.parse::<IpAddr>().is_ok();
    Some((format!("{host}:{port}"), single))
}

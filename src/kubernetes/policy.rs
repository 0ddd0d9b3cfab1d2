//! Policies of the network: what agents and their Redis may connect to.
//!
//! `run` calls it.
//! Invariant: nothing connects to an agent; an agent connects only to DNS, the bus and its targets.

use super::job::AGENT;
use super::names::{Destination, DestinationHost};
use super::objects::{
    AnyObject, ApiObject, EgressRule, IngressRule, IpBlock, LabelSelector, NetworkPolicySpec,
    PolicyPeer, PolicyPort, Texts,
};
use super::redis::REDIS;
use super::run::ClusterRun;

/// The address of the cache of DNS that many clusters have on each node (NodeLocal DNSCache).
const NODE_LOCAL_DNS: &str = "169.254.20.10/32";

/// The policy of the agents.
pub(super) fn of_agents(run: &ClusterRun) -> AnyObject {
    let bus = &run.bus.destination;
    let mut egress = vec![dns()];
    egress.push(if run.with_redis {
        EgressRule { to: vec![pods(run.labels(REDIS))], ports: vec![tcp(bus.port)] }
    } else {
        to(bus)
    });
    egress.extend(run.targets.iter().map(to));
    let spec = NetworkPolicySpec {
        pod_selector: LabelSelector { match_labels: run.labels(AGENT) },
        policy_types: vec!["Ingress", "Egress"],
        ingress: Vec::new(),
        egress,
    };
    policy(run, AGENT, spec)
}

/// The policy of the Redis of a run: the agents, and the coordinator if it runs in the namespace.
pub(super) fn of_redis(run: &ClusterRun) -> AnyObject {
    let from = [AGENT, "coordinator"].map(|part| pods(run.labels(part))).to_vec();
    let spec = NetworkPolicySpec {
        pod_selector: LabelSelector { match_labels: run.labels(REDIS) },
        policy_types: vec!["Ingress", "Egress"],
        ingress: vec![IngressRule { from, ports: vec![tcp(run.bus.destination.port)] }],
        egress: Vec::new(),
    };
    policy(run, REDIS, spec)
}

fn policy(run: &ClusterRun, part: &str, spec: NetworkPolicySpec) -> AnyObject {
    let metadata = run.metadata(format!("{}-{part}", run.name()), part);
    let (api_version, kind) = ("networking.k8s.io/v1", "NetworkPolicy");
    AnyObject::NetworkPolicy(ApiObject { api_version, kind, metadata, spec })
}

fn dns() -> EgressRule {
    let labels =
        |name, value: &str| LabelSelector { match_labels: Texts::from([(name, value.to_owned())]) };
    let servers = PolicyPeer {
        namespace_selector: Some(labels("kubernetes.io/metadata.name", "kube-system")),
        pod_selector: Some(labels("k8s-app", "kube-dns")),
        ip_block: None,
    };
    let cache = block(NODE_LOCAL_DNS.to_owned());
    let ports = ["UDP", "TCP"].map(|protocol| PolicyPort { protocol, port: 53 });
    EgressRule { to: vec![servers, cache], ports: ports.into() }
}

/// A policy cannot contain names: the port of a name is open to every address.
fn to(destination: &Destination) -> EgressRule {
    let to = match destination.host {
        DestinationHost::Name(_) => Vec::new(),
        DestinationHost::Network(address, prefix) => vec![block(format!("{address}/{prefix}"))],
    };
    EgressRule { to, ports: vec![tcp(destination.port)] }
}

fn pods(labels: Texts) -> PolicyPeer {
    PolicyPeer {
        pod_selector: Some(LabelSelector { match_labels: labels }),
        ..PolicyPeer::default()
    }
}

fn block(cidr: String) -> PolicyPeer {
    PolicyPeer { ip_block: Some(IpBlock { cidr }), ..PolicyPeer::default() }
}

fn tcp(port: u16) -> PolicyPort {
    PolicyPort { protocol: "TCP", port }
}

//! A Redis for one run, which is thrown away with it.
//!
//! `run` calls it for `--with-redis`.
//! Invariant: it is encrypted, asks for certificates and a password, and stores nothing.

use super::error::ClusterRefusal;
use super::job::{container_security, empty, from_secret, of_secret, pod_security, resources};
use super::names::DestinationHost;
use super::objects::{
    AnyObject, ApiObject, ClusterServicePort, ClusterServiceSpec, ContainerPort, DeploymentSpec,
    DeploymentStrategy, LabelSelector, ObjectMeta, PodContainer, PodSpec, PodTemplate, ProbedPort,
    ReadinessProbe, VolumeMount,
};
use super::run::ClusterRun;

/// The part of the run.
pub(super) const REDIS: &str = "redis";

/// The image: the major version that the bus needs, at least.
const IMAGE: &str = "redis:7.4-alpine";

/// The variable that the server's arguments contain.
const PASSWORD: &str = "REDIS_PASSWORD";

/// The name of the port.
const PORT: &str = "redis";

/// Makes the Service. Its name is the first part of the host of the bus.
///
/// # Errors
/// If the bus is no Service of the run's namespace.
pub(super) fn service(run: &ClusterRun) -> Result<AnyObject, ClusterRefusal> {
    let ports =
        vec![ClusterServicePort { name: PORT, port: run.bus.destination.port, target_port: PORT }];
    let spec = ClusterServiceSpec { selector: run.labels(REDIS), ports };
    let metadata = run.metadata(host(run)?, REDIS);
    Ok(AnyObject::Service(ApiObject { api_version: "v1", kind: "Service", metadata, spec }))
}

/// Makes the Deployment.
///
/// # Errors
/// If the run does not name the Secrets.
pub(super) fn deployment(run: &ClusterRun) -> Result<AnyObject, ClusterRefusal> {
    let bus_secret = run.bus_secret.as_ref().ok_or(ClusterRefusal::RedisNeeds("--bus-secret"))?;
    let tls_secret = run.tls_secret.as_ref().ok_or(ClusterRefusal::RedisNeeds("--tls-secret"))?;
    let port = run.bus.destination.port;
    let container = PodContainer {
        name: REDIS,
        image: IMAGE.to_owned(),
        image_pull_policy: "IfNotPresent",
        args: arguments(port),
        env: vec![from_secret(PASSWORD, bus_secret.as_str(), "password")],
        ports: vec![ContainerPort { name: PORT, container_port: port }],
        resources: resources("1", "1Gi"),
        security_context: container_security(),
        readiness_probe: Some(ReadinessProbe {
            tcp_socket: ProbedPort { port: PORT },
            period_seconds: 2,
        }),
        volume_mounts: vec![
            VolumeMount { name: "data", mount_path: "/data", read_only: false },
            VolumeMount { name: "tls", mount_path: "/tls", read_only: true },
        ],
    };
    let labels = run.labels(REDIS);
    let spec = DeploymentSpec {
        replicas: 1,
        // Never two at once: agents would find two states.
        strategy: DeploymentStrategy { kind: "Recreate" },
        selector: LabelSelector { match_labels: labels.clone() },
        template: PodTemplate {
            metadata: ObjectMeta { name: None, namespace: None, labels },
            spec: PodSpec {
                restart_policy: "Always",
                automount_service_account_token: false,
                enable_service_links: false,
                termination_grace_period_seconds: 10,
                security_context: pod_security(Vec::new()),
                topology_spread_constraints: Vec::new(),
                containers: vec![container],
                volumes: vec![empty("data", "64Mi"), of_secret("tls", tls_secret.as_str())],
            },
        },
    };
    let metadata = run.metadata(format!("{}-{REDIS}", run.name()), REDIS);
    let (api_version, kind) = ("apps/v1", "Deployment");
    Ok(AnyObject::Deployment(Box::new(ApiObject { api_version, kind, metadata, spec })))
}

/// The arguments of the server. Kubernetes replaces `$(REDIS_PASSWORD)`, so that the password is in
/// no object.
fn arguments(port: u16) -> Vec<String> {
    let port = port.to_string();
    let arguments = [
        ("--port", "0"),
        ("--tls-port", &port),
        ("--tls-cert-file", "/tls/tls.crt"),
        ("--tls-key-file", "/tls/tls.key"),
        ("--tls-ca-cert-file", "/tls/ca.crt"),
        ("--tls-auth-clients", "yes"),
        ("--requirepass", "$(REDIS_PASSWORD)"),
        ("--dir", "/data"),
        ("--save", ""),
        ("--appendonly", "no"),
        ("--maxmemory", "768mb"),
        ("--maxmemory-policy", "noeviction"),
    ];
    arguments.into_iter().flat_map(|(name, value)| [name, value].map(str::to_owned)).collect()
}

/// The name of the Service: the first part of the host.
fn host(run: &ClusterRun) -> Result<String, ClusterRefusal> {
    let elsewhere = |why| ClusterRefusal::RedisElsewhere(run.bus.url.clone(), why);
    let DestinationHost::Name(name) = &run.bus.destination.host else {
        return Err(elsewhere("an address"));
    };
    let is_default = run.bus.user.as_ref().is_none_or(|user| user == "default");
    if !is_default {
        return Err(elsewhere("for a user that it would not have"));
    }
    let (service, rest) = name.split_once('.').unwrap_or((name, ""));
    // Unlike other names, that of a Service begins with a letter (RFC 1035).
    if !service.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(elsewhere("no name of a Service, which begins with a letter"));
    }
    let mut parts = rest.split('.');
    let namespace = parts.next().filter(|part| !part.is_empty());
    let is_same = match (namespace, &run.namespace) {
        (None, _) => true,
        (Some(named), Some(own)) => named == own.as_str(),
        // `kubectl` chooses the namespace, which may be another one.
        (Some(_), None) => false,
    };
    let domain: Vec<&str> = parts.collect();
    let is_cluster = ["", "svc", "svc.cluster.local"].contains(&domain.join(".").as_str());
    if is_same && is_cluster {
        Ok(service.to_owned())
    } else {
        Err(elsewhere("outside `--namespace`"))
    }
}

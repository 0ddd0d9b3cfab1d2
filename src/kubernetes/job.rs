//! The Job of the agents: one pod for each ordinal.
//!
//! `run` calls it.
//! Invariant: never two pods of one ordinal at once, and none that runs as root, writes to its
//! image, or has a token of the cluster.

use super::objects::{
    AnyObject, ApiObject, ContainerSecurity, DroppedCapabilities, EmptyFolder, JobSpec,
    LabelSelector, NamedValue, ObjectMeta, OnExitCodes, PodCondition, PodContainer,
    PodFailurePolicy, PodFailureRule, PodResources, PodSecurity, PodSpec, PodTemplate, PodVariable,
    PodVolume, SeccompProfile, SecretKeyReference, SecretVolume, SpreadConstraint, Texts,
    VariableSource, VolumeMount,
};
use super::run::{ClusterRun, PASSWORD};
use crate::exit::ExitStatus;

/// The part of the run.
pub(super) const AGENT: &str = "agent";

/// Starts of a pod of one ordinal after it failed.
const RESTARTS: u32 = 3;

/// How long a finished Job stays, so that its logs can be read, seconds.
const KEPT: u64 = 3_600;

/// How long an agent has to end its work and send the rest, seconds.
const GRACE: u64 = 45;

/// User and group of all containers: `nonroot` of images without a distribution.
const USER: u32 = 65_532;

/// The folder of what agents measured.
const JOURNAL: &str = "/journal";

/// The folder of certificates for the bus.
const TLS: &str = "/tls";

/// The folder of private keys and client certificates of the scenario.
const KEYS: &str = "/keys";

/// Makes the Job.
pub(super) fn job(run: &ClusterRun) -> AnyObject {
    let labels = run.labels(AGENT);
    let spec = JobSpec {
        completion_mode: "Indexed",
        completions: run.agents,
        parallelism: run.agents,
        backoff_limit_per_index: RESTARTS,
        // The run goes on without a lost agent: only when all are lost the Job has failed.
        max_failed_indexes: run.agents - 1,
        // Not before the former pod has ended: an ordinal has one agent.
        pod_replacement_policy: "Failed",
        pod_failure_policy: failure_policy(),
        active_deadline_seconds: run.deadline.as_secs().max(1),
        ttl_seconds_after_finished: KEPT,
        template: PodTemplate {
            metadata: ObjectMeta { name: None, namespace: None, labels: labels.clone() },
            spec: PodSpec {
                restart_policy: "Never",
                automount_service_account_token: false,
                enable_service_links: false,
                termination_grace_period_seconds: GRACE,
                security_context: pod_security(vec![NamedValue {
                    name: "net.ipv4.ip_local_port_range",
                    value: "1024 65535",
                }]),
                topology_spread_constraints: vec![SpreadConstraint {
                    max_skew: 1,
                    topology_key: "kubernetes.io/hostname",
                    when_unsatisfiable: "ScheduleAnyway",
                    label_selector: LabelSelector { match_labels: labels },
                }],
                containers: vec![container(run)],
                volumes: volumes(run),
            },
        },
    };
    let metadata = run.metadata(run.name(), AGENT);
    AnyObject::Job(Box::new(ApiObject { api_version: "batch/v1", kind: "Job", metadata, spec }))
}

/// A refused agent is refused again; one whose machine is drained has not failed.
fn failure_policy() -> PodFailurePolicy {
    let refused = PodFailureRule {
        action: "FailIndex",
        on_exit_codes: Some(OnExitCodes {
            container_name: AGENT,
            operator: "In",
            values: vec![ExitStatus::Usage.code(), ExitStatus::Scenario.code()],
        }),
        on_pod_conditions: Vec::new(),
    };
    let evicted = PodFailureRule {
        action: "Ignore",
        on_exit_codes: None,
        on_pod_conditions: vec![PodCondition { kind: "DisruptionTarget", status: "True" }],
    };
    PodFailurePolicy { rules: vec![refused, evicted] }
}

fn container(run: &ClusterRun) -> PodContainer {
    let variables = run.variables.iter();
    let mut env =
        vec![PodVariable { name: "TMPDIR".to_owned(), value: Some("/tmp"), value_from: None }];
    env.extend(
        run.bus_secret.iter().map(|secret| from_secret(PASSWORD, secret.as_str(), "password")),
    );
    env.extend(variables.map(|one| from_secret(&one.name, one.secret.as_str(), &one.key)));
    let mut volume_mounts = vec![
        VolumeMount { name: "journal", mount_path: JOURNAL, read_only: false },
        VolumeMount { name: "tmp", mount_path: "/tmp", read_only: false },
    ];
    if run.tls_secret.is_some() {
        volume_mounts.push(VolumeMount { name: "tls", mount_path: TLS, read_only: true });
    }
    if run.keys_secret.is_some() {
        volume_mounts.push(VolumeMount { name: "keys", mount_path: KEYS, read_only: true });
    }
    PodContainer {
        name: AGENT,
        image: run.image.to_string(),
        image_pull_policy: "IfNotPresent",
        args: agent_words(run),
        env,
        ports: Vec::new(),
        // No limit of CPU: the kernel would stop the agent for parts of each 100 ms, which delays
        // what it sends and what it measures.
        resources: resources(run.cpu.as_str(), run.memory.as_str()),
        security_context: container_security(),
        readiness_probe: None,
        volume_mounts,
    }
}

/// The command line of an agent. It finds its ordinal in `JOB_COMPLETION_INDEX`.
pub fn agent_words(run: &ClusterRun) -> Vec<String> {
    let mut words: Vec<String> =
        ["agent", "--bus", &run.bus.url, "--run", run.run.as_str(), "--journal", JOURNAL]
            .map(str::to_owned)
            .into();
    if run.tls_secret.is_some() {
        let files = [("--bus-ca", "ca.crt"), ("--bus-cert", "tls.crt"), ("--bus-key", "tls.key")];
        words.extend(
            files.into_iter().flat_map(|(flag, file)| [flag.to_owned(), format!("{TLS}/{file}")]),
        );
    }
    if run.keys_secret.is_some() {
        words.extend(["--own-files", KEYS].map(str::to_owned));
    }
    words.extend(run.targets.iter().flat_map(|one| ["--allow".to_owned(), one.text.clone()]));
    words
}

fn volumes(run: &ClusterRun) -> Vec<PodVolume> {
    let mut volumes = vec![empty("journal", "2Gi"), empty("tmp", "1Gi")];
    volumes.extend(run.tls_secret.iter().map(|secret| of_secret("tls", secret.as_str())));
    volumes.extend(run.keys_secret.iter().map(|secret| of_secret("keys", secret.as_str())));
    volumes
}

/// A variable from a key of a Secret.
pub(super) fn from_secret(name: &str, secret: &str, key: &str) -> PodVariable {
    let secret_key_ref = SecretKeyReference { name: secret.to_owned(), key: key.to_owned() };
    let value_from = Some(VariableSource { secret_key_ref });
    PodVariable { name: name.to_owned(), value: None, value_from }
}

/// A folder that is gone with its pod.
pub(super) fn empty(name: &'static str, size_limit: &'static str) -> PodVolume {
    PodVolume { name, empty_dir: Some(EmptyFolder { size_limit }), secret: None }
}

/// A folder with the keys of a Secret as files, which only the group of the pod can read.
pub(super) fn of_secret(name: &'static str, secret: &str) -> PodVolume {
    let secret = SecretVolume { secret_name: secret.to_owned(), default_mode: 0o440 };
    PodVolume { name, empty_dir: None, secret: Some(secret) }
}

/// What a container asks for; it may not use more memory.
pub(super) fn resources(cpu: &str, memory: &str) -> PodResources {
    PodResources {
        requests: Texts::from([("cpu", cpu.to_string()), ("memory", memory.to_string())]),
        limits: Texts::from([("memory", memory.to_string())]),
    }
}

/// The rights of a pod.
pub(super) fn pod_security(sysctls: Vec<NamedValue>) -> PodSecurity {
    PodSecurity {
        run_as_non_root: true,
        run_as_user: USER,
        run_as_group: USER,
        fs_group: USER,
        seccomp_profile: SeccompProfile { kind: "RuntimeDefault" },
        sysctls,
    }
}

/// The rights of a container.
pub(super) fn container_security() -> ContainerSecurity {
    ContainerSecurity {
        allow_privilege_escalation: false,
        read_only_root_filesystem: true,
        capabilities: DroppedCapabilities { drop: ["ALL"] },
    }
}

//! The parts of the API of Kubernetes that a run uses, as types.
//!
//! `job`, `policy` and `redis` fill them in; the field names are those of the API.
//! Invariant: a field that is not set is left out, never written as null.

use std::collections::BTreeMap;

use serde::Serialize;

/// Labels, and quantities by resource.
pub(super) type Texts = BTreeMap<&'static str, String>;

/// An object of the API.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiObject<S> {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub metadata: ObjectMeta,
    pub spec: S,
}

/// Each kind of object that a run has.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum AnyObject {
    Job(Box<ApiObject<JobSpec>>),
    NetworkPolicy(ApiObject<NetworkPolicySpec>),
    Deployment(Box<ApiObject<DeploymentSpec>>),
    Service(ApiObject<ClusterServiceSpec>),
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct ObjectMeta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub labels: Texts,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct JobSpec {
    pub completion_mode: &'static str,
    pub completions: u32,
    pub parallelism: u32,
    pub backoff_limit_per_index: u32,
    pub max_failed_indexes: u32,
    pub pod_replacement_policy: &'static str,
    pub pod_failure_policy: PodFailurePolicy,
    pub active_deadline_seconds: u64,
    pub ttl_seconds_after_finished: u64,
    pub template: PodTemplate,
}

#[derive(Debug, Serialize)]
pub(super) struct PodFailurePolicy {
    pub rules: Vec<PodFailureRule>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodFailureRule {
    pub action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_exit_codes: Option<OnExitCodes>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_pod_conditions: Vec<PodCondition>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OnExitCodes {
    pub container_name: &'static str,
    pub operator: &'static str,
    pub values: Vec<u8>,
}

#[derive(Debug, Serialize)]
pub(super) struct PodCondition {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub status: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct PodTemplate {
    pub metadata: ObjectMeta,
    pub spec: PodSpec,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub restart_policy: &'static str,
    pub automount_service_account_token: bool,
    pub enable_service_links: bool,
    pub termination_grace_period_seconds: u64,
    pub security_context: PodSecurity,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<SpreadConstraint>,
    pub containers: Vec<PodContainer>,
    pub volumes: Vec<PodVolume>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSecurity {
    pub run_as_non_root: bool,
    pub run_as_user: u32,
    pub run_as_group: u32,
    pub fs_group: u32,
    pub seccomp_profile: SeccompProfile,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sysctls: Vec<NamedValue>,
}

#[derive(Debug, Serialize)]
pub(super) struct SeccompProfile {
    #[serde(rename = "type")]
    pub kind: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct NamedValue {
    pub name: &'static str,
    pub value: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SpreadConstraint {
    pub max_skew: u32,
    pub topology_key: &'static str,
    pub when_unsatisfiable: &'static str,
    pub label_selector: LabelSelector,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LabelSelector {
    pub match_labels: Texts,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodContainer {
    pub name: &'static str,
    pub image: String,
    pub image_pull_policy: &'static str,
    pub args: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<PodVariable>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ContainerPort>,
    pub resources: PodResources,
    pub security_context: ContainerSecurity,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<ReadinessProbe>,
    pub volume_mounts: Vec<VolumeMount>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodVariable {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<VariableSource>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VariableSource {
    pub secret_key_ref: SecretKeyReference,
}

#[derive(Debug, Serialize)]
pub(super) struct SecretKeyReference {
    pub name: String,
    pub key: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerPort {
    pub name: &'static str,
    pub container_port: u16,
}

#[derive(Debug, Serialize)]
pub(super) struct PodResources {
    pub requests: Texts,
    pub limits: Texts,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerSecurity {
    pub allow_privilege_escalation: bool,
    pub read_only_root_filesystem: bool,
    pub capabilities: DroppedCapabilities,
}

#[derive(Debug, Serialize)]
pub(super) struct DroppedCapabilities {
    pub drop: [&'static str; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReadinessProbe {
    pub tcp_socket: ProbedPort,
    pub period_seconds: u32,
}

#[derive(Debug, Serialize)]
pub(super) struct ProbedPort {
    pub port: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VolumeMount {
    pub name: &'static str,
    pub mount_path: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodVolume {
    pub name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyFolder>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolume>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EmptyFolder {
    pub size_limit: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecretVolume {
    pub secret_name: String,
    pub default_mode: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NetworkPolicySpec {
    pub pod_selector: LabelSelector,
    pub policy_types: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<IngressRule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<EgressRule>,
}

#[derive(Debug, Serialize)]
pub(super) struct IngressRule {
    pub from: Vec<PolicyPeer>,
    pub ports: Vec<PolicyPort>,
}

#[derive(Debug, Serialize)]
pub(super) struct EgressRule {
    /// Without peers: every address.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<PolicyPeer>,
    pub ports: Vec<PolicyPort>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyPeer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_block: Option<IpBlock>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct IpBlock {
    pub cidr: String,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct PolicyPort {
    pub protocol: &'static str,
    pub port: u16,
}

#[derive(Debug, Serialize)]
pub(super) struct DeploymentSpec {
    pub replicas: u32,
    pub strategy: DeploymentStrategy,
    pub selector: LabelSelector,
    pub template: PodTemplate,
}

#[derive(Debug, Serialize)]
pub(super) struct DeploymentStrategy {
    #[serde(rename = "type")]
    pub kind: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct ClusterServiceSpec {
    pub selector: Texts,
    pub ports: Vec<ClusterServicePort>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClusterServicePort {
    pub name: &'static str,
    pub port: u16,
    pub target_port: &'static str,
}

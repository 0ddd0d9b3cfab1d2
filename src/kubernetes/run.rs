//! What a run needs in a cluster.
//!
//! `cli` fills in a [`ClusterRun`]; `job`, `policy` and `redis` read it.
//! Invariant: all objects of a part of a run have the same labels, by which policies select them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::error::ClusterRefusal;
use super::names::{
    BusLocation, ClusterName, Destination, DestinationHost, ImageReference, ResourceQuantity,
    SecretVariable,
};
use super::objects::{ObjectMeta, Texts};

/// The longest host name; that of a pod of a Job is its name and its index.
const MAX_HOST: usize = 63;

/// The variable with the password of the bus; agents read it.
pub(super) const PASSWORD: &str = "MANADA_BUS_PASSWORD";

/// What is to run in a cluster.
#[derive(Clone, Debug)]
pub struct ClusterRun {
    /// Number of agents, at least one.
    pub agents: u32,
    /// The bus.
    pub bus: BusLocation,
    /// The id of the run.
    pub run: ClusterName,
    /// The image of Manada.
    pub image: ImageReference,
    /// The namespace; `None`: that of `kubectl`.
    pub namespace: Option<ClusterName>,
    /// The Secret with the password of the bus.
    pub bus_secret: Option<ClusterName>,
    /// The Secret with `ca.crt`, `tls.crt` and `tls.key` for the bus.
    pub tls_secret: Option<ClusterName>,
    /// The Secret with private keys and client certificates of the scenario.
    pub keys_secret: Option<ClusterName>,
    /// Variables of the agents.
    pub variables: Vec<SecretVariable>,
    /// What agents may load.
    pub targets: Vec<Destination>,
    /// CPU of an agent.
    pub cpu: ResourceQuantity,
    /// Memory of an agent.
    pub memory: ResourceQuantity,
    /// When the Job ends whatever its state.
    pub deadline: Duration,
    /// Whether a Redis for this run is created.
    pub with_redis: bool,
}

impl ClusterRun {
    /// The name of the Job and its policy.
    pub(super) fn name(&self) -> String {
        format!("manada-{}", self.run)
    }

    /// The labels of the objects of a part of the run.
    pub(super) fn labels(&self, part: &str) -> Texts {
        Texts::from([
            ("app.kubernetes.io/name", "manada".to_owned()),
            ("app.kubernetes.io/instance", self.run.to_string()),
            ("app.kubernetes.io/component", part.to_owned()),
        ])
    }

    /// The metadata of an object of a part of the run.
    pub(super) fn metadata(&self, name: String, part: &str) -> ObjectMeta {
        let namespace = self.namespace.as_ref().map(ToString::to_string);
        ObjectMeta { name: Some(name), namespace, labels: self.labels(part) }
    }

    /// The targets and the bus that have a name instead of an address: a policy of Kubernetes
    /// cannot contain names, so that their ports are open to every address.
    pub fn named_destinations(&self) -> Vec<&Destination> {
        let bus = (!self.with_redis).then_some(&self.bus.destination);
        let all = bus.into_iter().chain(&self.targets);
        all.filter(|one| matches!(one.host, DestinationHost::Name(_))).collect()
    }

    /// Checks what only the run as a whole shows.
    pub(super) fn check(&self) -> Result<(), ClusterRefusal> {
        let digits = self.agents.saturating_sub(1).to_string().len();
        if self.name().len() + 1 + digits > MAX_HOST {
            let most = MAX_HOST - "manada-".len() - 1 - digits;
            return Err(ClusterRefusal::LongRun { run: self.run.to_string(), most });
        }
        let mut names = BTreeSet::new();
        for variable in &self.variables {
            if variable.name == PASSWORD {
                return Err(ClusterRefusal::VariableOfBus(variable.name.clone()));
            }
            if !names.insert(&variable.name) {
                return Err(ClusterRefusal::SameVariable(variable.name.clone()));
            }
        }
        Ok(())
    }
}

//! Objects of Kubernetes that run the agents of a run on several machines.
//!
//! `cli` prints them as `manada k8s render`; `kubectl apply` creates them.
//! Invariant: objects name secrets and never have the value of one; each name and quantity was
//! checked by the rules of Kubernetes before it is in an object.

mod error;
mod job;
mod names;
mod objects;
mod policy;
mod redis;
mod render;
mod run;

pub use error::ClusterRefusal;
pub use job::agent_words;
pub use names::{
    BusLocation, ClusterName, Destination, DestinationHost, ImageReference, ResourceQuantity,
    SecretVariable, cpu, memory,
};
pub use render::{ClusterFile, render};
pub use run::ClusterRun;

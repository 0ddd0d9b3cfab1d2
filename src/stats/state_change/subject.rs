//! What a state change belongs to.
//!
//! The creator of a change names it; reports and screens show it.
//! Invariant: its text is the name that control commands and reports use.

use std::fmt;

/// The subject of a state change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeSubject {
    /// An endpoint, by its name, with its service where there are several.
    Endpoint(String),
    /// A service.
    Service(String),
    /// A backend of a service, by the names of both.
    Backend {
        /// The service's name.
        service: String,
        /// The backend's name.
        backend: String,
    },
    /// The breaker of all calls.
    System,
    /// A connection pool.
    Pool(String),
    /// A workload.
    Workload(String),
    /// A step of an archetype of a workload.
    Step {
        /// The workload's name.
        workload: String,
        /// The archetype's name.
        archetype: String,
        /// The step's name.
        step: String,
    },
    /// The client as a whole.
    Client,
    /// The load generator.
    Generator,
    /// The memory of the load generator.
    Memory,
    /// The time axis of the run.
    Mark,
    /// A worker process, by its number from 1.
    Worker(u64),
    /// An agent of a fleet, by its ordinal from 0.
    Agent(u64),
    /// A subject as records before version 8 name it.
    Former(String),
}

impl fmt::Display for ChangeSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(name) => write!(f, "endpoint {name}"),
            Self::Service(name) => write!(f, "service {name}"),
            Self::Backend { service, backend } => write!(f, "backend {backend} of {service}"),
            Self::System => f.write_str("system"),
            Self::Pool(name) => write!(f, "pool {name}"),
            Self::Workload(name) => write!(f, "workload {name}"),
            Self::Step { workload, archetype, step } => {
                write!(f, "step {workload} · {archetype} · {step}")
            }
            Self::Client => f.write_str("client"),
            Self::Generator => f.write_str("generator"),
            Self::Memory => f.write_str("memory"),
            Self::Mark => f.write_str("mark"),
            Self::Worker(number) => write!(f, "worker {number}"),
            Self::Agent(ordinal) => write!(f, "agent {ordinal}"),
            Self::Former(name) => f.write_str(name),
        }
    }
}

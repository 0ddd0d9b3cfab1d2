//! Health checks of a service: what is requested, which response is healthy, and how often.
//!
//! `scenario` reads them, `run::health` makes them.
//! Invariant: a check is a GET without a body; it counts in no figure of the load.

use std::time::Duration;

/// How the health of a service is checked.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthPolicy {
    /// Path, with the service's prefix before it.
    pub path: String,
    /// Statuses of a healthy response.
    pub statuses: Vec<u16>,
    /// A text in the body of a healthy response; `None`: any body.
    pub body: Option<String>,
    /// From one check to the next.
    pub every: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// Passed checks in a row that make a backend healthy.
    pub rise: u32,
    /// Failed checks in a row that make it unhealthy.
    pub fall: u32,
    /// How long the run waits for a healthy service before its load; zero: one check decides.
    pub within: Duration,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            statuses: (200..400).collect(),
            body: None,
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
            within: Duration::from_secs(30),
        }
    }
}

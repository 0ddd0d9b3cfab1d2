//! A run as it was asked for, valid by construction.
//!
//! `scenario` and `cli hit` build it, `engine` carries it out, `run` and `sinks` describe it.
//! Invariant: whoever holds a Plan need not check it; every id in it names something.

pub mod address_scope;
pub mod call;
pub mod data;
pub mod endpoint_pattern;
pub mod flow;
pub mod load;
pub mod load_override;
pub mod manifest;
pub mod mix;
pub mod policy;
mod reads;
pub mod safety;
pub mod service;
pub mod slots;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

pub use call::{Call, OnFail, RequestBody, RequestTemplate};
pub use endpoint_pattern::{Endpoint, EndpointPattern, Endpoints};
pub use flow::{Archetype, Step};
pub use load::{ArrivalProcess, Arrivals, Load, LoadBound, OPEN_END, Share, Users, Workload};
pub use load_override::LoadOverride;
pub use manifest::{RunManifest, SourceFile};
pub use policy::Policies;
pub use safety::Safety;
pub use service::{Address, Service, ServiceTarget};

use crate::curve::Curve;
use crate::seed::Seed;
use crate::stats::sample::SeriesLayout;
use crate::units::nanos;
use crate::verdict::Threshold;

/// The number of a statistics series: one per workload, archetype and step name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u16);

/// The most series a plan may have; more is a mistake in the scenario, found at load.
pub const MAX_STEPS: usize = 4_096;

/// A valid run.
#[derive(Debug)]
pub struct Plan {
    /// The scenario's name; it names the report's folder.
    pub scenario: String,
    /// What the scenario says about itself.
    pub description: Option<String>,
    /// What tells this run from all others; see [`run_id`].
    pub run_id: String,
    /// Everything random follows from it.
    pub seed: Seed,
    /// Where calls go; never empty, the first is the default.
    pub services: Vec<Service>,
    /// The kinds of user that some workload uses.
    pub archetypes: Vec<Archetype>,
    /// Who makes how much load, when; never empty.
    pub workloads: Vec<Workload>,
    /// All series, indexed by [`StepId`].
    pub steps: Vec<Series>,
    /// All groups that are timed as one, indexed by `Share::group`.
    pub groups: Vec<Series>,
    /// Done once before the load: its variables are every archetype's first ones.
    pub setup: Option<Archetype>,
    /// Done once after it.
    pub teardown: Option<Archetype>,
    /// What "good" means.
    pub thresholds: Vec<Threshold>,
    /// What is due before this offset counts in the ledgers alone.
    pub warmup: Duration,
    /// Iterations that are intended before this offset come on top of a closed workload's
    /// [`Bound::Iterations`].
    pub uncounted: Duration,
    /// How long whole iterations may go on after the end of the load.
    pub grace: Duration,
    /// Where it may go and how far.
    pub safety: Arc<Safety>,
    /// How the simulated client behaves.
    pub policies: Policies,
    /// The files it was written in, for the report.
    pub sources: Vec<SourceFile>,
}

/// An id for a run that begins now, of digits, letters and `-`: when, and in which process.
pub fn run_id() -> String {
    let since_epoch =
        crate::clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", since_epoch.as_millis(), std::process::id())
}

/// What a statistics series is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The step's name.
    pub name: String,
    /// Index into [`Plan::archetypes`].
    pub archetype: usize,
    /// Index into [`Plan::workloads`].
    pub workload: usize,
    /// What its archetype and its step are tagged with.
    pub tags: Vec<(String, String)>,
}

impl Plan {
    /// When the last workload's load ends, from the start of the run; `None` when only counts
    /// end it.
    pub fn load_end(&self) -> Option<Duration> {
        self.workloads
            .iter()
            .map(Workload::end)
            .try_fold(Duration::ZERO, |last, end| end.map(|end| last.max(end)))
    }

    /// The most users that can be at work at once.
    pub fn peak_users(&self) -> u64 {
        self.workloads.iter().map(Workload::peak_users).sum()
    }

    /// The names of what is checked in each series: its calls' checks, expects and captures, each
    /// name once.
    pub fn check_names(&self) -> Vec<Vec<String>> {
        let mut names = vec![Vec::new(); self.steps.len()];
        for workload in &self.workloads {
            for share in &workload.shares {
                for call in &self.archetypes[share.archetype].calls {
                    let names: &mut Vec<String> = &mut names[share.step(call.series)];
                    for name in call.checked() {
                        if !names.contains(&name) {
                            names.push(name);
                        }
                    }
                }
            }
        }
        names
    }

    /// How much a recorder of this plan has to tell apart.
    pub fn shape(&self) -> SeriesLayout {
        SeriesLayout {
            workloads: self.workloads.len(),
            checks: self.check_names().iter().map(Vec::len).collect(),
            groups: self.groups.len(),
            pools: self.policies.pools.len(),
            warmup_ns: nanos(self.warmup),
            load_ends_ns: self
                .workloads
                .iter()
                .map(|load| load.end().map_or(u64::MAX, nanos))
                .collect(),
        }
    }

    /// A plan in which one user walks `archetype` once.
    #[must_use]
    pub fn alone(&self, archetype: &Archetype) -> Self {
        let series = |name: &String| Series {
            name: name.clone(),
            archetype: 0,
            workload: 0,
            tags: Vec::new(),
        };
        let users = Users {
            curve: Curve::constant(1, Duration::from_nanos(OPEN_END)),
            bound: LoadBound::Once,
        };
        Self {
            scenario: archetype.name.clone(),
            description: None,
            run_id: self.run_id.clone(),
            seed: self.seed,
            services: self.services.clone(),
            steps: archetype.series.iter().map(series).collect(),
            groups: archetype.groups.iter().map(series).collect(),
            workloads: vec![Workload::alone(&archetype.name, Load::Closed(users))],
            archetypes: vec![archetype.clone()],
            setup: None,
            teardown: None,
            thresholds: Vec::new(),
            warmup: Duration::ZERO,
            uncounted: Duration::ZERO,
            grace: self.grace,
            safety: Arc::clone(&self.safety),
            // What is done once, before or after, is no client's behaviour.
            policies: Policies::default(),
            sources: Vec::new(),
        }
    }

    /// Whether any load is aimed at this machine itself.
    pub fn has_local_target(&self) -> bool {
        self.services.iter().any(Service::is_local)
    }
}

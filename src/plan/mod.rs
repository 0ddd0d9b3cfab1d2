//! The plan of a run, valid by construction.
//!
//! `scenario` and `cli hit` build it, `engine` executes it, `run` and `sinks` describe it.
//! Invariant: a Plan needs no further checks; every id in it refers to an existing item.

pub mod address_scope;
pub mod allowed_targets;
mod backend_series;
pub mod backends;
pub mod broker;
pub mod cache;
pub mod call;
pub mod call_records;
pub mod ceilings;
pub mod data;
pub mod endpoint_pattern;
pub mod flow;
pub mod health;
mod host_pattern;
pub mod kafka;
pub mod listener;
pub mod load;
pub mod load_override;
pub mod manifest;
pub mod mix;
pub mod operation;
pub mod policy;
pub mod prices;
mod reads;
pub mod safety;
pub mod service;
pub mod shift;
pub mod slots;
pub mod stream;
pub mod trace_url;
pub mod transaction;
pub mod transport;

use std::sync::Arc;
use std::time::Duration;

pub use backends::{BackendSeries, Backends};
pub use call::{Call, OnFail, RequestBody, RequestTemplate};
pub use call_records::{CallRecordOptions, TraceInfo};
pub use endpoint_pattern::{Endpoint, EndpointPattern, Endpoints};
pub use flow::{Archetype, Step};
pub use load::{ArrivalProcess, Arrivals, Load, LoadBound, OPEN_END, Share, Users, Workload};
pub use load_override::LoadOverride;
pub use manifest::{RunManifest, SourceFile, WorkloadInfo};
pub use policy::Policies;
pub use safety::Safety;
pub use service::{Address, Service, ServiceTarget};
pub use trace_url::{ShownTrace, TraceUrl};

use crate::clock::RunOffset;
use crate::curve::Curve;
use crate::ids::{ArchetypeId, EndpointId, ServiceId, StepId, WorkloadId, indexed_by};
use crate::seed::Seed;
use crate::stats::sample::SeriesLayout;
use crate::units::nanos;
use crate::verdict::Threshold;

/// Maximum number of series; a scenario with more is rejected when it is loaded.
pub const MAX_STEPS: usize = 4_096;

/// A valid run.
#[derive(Debug)]
pub struct Plan {
    /// The scenario's name; report folders are named after it.
    pub scenario: String,
    /// The scenario's description.
    pub description: Option<String>,
    /// A unique id; see [`run_id`].
    pub run_id: String,
    /// The seed of everything random.
    pub seed: Seed,
    /// Targets of calls; never empty, the first is the default.
    pub services: Vec<Service>,
    /// Layered caches of captured values.
    pub caches: Vec<cache::CachePlan>,
    /// The archetypes that workloads use.
    pub archetypes: Vec<Archetype>,
    /// The load; never empty.
    pub workloads: Vec<Workload>,
    /// All series, indexed by [`StepId`].
    pub steps: Vec<Series>,
    /// All timed groups, indexed by [`GroupId`](crate::ids::GroupId).
    pub groups: Vec<Series>,
    /// Runs once before the load; its variables are the first ones of every archetype.
    pub setup: Option<Archetype>,
    /// Runs once after the load.
    pub teardown: Option<Archetype>,
    /// The pass criteria.
    pub thresholds: Vec<Threshold>,
    /// Load due before this offset counts only in the ledgers.
    pub warmup: Duration,
    /// Iterations intended before this offset do not count towards a closed workload's
    /// [`LoadBound::Iterations`].
    pub uncounted: Duration,
    /// How long iterations may continue after the end of the load.
    pub grace: Duration,
    /// Where load may be sent, and how much.
    pub safety: Arc<Safety>,
    /// The client's policies.
    pub policies: Policies,
    /// A shift of load between two targets; `None` if there is none.
    pub shift: Option<shift::ShiftPlan>,
    /// Calls that are kept one by one; `None` if none are.
    pub call_records: Option<CallRecordOptions>,
    /// Where a trace is shown, for the report.
    pub trace_url: Option<TraceUrl>,
    /// The scenario files, for the report.
    pub sources: Vec<SourceFile>,
}

/// Makes an id for a run that starts now, of digits, letters and `-`: time and process id.
pub fn run_id() -> String {
    let since_epoch =
        crate::clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", since_epoch.as_millis(), std::process::id())
}

/// The meaning of a statistics series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The step's name.
    pub name: String,
    /// Archetype of the series.
    pub archetype: ArchetypeId,
    /// Workload of the series.
    pub workload: WorkloadId,
    /// The tags of its archetype and its step.
    pub tags: Vec<(String, String)>,
}

indexed_by! {
    ServiceId: Service;
    ArchetypeId: Archetype;
    WorkloadId: Workload, WorkloadInfo;
    StepId: Series;
    EndpointId: Endpoint;
}

impl Plan {
    /// The archetypes of the load, of the setup and of the teardown.
    pub fn all_archetypes(&self) -> impl Iterator<Item = &Archetype> {
        self.archetypes.iter().chain(&self.setup).chain(&self.teardown)
    }

    /// Whether values of rows depend on a key that all processes of the run need.
    pub fn has_keyed_rows(&self) -> bool {
        let draws = self.archetypes.iter().flat_map(|archetype| &archetype.data);
        draws.into_iter().any(|draw| draw.feed.rows.rules().need_key())
    }

    /// Returns when the last load ends, from the start of the run; `None` if only counts end it.
    pub fn load_end(&self) -> Option<Duration> {
        self.workloads
            .iter()
            .map(Workload::end)
            .try_fold(Duration::ZERO, |last, end| end.map(|end| last.max(end)))
    }

    /// Returns the maximum number of concurrent users.
    pub fn peak_users(&self) -> u64 {
        self.workloads.iter().map(Workload::peak_users).sum()
    }

    /// Returns the memory that the run may have by its own limits, bytes: the budget of its client,
    /// and `max_memory`.
    pub fn memory_budget(&self) -> Option<u64> {
        let ceiling = self.safety.ceilings.memory.as_ref().map(|one| one.most);
        let budget = self.policies.memory.and_then(|memory| memory.budget);
        budget.into_iter().chain(ceiling).min()
    }

    /// Returns the names of the checks of each series: checks, expects and captures of its calls,
    /// each name once.
    pub fn check_names(&self) -> Vec<Vec<String>> {
        let mut names = vec![Vec::new(); self.steps.len()];
        for workload in &self.workloads {
            for share in &workload.shares {
                for call in &self.archetypes[share.archetype].calls {
                    let names: &mut Vec<String> = &mut names[share.step(call.series).index()];
                    for name in call.check_names() {
                        if !names.contains(&name) {
                            names.push(name);
                        }
                    }
                }
            }
        }
        names
    }

    /// Returns the numbers of series that a recorder of this plan needs.
    pub fn series_layout(&self) -> SeriesLayout {
        let backends = self.backend_series();
        SeriesLayout {
            workloads: self.workloads.len(),
            checks: self.check_names().iter().map(Vec::len).collect(),
            groups: self.groups.len(),
            pools: self.policies.pools.len(),
            backends: backends.len(),
            backend_places: backends::places(&backends),
            warmup: RunOffset::from_ns(nanos(self.warmup)),
            load_ends: self
                .workloads
                .iter()
                .map(|load| {
                    load.end().map_or(RunOffset::NEVER, |end| RunOffset::from_ns(nanos(end)))
                })
                .collect(),
        }
    }

    /// Builds a plan in which one user runs `archetype` once.
    #[must_use]
    pub fn for_single_user(&self, archetype: &Archetype) -> Self {
        let series = |name: &String| Series {
            name: name.clone(),
            archetype: ArchetypeId::default(),
            workload: WorkloadId::default(),
            tags: Vec::new(),
        };
        let users = Users {
            curve: Curve::constant(1, Duration::from_nanos(OPEN_END)),
            bound: LoadBound::Once,
        };
        Self {
            shift: None,
            scenario: archetype.name.clone(),
            description: None,
            run_id: self.run_id.clone(),
            seed: self.seed,
            services: self.services.clone(),
            caches: self.caches.clone(),
            steps: archetype.series.iter().map(series).collect(),
            groups: archetype.groups.iter().map(series).collect(),
            workloads: vec![Workload::single(&archetype.name, Load::Closed(users))],
            archetypes: vec![archetype.clone()],
            setup: None,
            teardown: None,
            thresholds: Vec::new(),
            warmup: Duration::ZERO,
            uncounted: Duration::ZERO,
            grace: self.grace,
            safety: Arc::clone(&self.safety),
            // Setup and teardown are not part of the simulated client's behaviour.
            policies: Policies::default(),
            call_records: None,
            trace_url: None,
            sources: Vec::new(),
        }
    }

    /// Whether a service is on this machine.
    pub fn has_local_target(&self) -> bool {
        self.services.iter().any(Service::is_local)
    }
}

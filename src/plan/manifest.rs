//! The part of a plan that reports need: names, schedule, thresholds; no flows, data or secrets.
//!
//! `run` builds it from the Plan, all sinks read it, and a record stores it, so that a finished
//! run can be shown and judged again without its scenario.
//! Invariant: a RunManifest and a Snapshot together suffice for every report.

use std::time::Duration;

use super::call_records::{CallRecordOptions, TraceInfo};
use super::flow::Step;
use super::policy::{BreakerName, PoolStrategy};
use super::{
    BackendSeries, Endpoints, Load, Plan, Series, Service, ServiceTarget, Workload, backends,
};
use crate::clock::RunOffset;
use crate::ids::{EndpointId, ServiceId, WorkloadId};
use crate::redact::Redactor;
use crate::seed::Seed;
use crate::stats::sample::SeriesLayout;
use crate::units::nanos;
use crate::verdict::{Subject, Subjects, Threshold, TrustContext};

/// Maximum total size of stored scenario files, bytes.
const MAX_SOURCES: usize = 16 << 20;

/// The description of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunManifest {
    /// The scenario's name.
    pub scenario: String,
    /// The scenario's description.
    pub description: Option<String>,
    /// A unique id.
    pub run_id: String,
    /// The seed of everything random.
    pub seed: Seed,
    /// Names and locations of services.
    pub services: Vec<(String, String)>,
    /// Names of archetypes.
    pub archetypes: Vec<String>,
    /// Workloads, in the order of the plan.
    pub workloads: Vec<WorkloadInfo>,
    /// All series, indexed by `StepId`.
    pub steps: Vec<Series>,
    /// All series by backend, in the order of `Window::backends`.
    pub backends: Vec<BackendSeries>,
    /// Names of the caches.
    pub caches: Vec<String>,
    /// All groups.
    pub groups: Vec<Series>,
    /// Names of the checks, by series.
    pub checks: Vec<Vec<String>>,
    /// The pass criteria.
    pub thresholds: Vec<Threshold>,
    /// Load due before this offset counts only in the ledgers.
    pub warmup: Duration,
    /// How long iterations may continue after the end of the load.
    pub grace: Duration,
    /// What the trust assessment needs to know.
    pub kind: TrustContext,
    /// The client's policies.
    pub client: ClientInfo,
    /// The scenario files.
    pub sources: Vec<SourceFile>,
    /// Whether some step uses a stream, stamps messages, or observes a response in pieces.
    pub has_streams: bool,
    /// Its traces; `None` if it has none.
    pub traces: Option<TraceInfo>,
}

/// A workload.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadInfo {
    /// Name of the workload.
    pub name: String,
    /// Open model; else closed.
    pub open: bool,
    /// When the workload's load starts, from the start of the run.
    pub start: Duration,
    /// When the workload's load ends, from the start of the run; `None`: only a count ends it.
    pub end: Option<Duration>,
    /// Names and weights of its archetypes.
    pub archetypes: Vec<(String, f64)>,
    /// The planned maximum of concurrent users.
    pub max_users: u64,
}

/// The simulated client as reports show it: its policies as text, and the names of its pools,
/// breakers and endpoints.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientInfo {
    /// `measure` or `resilient`.
    pub kind: String,
    /// The active policies.
    pub parts: Vec<String>,
    /// The pools: name, and whether users share the pool.
    pub pools: Vec<(String, bool)>,
    /// Every possible breaker, in the order of `Guarded::breakers`.
    pub breakers: Vec<BreakerName>,
    /// Endpoints: name and service.
    pub endpoints: Vec<(String, ServiceId)>,
    /// Initial timeout of adaptive timeouts; `None`: timeouts are constant.
    pub timeouts_from: Option<Duration>,
    /// Whether degradation is on.
    pub degrades: bool,
}

/// A scenario file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Name of the file, as messages show it.
    pub name: String,
    /// Content of the file.
    pub text: String,
}

impl Plan {
    /// Extracts the part that reports need.
    pub fn manifest(&self) -> RunManifest {
        let names = |load: &Workload| {
            let shares = load.shares.iter();
            shares.map(|one| (self.archetypes[one.archetype].name.clone(), one.weight)).collect()
        };
        let workload_info = |load: &Workload| WorkloadInfo {
            name: load.name.clone(),
            open: matches!(load.load, Load::Open(_)),
            start: load.start,
            end: load.end(),
            archetypes: names(load),
            max_users: load.peak_users(),
        };
        let redactor = Redactor::new(&self.safety.names);
        let mut room = MAX_SOURCES;
        let shown = |source: &SourceFile| {
            let text = match room.checked_sub(source.text.len()) {
                Some(less) => {
                    room = less;
                    redactor.yaml(&source.text).into_owned()
                }
                None => "# (left out: the files before it take 16 MiB)".to_owned(),
            };
            SourceFile { name: source.name.clone(), text }
        };
        RunManifest {
            scenario: self.scenario.clone(),
            description: self.description.as_ref().map(|text| redactor.text(text).into_owned()),
            run_id: self.run_id.clone(),
            seed: self.seed,
            services: self.services.iter().map(|one| (one.name.clone(), location(one))).collect(),
            archetypes: self.archetypes.iter().map(|one| one.name.clone()).collect(),
            workloads: self.workloads.iter().map(workload_info).collect(),
            steps: self.steps.clone(),
            backends: self.backend_series(),
            caches: self.caches.iter().map(|cache| cache.name.clone()).collect(),
            groups: self.groups.clone(),
            checks: self.check_names(),
            thresholds: self.thresholds.clone(),
            warmup: self.warmup,
            grace: self.grace,
            kind: self.trust_context(),
            client: self.client(),
            sources: self.sources.iter().map(shown).collect(),
            has_streams: self.has_streams(),
            traces: self.traces(),
        }
    }

    fn traces(&self) -> Option<TraceInfo> {
        let selection = self.call_records.and_then(CallRecordOptions::traces)?;
        Some(TraceInfo { selection, url: self.trace_url.clone() })
    }

    /// Returns what the trust assessment needs to know.
    fn trust_context(&self) -> TrustContext {
        let open = |load: &Workload| matches!(load.load, Load::Open(_));
        let loads = || self.workloads.iter();
        TrustContext {
            scheduled: loads().map(|load| open(load) || self.paced(load).contains(&true)).collect(),
            workload_of: self.steps.iter().map(|series| series.workload).collect(),
            unthrottled: loads().map(|load| !open(load) && self.is_unthrottled(load)).collect(),
            has_unpaced: loads().any(|load| !open(load) && self.paced(load).contains(&false)),
        }
    }

    /// Whether users of a workload have neither think time nor pace.
    fn is_unthrottled(&self, load: &Workload) -> bool {
        let mut archetypes = load.shares.iter().map(|share| &self.archetypes[share.archetype]);
        archetypes.all(|archetype| {
            let waits = |step: &Step| match step {
                Step::Call(index) | Step::Stream(index) => archetype.calls[*index].think.is_some(),
                Step::Parallel(parallel) => parallel.think.is_some(),
                Step::Pause(_) | Step::Rendezvous(_) => true,
                _ => false,
            };
            archetype.pace.is_none()
                && archetype.think.is_none()
                && !archetype.steps.iter().any(waits)
        })
    }

    /// Whether some step uses a stream, stamps messages, or observes a response in pieces.
    pub fn has_streams(&self) -> bool {
        self.archetypes
            .iter()
            .flat_map(|archetype| &archetype.calls)
            .any(|call| call.stream.is_some() || call.stamp.is_some() || call.streamed.is_some())
    }

    /// Returns for each share of a workload whether its archetype has a pace.
    pub fn paced(&self, load: &Workload) -> Vec<bool> {
        let archetypes = load.shares.iter().map(|share| &self.archetypes[share.archetype]);
        archetypes.map(|archetype| archetype.pace.is_some()).collect()
    }

    fn client(&self) -> ClientInfo {
        let (policies, endpoints) = (&self.policies, Endpoints::new(self));
        let all = EndpointId::number(&endpoints.all);
        let pools = policies.pools.iter();
        ClientInfo {
            kind: policies.kind().to_owned(),
            parts: policies.parts(),
            pools: pools
                .map(|one| (one.name.clone(), one.strategy == PoolStrategy::Shared))
                .collect(),
            breakers: BreakerName::all(self),
            endpoints: all.map(|(id, one)| (endpoints.name(id, self), one.service)).collect(),
            timeouts_from: policies.timeouts.map(|policy| policy.start),
            degrades: policies.degradation.is_some(),
        }
    }
}

/// Returns a service's location for display.
fn location(service: &Service) -> String {
    match &service.target {
        ServiceTarget::Builtin(_) => "the built-in target".to_owned(),
        ServiceTarget::Url(address) => address.origin(),
    }
}

impl WorkloadInfo {
    /// Returns `closed` or `open`.
    pub fn model(&self) -> &'static str {
        if self.open { "open" } else { "closed" }
    }
}

impl RunManifest {
    /// Returns when the last load ends, from the start of the run; `None` if only counts end it.
    pub fn load_end(&self) -> Option<Duration> {
        let mut ends = self.workloads.iter().map(|load| load.end);
        ends.try_fold(Duration::ZERO, |last, end| end.map(|end| last.max(end)))
    }

    /// Returns how long the load of a workload was measured, ns: from its start or the end of the
    /// warm-up until its end or `until_ns`, whichever is earlier.
    pub fn measured_ns(&self, workload: WorkloadId, until_ns: u64) -> u64 {
        let (from, to) = self.measured_span(&self.workloads[workload]);
        to.min(until_ns).saturating_sub(from)
    }

    /// Returns from when to when the load of a workload is measured, ns after the run's start; the
    /// second is `u64::MAX` if only a count ends it.
    fn measured_span(&self, load: &WorkloadInfo) -> (u64, u64) {
        (nanos(load.start.max(self.warmup)), load.end.map_or(u64::MAX, nanos))
    }

    /// Returns the numbers of series that a recorder of this run needs.
    pub fn series_layout(&self) -> SeriesLayout {
        SeriesLayout {
            workloads: self.workloads.len(),
            checks: self.checks.iter().map(Vec::len).collect(),
            groups: self.groups.len(),
            pools: self.client.pools.len(),
            backends: self.backends.len(),
            backend_places: backends::places(&self.backends),
            warmup: RunOffset::from_ns(nanos(self.warmup)),
            load_ends: self
                .workloads
                .iter()
                .map(|load| load.end.map_or(RunOffset::NEVER, |end| RunOffset::from_ns(nanos(end))))
                .collect(),
        }
    }

    /// Returns everything that a threshold can select, by name.
    pub fn subjects(&self) -> Subjects {
        let subject = |(series, checks): (&Series, &Vec<String>)| Subject {
            step: series.name.clone(),
            archetype: self.archetypes[series.archetype.index()].clone(),
            workload: series.workload,
            tags: series.tags.clone(),
            checks: checks.clone(),
        };
        Subjects {
            workloads: self.workloads.iter().map(|workload| workload.name.clone()).collect(),
            measured_ns: self.workloads.iter().map(|load| self.measured_span(load)).collect(),
            series: self.steps.iter().zip(&self.checks).map(subject).collect(),
            backends: self.backends.iter().map(|one| (one.step, one.name.clone())).collect(),
            caches: self.caches.clone(),
        }
    }
}

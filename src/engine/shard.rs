//! A shard: one core's part of a run.
//!
//! `shard_loop` makes it and runs it; starters, workers and calls share it.
//! Invariant: only its own thread touches it; what is shared with other shards is in [`RunShared`].

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use crate::clock::{self, Time};
use crate::engine::admission_gate::AdmissionGate;
use crate::engine::buffers::Buffers;
use crate::engine::call::prepared::PreparedFlow;
use crate::engine::call::readdressed::TargetText;
use crate::engine::call::trace_context::TraceContext;
use crate::engine::iterations::trace_recorder::TraceRecorder;
use crate::engine::lease::ShardLease;
use crate::engine::lifecycle::Lifecycle;
use crate::engine::live_schedule::LiveSchedule;
use crate::engine::resilience::ResilienceState;
use crate::engine::startup::run_shared::{PublishingGuard, RunShared};
use crate::engine::startup::setup::{ShardSetup, Variables};
use crate::engine::streams::{BacklogByStep, HeldByStep};
use crate::engine::users::prewarmed::PrewarmedTasks;
use crate::engine::users::row_source::RowSource;
use crate::engine::users::user_meter::UserMeter;
use crate::engine::users::user_task::UserTask;
use crate::ids::{ArchetypeId, ServiceId, StepId, WorkloadId, indexed_by};
use crate::plan::slots::{OwnedSlots, Segment};
use crate::plan::{Address, Plan, Workload};
use crate::seed::Rng;
use crate::stats::Recorder;
use crate::template::{RenderError, RenderScope, Value};
use crate::units::nanos;
use crate::wire::{ConnectionSlot, Wire};

/// A shard at work.
pub(crate) struct Shard {
    pub(crate) plan: Arc<Plan>,
    /// The address of each service.
    pub(crate) addresses: Arc<Vec<Address>>,
    /// The addresses as requests name them, by service; empty if no service has several.
    pub(crate) target_texts: Vec<TargetText>,
    /// When the run begins.
    pub(crate) start: Time,
    /// The same on the wall clock, ms since the epoch.
    pub(crate) started_ms: u64,
    pub(crate) segment: Segment,
    /// The slots of lost shards that it has.
    pub(crate) adopted: RefCell<Vec<OwnedSlots>>,
    pub(crate) shared: Arc<RunShared>,
    pub(crate) lifecycle: Rc<Lifecycle>,
    pub(crate) wire: Wire,
    pub(crate) recorder: RefCell<Recorder>,
    pub(crate) resilience: ResilienceState,
    /// What requests say of their traces; `None` if they say nothing.
    pub(crate) trace_context: Option<TraceContext>,
    /// By archetype.
    pub(crate) flows: Vec<PreparedFlow>,
    /// The variables that the scenario's `setup` set.
    pub(crate) globals: Variables,
    /// Receives the variables of the user that ended last; `None` if they are not needed.
    pub(crate) final_variables: Option<Arc<Mutex<Vec<Option<Value>>>>>,
    /// Records each call of a dry run; `None` in a run.
    pub(crate) trace: Option<TraceRecorder>,
    pub(crate) rows: RowSource,
    /// User tasks that wait for an assignment.
    pub(crate) idle_tasks: RefCell<Vec<Rc<UserTask>>>,
    /// User tasks that are prepared for users that have not come, and those that will be.
    pub(crate) prewarmed: PrewarmedTasks,
    pub(crate) buffers: Buffers,
    pub(crate) admission: AdmissionGate,
    pub(crate) lease: Rc<ShardLease>,
    /// The load as live control changed it, by workload.
    pub(crate) schedules: Vec<LiveSchedule>,
    /// Users that should be there and are, by workload.
    pub(crate) user_meters: Vec<UserMeter>,
    /// Streams that are open, and that users want open.
    pub(crate) streams: HeldByStep,
    /// What their listeners have not received of what brokers have.
    pub(crate) backlog: BacklogByStep,
    /// Pairs of listener and publisher whose order is checked.
    pub(crate) tracked_pairs: Cell<u64>,
    /// The archetype of each series.
    archetypes_by_step: Vec<ArchetypeId>,
    /// Itself, for tasks that outlive the call that spawns them.
    pub(crate) itself: Weak<Shard>,
}

indexed_by! {
    ArchetypeId: PreparedFlow;
    WorkloadId: LiveSchedule, UserMeter;
    ServiceId: ConnectionSlot, Address, TargetText;
}

impl Shard {
    /// Checks a rendered name of a queue, exchange, topic or channel.
    ///
    /// # Errors
    /// If a safety limit denies it.
    pub(crate) fn check_destination(&self, name: &[u8]) -> Result<(), RenderError> {
        match self.plan.safety.destination_denial(name) {
            Some(why) => Err(RenderError::Denied(why)),
            None => Ok(()),
        }
    }

    /// A shard that has not begun.
    pub(crate) fn new(setup: &ShardSetup, wire: Wire, itself: Weak<Self>) -> Self {
        let plan = Arc::clone(&setup.plan);
        let names = plan.check_names();
        let index = setup.segment.shard as usize;
        let lifecycle = Rc::new(Lifecycle::new(plan.workloads.len()));
        let flow = |id| PreparedFlow::new(setup, id, &names);
        let schedule = |workload| LiveSchedule::new(&plan, workload, setup.start);
        let lease = Rc::new(ShardLease::new(setup.is_leased));
        let mut recorder = Recorder::new(plan.series_layout(), index, setup.start);
        if let Some(records) = plan.call_records {
            recorder.keep_calls(records.sampling, setup.segment.shards as usize);
        }
        let meter = |id| UserMeter::new(setup, id, &lifecycle, &lease);
        Self {
            flows: ArchetypeId::first(plan.archetypes.len()).map(flow).collect(),
            schedules: plan.workloads.iter().map(schedule).collect(),
            user_meters: WorkloadId::first(plan.workloads.len()).map(meter).collect(),
            rows: RowSource::new(&plan, &setup.claims),
            recorder: RefCell::new(recorder),
            trace_context: TraceContext::of(&plan),
            resilience: ResilienceState::new(setup),
            target_texts: target_texts(&plan, &setup.addresses),
            addresses: Arc::clone(&setup.addresses),
            start: setup.start,
            started_ms: setup.started_ms,
            segment: setup.segment,
            adopted: RefCell::default(),
            shared: Arc::clone(&setup.shared),
            lifecycle,
            wire,
            globals: Arc::clone(&setup.globals),
            final_variables: setup.final_variables.clone(),
            trace: setup.trace.clone(),
            idle_tasks: RefCell::default(),
            prewarmed: PrewarmedTasks::default(),
            buffers: Buffers::default(),
            admission: AdmissionGate::new(),
            lease,
            streams: HeldByStep::default(),
            backlog: BacklogByStep::default(),
            tracked_pairs: Cell::default(),
            archetypes_by_step: archetypes_by_step(&plan),
            itself,
            plan,
        }
    }

    /// When a workload's own time begins.
    pub(crate) fn zero(&self, workload: &Workload) -> Time {
        self.start + workload.start
    }

    /// How long before they are due users are made ready, ns; 0 if they are not.
    pub(crate) fn prewarm_ns(&self) -> u64 {
        nanos(self.plan.policies.prewarm_lead())
    }

    /// The archetype whose step a series is.
    pub(crate) fn archetype_of(&self, step: StepId) -> ArchetypeId {
        self.archetypes_by_step[step.index()]
    }

    /// The values that templates of an archetype can read at the intended time `at`: of a user and
    /// an iteration with these numbers, whose random generator and work they use.
    pub(crate) fn scope<'a>(
        &'a self,
        (archetype, at): (ArchetypeId, Time),
        (user, iteration): (u64, u64),
        (variables, rng, work): (&'a [Option<Value>], &'a mut Rng, &'a mut u32),
    ) -> RenderScope<'a> {
        RenderScope {
            variables,
            names: &self.plan.archetypes[archetype].variables,
            rng,
            user,
            iteration,
            run_id: &self.plan.run_id,
            request: None,
            now_ms: self.started_ms + at.since(self.start) / 1_000_000,
            work,
            from_responses: &self.flows[archetype].from_responses,
        }
    }

    /// Whether nothing new is to begin.
    pub(crate) fn is_draining(&self) -> bool {
        self.lifecycle.is_draining()
    }

    /// Whether a workload may begin nothing now.
    pub(crate) fn is_deprioritized(&self, workload: WorkloadId) -> bool {
        self.admission.is_deprioritized(self.plan.workloads[workload].priority)
    }

    /// Whether no user of a workload is admitted now.
    pub(crate) fn is_admission_closed(&self, workload: WorkloadId) -> bool {
        self.admission.is_closed_for(self.plan.workloads[workload].priority)
    }

    /// Whether the load of a workload is over: it has ended, was stopped, or only a count ends it.
    pub(crate) fn is_load_over(&self, workload: WorkloadId) -> bool {
        let plan = &self.plan.workloads[workload];
        let has_ended = || plan.end().is_none_or(|end| clock::now() >= self.start + end);
        self.is_draining() || has_ended()
    }

    /// Counts a user whose flow stamps messages as a publisher, until the guard is dropped.
    pub(crate) fn count_publisher(&self, archetype: ArchetypeId) -> Option<PublishingGuard> {
        let stamps = self.flows[archetype].stamps;
        stamps.then(|| PublishingGuard::new(&self.shared))
    }

    /// A user is at work from now on.
    pub(crate) fn user_started(&self) {
        self.lifecycle.user_started();
        let present = self.shared.present.fetch_add(1, Relaxed) + 1;
        self.shared.peak.fetch_max(present, Relaxed);
    }

    /// A user is at work no longer.
    pub(crate) fn user_ended(&self) {
        self.shared.present.fetch_sub(1, Relaxed);
        self.lifecycle.user_ended();
    }

    /// Counts the users of all workloads up to now.
    pub(crate) fn count_users(&self) {
        self.user_meters.iter().for_each(|meter| meter.count(&self.recorder));
    }
}

/// The addresses as requests name them, if a service has several.
fn target_texts(plan: &Plan, addresses: &[Address]) -> Vec<TargetText> {
    let is_balanced = plan.services.iter().any(|service| service.backends.is_some());
    let texts = addresses.iter().filter(|_| is_balanced).map(TargetText::new);
    texts.collect()
}

/// The archetype of each series of a plan.
fn archetypes_by_step(plan: &Plan) -> Vec<ArchetypeId> {
    let mut all = vec![ArchetypeId::default(); plan.steps.len()];
    for share in plan.workloads.iter().flat_map(|workload| &workload.shares) {
        let first = share.first_step.index();
        let series = plan.archetypes[share.archetype].series.len();
        all[first..first + series].fill(share.archetype);
    }
    all
}

//! The control loop of resilience: once a second it protects the run from its own limits, and the
//! target from harm.
//!
//! `dispatch` gives it what was measured; its orders go to all shards, and its changes into the
//! report.
//! Invariant: it only reduces load, and each action is recorded with its cause and its result.

use crate::clock::RunOffset;
use crate::event::Order;
use crate::ids::{PoolId, ServiceId, indexed_by};
use crate::plan::Plan;
use crate::protocol::status::as_http;
use crate::resilience::degrade::{DegradationController, SecondStats};
use crate::resilience::heal::{HealingController, HealingStep, HealthIssue, HealthSign};
use crate::resilience::{AdmissionController, MemoryController, Trend, sizing};
use crate::stats::delta::StepWindow;
use crate::stats::{
    Change, ChangeCause, ChangeSubject, Delta, Histogram, MemoryRelief, PoolUse, Remedy,
    StateChange,
};
use crate::units::nanos;

/// The fewest calls from which the error rate of a service is judged.
const ENOUGH: u64 = 20;

/// An action of the control loop.
#[derive(Debug)]
pub(super) struct ControllerAction {
    /// The order to the shards, if there is one.
    pub(super) order: Option<Order>,
    /// The change that the report shows.
    pub(super) notice: StateChange,
}

/// The control loop of a run.
pub(super) struct ResilienceController<'a> {
    plan: &'a Plan,
    /// By series: the service that its calls go to.
    services: Vec<ServiceId>,
    degrade: Option<DegradationController>,
    admit: Option<AdmissionController>,
    memory: Option<MemoryController>,
    heal: Option<(HealingController, RunOffset)>,
    /// By pool.
    pools: Vec<ResizablePool>,
    /// Measured since the last second, and since the last check of healing.
    second: SecondStats,
    by_service: Vec<SecondStats>,
    lag: Histogram,
    /// The busiest shard's share of its core since the last second.
    cpu: f64,
    /// Users at work on each shard at its last delta.
    users: Vec<u64>,
    /// CPU and elapsed time of each shard at its last delta, ns.
    before: Vec<(u64, u64)>,
    rss: Option<u64>,
    actions: Vec<ControllerAction>,
    now: RunOffset,
}

/// A pool whose size may change.
struct ResizablePool {
    size: u64,
    /// When the pool's size is checked next.
    look_at: RunOffset,
    /// Connections in use, if the size is to follow their trend; and their use in this second,
    /// connection·ns.
    trend: Option<Trend>,
    busy: u128,
    /// The pool's use since then, and since the last check of healing.
    used: PoolUse,
    healed: PoolUse,
}

indexed_by! {
    PoolId: ResizablePool;
}

impl<'a> ResilienceController<'a> {
    /// The control loop of a run on `shards` shards; `limit` is the memory that it may have, bytes.
    pub(super) fn new(plan: &'a Plan, shards: usize, limit: Option<u64>) -> Self {
        let policies = &plan.policies;
        let budget = match policies.memory {
            Some(_) => plan.memory_budget().or(limit),
            None => plan.memory_budget(),
        };
        let mut services = vec![ServiceId::default(); plan.steps.len()];
        for share in plan.workloads.iter().flat_map(|load| &load.shares) {
            for call in &plan.archetypes[share.archetype].calls {
                services[share.step(call.series).index()] = call.service;
            }
        }
        let predicts = policies.predicts();
        let watched = |pool: &crate::plan::policy::PoolPolicy| ResizablePool {
            size: pool.connections,
            look_at: pool
                .adaptive
                .map_or(RunOffset::NEVER, |every| RunOffset::from_ns(nanos(every))),
            trend: pool.adaptive.filter(|_| predicts).map(|_| Trend::default()),
            busy: 0,
            used: PoolUse::default(),
            healed: PoolUse::default(),
        };
        let every = policies.healing.map(|healing| RunOffset::from_ns(nanos(healing.every)));
        Self {
            plan,
            services,
            degrade: policies.degradation.map(DegradationController::new),
            admit: policies.admission.map(AdmissionController::new),
            memory: budget.map(MemoryController::new),
            heal: every.map(|every| (HealingController::default(), every)),
            pools: policies.pools.iter().map(watched).collect(),
            second: SecondStats::default(),
            by_service: vec![SecondStats::default(); plan.services.len()],
            lag: Histogram::default(),
            cpu: 0.0,
            users: vec![0; shards],
            before: vec![(0, 0); shards],
            rss: None,
            actions: Vec::new(),
            now: RunOffset::ZERO,
        }
    }

    /// Adds the delta of a shard.
    pub(super) fn absorb(&mut self, delta: &Delta) {
        for window in &delta.windows {
            window.workloads.iter().for_each(|load| self.lag.merge(&load.lag));
            for (at, step) in window.steps.iter().enumerate() {
                let Some(step) = step else { continue };
                let (sent, errors) = trouble(step);
                for seen in [&mut self.second, &mut self.by_service[self.services[at].index()]] {
                    seen.calls += sent;
                    seen.errors += errors;
                    seen.service.merge(step.service.responses());
                    seen.service.merge(step.service.timeouts());
                }
            }
        }
        for (pool, used) in self.pools.iter_mut().zip(&delta.pools) {
            pool.used.add(used);
            pool.busy += used.busy;
            pool.healed.add(used);
        }
        if let Some(users) = self.users.get_mut(delta.shard) {
            *users = delta.gauges.users;
        }
        if let Some(before) = self.before.get_mut(delta.shard) {
            let now = (delta.gauges.cpu_ns, delta.gauges.elapsed_ns);
            let (cpu, time) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
            *before = now;
            if time > 0 {
                self.cpu = self.cpu.max(cpu as f64 / time as f64);
            }
        }
    }

    /// Ends a second with `rss` resident bytes; returns the actions to take.
    pub(super) fn second(&mut self, now: RunOffset, rss: Option<u64>) -> Vec<ControllerAction> {
        (self.now, self.rss) = (now, rss);
        self.relieve_memory();
        self.degrade();
        self.admit();
        self.size();
        self.heal();
        std::mem::take(&mut self.actions)
    }

    /// The share of the memory budget that is used.
    fn memory_share(&self) -> Option<f64> {
        Some(self.memory.as_ref()?.share(self.rss?))
    }

    fn relieve_memory(&mut self) {
        let (Some(memory), Some(rss)) = (&mut self.memory, self.rss) else { return };
        for (relief, cause) in memory.evaluate_second(self.now.ns(), rss, self.users.iter().sum()) {
            let order = match relief {
                MemoryRelief::Trim => Order::TrimMemory,
                MemoryRelief::PauseAdmission => Order::PauseAdmission(true),
                MemoryRelief::ResumeAdmission => Order::PauseAdmission(false),
            };
            self.action(Some(order), ChangeSubject::Memory, Change::Memory { relief }, cause);
        }
    }

    fn degrade(&mut self) {
        let memory = self.memory_share();
        let seen = std::mem::take(&mut self.second);
        let Some(degrade) = &mut self.degrade else { return };
        let from = degrade.level();
        let Some((to, cause)) = degrade.evaluate_second(self.now.ns(), seen, memory) else {
            return;
        };
        let change = Change::Degradation { from, to };
        self.action(Some(Order::Level(to)), ChangeSubject::Client, change, cause);
    }

    fn admit(&mut self) {
        let (lag_us, cpu) =
            (std::mem::take(&mut self.lag).percentile_us(99.0), std::mem::take(&mut self.cpu));
        let Some(admit) = &mut self.admit else { return };
        let changed = admit.evaluate_second(self.now.ns(), lag_us, cpu);
        let Some(((from, to), cause)) = changed else { return };
        let change = Change::Admission { from, to };
        self.action(Some(Order::Admit(to)), ChangeSubject::Generator, change, cause);
    }

    fn size(&mut self) {
        for id in PoolId::first(self.pools.len()) {
            let law = &self.plan.policies.pools[id];
            let pool = &mut self.pools[id];
            let busy = std::mem::take(&mut pool.busy);
            if let Some(trend) = &mut pool.trend {
                trend.add(self.now.ns(), busy as f64 / 1e9);
            }
            let Some(every) = law.adaptive.filter(|_| self.now >= pool.look_at) else {
                continue;
            };
            pool.look_at = self.now.after(nanos(every));
            let used = std::mem::take(&mut pool.used);
            // What is likely to be in use when the size is checked next.
            let predicted = pool.trend.as_ref().and_then(|trend| trend.predict(pool.look_at.ns()));
            if let Some((size, why)) = sizing::resize(law, pool.size, &used, predicted) {
                self.resize(id, size, why);
            }
        }
    }

    fn resize(&mut self, id: PoolId, size: u64, cause: ChangeCause) {
        // Each shard has at least one of them.
        let size = size.max(self.before.len() as u64);
        if size == self.pools[id].size {
            return;
        }
        let from = std::mem::replace(&mut self.pools[id].size, size);
        let change = Change::PoolSize { from, to: size };
        self.action(Some(Order::Resize(id, size)), self.pool(id), change, cause);
    }

    /// A pool as the subject of a change.
    fn pool(&self, id: PoolId) -> ChangeSubject {
        ChangeSubject::Pool(self.plan.policies.pools[id].name.clone())
    }

    fn heal(&mut self) {
        let Some((_, look_at)) = &self.heal else { return };
        if self.now < *look_at {
            return;
        }
        let signs = self.signs();
        let every = self.plan.policies.healing.unwrap_or_default().every;
        let Some((heal, look_at)) = &mut self.heal else { return };
        *look_at = self.now.after(nanos(every));
        for step in heal.evaluate(&signs) {
            self.apply_remedy(&step);
        }
    }

    /// What was measured since the last check of healing.
    fn signs(&mut self) -> Vec<HealthSign> {
        let mut signs = vec![HealthSign {
            issue: HealthIssue::Memory,
            value: self.memory_share(),
            curable: true,
        }];
        for (id, pool) in PoolId::number(&mut self.pools) {
            let law = &self.plan.policies.pools[id];
            let value = std::mem::take(&mut pool.healed).utilisation();
            let curable = law.adaptive.is_some() && pool.size < law.max;
            signs.push(HealthSign { issue: HealthIssue::Connections(id), value, curable });
        }
        for (id, seen) in ServiceId::number(&mut self.by_service) {
            let seen = std::mem::take(seen);
            let enough = seen.calls >= ENOUGH;
            let p95 = seen.service.percentile_us(95.0) as f64 / 1e6;
            let errors = seen.errors as f64 / seen.calls.max(1) as f64;
            for (issue, value) in
                [(HealthIssue::Latency(id), p95), (HealthIssue::Errors(id), errors)]
            {
                signs.push(HealthSign { issue, value: enough.then_some(value), curable: true });
            }
        }
        signs
    }

    fn apply_remedy(&mut self, step: &HealingStep) {
        let (HealingStep::Remedy(issue, seen)
        | HealingStep::NoRemedy(issue, seen)
        | HealingStep::Outcome(issue, seen, _)) = step;
        let figure = issue.figure(*seen);
        let subject = match issue {
            HealthIssue::Memory => ChangeSubject::Memory,
            HealthIssue::Connections(id) => self.pool(*id),
            HealthIssue::Latency(id) | HealthIssue::Errors(id) => {
                ChangeSubject::Service(self.plan.services[*id].name.clone())
            }
        };
        let (order, remedy) = match (step, issue) {
            (HealingStep::Outcome(_, _, now), _) => {
                let change = Change::Healed { from: figure, to: issue.figure(*now) };
                return self.action(None, subject, change, ChangeCause::Health { figure });
            }
            (HealingStep::NoRemedy(..), HealthIssue::Connections(id)) => {
                let pool = Some(self.plan.policies.pools[*id].name.clone());
                (None, Remedy::None { pool })
            }
            (HealingStep::NoRemedy(..), _) => (None, Remedy::None { pool: None }),
            (HealingStep::Remedy(..), HealthIssue::Memory) => {
                (Some(Order::TrimMemory), Remedy::TrimMemory)
            }
            (HealingStep::Remedy(..), HealthIssue::Connections(id)) => {
                let from = self.pools[*id].size;
                let to = sizing::grown(&self.plan.policies.pools[*id], from);
                self.pools[*id].size = to;
                (Some(Order::Resize(*id, to)), Remedy::GrowPool { from, to })
            }
            (HealingStep::Remedy(..), HealthIssue::Latency(id) | HealthIssue::Errors(id)) => {
                (Some(Order::Refresh(*id)), Remedy::RefreshService)
            }
        };
        self.action(order, subject, Change::Healing { remedy }, ChangeCause::Health { figure });
    }

    fn action(
        &mut self,
        order: Option<Order>,
        subject: ChangeSubject,
        change: Change,
        cause: ChangeCause,
    ) {
        let notice = StateChange { at: self.now, subject, change, cause };
        self.actions.push(ControllerAction { order, notice });
    }
}

/// How many calls of a series were sent and have ended, and how many of them the target failed: no
/// response, or a status of 500 and above, or 429. Other 4xx are not the target's failure.
fn trouble(step: &StepWindow) -> (u64, u64) {
    let calls = &step.calls;
    let (mut answered, mut bad) = (0, 0);
    for &(status, count) in &step.statuses {
        answered += count;
        let status = as_http(status);
        bad += if status == 429 || status >= 500 { count } else { 0 };
    }
    let unanswered = (calls.ok + calls.failed).saturating_sub(answered);
    (calls.ok + calls.failed + calls.timeout, calls.timeout + unanswered + bad)
}

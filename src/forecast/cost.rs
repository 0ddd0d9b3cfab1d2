//! What a run is expected to use and cost, and what would be cheaper.
//!
//! `cli plan --cost` computes it from a forecast and a measured run; `report` shows it.
//! Invariant: what depends on the machine is measured, never guessed: CPU time and memory are those
//! of measured runs, scaled by calls, seconds and users; each assumption is named.

use super::cost_advice::AdviceContext;
pub use super::cost_advice::{CostAdvice, CostAssumptions, body_len};
use super::cost_model::{CallProfile, CpuModel, CpuParts, MeasuredUse};
use super::cost_range::{cpu_with_range, measured_lines, uncertainty};
use super::{COLUMNS, Forecast};
use crate::ids::WorkloadId;
use crate::plan::flow::Archetype;
use crate::plan::policy::PoolStrategy;
use crate::plan::prices::{Prices, ResourceUse};
use crate::plan::{Call, Endpoint, Load, Plan, ServiceTarget};
use crate::units::show_bytes;

/// Bytes of a request line and its usual headers beside what the scenario names: version, `host`,
/// `user-agent`, the names of `content-length` and of the header of the run.
const REQUEST_HEAD: usize = 80;

/// Bytes of the head of a response, if it is not known.
const RESPONSE_HEAD: f64 = 150.0;

/// Between the mean rates of plan and measured run, the factor from which CPU time per call may
/// differ: at a low rate each call wakes a thread.
const OTHER_RATE: f64 = 2.0;

/// What a run is expected to use.
#[derive(Clone, Debug, PartialEq)]
pub struct CostForecast {
    /// The use.
    pub used: ResourceUse,
    /// The lowest and the highest CPU time that the measured runs allow, seconds.
    pub cpu_range_s: (f64, f64),
    /// The parts of CPU time, at each measured rate.
    pub cpu_parts: Vec<CpuParts>,
    /// Connections that are opened.
    pub opened: f64,
    /// What was assumed, as sentences.
    pub assumptions: Vec<String>,
    /// What would be cheaper, largest saving first.
    pub advice: Vec<CostAdvice>,
}

impl CostForecast {
    /// Computes what the run of a plan uses: `measured` is a run, or the middle one of several;
    /// `model` is made of all of them.
    pub fn new(
        plan: &Plan,
        forecast: &Forecast,
        (measured, model): (&MeasuredUse, &CpuModel),
        assumed: &CostAssumptions,
        prices: &Prices,
    ) -> Self {
        let (_, calls) = forecast.totals();
        let opened = connections_opened(plan, forecast);
        let mut assumptions = Vec::new();
        let users = mean_users(forecast);
        let load = profile(forecast);
        let times = users / measured.users.max(1.0);
        let (cpu_s, cpu_range_s) = cpu_with_range(model, (&load, times, call_spread(forecast)));
        let per_user = per_user_bytes(forecast);
        let memory = measured.memory + (users - measured.users).max(-measured.users) * per_user;
        let (sent, received) = if measured.is_alike {
            let of_calls = calls / measured.calls.max(1.0);
            (measured.sent * of_calls, measured.received * of_calls)
        } else {
            assumptions.push(format!(
                "responses have a body of {} (set by --response-size, or measured by --like)",
                show_bytes(assumed.response)
            ));
            (request_bytes(plan, forecast), calls * (RESPONSE_HEAD + assumed.response as f64))
        };
        assumptions.extend(measured_lines(model, measured));
        let rates =
            (calls / forecast.end_s.max(1e-9), measured.calls / measured.length_s.max(1e-9));
        let is_far = rates.0 > rates.1 * OTHER_RATE || rates.1 > rates.0 * OTHER_RATE;
        if measured.is_alike && is_far {
            assumptions.push(format!(
                "the measured run had {:.0} calls per second, the plan has {:.0}: CPU time per \
                 call falls with the rate, so it may be off by half",
                rates.1, rates.0
            ));
        }
        assumptions.push(
            "bytes are those of HTTP; TLS, TCP and IP add some 40 bytes per packet and 5 KB per \
             TLS connection"
                .to_owned(),
        );
        assumptions.push(uncertainty(measured, model, (cpu_s, cpu_range_s)));
        let used = ResourceUse {
            length_s: forecast.end_s,
            cpu_s,
            memory: memory.max(0.0),
            sent,
            received,
            written: forecast.report_bytes as f64,
        };
        let advice = AdviceContext {
            plan,
            forecast,
            used,
            opened,
            assumed: *assumed,
            prices,
            calls,
            per_user,
        };
        let advice = advice.all();
        Self { used, cpu_range_s, cpu_parts: model.points.clone(), opened, assumptions, advice }
    }
}

/// The possible error of the number of calls, as a share of them.
fn call_spread(forecast: &Forecast) -> f64 {
    let spread = |one: &super::WorkloadForecast| one.calls * one.spread / one.iterations.max(1.0);
    let spread: f64 = forecast.workloads.iter().map(spread).sum();
    (spread / forecast.totals().1.max(1.0)).min(1.0)
}

/// The calls of a plan over its run.
pub fn profile(forecast: &Forecast) -> CallProfile {
    let column_s = forecast.end_s / COLUMNS as f64;
    let mut calls = vec![0.0; COLUMNS];
    for one in &forecast.workloads {
        let all: f64 = one.levels.iter().sum();
        // A count of iterations without a duration has no levels.
        let share = |at: usize| {
            let level = one.levels.get(at).copied().unwrap_or(0.0);
            if all > 0.0 { level / all } else { 1.0 / COLUMNS as f64 }
        };
        calls.iter_mut().enumerate().for_each(|(at, calls)| *calls += one.calls * share(at));
    }
    CallProfile { column_s, calls }
}

/// Memory of a user with its connections, bytes.
fn per_user_bytes(forecast: &Forecast) -> f64 {
    let needs = &forecast.expected;
    let own = needs.memory.saturating_sub(super::needs::OWN_BYTES);
    own as f64 / needs.users.max(1) as f64
}

/// The mean over the run of the most users so far: the memory of users that have left is kept.
fn mean_users(forecast: &Forecast) -> f64 {
    let of = |one: &super::WorkloadForecast| {
        let mut most = 0.0_f64;
        let levels = one.levels.iter().map(|level| {
            most = most.max(*level);
            most
        });
        let mean = levels.sum::<f64>() / one.levels.len().max(1) as f64;
        let share = if one.peak > 0.0 { (mean / one.peak).min(1.0) } else { 0.0 };
        one.users.min(one.max_users as f64) * share
    };
    forecast.workloads.iter().map(of).sum()
}

/// Bytes of all requests, estimated from their texts.
fn request_bytes(plan: &Plan, forecast: &Forecast) -> f64 {
    let mut bytes = 0.0;
    for share in plan.workloads.iter().flat_map(|load| &load.shares) {
        for call in &plan.archetypes[share.archetype].calls {
            let calls =
                forecast.steps.get(share.step(call.series).index()).map_or(0.0, |s| s.calls);
            bytes += calls * request_len(plan, call) as f64;
        }
    }
    bytes
}

/// Bytes of one request.
fn request_len(plan: &Plan, call: &Call) -> usize {
    let (request, service) = (&call.request, &plan.services[call.service]);
    let host = match &service.target {
        ServiceTarget::Url(address) => address.host.len() + address.prefix.len() + 6,
        ServiceTarget::Builtin(_) => "127.0.0.1:40000".len(),
    };
    let headers = request.headers.iter().chain(&service.headers);
    let headers: usize = headers.map(|(name, value)| name.len() + value.likely_len() + 4).sum();
    let run = plan.safety.run_header.as_ref().map_or(0, String::len);
    REQUEST_HEAD
        + request.method.len()
        + request.path.likely_len()
        + host
        + headers
        + run
        + body_len(&request.body)
}

/// Connections that a run opens if none fails: of each user its own, or one for each call.
fn connections_opened(plan: &Plan, forecast: &Forecast) -> f64 {
    let mut opened = 0.0;
    for (id, one) in WorkloadId::number(&forecast.workloads) {
        let workload = &plan.workloads[id];
        let weights: f64 = workload.shares.iter().map(|share| share.weight).sum();
        for share in &workload.shares {
            let archetype = &plan.archetypes[share.archetype];
            let part = share.weight / weights;
            let users = match &workload.load {
                Load::Open(open) if open.fresh_connections => one.iterations,
                Load::Open(_) => one.users.min(one.max_users as f64),
                Load::Closed(_) => one.max_users as f64,
            };
            opened += users * part * own_services(plan, archetype) as f64;
            for call in &archetype.calls {
                if strategy(plan, call) == Some(PoolStrategy::PerRequest) {
                    let at = share.step(call.series).index();
                    opened += forecast.steps.get(at).map_or(0.0, |step| step.calls);
                }
            }
        }
    }
    let pools = plan.policies.pools.iter().filter(|pool| pool.strategy == PoolStrategy::Shared);
    opened + pools.map(|pool| pool.connections as f64).sum::<f64>().min(forecast.totals().1)
}

fn strategy(plan: &Plan, call: &Call) -> Option<PoolStrategy> {
    let pool = plan.policies.pool_of(&Endpoint::from_call(call))?;
    Some(plan.policies.pools[pool].strategy)
}

/// The services to which a user keeps connections of its own.
fn own_services(plan: &Plan, archetype: &Archetype) -> usize {
    let is_own = |call: &&Call| matches!(strategy(plan, call), None | Some(PoolStrategy::PerUser));
    let own = archetype.calls.iter().filter(is_own).map(|call| call.service);
    own.collect::<std::collections::BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast() -> Forecast {
        Forecast {
            workloads: Vec::new(),
            steps: Vec::new(),
            feeds: Vec::new(),
            streams: Vec::new(),
            messages: None,
            end_s: 60.0,
            latest_s: 60.0,
            expected: super::super::MachineNeeds::default(),
            most: super::super::MachineNeeds::default(),
            report_bytes: 70_000,
            call_s: 0.02,
            assumptions: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn workload(levels: Vec<f64>, users: f64) -> super::super::WorkloadForecast {
        super::super::WorkloadForecast {
            name: "w".into(),
            model: "closed",
            peak: levels.iter().copied().fold(0.0, f64::max),
            levels,
            start_s: 0.0,
            end_s: 60.0,
            iterations: 6_000.0,
            spread: 0.0,
            exact: true,
            calls: 6_000.0,
            users,
            max_users: users as u64,
            dropped: 0.0,
            iteration_s: 1.0,
        }
    }

    #[test]
    fn users_that_left_keep_their_memory() {
        let mut forecast = forecast();
        forecast.workloads.push(workload(vec![0.0, 50.0, 100.0, 0.0], 100.0));
        assert!((mean_users(&forecast) - 62.5).abs() < 1e-9);
    }

    #[test]
    fn memory_of_a_user_is_what_it_adds_to_the_program() {
        let mut forecast = forecast();
        forecast.expected.users = 1_000;
        forecast.expected.memory = super::super::needs::OWN_BYTES + 2_240_000;
        assert!((per_user_bytes(&forecast) - 2_240.0).abs() < 1e-9);
    }
}

//! An archetype's flow as one shard walks it: requests as bytes, limits in ns, checks by number.
//!
//! A shard makes it when it starts; `walk` follows it, `attempt` sends from it.
//! Invariant: nothing in it changes while the run goes on.

use super::request::PreparedRequest;
use crate::curve::Distribution;
use crate::engine::setup::ShardSetup;
use crate::plan::flow::{Sections, Step};
use crate::plan::policy::{PoolStrategy, Priority};
use crate::plan::{Archetype, Call};
use crate::units::nanos;
use crate::wire::CaptureRequest;

/// An archetype as this shard walks it.
pub(crate) struct PreparedFlow {
    pub(crate) calls: Vec<PreparedCall>,
    pub(crate) steps: Vec<Step>,
    pub(crate) sections: Sections,
    /// For each variable, whether its value may come from a response.
    pub(crate) from_responses: Vec<bool>,
    pub(crate) think: Option<Distribution>,
    pub(crate) pace_ns: Option<u64>,
    /// Between two of its calls the shard has next to nothing to do: requests are rendered once,
    /// and no body is looked at. So the end of one call is the beginning of the next.
    pub(crate) is_light: bool,
}

/// A request step as this shard makes it.
pub(crate) struct PreparedCall {
    pub(crate) call: Call,
    pub(crate) request: PreparedRequest,
    pub(crate) capture: CaptureRequest,
    pub(crate) idempotent: bool,
    pub(crate) timeout_ns: u64,
    /// Which of the run's endpoints it goes to.
    pub(crate) endpoint: usize,
    /// The pool it belongs to.
    pub(crate) pool: Option<usize>,
    /// What is left out first.
    pub(crate) priority: Priority,
    /// How many redirects it follows.
    pub(crate) redirects: u32,
    /// Whether the user's cookies go with it, and those of its answer are kept.
    pub(crate) cookies: bool,
    /// Where its checks, expects and captures count, in that order.
    pub(crate) check_ids: Vec<usize>,
}

impl PreparedFlow {
    /// Archetype number `archetype`; `names` are the checks of each series.
    pub(crate) fn new(setup: &ShardSetup, archetype: usize, names: &[Vec<String>]) -> Self {
        let plan = &setup.plan;
        let kind: &Archetype = &plan.archetypes[archetype];
        // All shares of an archetype have the same series: the first tells where its checks count.
        let share = plan.workloads.iter().flat_map(|workload| &workload.shares);
        let share = share.into_iter().find(|share| share.archetype == archetype);
        let policies = &plan.policies;
        let globals = plan.setup.as_ref().map(|setup| setup.variables_from_responses(&[]));
        let globals = globals.unwrap_or_default();
        let prepare = |(index, call): (usize, &Call)| {
            let endpoint = setup.shared.endpoints.by_call[archetype][index];
            let pool = policies.pool_of(&setup.shared.endpoints.all[endpoint]);
            let service = &plan.services[call.service];
            let known = share.map_or(&[][..], |share| names[share.step(call.series)].as_slice());
            let names = |name: &str| {
                call.request.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
            };
            let address = &setup.addresses[call.service];
            let closes =
                pool.is_some_and(|at| policies.pools[at].strategy == PoolStrategy::PerRequest);
            let redirects = call.redirects.or(service.redirects).unwrap_or(0);
            PreparedCall {
                request: PreparedRequest::new(call, service, address, &plan.safety, closes),
                endpoint,
                pool,
                priority: call
                    .priority
                    .or(pool.map(|at| policies.pools[at].priority))
                    .unwrap_or_default(),
                capture: CaptureRequest {
                    head_request: call.request.method == "HEAD",
                    max_body: call.max_body,
                    keep_head: call.needs_head() || setup.trace.is_some(),
                    // What is compressed is only unpacked where a check looks at it.
                    keep_body: call.needs_body() || setup.trace.is_some() && !service.compress,
                    cookies: service.cookies,
                    location: redirects > 0,
                    retry_after: policies.retries.is_some(),
                },
                redirects,
                // A step that names its cookies itself wants these and no others.
                cookies: service.cookies && !names("cookie"),
                idempotent: call.request.is_idempotent(),
                timeout_ns: nanos(call.timeout.unwrap_or(service.timeout)),
                check_ids: call
                    .check_names()
                    .filter_map(|name| known.iter().position(|other| *other == name))
                    .collect(),
                call: call.clone(),
            }
        };
        let calls: Vec<PreparedCall> = kind.calls.iter().enumerate().map(prepare).collect();
        let is_light = |step: &Step| match step {
            Step::Call(index) => {
                let call = &calls[*index];
                matches!(call.request, PreparedRequest::Static(_)) && !call.capture.keep_body
            }
            Step::Pause(_) | Step::Jump(_) | Step::End => true,
            _ => false,
        };
        Self {
            is_light: kind.steps.iter().all(is_light),
            calls,
            steps: kind.steps.clone(),
            from_responses: kind.variables_from_responses(&globals),
            sections: kind.sections,
            think: kind.think.clone(),
            pace_ns: kind.pace.map(nanos),
        }
    }
}

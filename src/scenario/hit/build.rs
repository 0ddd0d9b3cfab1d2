//! The plan of `hit`: one or several URLs without a scenario file.
//!
//! `cli` fills in the options; the result is a plan like any other, so there is one measurement
//! path.
//! Invariant: no option is a template; the given bytes are sent.

use std::path::Path;
use std::sync::Arc;

use super::{check, client, grpc, streams, urls};
use crate::curve::Curve;
use crate::files::Files;
use crate::grpc::reflection::ReflectedSets;
use crate::ids::{ArchetypeId, ServiceId, WorkloadId};
use crate::plan::ceilings::Ceilings;
use crate::plan::flow::Choice;
use crate::plan::load::{ArrivalProcess, Arrivals, LoadBound, Users};
use crate::plan::policy::{PoolPolicy, PoolStrategy};
use crate::plan::stream::{AnswerFormat, StreamedAnswer};
use crate::plan::{
    Address, Archetype, Call, EndpointPattern, Load, Plan, Policies, RequestBody, RequestTemplate,
    Series, Service, ServiceTarget, Step, Workload,
};
use crate::scenario::hit::options::{CONNECTIONS, HitOptions};
use crate::scenario::hit::streams::HitMode;
use crate::scenario::hit::urls::{HitTarget, HitTargets};
use crate::scenario::load::bounds::DEFAULT_MAX_USERS;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::mistake::Mistakes;
use crate::scenario::{compile, limits, safety, thresholds};
use crate::seed::Seed;
use crate::template::Template;
use crate::units::nanos;

/// Builds the plan of a hit: one workload, one archetype, a step for each path.
///
/// # Errors
///
/// Every invalid URL, header, method, number, file or threshold, under the name of its flag.
pub fn plan(hit: &HitOptions) -> Result<Plan, Mistakes> {
    plan_told(hit, &ReflectedSets::new())
}

/// As [`plan`], with the methods that servers of gRPC have told.
///
/// # Errors
///
/// As [`plan`], and what servers did not tell.
pub fn plan_told(hit: &HitOptions, told: &ReflectedSets) -> Result<Plan, Mistakes> {
    let mut diagnostics = Diagnostics::reading(&hit.files);
    let (method, mode) = (check::method(hit), HitMode::of(hit));
    let verb = mode.verb().unwrap_or(&method);
    let targets = urls::targets(&mut diagnostics, &hit.urls, verb);
    check::check(&mut diagnostics, hit);
    streams::check(&mut diagnostics, hit, mode);
    let client = client::transport(&mut diagnostics, &hit.client);
    let thresholds = thresholds::parse_flag(&mut diagnostics, &hit.thresholds);
    let plan = targets.zip(client).map(|(targets, transport)| {
        let archetype = archetype(hit, mode, &method, &targets);
        let workload = Workload::single("hit", load(hit, mode));
        let series = |name: &String| Series {
            name: name.clone(),
            archetype: ArchetypeId::default(),
            workload: WorkloadId::default(),
            tags: Vec::new(),
        };
        let service = |(name, address): &(String, Address)| {
            let mut service = Service::new(name, ServiceTarget::Url(address.clone()));
            service.timeout = hit.timeout.unwrap_or(Service::TIMEOUT);
            service.transport = client::for_origin(&transport, &hit.client, address);
            // A hit repeats independent requests, without the state of a visitor.
            service.cookies = false;
            service.redirects = hit.client.redirects;
            service
        };
        Plan {
            shift: None,
            run_id: crate::plan::run_id(),
            scenario: "hit".to_owned(),
            description: None,
            seed: hit.seed.unwrap_or_else(Seed::draw),
            services: targets.origins.iter().map(service).collect(),
            steps: archetype.series.iter().map(series).collect(),
            archetypes: vec![archetype],
            workloads: vec![workload],
            groups: Vec::new(),
            setup: None,
            teardown: None,
            thresholds,
            warmup: hit.warmup,
            uncounted: hit.warmup,
            grace: compile::GRACE,
            safety: Arc::default(),
            policies: policies(hit, mode),
            call_records: None,
            trace_url: None,
            sources: Vec::new(),
            caches: Vec::new(),
        }
    });
    let mut plan = plan;
    if let Some(plan) = &mut plan {
        grpc::apply(&mut diagnostics, (hit, told), plan);
    }
    if let Some(plan) = &plan {
        thresholds::check_selectors(&mut diagnostics, plan, &[]);
    }
    diagnostics.finish(plan).map(|(plan, _)| plan)
}

/// Applies the user's limits to the plan: their safety file, the hosts they authorise, and the
/// ceilings of the command line.
///
/// # Errors
///
/// Mistakes in that file, and all parts of the plan beyond the limits.
pub fn within_limits(
    mut plan: Plan,
    files: &Files,
    file: Option<&Path>,
    hosts: &[String],
    ceilings: &Ceilings,
) -> Result<Plan, Mistakes> {
    let mut diagnostics = Diagnostics::reading(files);
    let limits = safety::read_user_file(&mut diagnostics, file);
    limits::report_denied(&mut diagnostics, "hit", &plan, &limits.safety);
    safety::enforce(&mut diagnostics, "hit", &mut plan, limits, hosts, ceilings, false);
    diagnostics.finish(Some(plan)).map(|(plan, _)| plan)
}

fn load(hit: &HitOptions, mode: HitMode) -> Load {
    if mode != HitMode::Requests {
        return streams::load(hit, mode);
    }
    let length = streams::length(hit);
    let Some(rate) = hit.rate else {
        return Load::Closed(Users {
            curve: Curve::constant(hit.connections.unwrap_or(CONNECTIONS), length),
            bound: hit.requests.map_or(LoadBound::Time, LoadBound::Iterations),
        });
    };
    let curve = Curve::constant(rate.units(), length);
    // The starts of the warm-up are in addition to the counted ones.
    let uncounted = curve.starts_before(nanos(hit.warmup));
    Load::Open(Arrivals {
        process: ArrivalProcess::Constant,
        curve,
        iterations: hit.requests.map(|requests| requests.saturating_add(uncounted)),
        max_users: hit.connections.unwrap_or(DEFAULT_MAX_USERS),
        fresh_connections: false,
    })
}

/// Builds the policies: without keep-alive each request opens its own connection and closes it.
fn policies(hit: &HitOptions, mode: HitMode) -> Policies {
    // A stream takes its connection out of any pool.
    if hit.client.keep_alive || mode != HitMode::Requests {
        return Policies::default();
    }
    let users = if hit.rate.is_some() { DEFAULT_MAX_USERS } else { CONNECTIONS };
    let patterns = EndpointPattern::parse("*").into_iter().collect();
    let pool = PoolPolicy::shared("hit", patterns, hit.connections.unwrap_or(users));
    Policies {
        pools: vec![PoolPolicy { strategy: PoolStrategy::PerRequest, ..pool }],
        ..Policies::default()
    }
}

/// Builds a user that sends one request per iteration: the only one, or one drawn by weight.
fn archetype(hit: &HitOptions, mode: HitMode, method: &str, targets: &HitTargets) -> Archetype {
    let headers = headers(hit);
    let body = hit.body.clone().map_or(RequestBody::None, RequestBody::Bytes);
    let streamed = hit.stream.map(|format| StreamedAnswer { format, good: hit.good });
    let call = |target: &HitTarget| Call {
        series: target.series,
        service: ServiceId::new(target.origin),
        request: RequestTemplate {
            method: method.to_owned(),
            path: target.path.clone(),
            headers: headers.clone(),
            body: body.clone(),
        },
        // Bodies are read and dropped without checks, so their size does not matter.
        max_body: u64::MAX,
        streamed,
        ..Call::get(target.path.clone())
    };
    if let (true, Some(target)) = (mode != HitMode::Requests, targets.list.first()) {
        return streams::archetype(hit, mode, targets, &call(target));
    }
    let calls = targets.list.iter().map(call).collect();
    let mut archetype = Archetype::from_calls("hit", calls, targets.names.clone());
    if let [_, _, ..] = targets.list.as_slice() {
        let (count, end) = (targets.list.len(), targets.list.len() * 2 + 1);
        let option = |(index, target): (usize, &HitTarget)| (target.weight, 1 + 2 * index);
        let options = targets.list.iter().enumerate().map(option).collect();
        let branches = (0..count).flat_map(|index| [Step::Call(index), Step::Jump(end)]);
        archetype.steps = [Step::Choose(Choice { options })]
            .into_iter()
            .chain(branches)
            .chain([Step::End])
            .collect();
    }
    archetype
}

/// The headers of each request; the APIs of language models take JSON.
fn headers(hit: &HitOptions) -> Vec<(String, Template)> {
    let literal =
        |(name, value): &(String, String)| (name.clone(), Template::literal(value.trim()));
    let mut headers: Vec<(String, Template)> = hit.headers.iter().map(literal).collect();
    let takes_json = matches!(hit.stream, Some(AnswerFormat::OpenAi | AnswerFormat::Anthropic));
    let is_typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if takes_json && hit.body.is_some() && !is_typed {
        headers.push(("content-type".to_owned(), Template::literal("application/json")));
    }
    headers
}

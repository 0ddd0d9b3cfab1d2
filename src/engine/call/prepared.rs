//! An archetype's flow, prepared for a shard: requests as bytes, limits in ns, checks by number.
//!
//! `shard` makes it at its start; `iteration` runs it, `attempt` sends from it.
//! Invariant: it does not change during the run.

use super::request::PreparedRequest;
use super::trace_context::{self, TracePlace};
use crate::curve::Distribution;
use crate::engine::startup::setup::ShardSetup;
use crate::ids::{ArchetypeId, EndpointId, PoolId};
use crate::plan::flow::{Sections, Step};
use crate::plan::policy::{PoolStrategy, Priority};
use crate::plan::stream::{AnswerFormat, StreamAct, StreamForm, StreamStep};
use crate::plan::{Archetype, Call, Plan};
use crate::units::nanos;
use crate::wire::tokens::streamed::StreamedFormat;
use crate::wire::{CaptureRequest, TakesOver};

/// The flow of an archetype.
pub(crate) struct PreparedFlow {
    pub(crate) calls: Vec<PreparedCall>,
    pub(crate) steps: Vec<Step>,
    pub(crate) sections: Sections,
    /// Whether the value of a variable may come from a response, by slot.
    pub(crate) from_responses: Vec<bool>,
    pub(crate) think: Option<Distribution>,
    pub(crate) pace_ns: Option<u64>,
    /// Whether the shard has next to nothing to do between two calls: requests are rendered once,
    /// and no body is looked at. Then the end of one call is the beginning of the next.
    pub(crate) is_light: bool,
    /// Whether each step computes from a value that a listener captures; empty if none captures.
    pub(crate) reads_captured: Vec<bool>,
    /// Whether some step uses a stream.
    pub(crate) has_streams: bool,
    /// Whether some step stamps messages.
    pub(crate) stamps: bool,
    /// The variables whose values are kept in caches, by slot.
    pub(crate) cached: Vec<usize>,
}

/// A request step.
pub(crate) struct PreparedCall {
    pub(crate) call: Call,
    pub(crate) request: PreparedRequest,
    pub(crate) capture: CaptureRequest,
    pub(crate) idempotent: bool,
    pub(crate) timeout_ns: u64,
    /// Endpoint of the call.
    pub(crate) endpoint: EndpointId,
    /// Pool of the call; `None` if it belongs to none.
    pub(crate) pool: Option<PoolId>,
    /// Calls of low priority are left out first.
    pub(crate) priority: Priority,
    /// Maximum redirects of the call.
    pub(crate) redirects: u32,
    /// Whether the call sends the user's cookies, and stores those of its response.
    pub(crate) cookies: bool,
    /// Whether it is more than a request: it has a stamp, opens a stream, or its response is
    /// observed as it comes.
    pub(crate) is_more: bool,
    /// Whether its bodies are counted by content type.
    pub(crate) counts_contents: bool,
    /// Whether its service has several backends.
    pub(crate) is_balanced: bool,
    /// Whether its service is a cluster of Redis, whose redirects it follows.
    pub(crate) follows_cluster: bool,
    /// Where its requests carry `traceparent`, if they do.
    pub(crate) trace_place: Option<TracePlace>,
    /// Indexes of the call's checks, expects and captures in the counts of the series, in that
    /// order.
    pub(crate) check_ids: Vec<usize>,
}

impl PreparedCall {
    /// Whether it is a step that begins a listener on an open stream.
    pub(crate) fn is_listener(&self) -> bool {
        matches!(self.call.stream.as_deref(), Some(StreamStep { act: StreamAct::Listen(_), .. }))
    }
}

impl PreparedFlow {
    /// Whether listeners capture values, in the background.
    #[inline]
    pub(crate) fn listeners_capture(&self) -> bool {
        !self.reads_captured.is_empty()
    }

    /// The flow of archetype `archetype`; `names` are the checks of each series.
    pub(crate) fn new(setup: &ShardSetup, archetype: ArchetypeId, names: &[Vec<String>]) -> Self {
        let plan = &setup.plan;
        let kind: &Archetype = &plan.archetypes[archetype];
        // All shares of an archetype have the same series: the first tells where its checks count.
        let share = plan.workloads.iter().flat_map(|workload| &workload.shares);
        let share = share.into_iter().find(|share| share.archetype == archetype);
        let policies = &plan.policies;
        let globals = plan.setup.as_ref().map(|setup| setup.variables_from_responses(&[]));
        let globals = globals.unwrap_or_default();
        let prepare = |(index, call): (usize, &Call)| {
            let endpoint = setup.shared.endpoints.by_call[archetype.index()][index];
            let pool = pool_of(setup, archetype, (index, call));
            let of_pool = pool.map(|at| policies.pools[at].priority);
            let service = &plan.services[call.service];
            let known =
                share.map_or(&[][..], |share| names[share.step(call.series).index()].as_slice());
            let names = |name: &str| {
                call.request.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
            };
            let address = &setup.addresses[call.service];
            let trace_headers = trace_context::headers(plan, kind, call, service);
            let closes =
                pool.is_some_and(|at| policies.pools[at].strategy == PoolStrategy::PerRequest);
            let redirects = call.redirects.or(service.redirects).unwrap_or(0);
            let first = (closes, trace_headers.as_deref());
            let request = PreparedRequest::new(call, service, address, &plan.safety, first);
            PreparedCall {
                trace_place: trace_headers.is_some().then(|| TracePlace::of(&request)),
                request,
                endpoint,
                pool,
                priority: call.priority.or(of_pool).unwrap_or_default(),
                capture: CaptureRequest {
                    head_request: call.request.method == "HEAD",
                    max_body: call.max_body,
                    keep_head: call.needs_head() || setup.trace.is_some(),
                    // A compressed body is decoded only if a check looks at it.
                    keep_body: call.needs_body()
                        || service.contents
                        || setup.trace.is_some() && !service.compress,
                    cookies: service.cookies,
                    location: redirects > 0,
                    retry_after: policies.retries.is_some(),
                    takes_over: takes_over(call),
                    observes: call.streamed.map(|streamed| observed(streamed.format)),
                },
                redirects,
                // A step that sets a Cookie header itself sends no others.
                cookies: service.cookies && !names("cookie"),
                idempotent: call.is_idempotent(),
                timeout_ns: nanos(call.timeout.unwrap_or(service.timeout)),
                is_more: call.stamp.is_some() || call.stream.is_some() || call.streamed.is_some(),
                counts_contents: service.contents,
                is_balanced: service.backends.is_some(),
                follows_cluster: service.transport.cluster,
                check_ids: check_ids(call, known),
                call: call.clone(),
            }
        };
        let calls: Vec<PreparedCall> = kind.calls.iter().enumerate().map(prepare).collect();
        Self {
            is_light: kind.steps.iter().all(|step| is_light(step, &calls)),
            cached: cached_variables(plan, kind),
            has_streams: calls.iter().any(|call| call.call.stream.is_some()),
            stamps: calls.iter().any(|call| call.call.stamp.is_some()),
            calls,
            steps: kind.steps.clone(),
            reads_captured: kind.steps_that_read_captured(),
            from_responses: kind.variables_from_responses(&globals),
            sections: kind.sections,
            think: kind.think.clone(),
            pace_ns: kind.pace.map(nanos),
        }
    }
}

/// The pool of a call: a transaction keeps the connection of the call that begins it.
fn pool_of(
    setup: &ShardSetup,
    archetype: ArchetypeId,
    (index, call): (usize, &Call),
) -> Option<PoolId> {
    let first = call.transaction.unwrap_or(index);
    let endpoints = &setup.shared.endpoints;
    let endpoint = endpoints.by_call[archetype.index()][first];
    setup.plan.policies.pool_of(&endpoints.all[endpoint])
}

/// The variables of an archetype that are kept in caches; those of `setup` have the same slots.
fn cached_variables(plan: &Plan, kind: &Archetype) -> Vec<usize> {
    let both = [Some(kind), plan.setup.as_ref()];
    both.into_iter().flatten().flat_map(Archetype::cached_variables).collect()
}

/// Indexes of a call's checks, expects and captures among those of its series.
fn check_ids(call: &Call, known: &[String]) -> Vec<usize> {
    let index = |name| known.iter().position(|other| *other == name);
    call.check_names().filter_map(index).collect()
}

/// Whether the shard has next to nothing to do for a step.
fn is_light(step: &Step, calls: &[PreparedCall]) -> bool {
    match step {
        Step::Call(index) => {
            let call = &calls[*index];
            call.request.as_static().is_some() && !call.capture.keep_body
        }
        Step::Pause(_) | Step::Jump(_) | Step::End => true,
        _ => false,
    }
}

/// Which response a stream takes over.
fn takes_over(call: &Call) -> TakesOver {
    match call.stream.as_deref() {
        Some(StreamStep { act: StreamAct::Open(open), .. }) => match open.form {
            StreamForm::WebSocket => TakesOver::Upgrade,
            StreamForm::Events | StreamForm::Lines | StreamForm::Grpc(_) => TakesOver::Body,
            // Its reader leaves the connection to the stream.
            StreamForm::Mqtt(_)
            | StreamForm::Amqp
            | StreamForm::Kafka(_)
            | StreamForm::Redis
            | StreamForm::Postgres => TakesOver::Nothing,
        },
        _ => TakesOver::Nothing,
    }
}

/// How the wire observes a response.
fn observed(format: AnswerFormat) -> StreamedFormat {
    match format {
        AnswerFormat::Events => StreamedFormat::Events,
        AnswerFormat::Lines => StreamedFormat::Lines,
        AnswerFormat::OpenAi => StreamedFormat::OpenAi,
        AnswerFormat::Anthropic => StreamedFormat::Anthropic,
        AnswerFormat::Messages => StreamedFormat::Messages,
    }
}

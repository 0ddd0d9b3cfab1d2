//! Steps at the channels of Redis and PostgreSQL: sessions, published messages, subscriptions.
//!
//! `stream` compiles those of its steps here whose service has channels.
//! Invariant: a service with channels is meant by its name, or because a step opens a session
//! there.

use std::sync::Arc;

use crate::ids::ServiceId;
use crate::plan::Call;
use crate::plan::broker::{
    AcknowledgePlan, PublishOptions, PublishPlan, SessionPlan, SubscribeOptions, SubscribePlan,
};
use crate::plan::operation::Operation;
use crate::plan::stream::{OpenStream, Reconnect, StreamAct, StreamForm, StreamStep};
use crate::protocol::Protocol;
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::flow::broker;
use crate::scenario::flow::broker_messages::{SubscribedSource, content, destination, listener};
use crate::scenario::flow::context::ScenarioContext;
use crate::scenario::flow::kinds::ControlStep;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::values;

/// What servers with channels speak.
const CHANNELS: [Protocol; 2] = [Protocol::Redis, Protocol::Postgres];

/// The protocols among which an `open: true` with this `service` looks for it: those of brokers,
/// unless the named one has channels, or there are servers with channels only.
pub(super) fn session_protocols(
    context: &ScenarioContext,
    service: Option<&str>,
) -> &'static [Protocol] {
    let has = |own: &[Protocol]| context.protocols.iter().any(|one| own.contains(one));
    let named = service.and_then(|name| context.services.iter().position(|own| own == name));
    let is_of_channels = match named {
        Some(place) => are_of(context, ServiceId::new(place)),
        None => service.is_none() && has(&CHANNELS) && !has(&broker::BROKERS),
    };
    if is_of_channels { &CHANNELS } else { &broker::BROKERS }
}

/// What the service speaks at which a step opens a session: the one that it names, else the first
/// of its kind.
pub(super) fn opened(flow: &Assembly<'_>, service: Option<&Node>) -> Option<Protocol> {
    let context = flow.flow_context.context;
    let named = service.and_then(values::scalar);
    let own = session_protocols(context, named);
    let is_it = |place: usize| match named {
        Some(name) => context.services.get(place).is_some_and(|known| known == name),
        None => true,
    };
    let mut all = context.protocols.iter().copied().enumerate();
    all.find(|(place, protocol)| own.contains(protocol) && is_it(*place)).map(|(_, found)| found)
}

/// Whether a service is a broker, or has channels.
pub(super) fn has_sessions(context: &ScenarioContext, service: ServiceId) -> bool {
    are_of(context, service) || broker::is_broker(context, service)
}

/// Whether a service has channels.
pub(super) fn are_of(context: &ScenarioContext, service: ServiceId) -> bool {
    context.protocols.get(service.index()).is_some_and(|protocol| CHANNELS.contains(protocol))
}

/// The service that `send` or `listen` means by a topic, queue or channel: the one that the step
/// names, else the first broker, else the first with channels where a step opens a session, unless
/// `value` names a stream. `None`: the step is for a stream.
pub(super) fn of_step(
    flow: &Assembly<'_>,
    value: &Node,
    fields: &Fields<'_>,
    service: Option<&Node>,
) -> Option<ServiceId> {
    let context = flow.flow_context.context;
    if let Some(node) = service {
        let name = values::scalar(node)?;
        let found = context.services.iter().position(|known| known == name)?;
        return Some(ServiceId::new(found)).filter(|id| has_sessions(context, *id));
    }
    if let Some(found) = broker::of_step(flow, value, fields, None) {
        return Some(found);
    }
    let text = values::scalar(value)?;
    let names_stream = flow.streams.iter().any(|stream| stream.name == text);
    let is_path = fields.noun().key("subprotocols").is_some() && text.starts_with('/');
    let mut opened = flow.streams.iter().map(|stream| stream.service);
    let opened = opened.find(|service| are_of(context, *service));
    opened.filter(|_| !names_stream && !is_path)
}

fn protocol_of(flow: &Assembly<'_>, service: ServiceId) -> Protocol {
    let protocols = &flow.flow_context.context.protocols;
    protocols.get(service.index()).copied().unwrap_or_default()
}

/// Compiles what opens a session.
pub(super) fn open(
    flow: &Assembly<'_>,
    (service, reconnect): (ServiceId, Option<Reconnect>),
    call: &mut Call,
) -> OpenStream {
    let (form, session) = match protocol_of(flow, service) {
        Protocol::Redis => (StreamForm::Redis, SessionPlan::Redis),
        _ => (StreamForm::Postgres, SessionPlan::Postgres),
    };
    "CONNECT".clone_into(&mut call.request.method);
    call.operation = Some(Arc::new(Operation::Session(session)));
    OpenStream { form, subprotocols: Vec::new(), reconnect, listener: None }
}

/// Compiles a step that publishes or subscribes. Returns the default name of its series.
pub(super) fn step(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    (verb, service): (ControlStep, ServiceId),
    call: &mut Call,
) -> Option<String> {
    let stream = broker::session(flow, diagnostics, value, service);
    let act = match verb {
        ControlStep::Send => publish(flow, diagnostics, (value, fields), call),
        _ => subscribe(flow, diagnostics, (value, fields), protocol_of(flow, service), call),
    };
    let (stream, act) = (stream?, act?);
    call.service = service;
    call.stream = Some(Box::new(StreamStep { stream, act }));
    flow.flow_context.report_denied(diagnostics, value, call);
    Some(format!("{} {}", verb.key(), values::scalar(value).unwrap_or_default()))
}

/// Compiles what publishes a message. Each is answered: by the number of its receivers, or by an
/// empty row.
fn publish(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    call: &mut Call,
) -> Option<StreamAct> {
    let destination = destination(diagnostics, value, flow.flow_context.names)?;
    let content = content(flow, diagnostics, (value, &mut *fields))?;
    call.request.body = content.body;
    call.stamp = content.stamp.map(|stamp| stamp.channel);
    "PUBLISH".clone_into(&mut call.request.method);
    let in_flight: Option<u64> = fields.value(diagnostics, "in_flight");
    let in_flight = in_flight.and_then(|most| u32::try_from(most).ok()).unwrap_or(1);
    let options = PublishOptions { is_confirmed: true, ..PublishOptions::default() };
    let (headers, key, partition) = (Vec::new(), None, None);
    let publish = PublishPlan { destination, headers, key, partition, options, in_flight };
    Some(StreamAct::Publish(Box::new(publish)))
}

/// Compiles what subscribes. Each listener of a channel receives every message.
fn subscribe(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    protocol: Protocol,
    call: &mut Call,
) -> Option<StreamAct> {
    let names = flow.flow_context.names;
    let source = destination(diagnostics, value, names)?;
    let is_one_place = match (protocol, source.as_static()) {
        (Protocol::Redis, Some(text)) => !text.iter().any(|byte| b"*?[".contains(byte)),
        (_, text) => text.is_some(),
    };
    let source_kind = SubscribedSource { shares: false, is_one_place };
    let listener = listener(diagnostics, (value, &mut *fields), names, &source_kind);
    "SUBSCRIBE".clone_into(&mut call.request.method);
    Some(StreamAct::Subscribe(Box::new(SubscribePlan {
        source,
        group: None,
        options: SubscribeOptions::default(),
        acknowledge: AcknowledgePlan::default(),
        listener,
    })))
}

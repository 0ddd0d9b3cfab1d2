//! Steps at message brokers: sessions, published messages, subscriptions.
//!
//! `stream` compiles those of its steps here whose service is a broker.
//! Invariant: a compiled step has options of its protocol alone, and a session that a step opens.

use std::sync::Arc;

use crate::ids::ServiceId;
use crate::plan::Call;
use crate::plan::broker::{
    AcknowledgePlan, MqttConnect, MqttVersion, MqttWill, PublishOptions, PublishPlan, SessionPlan,
    SubscribeOptions, SubscribePlan,
};
use crate::plan::kafka::KafkaSettings;
use crate::plan::operation::Operation;
use crate::plan::stream::{OpenStream, Reconnect, StreamAct, StreamForm, StreamStep};
use crate::protocol::Protocol;
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::flow::broker_messages::{
    MessageContent, SubscribedSource, content, destination, listener,
};
use crate::scenario::flow::context::ScenarioContext;
use crate::scenario::flow::kinds::ControlStep;
use crate::scenario::flow::message::StampPlace;
use crate::scenario::flow::step::find_service;
use crate::scenario::flow::{amqp_steps, consumer, kafka};
use crate::scenario::nouns::brokers::WILL;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::{header, templates, values};
use crate::template::{Encoding, Template};
use crate::wire::broker::mqtt::filter;

/// The brokers among the services of a scenario.
pub(super) const BROKERS: [Protocol; 3] = [Protocol::Mqtt, Protocol::Amqp, Protocol::Kafka];

/// The broker that `send` or `listen` means by a topic or queue: the service that the step names,
/// else the first broker, unless `value` names a stream. `None`: the step is for a stream.
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
        return Some(ServiceId::new(found)).filter(|id| is_broker(context, *id));
    }
    let text = values::scalar(value)?;
    let names_stream = flow.streams.iter().any(|stream| stream.name == text);
    let is_path = fields.noun().key("subprotocols").is_some() && text.starts_with('/');
    if names_stream || is_path {
        return None;
    }
    let first = context.protocols.iter().position(|protocol| protocol.is_broker());
    first.map(ServiceId::new)
}

/// Reports a `service` at a step that sends to a stream.
pub(super) fn report_service(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
) {
    if let Some((key, node)) = fields.entry("service")
        && find_service(diagnostics, node, &flow.flow_context).is_some()
    {
        diagnostics
            .mistake(key.span, "`service` of a `send` names a broker")
            .help("a stream knows its service: remove the key");
    }
}

/// Whether a service is a broker.
pub(super) fn is_broker(context: &ScenarioContext, service: ServiceId) -> bool {
    context.protocols.get(service.index()).is_some_and(|protocol| protocol.is_broker())
}

/// What a broker speaks.
pub(super) fn protocol(flow: &Assembly<'_>, service: ServiceId) -> Protocol {
    let protocols = &flow.flow_context.context.protocols;
    protocols.get(service.index()).copied().unwrap_or_default()
}

/// Reports conditions on a confirmation that no step waits for.
fn report_unawaited(
    diagnostics: &mut Diagnostics,
    value: &Node,
    (call, publish): (&Call, &PublishPlan),
    protocol: Protocol,
) {
    if publish.waits() || call.checks.is_empty() && call.expects.is_empty() {
        return;
    }
    let expected = match protocol {
        Protocol::Mqtt => "`qos: 1` or 2, and `in_flight: 1`",
        Protocol::Kafka => "`acks` of the service other than 0, and `in_flight: 1`",
        _ => "`confirm: true` and `in_flight: 1`",
    };
    diagnostics
        .mistake(value.span, "this step does not wait for the confirmation that it checks")
        .expected(expected);
}

/// Compiles a step that publishes or subscribes. Returns the default name of its series.
pub(super) fn step(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    (verb, service): (ControlStep, ServiceId),
    call: &mut Call,
) -> Option<String> {
    let stream = session(flow, diagnostics, value, service);
    let act = match verb {
        ControlStep::Send => publish(flow, diagnostics, (value, fields), service, call),
        _ => subscribe(flow, diagnostics, (value, fields), service, call),
    };
    let (stream, act) = (stream?, act?);
    call.service = service;
    call.stream = Some(Box::new(StreamStep { stream, act }));
    flow.flow_context.report_denied(diagnostics, value, call);
    Some(format!("{} {}", verb.key(), values::scalar(value).unwrap_or_default()))
}

/// The stream of the session at a service; a mistake if no step opens one.
pub(super) fn session(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    node: &Node,
    service: ServiceId,
) -> Option<usize> {
    let found = flow.streams.iter().position(|stream| stream.service == service);
    if found.is_none() {
        let name = &flow.flow_context.services[service.index()];
        diagnostics
            .mistake(node.span, format!("no step opens a session at `{name}`"))
            .help(format!("open it before, in `on_start`: `- {{ open: true, service: {name} }}`"));
    }
    found
}

/// Compiles what opens a session.
pub(super) fn open(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    (service, reconnect): (ServiceId, Option<Reconnect>),
    call: &mut Call,
) -> OpenStream {
    let context = flow.flow_context.context;
    let protocol = context.protocols.get(service.index()).copied();
    let (form, session) = if protocol == Some(Protocol::Kafka) {
        (StreamForm::Kafka(kafka_settings(context, service)), SessionPlan::Kafka)
    } else if protocol == Some(Protocol::Mqtt) {
        let settings = context.mqtt.get(service.index()).copied().unwrap_or_default();
        let names = flow.flow_context.names;
        let mut text = |diagnostics: &mut Diagnostics, key: &'static str| {
            let node = fields.take(key)?;
            templates::template(diagnostics, node, Encoding::Plain, names, "a text")
        };
        let login = context.logins.get(service.index()).and_then(Option::as_ref);
        let of_service = |part: Option<&String>| part.map(|part| Template::literal(part.as_str()));
        let client_id = text(diagnostics, "client_id");
        let user = text(diagnostics, "user")
            .or_else(|| of_service(login.and_then(|login| login.user.as_ref())));
        let password = text(diagnostics, "password")
            .or_else(|| of_service(login.and_then(|login| login.password.as_ref())));
        let will = fields.take("will").and_then(|node| will(diagnostics, node, names));
        let connect = MqttConnect { settings, client_id, user, password, will };
        (StreamForm::Mqtt(settings), SessionPlan::Mqtt(Box::new(connect)))
    } else {
        (StreamForm::Amqp, SessionPlan::Amqp)
    };
    "CONNECT".clone_into(&mut call.request.method);
    call.operation = Some(Arc::new(Operation::Session(session)));
    OpenStream { form, subprotocols: Vec::new(), reconnect, listener: None }
}

/// The settings of a service that speaks Kafka.
fn kafka_settings(context: &ScenarioContext, service: ServiceId) -> KafkaSettings {
    context.kafka.get(service.index()).copied().unwrap_or_default()
}

fn will(diagnostics: &mut Diagnostics, node: &Node, names: &[String]) -> Option<MqttWill> {
    let mut fields = Fields::read(diagnostics, node, &WILL)?;
    let mut text = |diagnostics: &mut Diagnostics, key| {
        let node = fields.take(key)?;
        templates::template(diagnostics, node, Encoding::Plain, names, "a text")
    };
    let topic = text(diagnostics, "topic");
    let payload = text(diagnostics, "body").unwrap_or_else(|| Template::literal(""));
    let qos = qos(diagnostics, &mut fields);
    let is_retained = fields.value(diagnostics, "retain").unwrap_or(false);
    fields.finish(diagnostics);
    Some(MqttWill { topic: topic?, payload, qos, is_retained })
}

/// Reads `qos`: 0, 1 or 2.
fn qos(diagnostics: &mut Diagnostics, fields: &mut Fields<'_>) -> u8 {
    let qos: Option<u64> = fields.value(diagnostics, "qos");
    qos.and_then(|qos| u8::try_from(qos).ok()).unwrap_or(0)
}

/// Compiles what publishes a message.
fn publish(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    service: ServiceId,
    call: &mut Call,
) -> Option<StreamAct> {
    let (context, names) = (flow.flow_context.context, flow.flow_context.names);
    let protocol = protocol(flow, service);
    let destination = destination(diagnostics, value, names)?;
    let headers = fields
        .take("headers")
        .map(|node| header::templates(diagnostics, node, names, None))
        .unwrap_or_default();
    let (key, partition) = match protocol {
        Protocol::Kafka => kafka::placing(diagnostics, fields, names),
        _ => (None, None),
    };
    let MessageContent { body, headers: of_body, stamp } =
        content(flow, diagnostics, (value, &mut *fields))?;
    call.request.body = body;
    let mut options = match protocol {
        Protocol::Mqtt => mqtt_options(diagnostics, value, fields, &destination),
        Protocol::Kafka => {
            kafka::check_topic(diagnostics, value, &destination);
            let options = kafka::publish_options(&kafka_settings(context, service));
            PublishOptions { is_transacted: flow.is_transacted, ..options }
        }
        _ => amqp_steps::publish_options(diagnostics, fields),
    };
    let in_flight = options.is_confirmed.then(|| fields.value::<u64>(diagnostics, "in_flight"));
    let has_properties = protocol == Protocol::Amqp
        || context.mqtt.get(service.index()).is_some_and(|own| own.version == MqttVersion::V5);
    if has_properties {
        options.expiration = fields.value(diagnostics, "expires");
        let given = fields.take("content_type");
        let given = given.and_then(|node| values::plain_text(diagnostics, node, "a media type"));
        let of_json = of_body.first().and_then(|(_, value)| value.as_static());
        let of_json = of_json.map(|text| String::from_utf8_lossy(text).into_owned());
        options.content_type = given.map(str::to_owned).or(of_json);
    } else if protocol == Protocol::Mqtt && !headers.is_empty() {
        diagnostics
            .mistake(value.span, "messages of MQTT 3.1.1 have no headers")
            .help("set `mqtt: { version: 5 }` at the service");
    }
    if let Some(stamp) = stamp {
        report_channel(diagnostics, value, &stamp, !options.exchange.is_empty());
        call.stamp = Some(stamp.channel);
    }
    "PUBLISH".clone_into(&mut call.request.method);
    let in_flight = in_flight.flatten().and_then(|most| u32::try_from(most).ok()).unwrap_or(1);
    let publish = PublishPlan { destination, headers, key, partition, options, in_flight };
    report_unawaited(diagnostics, value, (&*call, &publish), protocol);
    Some(StreamAct::Publish(Box::new(publish)))
}

fn mqtt_options(
    diagnostics: &mut Diagnostics,
    node: &Node,
    fields: &mut Fields<'_>,
    topic: &Template,
) -> PublishOptions {
    if let Some(topic) = topic.as_static()
        && let Err(why) = filter::check_topic(&String::from_utf8_lossy(topic))
    {
        let shown = truncate(values::scalar(node).unwrap_or_default());
        let mistake = diagnostics.mistake(node.span, format!("`{shown}` is no topic: {why}"));
        mistake.expected("a topic such as devices/7/state");
    }
    let qos = qos(diagnostics, fields);
    let is_retained = fields.value(diagnostics, "retain").unwrap_or(false);
    PublishOptions { qos, is_retained, is_confirmed: qos > 0, ..PublishOptions::default() }
}

/// Reports a stamp whose channel has different names at its two ends.
fn report_channel(diagnostics: &mut Diagnostics, node: &Node, stamp: &StampPlace, is_routed: bool) {
    if is_routed && stamp.has_default_channel() {
        diagnostics
            .mistake(node.span, "the channel of these stamps is not known")
            .expected("`channel`, with the same name at the steps that send and listen")
            .help("topics and queues differ here: add for example `channel: orders` to both");
    }
}

/// Compiles what subscribes.
fn subscribe(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    service: ServiceId,
    call: &mut Call,
) -> Option<StreamAct> {
    let (context, names) = (flow.flow_context.context, flow.flow_context.names);
    let source = destination(diagnostics, value, names)?;
    let protocol = context.protocols.get(service.index()).copied().unwrap_or_default();
    let (is_mqtt, is_kafka) = (protocol == Protocol::Mqtt, protocol == Protocol::Kafka);
    let fixed = source.as_static().map(|text| String::from_utf8_lossy(text).into_owned());
    let (mut options, mut acknowledge) = (SubscribeOptions::default(), AcknowledgePlan::default());
    if is_mqtt {
        options.qos = qos(diagnostics, fields);
        if let Some(filter) = &fixed
            && let Err(why) = filter::check(filter)
        {
            let shown = truncate(filter);
            let mistake =
                diagnostics.mistake(value.span, format!("`{shown}` is no topic filter: {why}"));
            mistake.expected("a filter such as devices/+/state");
        }
    } else {
        let defaults = if is_kafka { (0, kafka::PREFETCH) } else { (1, 100) };
        acknowledge = consumer::acknowledging(diagnostics, fields, &mut options, defaults);
    }
    if protocol == Protocol::Amqp {
        amqp_steps::consumer(diagnostics, fields, (&mut options, &mut acknowledge));
    }
    let mut group = None;
    if is_kafka {
        kafka::check_topic(diagnostics, value, &source);
        group = kafka::consumer(diagnostics, fields, names, (&mut options, &mut acknowledge));
    }
    let shares = protocol == Protocol::Amqp
        || group.is_some()
        || fixed.as_ref().is_some_and(|text| text.starts_with("$share/"));
    let is_one_place = fixed.is_some_and(|text| !text.contains(['+', '#', '$']));
    let source_kind = SubscribedSource { shares, is_one_place };
    let listener = listener(diagnostics, (value, &mut *fields), names, &source_kind);
    "SUBSCRIBE".clone_into(&mut call.request.method);
    let subscribe = SubscribePlan { source, group, options, acknowledge, listener };
    Some(StreamAct::Subscribe(Box::new(subscribe)))
}

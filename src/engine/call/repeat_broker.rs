//! A call to a message broker as a command of its own tools that repeats it.
//!
//! `repeat` calls it.
//! Invariant: as of `repeat`: no password, and no secret of a name.

use std::fmt::Write;

use super::curl::quoted;
use crate::plan::broker::{DeclareArgument, DeclareKind, DeclarePlan, MqttVersion, SessionPlan};
use crate::plan::kafka::{TopicOperation, TopicPlan};
use crate::plan::{Address, Service};
use crate::redact::Redactor;
use crate::wire::broker::amqp::declare::names;
use crate::wire::broker::kafka::requests::topic_name;

/// Returns the command that connects as a session does. A will, and the identifier of a client, are
/// left out.
pub(super) fn session_line(
    (service, address): (&Service, &Address),
    session: &SessionPlan,
) -> String {
    let (host, port) = place(service, address);
    match session {
        SessionPlan::Mqtt(connect) => {
            let version = match connect.settings.version {
                MqttVersion::V311 => "mqttv311",
                MqttVersion::V5 => "mqttv5",
            };
            let tls = if address.tls { " --tls-use-os-certs" } else { "" };
            let user = user(service).map_or_else(String::new, |user| format!(" -u {user}"));
            // It ends once the broker has answered its subscription.
            format!("mosquitto_sub -h {host} -p {port} -V {version}{user}{tls} -E -t manada")
        }
        SessionPlan::Amqp => format!("{} show overview", admin(service, address)),
        // A login is in the file that its option --command-config names.
        SessionPlan::Kafka => {
            format!("kafka-broker-api-versions.sh --bootstrap-server {host}:{port}")
        }
        SessionPlan::Redis => {
            let tls = if address.tls { " --tls" } else { "" };
            let user = user(service).map_or_else(String::new, |user| format!(" --user {user}"));
            format!("redis-cli -3 -h {host} -p {port}{tls}{user} PING")
        }
        SessionPlan::Postgres => {
            let user = user(service).map_or_else(String::new, |user| format!(" -U {user}"));
            format!("psql -h {host} -p {port}{user} -c 'select 1'")
        }
    }
}

/// Returns the command that repeats a declaration. rabbitmqadmin uses the HTTP port of the
/// management plugin.
pub(super) fn declare_line(
    (service, address): (&Service, &Address),
    plan: &DeclarePlan,
    bytes: &[u8],
    redactor: &Redactor<'_>,
) -> String {
    let [name, exchange, key] = shown(bytes, redactor).map(|name| quoted(&name));
    let mut line = format!("{} ", admin(service, address));
    let durable = plan.is_durable;
    let has_arguments = match &plan.kind {
        DeclareKind::Queue => {
            let _ = write!(line, "declare queue name={name} durable={durable}");
            true
        }
        DeclareKind::Exchange(kind) => {
            let kind = quoted(kind.as_bytes());
            let _ = write!(line, "declare exchange name={name} type={kind} durable={durable}");
            true
        }
        DeclareKind::Binding { .. } => {
            let _ = write!(line, "declare binding source={exchange} destination={name}");
            let _ = write!(line, " routing_key={key}");
            true
        }
        DeclareKind::DeleteQueue => {
            let _ = write!(line, "delete queue name={name}");
            false
        }
        DeclareKind::DeleteExchange => {
            let _ = write!(line, "delete exchange name={name}");
            false
        }
        DeclareKind::Purge => {
            let _ = write!(line, "purge queue name={name}");
            false
        }
    };
    if has_arguments && !plan.arguments.is_empty() {
        let json = quoted(&redactor.body(arguments(plan).as_bytes(), ""));
        let _ = write!(line, " arguments={json}");
    }
    line
}

/// Returns the command that makes or deletes a topic.
pub(super) fn topic_line(
    (service, address): (&Service, &Address),
    topic: &TopicOperation,
    bytes: &[u8],
    redactor: &Redactor<'_>,
) -> String {
    let (host, port) = place(service, address);
    let name = quoted(&redactor.body(topic_name(bytes).unwrap_or_default().as_bytes(), ""));
    let mut line = format!("kafka-topics.sh --bootstrap-server {host}:{port} ");
    match &topic.plan {
        TopicPlan::Delete => {
            let _ = write!(line, "--delete --topic {name}");
        }
        TopicPlan::Create { partitions, replication, config } => {
            let _ = write!(line, "--create --topic {name}");
            if *partitions > 0 {
                let _ = write!(line, " --partitions {partitions}");
            }
            if *replication > 0 {
                let _ = write!(line, " --replication-factor {replication}");
            }
            for (key, value) in config {
                let setting = quoted(format!("{key}={value}").as_bytes());
                let _ = write!(line, " --config {setting}");
            }
        }
    }
    line
}

/// What a step does with a topic, for a dry run.
pub(super) fn describe_topic(
    topic: &TopicOperation,
    bytes: &[u8],
    redactor: &Redactor<'_>,
) -> String {
    let name = redactor.body(topic_name(bytes).unwrap_or_default().as_bytes(), "");
    let verb = match &topic.plan {
        TopicPlan::Create { .. } => "create",
        TopicPlan::Delete => "delete",
    };
    format!("{verb} topic {}", String::from_utf8_lossy(&name))
}

/// What a step does, for a dry run.
pub(super) fn describe(plan: &DeclarePlan, bytes: &[u8], redactor: &Redactor<'_>) -> String {
    let [name, exchange, key] =
        shown(bytes, redactor).map(|name| String::from_utf8_lossy(&name).into_owned());
    match &plan.kind {
        DeclareKind::Queue => format!("declare queue {name}"),
        DeclareKind::Exchange(kind) => format!("declare {kind} exchange {name}"),
        DeclareKind::Binding { .. } => format!("bind queue {name} to {exchange} by key `{key}`"),
        DeclareKind::DeleteQueue => format!("delete queue {name}"),
        DeclareKind::DeleteExchange => format!("delete exchange {name}"),
        DeclareKind::Purge => format!("purge queue {name}"),
    }
}

/// Name, exchange and routing key of a request, without secrets.
fn shown(bytes: &[u8], redactor: &Redactor<'_>) -> [Vec<u8>; 3] {
    names(bytes).unwrap_or_default().map(|name| redactor.body(name, ""))
}

/// The arguments as JSON; a computed one as an ellipsis.
fn arguments(plan: &DeclarePlan) -> String {
    let entries = plan.arguments.iter().map(|(name, argument)| {
        let value = match argument {
            DeclareArgument::Text(text) => {
                let text = text.as_static().map(String::from_utf8_lossy);
                serde_json::Value::from(
                    text.map_or_else(|| "…".into(), std::borrow::Cow::into_owned),
                )
            }
            DeclareArgument::Number(number) => (*number).into(),
            DeclareArgument::Truth(truth) => (*truth).into(),
        };
        (name.clone(), value)
    });
    serde_json::Value::Object(entries.collect()).to_string()
}

/// rabbitmqadmin with host, user and virtual host; it takes a password from its own file.
fn admin(service: &Service, address: &Address) -> String {
    let (host, _) = place(service, address);
    let mut line = format!("rabbitmqadmin -H {host}");
    if address.tls {
        line.push_str(" --ssl");
    }
    let login = service.transport.login.as_ref();
    if let Some(virtual_host) = login.and_then(|login| login.database.as_ref()) {
        let _ = write!(line, " -V {}", quoted(virtual_host.as_bytes()));
    }
    if let Some(user) = user(service) {
        let _ = write!(line, " -u {user}");
    }
    line
}

fn user(service: &Service) -> Option<String> {
    let user = service.transport.login.as_ref()?.user.as_ref()?;
    Some(quoted(user.as_bytes()))
}

/// Host, quoted, and port.
fn place(service: &Service, address: &Address) -> (String, u16) {
    let (host, port) = match &service.transport.connect_to {
        Some((host, port)) => (host, *port),
        None => (&address.host, address.port),
    };
    (quoted(host.as_bytes()), port)
}

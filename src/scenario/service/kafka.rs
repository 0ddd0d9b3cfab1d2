//! The settings of a service that speaks Kafka's protocol.
//!
//! `services` reads them here.
//! Invariant: settings that contradict each other are a mistake, as in Kafka's own clients.

use crate::plan::kafka::{KafkaLoginMethod, KafkaSettings};
use crate::plan::transport::TransportConfig;
use crate::scenario::nouns::kafka::{
    ACKS, COMPRESSIONS, ISOLATIONS, KAFKA_SETTINGS, LOGIN_METHODS, MAX_BOOTSTRAP,
};
use crate::scenario::service::transport;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values::report_wrong;

/// Reads the settings of a service; how users log in goes into `transport`.
pub(super) fn of_service(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    transport: &mut TransportConfig,
) -> KafkaSettings {
    let given = fields.take("kafka").map(|node| settings(diagnostics, node));
    let (settings, login, bootstrap) = given.unwrap_or_default();
    (transport.kafka_login, transport.bootstrap) = (login, bootstrap);
    settings
}

/// Settings, mechanism of SASL, and further addresses.
type ReadSettings = (KafkaSettings, KafkaLoginMethod, Vec<(String, u16)>);

fn settings(diagnostics: &mut Diagnostics, node: &Node) -> ReadSettings {
    let mut settings = KafkaSettings::default();
    let mut login = KafkaLoginMethod::default();
    let Some(mut fields) = Fields::read(diagnostics, node, &KAFKA_SETTINGS) else {
        return ReadSettings::default();
    };
    if let Some(acks) = fields.word(diagnostics, "acks", &ACKS) {
        settings.acks = acks;
    }
    let idempotent = fields.entry("idempotent");
    let given: Option<bool> = fields.value(diagnostics, "idempotent");
    settings.is_idempotent = given.unwrap_or(settings.acks == -1);
    if let (Some((key, _)), true, true) = (idempotent, settings.is_idempotent, settings.acks != -1)
    {
        diagnostics
            .mistake(key.span, "an idempotent producer needs the confirmation of all replicas")
            .help("set `acks: all`, or `idempotent: false`");
    }
    fields.fill(diagnostics, "linger", &mut settings.linger);
    let mut size = |diagnostics: &mut Diagnostics, key, into: &mut u32| {
        let given: Option<u64> = fields.value(diagnostics, key);
        if let Some(given) = given {
            *into = u32::try_from(given).unwrap_or(i32::MAX as u32).min(i32::MAX as u32);
        }
    };
    size(diagnostics, "batch", &mut settings.batch);
    size(diagnostics, "fetch_min", &mut settings.fetch_min);
    size(diagnostics, "fetch_max", &mut settings.fetch_max);
    if let Some(compression) = fields.word(diagnostics, "compression", &COMPRESSIONS) {
        settings.compression = compression;
    }
    fields.fill(diagnostics, "delivery_timeout", &mut settings.delivery_timeout);
    fields.fill(diagnostics, "fetch_wait", &mut settings.fetch_wait);
    if let Some(reads_committed) = fields.word(diagnostics, "isolation", &ISOLATIONS) {
        settings.reads_committed = reads_committed;
    }
    fields.fill(diagnostics, "transaction_timeout", &mut settings.transaction_timeout);
    fields.fill(diagnostics, "rebalance_timeout", &mut settings.rebalance_timeout);
    let session = fields.entry("session_timeout");
    fields.fill(diagnostics, "session_timeout", &mut settings.session_timeout);
    let heartbeat = fields.entry("heartbeat");
    fields.fill(diagnostics, "heartbeat", &mut settings.heartbeat);
    if let (Some((key, _)), true) =
        (heartbeat.or(session), settings.heartbeat >= settings.session_timeout)
    {
        diagnostics
            .mistake(key.span, "`heartbeat` is not shorter than `session_timeout`")
            .help("a third of it is usual");
    }
    fields.fill(diagnostics, "commit_interval", &mut settings.commit_interval);
    if let Some(method) = fields.word(diagnostics, "login", &LOGIN_METHODS) {
        login = method;
    }
    let bootstrap = fields.take("bootstrap").map(|node| bootstrap(diagnostics, node));
    fields.finish(diagnostics);
    (settings, login, bootstrap.unwrap_or_default())
}

/// Reads further addresses of a cluster.
fn bootstrap(diagnostics: &mut Diagnostics, node: &Node) -> Vec<(String, u16)> {
    let items = match &node.kind {
        NodeKind::List(items) if (1..=MAX_BOOTSTRAP).contains(&items.len()) => items.as_slice(),
        _ => {
            let expected = "a list of addresses, such as [\"b:9092\", \"c:9092\"]";
            report_wrong::<()>(diagnostics, node, expected);
            return Vec::new();
        }
    };
    let mut found: Vec<(String, u16)> = Vec::new();
    for item in items {
        let Some(address) = transport::host_and_port(diagnostics, item) else { continue };
        if found.contains(&address) {
            diagnostics
                .mistake(item.span, "this address is listed twice")
                .help("leave it out: each address is tried once");
            continue;
        }
        found.push(address);
    }
    found
}

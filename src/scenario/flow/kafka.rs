//! Steps at Kafka: what is theirs alone of `send` and `listen`, and operations on topics.
//!
//! `broker` and `operation` compile them here.
//! Invariant: a consumer without a group stores no offsets, so that it acknowledges nothing.

use crate::plan::RequestBody;
use crate::plan::broker::{AcknowledgePlan, PublishOptions, SubscribeOptions};
use crate::plan::kafka::{KafkaSettings, TopicOperation, TopicPlan};
use crate::plan::operation::Operation;
use crate::scenario::flow::compiled_operation::{self, CompiledOperation};
use crate::scenario::nouns::kafka::{STARTS, TOPIC_OPERATION, TOPIC_OPERATIONS};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::{templates, values};
use crate::template::{Encoding, Template};

/// Messages that a consumer keeps before they are acknowledged, by default.
pub(super) const PREFETCH: u16 = 500;

/// The longest name of a topic.
const MAX_NAME: usize = 249;

/// Reads `key` and `partition` of a message.
pub(super) fn placing(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    names: &[String],
) -> (Option<Template>, Option<Template>) {
    let mut template = |key, expected| {
        let node = fields.take(key)?;
        let found = templates::template(diagnostics, node, Encoding::Plain, names, expected)?;
        let fixed = found.as_static().map(String::from_utf8_lossy);
        if key == "partition" && fixed.is_some_and(|text| text.trim().parse::<u16>().is_err()) {
            return values::report_wrong(diagnostics, node, expected);
        }
        Some(found)
    };
    let key = template("key", "a text");
    (key, template("partition", "the number of a partition, 0 or more"))
}

/// The options of a message.
pub(super) fn publish_options(settings: &KafkaSettings) -> PublishOptions {
    PublishOptions { is_confirmed: settings.acks != 0, ..PublishOptions::default() }
}

/// Reports the name of a topic that no cluster accepts.
pub(super) fn check_topic(diagnostics: &mut Diagnostics, node: &Node, topic: &Template) {
    let Some(text) = topic.as_static() else { return };
    let is_known = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let is_name = (1..=MAX_NAME).contains(&text.len()) && text.iter().all(is_known);
    if !is_name || matches!(text, b"." | b"..") {
        let shown = String::from_utf8_lossy(text);
        let message = format!("`{}` is no name of a topic", truncate(&shown));
        diagnostics
            .mistake(node.span, message)
            .expected("up to 249 letters, digits, dots, underscores and hyphens");
    }
}

/// Reads `consumer_group` and `from` of a consumer; without a group, nothing is acknowledged.
pub(super) fn consumer(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    names: &[String],
    (options, acknowledge): (&mut SubscribeOptions, &mut AcknowledgePlan),
) -> Option<Template> {
    let group = fields.take("consumer_group").and_then(|node| {
        templates::template(diagnostics, node, Encoding::Plain, names, "the name of a group")
    });
    options.start = fields.word(diagnostics, "from", &STARTS).unwrap_or_default();
    if group.is_none() {
        for key in ["ack", "work", "prefetch"] {
            if let Some((place, _)) = fields.entry(key) {
                diagnostics
                    .mistake(place.span, format!("`{key}` without a `consumer_group`"))
                    .help("a consumer alone stores no offsets: add `consumer_group: shop`");
            }
        }
        *acknowledge = AcknowledgePlan::default();
        options.is_automatic = true;
    }
    group
}

/// Compiles a step `kafka`.
pub(super) fn compile(
    diagnostics: &mut Diagnostics,
    value: &Node,
    names: &[String],
) -> Option<CompiledOperation> {
    let fields = Fields::read(diagnostics, value, &TOPIC_OPERATION)?;
    let of = (value, "Kafka");
    let (mut fields, key, node) =
        compiled_operation::only_key(diagnostics, of, fields, &TOPIC_OPERATIONS)?;
    let name = templates::template(diagnostics, node, Encoding::Plain, names, "a name");
    let plan = if key == "create_topic" {
        let partitions: Option<u64> = fields.value(diagnostics, "partitions");
        let replication: Option<u64> = fields.value(diagnostics, "replication");
        let config = fields.take("config").map(|node| config(diagnostics, node));
        TopicPlan::Create {
            partitions: partitions.and_then(|count| i32::try_from(count).ok()).unwrap_or(-1),
            replication: replication.and_then(|count| i16::try_from(count).ok()).unwrap_or(-1),
            config: config.unwrap_or_default(),
        }
    } else {
        for key in ["partitions", "replication", "config"] {
            if let Some((place, _)) = fields.entry(key) {
                let message = format!("`{key}` belongs to `create_topic`");
                diagnostics.mistake(place.span, message).help("remove the key");
            }
        }
        TopicPlan::Delete
    };
    fields.finish(diagnostics);
    let name = name?;
    check_topic(diagnostics, node, &name);
    Some(CompiledOperation {
        operation: Operation::Topic(TopicOperation { name, plan }),
        name: format!("kafka {key}"),
        method: key.to_uppercase(),
        body: RequestBody::None,
    })
}

/// Reads settings of a topic.
fn config(diagnostics: &mut Diagnostics, node: &Node) -> Vec<(String, String)> {
    const EXPECTED: &str = "a text, a number, `true` or `false`";
    let Some(entries) = values::entries(diagnostics, node, "a map of settings") else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for (key, node) in entries {
        let value = match &node.kind {
            NodeKind::Bool(truth) => Some(truth.to_string()),
            _ => values::scalar(node).map(str::to_owned),
        };
        match value {
            Some(value) => all.push((key.name.clone(), value)),
            None => {
                values::report_wrong::<()>(diagnostics, node, EXPECTED);
            }
        }
    }
    all
}

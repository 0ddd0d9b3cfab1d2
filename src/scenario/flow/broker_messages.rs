//! What the messages of streams, brokers and channels have in common: where they go, what they
//! hold, and what takes them.
//!
//! `stream`, `broker` and `channels` compile their steps with it.
//! Invariant: a message that a step sends has a body; messages that are kept have no stamp.

use crate::plan::RequestBody;
use crate::plan::listener::ListenerPlan;
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::flow::body;
use crate::scenario::flow::message::{self, StampPlace};
use crate::scenario::nouns::brokers::FAN;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::header::Headers;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::templates;
use crate::template::{Encoding, Template};

/// Reads a topic, queue or channel.
pub(super) fn destination(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
) -> Option<Template> {
    templates::template(diagnostics, node, Encoding::Plain, names, "a topic or queue")
}

/// The content of a message that a step sends.
pub(super) struct MessageContent {
    pub(super) body: RequestBody,
    /// The headers that the kind of body brings.
    pub(super) headers: Headers,
    pub(super) stamp: Option<StampPlace>,
}

/// Reads the body of a message, and its stamp.
pub(super) fn content(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
) -> Option<MessageContent> {
    if !["json", "body", "file", "bytes"].into_iter().any(|key| fields.has(key)) {
        diagnostics
            .mistake(value.span, "this `send` has no message")
            .expected("one of `json`, `body`, `file` and `bytes`");
    }
    let stamp = message::stamp(diagnostics, fields, flow.flow_context.names);
    let mut headers = Vec::new();
    let body = match fields.take("bytes") {
        Some(node) => RequestBody::Bytes(body::base64(diagnostics, node)?),
        None => {
            let members = stamp.as_ref().map(|stamp| stamp.members.as_slice());
            body::body(diagnostics, fields, &flow.flow_context, (&mut headers, members))?
        }
    };
    Some(MessageContent { body, headers, stamp })
}

/// What a listener subscribes to.
pub(super) struct SubscribedSource {
    /// Whether each message goes to one of them, unless the step has `fan`.
    pub(super) shares: bool,
    /// Whether all messages of a subscription have the same topic or channel.
    pub(super) is_one_place: bool,
}

/// Compiles what takes the messages of a subscription; `None` if they are kept.
pub(super) fn listener(
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    names: &[String],
    source: &SubscribedSource,
) -> Option<ListenerPlan> {
    let shares = fields.word(diagnostics, "fan", &FAN);
    let keeps = fields.value(diagnostics, "keep").unwrap_or(false);
    let stamped = fields.has("stamp");
    let mut listener = message::listener(diagnostics, fields, names);
    listener.shares = shares.unwrap_or(source.shares);
    if !listener.replies.is_empty() {
        diagnostics
            .mistake(value.span, "a listener at a topic, queue or channel has no automatic answers")
            .help("answer with `await` and `send`");
    }
    if listener.has_default_channel() && !source.is_one_place {
        diagnostics
            .mistake(value.span, "the channel of these stamps is not known")
            .expected("`channel`, with the same name at the steps that send and listen")
            .help("their topics or channels differ: add for example `channel: news` to both");
    }
    if keeps && stamped {
        diagnostics.mistake(value.span, "kept messages are not measured by their stamps");
    }
    (!keeps).then_some(listener)
}

//! What steps say of messages: conditions, replies, channels, stamps.
//!
//! `stream` and `step` call it.
//! Invariant: conditions without a template are compiled here, so that they cannot fail later.

use std::ops::Range;

use crate::delivery::stamp::PLACEHOLDER;
use crate::extract::{Check, CheckCondition, TextCondition};
use crate::plan::listener::{ChannelPlan, ListenerPlan, MatchCondition, Reply, TextVerb};
use crate::plan::stream::{AnswerFormat, GoodAnswer, StreamedAnswer};
use crate::scenario::flow::capture::{captures, path_of_key, regex};
use crate::scenario::flow::check::to_json;
use crate::scenario::nouns::good::GOOD;
use crate::scenario::nouns::noun::Noun;
use crate::scenario::nouns::streams::{MATCH, MATCH_TEXT, REPLY};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::{templates, values};
use crate::template::{Encoding, Template};

/// The header under which a message has the name of its event, for checks and captures.
pub(crate) const EVENT: &str = "event";

/// The one under which a message of a broker has its topic.
const TOPIC: &str = "topic";

/// The member of a JSON body that gets the stamp unless the step says another.
const STAMP_MEMBER: &str = "_m";

/// Compiles a `match`.
pub(crate) fn conditions(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
) -> Vec<MatchCondition> {
    let Some(mut fields) = Fields::read(diagnostics, node, &MATCH) else { return Vec::new() };
    let mut all = Vec::new();
    for (key, expected) in [(EVENT, "the name of an event"), (TOPIC, "a topic")] {
        if let Some(node) = fields.take(key)
            && let Some(name) = values::plain_text(diagnostics, node, expected)
        {
            let text = TextCondition::Equals(name.to_owned());
            all.push(fixed(CheckCondition::Header(key.to_owned(), text)));
        }
    }
    if let Some(node) = fields.take("text") {
        text(diagnostics, node, names, &mut all);
    }
    if let Some(node) = fields.take("json") {
        json(diagnostics, node, names, &mut all);
    }
    let before = diagnostics.count();
    fields.finish(diagnostics);
    report_empty(diagnostics, node, before, &MATCH);
    all
}

/// Reports a map without a key.
fn report_empty(diagnostics: &mut Diagnostics, node: &Node, before: usize, noun: &Noun) {
    if matches!(&node.kind, NodeKind::Map(entries) if entries.is_empty())
        && diagnostics.count() == before
    {
        let message = format!("{} is empty", noun.title);
        diagnostics.mistake(node.span, message).expected(noun.form);
    }
}

fn fixed(what: CheckCondition) -> MatchCondition {
    MatchCondition::Fixed(Check { name: String::new(), what })
}

fn text(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
    all: &mut Vec<MatchCondition>,
) {
    if !matches!(node.kind, NodeKind::Map(_)) {
        all.extend(verb(diagnostics, node, names, TextVerb::Contains));
        return;
    }
    let Some(mut fields) = Fields::read(diagnostics, node, &MATCH_TEXT) else { return };
    for (key, kind) in [
        ("equals", TextVerb::Equals),
        ("starts_with", TextVerb::StartsWith),
        ("contains", TextVerb::Contains),
        ("lacks", TextVerb::Lacks),
    ] {
        if let Some(node) = fields.take(key) {
            all.extend(verb(diagnostics, node, names, kind));
        }
    }
    report_empty(diagnostics, node, diagnostics.count(), &MATCH_TEXT);
    if let Some(node) = fields.take("matches")
        && let Some(regex) = regex(diagnostics, node)
    {
        all.push(fixed(CheckCondition::Body(TextCondition::Matches(regex))));
    }
    fields.finish(diagnostics);
}

fn verb(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
    verb: TextVerb,
) -> Option<MatchCondition> {
    let template = templates::template(diagnostics, node, Encoding::Plain, names, "a text")?;
    Some(match template.as_static() {
        Some(text) => {
            let text = String::from_utf8_lossy(text).into_owned();
            fixed(CheckCondition::Body(verb.with(text)))
        }
        None => MatchCondition::Text(verb, template),
    })
}

fn json(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
    all: &mut Vec<MatchCondition>,
) {
    let expected = "a map of paths and values, such as `{ \"$.type\": welcome }`";
    let Some(entries) = values::entries(diagnostics, node, expected) else { return };
    for (key, node) in entries {
        let Some(path) = path_of_key(diagnostics, key) else { continue };
        let Some(template) = templates::json(diagnostics, node, names) else { continue };
        all.push(if template.as_static().is_some() {
            fixed(CheckCondition::Json(path, to_json(node)))
        } else {
            MatchCondition::Json(path, template)
        });
    }
}

/// Compiles what a `listen` says of its messages.
pub(crate) fn listener(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    names: &[String],
) -> ListenerPlan {
    let conditions =
        fields.take("match").map(|node| conditions(diagnostics, node, names)).unwrap_or_default();
    let channel = stamp(diagnostics, fields, names).map(|stamp| stamp.channel);
    let own = fields.value(diagnostics, "own").unwrap_or(true);
    let replies = fields
        .take("reply")
        .map(values::one_or_more)
        .unwrap_or_default()
        .iter()
        .filter_map(|node| reply(diagnostics, node, names))
        .collect();
    ListenerPlan { conditions, channel, own, shares: false, replies }
}

fn reply(diagnostics: &mut Diagnostics, node: &Node, names: &[String]) -> Option<Reply> {
    let mut fields = Fields::read(diagnostics, node, &REPLY)?;
    let conditions = fields.take("match").map(|node| conditions(diagnostics, node, names));
    let captures = fields.take("capture").map(|node| captures(diagnostics, node, names));
    let text = fields.take("text").map(|node| {
        templates::template(diagnostics, node, Encoding::Plain, names, "the text of the answer")
    });
    fields.finish(diagnostics);
    Some(Reply { conditions: conditions?, captures: captures.unwrap_or_default(), text: text?? })
}

fn channel(diagnostics: &mut Diagnostics, node: &Node, names: &[String]) -> Option<ChannelPlan> {
    let name = "the name of a channel";
    templates::template(diagnostics, node, Encoding::Plain, names, name).map(ChannelPlan::Named)
}

/// Reads `stream` and `good` of a request.
pub(crate) fn streamed(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
) -> Option<StreamedAnswer> {
    let format = fields.word(diagnostics, "stream", &AnswerFormat::NAMES);
    let (key, limits) = good(diagnostics, fields);
    if let (Some(key), None) = (key, format) {
        diagnostics.mistake(key.span, "`good` needs `stream`");
    }
    Some(StreamedAnswer { format: format?, good: limits })
}

/// Reads `good`, and where its key stands.
pub(crate) fn good<'n>(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'n>,
) -> (Option<&'n NodeKey>, Option<GoodAnswer>) {
    let good = fields.entry("good");
    let limits = good.and_then(|(_, node)| {
        let mut fields = Fields::read(diagnostics, node, &GOOD)?;
        let limits = GoodAnswer {
            first: fields.value(diagnostics, "first"),
            tpot: fields.value(diagnostics, "tpot"),
            response: fields.value(diagnostics, "response"),
        };
        let before = diagnostics.count();
        fields.finish(diagnostics);
        report_empty(diagnostics, node, before, &GOOD);
        Some(limits)
    });
    (good.map(|(key, _)| key), limits)
}

/// Where a message gets its stamp.
#[derive(Debug)]
pub(crate) struct StampPlace {
    /// The channel that it belongs to.
    pub channel: ChannelPlan,
    /// The members of a JSON body that lead to it.
    pub members: Vec<String>,
}

impl StampPlace {
    /// Whether the channel has the name of the place that a step sends to.
    pub(crate) const fn has_default_channel(&self) -> bool {
        matches!(self.channel, ChannelPlan::Path)
    }
}

/// Reads `stamp` and `channel` of a step that sends.
pub(crate) fn stamp(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    names: &[String],
) -> Option<StampPlace> {
    let stamp = fields.take("stamp");
    let channel = fields.entry("channel");
    let named = channel.and_then(|(_, node)| self::channel(diagnostics, node, names));
    let place = match stamp.map(|node| &node.kind) {
        Some(NodeKind::Bool(true)) => Some(vec![STAMP_MEMBER.to_owned()]),
        Some(NodeKind::Text(path)) if path.starts_with("$.") => {
            Some(path[2..].split('.').map(str::to_owned).collect())
        }
        None | Some(NodeKind::Bool(false)) => None,
        Some(_) => {
            let node = stamp?;
            diagnostics
                .mistake(node.span, "invalid `stamp`")
                .expected("`true`, or a path in the JSON body such as `$.meta.m`");
            return None;
        }
    };
    if let (Some((key, _)), None) = (channel, &place) {
        diagnostics.mistake(key.span, "`channel` needs `stamp`");
    }
    Some(StampPlace { channel: named.unwrap_or(ChannelPlan::Path), members: place? })
}

/// Returns a JSON body with a placeholder for the stamp.
pub(crate) fn with_stamp(diagnostics: &mut Diagnostics, node: &Node, members: &[String]) -> Node {
    let mut stamped = node.clone();
    let mut place = &mut stamped;
    for (depth, member) in members.iter().enumerate() {
        let is_last = depth + 1 == members.len();
        let NodeKind::Map(entries) = &mut place.kind else {
            diagnostics
                .mistake(node.span, "the stamp has no place in this body")
                .expected("a JSON object at each part of the path")
                .help("`stamp: $.meta.m` writes the member `m` of the object `meta`");
            return stamped;
        };
        let at = entries.iter().position(|(key, _)| key.name == *member).unwrap_or_else(|| {
            let key = NodeKey { name: member.clone(), span: node.span };
            let kind = NodeKind::Map(Vec::new());
            entries.push((key, Node { kind, span: node.span }));
            entries.len() - 1
        });
        place = &mut entries[at].1;
        if is_last {
            place.kind = NodeKind::Text(PLACEHOLDER.to_owned());
        }
    }
    stamped
}

/// Returns a text body with a placeholder for the stamp: in place of `{{ stamp }}`, else before
/// the text.
pub(crate) fn stamped_text(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
) -> Option<Template> {
    let text = values::scalar(node)?;
    let places = stamp_places(text);
    let text = match places.as_slice() {
        [] => format!("{PLACEHOLDER}{text}"),
        [place] => format!("{}{PLACEHOLDER}{}", &text[..place.start], &text[place.end..]),
        places => {
            let message = format!("the body has {} places for its stamp", places.len());
            diagnostics.mistake(node.span, message).expected("at most one `{{ stamp }}`");
            return None;
        }
    };
    let stamped = Node { kind: NodeKind::Text(text), span: node.span };
    templates::template(diagnostics, &stamped, Encoding::Plain, names, "the text of the body")
}

/// Whether a text body without a stamp has a place for one; reports it.
pub(crate) fn misses_stamp(diagnostics: &mut Diagnostics, node: &Node, names: &[String]) -> bool {
    let has_place = values::scalar(node).is_some_and(|text| !stamp_places(text).is_empty());
    let misses = has_place && !names.iter().any(|name| name == "stamp");
    if misses {
        diagnostics
            .mistake(node.span, "`{{ stamp }}` in a step without a stamp")
            .help("add `stamp: true` to the step");
    }
    misses
}

/// Finds each `{{ stamp }}` in a text.
fn stamp_places(text: &str) -> Vec<Range<usize>> {
    let (mut places, mut at) = (Vec::new(), 0);
    while let Some(open) = text[at..].find("{{").map(|length| at + length) {
        let Some(length) = text[open..].find("}}") else { break };
        let close = open + length;
        if text[open + 2..close].trim() == "stamp" {
            places.push(open..close + 2);
        }
        at = close + 2;
    }
    places
}

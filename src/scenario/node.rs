//! YAML as spanned nodes: parsed once, within tight bounds.
//!
//! `library` feeds it the text of a file, `shape` reads the nodes.
//! Invariant: no input, however hostile, costs more than the budget below; the only place that
//! knows the YAML crate.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, Location, Options, Spanned, UserMessageFormatter};

use super::diagnose::{Review, Span};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub span: Span,
    pub kind: Kind,
}

/// A key and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub name: String,
    pub span: Span,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    /// A number, as it was written and as it is.
    Number(String, f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// Parses a file that is under review as number `source`; a mistake is reported there.
pub(crate) fn parse(review: &mut Review, source: usize, text: &str) -> Option<Node> {
    let whole = Span { source, start: 0, end: 0 };
    let node = value(review, source, text)?;
    match node.kind {
        Kind::Map(_) => Some(node),
        Kind::Null => {
            review.mistake(whole, "the file is empty").help(
                "`manada run scenarios/quickstart.yaml` shows a small scenario to begin with",
            );
            None
        }
        _ => {
            review
                .mistake(node.span, "this is not a map of keys and values")
                .expected("`key: value` lines, such as `scenario: my-test`");
            None
        }
    }
}

/// Parses a text that may be any value.
pub(crate) fn value(review: &mut Review, source: usize, text: &str) -> Option<Node> {
    let root = match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options()) {
        Ok(root) => root,
        Err(error) => {
            report(review, source, text, &error);
            return None;
        }
    };
    let mut converter = Converter { review, source, text };
    Some(converter.node(root))
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 200_000,
            max_nodes: 100_000,
            max_depth: 64,
            flow_nesting_limit: 64,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_recorded_anchor_events: 100_000,
            max_recorded_anchor_bytes: 4 << 20,
            max_total_scalar_bytes: 8 << 20,
            max_documents: 16,
            max_merge_keys: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 16,
        },
        with_snippet: false,
        strict_booleans: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
    }
}

/// A value as the YAML crate hands it over.
enum Raw {
    Null,
    Bool(bool),
    Number(f64, String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value as f64, value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value as f64, value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(value, format!("{value:?}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

struct Converter<'a> {
    review: &'a mut Review,
    source: usize,
    text: &'a str,
}

impl Converter<'_> {
    fn node(&mut self, raw: Spanned<Raw>) -> Node {
        let span = span_of(self.source, self.text, &raw.defined);
        let kind = match raw.value {
            Raw::Null => Kind::Null,
            Raw::Bool(value) => Kind::Bool(value),
            Raw::Number(value, shown) => {
                // As it was written, where that is a plain decimal: `1.10` stays `1.10`.
                let written = self.text.get(span.start..span.end).unwrap_or_default().trim();
                let plain = written.bytes().all(|b| b.is_ascii_digit() || b"-.eE".contains(&b));
                let keep = plain && !written.is_empty();
                Kind::Number(if keep { written.to_owned() } else { shown }, value)
            }
            Raw::Text(text) => Kind::Text(text),
            Raw::List(items) => Kind::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Map(entries) => Kind::Map(
                entries.into_iter().filter_map(|(key, value)| self.entry(key, value)).collect(),
            ),
        };
        Node { span, kind }
    }

    fn entry(&mut self, key: Spanned<Raw>, value: Spanned<Raw>) -> Option<(Key, Node)> {
        let key = self.node(key);
        let value = self.node(value);
        let name = match key.kind {
            Kind::Text(name) | Kind::Number(name, _) => name,
            Kind::Bool(truth) => truth.to_string(),
            Kind::Null => "null".to_owned(),
            Kind::List(_) | Kind::Map(_) => {
                let mistake = self.review.mistake(key.span, "a key has to be a plain name");
                if matches!(key.kind, Kind::Map(_)) {
                    mistake.help("a value with `{{ }}` needs quotes: \"{{ … }}\"");
                }
                return None;
            }
        };
        Some((Key { name, span: key.span }, value))
    }
}

/// A location as a range of bytes; nodes of several lines are marked on their first.
fn span_of(source: usize, text: &str, location: &Location) -> Span {
    let span = location.span();
    let (Some(start), Some(length)) = (span.byte_offset(), span.byte_len()) else {
        let start = offset_of(text, location.line(), location.column());
        return Span { source, start, end: start };
    };
    let start = (start as usize).min(text.len());
    let end = start.saturating_add(length as usize).min(text.len());
    Span { source, start, end }
}

/// The byte at a line and column, both from 1: errors of the scanner carry no bytes.
fn offset_of(text: &str, line: u64, column: u64) -> usize {
    let lines = text.split_inclusive('\n').take(line.saturating_sub(1) as usize);
    let start: usize = lines.map(str::len).sum();
    let rest = &text[start..];
    let column = column.saturating_sub(1) as usize;
    start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}

fn report(review: &mut Review, source: usize, text: &str, error: &Error) {
    let span = error
        .location()
        .map_or(Span { source, start: 0, end: 0 }, |location| span_of(source, text, &location));
    let (message, help) = explain(error);
    let mistake = review.mistake(span, message);
    if let Some(help) = help {
        mistake.help(help);
    }
}

const TOO_MUCH: &str = "this YAML unfolds to more than a scenario may have";
const LIMITS: &str = "at most 100 000 values, 64 levels deep, with `*aliases` written out";

fn explain(error: &Error) -> (String, Option<&'static str>) {
    let templates = "a value with `{{ }}`, `: `, ` #` or a leading `*`, `&`, `%`, `@` needs quotes";
    match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => explain(error),
        Error::DuplicateMappingKey { key, .. } => (
            match key {
                Some(key) => format!("the key `{key}` is there twice"),
                None => "a key is there twice".to_owned(),
            },
            Some("keep one of the two, or rename one"),
        ),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => (TOO_MUCH.to_owned(), Some(LIMITS)),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            ("an alias refers to itself".to_owned(), None)
        }
        Error::MultipleDocuments { .. } => (
            "a second document begins here".to_owned(),
            Some("one scenario or archetype per file: remove the `---` and what follows"),
        ),
        Error::UnknownAnchor { .. } => {
            ("this alias has no anchor before it".to_owned(), Some(templates))
        }
        other => {
            let text = other.render_with_formatter(&UserMessageFormatter);
            let text = text.split(" at line ").next().unwrap_or(&text);
            if text.contains("recursion limit") || text.contains("nesting") {
                return (TOO_MUCH.to_owned(), Some(LIMITS));
            }
            let help = if text.contains("tabs") { "indent with spaces" } else { templates };
            (format!("this is not YAML: {text}"), Some(help))
        }
    }
}

//! YAML as nodes with source spans, parsed once within tight limits.
//!
//! `library` parses the text of a file, `fields` reads the nodes.
//! Invariant: no input, even a hostile one, costs more than a few times the budget below; no other
//! module knows the YAML crate.

mod errors;

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Error, Location, Options, Spanned};

use super::diagnostics::{Diagnostics, SourceSpan};

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub span: SourceSpan,
    pub kind: NodeKind,
}

/// A key with its place.
#[derive(Clone, Debug)]
pub(crate) struct NodeKey {
    pub name: String,
    pub span: SourceSpan,
}

/// The type and content of a value.
#[derive(Clone, Debug)]
pub(crate) enum NodeKind {
    Null,
    Bool(bool),
    /// A number: its text and its value.
    Number(String, f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(NodeKey, Node)>),
}

/// Parses an opened file, number `source`; reports mistakes there.
pub(crate) fn parse(diagnostics: &mut Diagnostics, source: usize, text: &str) -> Option<Node> {
    let whole = SourceSpan { source, start: 0, end: 0 };
    let node = value(diagnostics, source, text)?;
    match node.kind {
        NodeKind::Map(_) => Some(node),
        NodeKind::Null => {
            diagnostics.mistake(whole, "the file is empty").help(
                "`manada run scenarios/quickstart.yaml` shows a small scenario to begin with",
            );
            None
        }
        _ => {
            diagnostics
                .mistake(node.span, "this is not a map of keys and values")
                .expected("`key: value` lines, such as `scenario: my-test`");
            None
        }
    }
}

/// Parses a text that may be any value.
pub(crate) fn value(diagnostics: &mut Diagnostics, source: usize, text: &str) -> Option<Node> {
    match read(text, DuplicateKeyPolicy::Error) {
        Ok(root) => Some(Converter { diagnostics, source, text }.node(root)),
        Err(error) => {
            // After a duplicate key, parse again to find all of them and other mistakes.
            if errors::is_duplicate(&error)
                && let Ok(root) = read(text, DuplicateKeyPolicy::LastWins)
            {
                let before = diagnostics.count();
                let node = Converter { diagnostics, source, text }.node(root);
                if diagnostics.count() > before {
                    return Some(node);
                }
            }
            errors::report_all(diagnostics, source, text, &error);
            None
        }
    }
}

fn read(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Spanned<RawValue>, Error> {
    serde_saphyr::from_str_with_options(text, options(duplicate_keys))
}

fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    serde_saphyr::options! {
        duplicate_keys: duplicate_keys,
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

/// A value as the YAML crate returns it.
enum RawValue {
    Null,
    Bool(bool),
    Number(f64, String),
    Text(String),
    List(Vec<Spanned<RawValue>>),
    Map(Vec<(Spanned<RawValue>, Spanned<RawValue>)>),
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_none<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Number(value as f64, value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawValue, E> {
        Ok(RawValue::Number(value as f64, value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawValue, E> {
        Ok(RawValue::Number(value, format!("{value:?}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawValue, E> {
        Ok(RawValue::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<RawValue, E> {
        Ok(RawValue::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawValue, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(RawValue::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawValue, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(RawValue::Map(entries))
    }
}

struct Converter<'a> {
    diagnostics: &'a mut Diagnostics,
    source: usize,
    text: &'a str,
}

impl Converter<'_> {
    fn node(&mut self, raw: Spanned<RawValue>) -> Node {
        let span = span_of(self.source, self.text, &raw.defined);
        let kind = match raw.value {
            RawValue::Null => NodeKind::Null,
            RawValue::Bool(value) => NodeKind::Bool(value),
            RawValue::Number(value, shown) => {
                // Plain decimals keep their spelling: `1.10` stays `1.10`.
                let written = self.text.get(span.start..span.end).unwrap_or_default().trim();
                let plain = written.bytes().all(|b| b.is_ascii_digit() || b"-.eE".contains(&b));
                let keep = plain && !written.is_empty();
                match without_zeros(written) {
                    Some(digits) => {
                        self.diagnostics.warn(
                            span,
                            format!("this is the number {digits}, without its leading zeros"),
                            &format!("quote it if the zeros matter: `\"{written}\"`"),
                        );
                        NodeKind::Number(digits, value)
                    }
                    None => NodeKind::Number(if keep { written.to_owned() } else { shown }, value),
                }
            }
            RawValue::Text(text) => NodeKind::Text(text),
            RawValue::List(items) => {
                NodeKind::List(items.into_iter().map(|item| self.node(item)).collect())
            }
            RawValue::Map(entries) => NodeKind::Map(self.entries(entries)),
        };
        Node { span, kind }
    }

    /// Converts the entries of a map. Of a duplicate key the first one counts, and the second one
    /// is reported with the place of the first.
    fn entries(
        &mut self,
        entries: Vec<(Spanned<RawValue>, Spanned<RawValue>)>,
    ) -> Vec<(NodeKey, Node)> {
        let mut first: HashMap<String, usize> = HashMap::new();
        let mut kept = Vec::new();
        for (key, value) in entries {
            let Some((key, value)) = self.entry(key, value) else { continue };
            if let Some(at) = first.get(&key.name) {
                let line = self.text[..*at].matches('\n').count() + 1;
                self.diagnostics
                    .mistake(key.span, format!("the key `{}` is there twice", key.name))
                    .help(format!(
                        "the first is on line {line}: keep one of the two, or rename one"
                    ));
                continue;
            }
            first.insert(key.name.clone(), key.span.start);
            kept.push((key, value));
        }
        kept
    }

    fn entry(
        &mut self,
        key: Spanned<RawValue>,
        value: Spanned<RawValue>,
    ) -> Option<(NodeKey, Node)> {
        let key = self.node(key);
        let value = self.node(value);
        let name = match key.kind {
            NodeKind::Text(name) | NodeKind::Number(name, _) => name,
            NodeKind::Bool(truth) => truth.to_string(),
            NodeKind::Null => "null".to_owned(),
            NodeKind::List(_) | NodeKind::Map(_) => {
                let mistake = self.diagnostics.mistake(key.span, "a key has to be a plain name");
                if matches!(key.kind, NodeKind::Map(_)) {
                    mistake.help("a value with `{{ }}` needs quotes: \"{{ … }}\"");
                }
                return None;
            }
        };
        Some((NodeKey { name, span: key.span }, value))
    }
}

/// Removes the leading zeros of a whole number; `None` if there are none or for other texts.
fn without_zeros(written: &str) -> Option<String> {
    let (sign, digits) = match written.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", written),
    };
    let is_whole = digits.len() > 1 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let bare = digits.trim_start_matches('0');
    (is_whole && digits.starts_with('0'))
        .then(|| format!("{sign}{}", if bare.is_empty() { "0" } else { bare }))
}

/// Converts a location to a range of bytes; nodes of several lines are marked on their first line.
fn span_of(source: usize, text: &str, location: &Location) -> SourceSpan {
    let span = location.span();
    let (Some(start), Some(length)) = (span.byte_offset(), span.byte_len()) else {
        let start = offset_of(text, location.line(), location.column());
        return SourceSpan { source, start, end: start };
    };
    let start = (start as usize).min(text.len());
    let end = start.saturating_add(length as usize).min(text.len());
    SourceSpan { source, start, end }
}

/// Returns the byte offset of a line and column, both from 1, because errors of the scanner have
/// no byte offset.
fn offset_of(text: &str, line: u64, column: u64) -> usize {
    let lines = text.split_inclusive('\n').take(line.saturating_sub(1) as usize);
    let start: usize = lines.map(str::len).sum();
    let rest = &text[start..];
    let column = column.saturating_sub(1) as usize;
    start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}

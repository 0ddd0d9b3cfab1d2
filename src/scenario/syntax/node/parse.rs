//! Parses YAML to nodes, once, and reports mistakes.
//!
//! `source` passes the text of a file.
//! Invariant: a value that is returned has the place of each of its parts.

use std::collections::HashMap;

use serde_saphyr::{DuplicateKeyPolicy, Spanned};

use super::errors;
use super::place::span_of;
use super::raw::{RawValue, read};
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};

/// Parses an opened file, number `source`; reports mistakes there.
pub(crate) fn parse(diagnostics: &mut Diagnostics, source: usize, text: &str) -> Option<Node> {
    let whole = SourceSpan { source, start: 0, end: 0 };
    let node = parse_value(diagnostics, source, text)?;
    match node.kind {
        NodeKind::Map(_) => Some(node),
        NodeKind::Null => {
            diagnostics
                .mistake(whole, "the file is empty")
                .help("scenarios/quickstart.yaml is a small scenario to start from");
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
pub(crate) fn parse_value(
    diagnostics: &mut Diagnostics,
    source: usize,
    text: &str,
) -> Option<Node> {
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
                            format!(
                                "YAML reads this as the number {digits}, without leading zeros"
                            ),
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
                self.diagnostics.mistake(key.span, format!("duplicate key `{}`", key.name)).help(
                    format!("the first is on line {line}: keep one of the two, or rename one"),
                );
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
                let mistake = self.diagnostics.mistake(key.span, "a key must be a plain name");
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

//! Reads the parts that blocks of policies share.
//!
//! Invariant: a block merges key by key over its defaults; `true` means the defaults, `false` off.

use crate::plan::EndpointPattern;
use crate::scenario::nouns::noun::Noun;
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values::report_wrong;

/// Maximum endpoint patterns in all pools, or in all limits.
pub(crate) const MAX_PATTERNS: usize = 1_024;

/// Reads a block over its defaults, or `true` or `false`.
pub(crate) fn block<T>(
    diagnostics: &mut Diagnostics,
    node: &Node,
    noun: &'static Noun,
    default: T,
    read: impl FnOnce(&mut Diagnostics, &mut Fields<'_>, T) -> Option<T>,
) -> Option<T> {
    match node.kind {
        NodeKind::Bool(on) => on.then_some(default),
        NodeKind::Map(_) => {
            let mut fields = Fields::read(diagnostics, node, noun)?;
            let value = read(diagnostics, &mut fields, default);
            fields.finish(diagnostics);
            value
        }
        _ => report_wrong(diagnostics, node, format!("{}, `true` or `false`", noun.form)),
    }
}

/// Reads a block of settings: a map of its keys, or the value of its first key alone.
pub(crate) fn settings<T>(
    diagnostics: &mut Diagnostics,
    node: &Node,
    noun: &'static Noun,
    mut value: T,
    (first, read_first): (&'static str, impl Fn(&mut Diagnostics, &Node, &mut T) -> Option<()>),
    read_others: impl FnOnce(&mut Diagnostics, &mut Fields<'_>, &mut T),
) -> Option<T> {
    if !matches!(node.kind, NodeKind::Map(_)) {
        read_first(diagnostics, node, &mut value)?;
        return Some(value);
    }
    let mut fields = Fields::read(diagnostics, node, noun)?;
    if let Some(node) = fields.take(first) {
        let _ = read_first(diagnostics, node, &mut value);
    }
    read_others(diagnostics, &mut fields, &mut value);
    fields.finish(diagnostics);
    Some(value)
}

/// A given value with its place.
pub(crate) type Given<T> = Option<(SourceSpan, T)>;

/// Reports two given values in the wrong order.
pub(crate) fn in_order<T: Ord + Copy>(
    diagnostics: &mut Diagnostics,
    (low, least): (&str, Given<T>),
    (high, most): (&str, Given<T>),
) {
    if let (Some((_, least)), Some((span, most))) = (least, most)
        && least > most
    {
        diagnostics
            .mistake(span, format!("`{high}` is below `{low}`"))
            .expected(format!("at least the value of `{low}`"));
    }
}

/// Reads an endpoint pattern.
pub(crate) fn pattern(
    diagnostics: &mut Diagnostics,
    text: &str,
    span: SourceSpan,
) -> Option<EndpointPattern> {
    let found = EndpointPattern::parse(text);
    if found.is_none() {
        let mistake = diagnostics
            .mistake(span, format!("`{}` is not an endpoint pattern", truncate(text)))
            .expected(
                "`*`, or a path without query, with or without a method: `POST /login`, /export/*",
            );
        let suggestion = text.split_once(' ').map(|(method, path)| (method.to_uppercase(), path));
        let suggestion = suggestion.map(|(method, path)| format!("{method} {path}"));
        if let Some(suggestion) =
            suggestion.filter(|suggestion| EndpointPattern::parse(suggestion).is_some())
        {
            mistake.help(format!("did you mean `{suggestion}`?"));
        }
    }
    found
}

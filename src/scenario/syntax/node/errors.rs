//! Messages for texts that are not valid YAML.
//!
//! Invariant: a mistake has its place in the file, even if only a part of the file was parsed.

use serde_saphyr::{DuplicateKeyPolicy, Error, UserMessageFormatter};

use super::place::span_of;
use super::raw::read;
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};

/// Maximum number of blocks checked after a syntax error.
const MAX_BLOCKS: usize = 100;

/// Whether the error is a duplicate key.
pub(crate) fn is_duplicate(error: &Error) -> bool {
    match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => is_duplicate(error),
        Error::DuplicateMappingKey { .. } => true,
        _ => false,
    }
}

/// Reports why a text is not valid YAML, and the errors of later blocks.
///
/// A parser cannot continue after an error. So each later block that begins in the first column is
/// parsed separately.
pub(crate) fn report_all(diagnostics: &mut Diagnostics, source: usize, text: &str, error: &Error) {
    report(diagnostics, (source, 0), text, error);
    let Some(location) = error.location().filter(|_| !is_too_much(error)) else { return };
    let first = span_of(source, text, &location).start;
    let blocks = blocks(text);
    let next = blocks.iter().position(|block| *block > first).unwrap_or(blocks.len());
    for (index, begin) in blocks.iter().enumerate().skip(next).take(MAX_BLOCKS) {
        let end = blocks.get(index + 1).copied().unwrap_or(text.len());
        let block = &text[*begin..end];
        let Err(error) = read(block, DuplicateKeyPolicy::LastWins) else { continue };
        // The anchor may be in another block.
        if is_too_much(&error) {
            return;
        }
        if !matches!(error, Error::UnknownAnchor { .. }) {
            report(diagnostics, (source, *begin), block, &error);
        }
    }
}

/// Returns the offsets of the blocks of a text; a block starts with a key in the first column.
fn blocks(text: &str) -> Vec<usize> {
    let mut begins = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let is_key = line.starts_with(|c: char| c.is_alphanumeric() || "\"'_".contains(c));
        if is_key && line.contains(':') {
            begins.push(at);
        }
        at += line.len();
    }
    begins
}

/// Whether an error is about the size of a text, not its syntax.
fn is_too_much(error: &Error) -> bool {
    explain(error).0 == TOO_MUCH
}

/// Reports an error in a text that begins at byte `begin` of its file.
fn report(
    diagnostics: &mut Diagnostics,
    (source, begin): (usize, usize),
    text: &str,
    error: &Error,
) {
    let span = error.location().map_or(SourceSpan { source, start: 0, end: 0 }, |location| {
        span_of(source, text, &location)
    });
    let span = SourceSpan { start: span.start + begin, end: span.end + begin, ..span };
    let (message, help) = explain(error);
    let mistake = diagnostics.mistake(span, message);
    if let Some(help) = help {
        mistake.help(help);
    }
}

const TOO_MUCH: &str = "this YAML is too large after expanding its aliases";

const LIMITS: &str = "at most 100 000 values, 64 levels deep, with `*aliases` expanded";

fn explain(error: &Error) -> (String, Option<&'static str>) {
    let templates = "a value with `{{ }}`, `: `, ` #` or a leading `*`, `&`, `%`, `@` needs quotes";
    match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => explain(error),
        Error::DuplicateMappingKey { key, .. } => (
            match key {
                Some(key) => format!("duplicate key `{key}`"),
                None => "duplicate key".to_owned(),
            },
            Some("keep one of the two, or rename one"),
        ),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => (TOO_MUCH.to_owned(), Some(LIMITS)),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            ("this alias refers to itself".to_owned(), None)
        }
        Error::MultipleDocuments { .. } => (
            "a second document starts here".to_owned(),
            Some("a file has one scenario or archetype: remove the `---` and the rest"),
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
            (format!("invalid YAML: {text}"), Some(help))
        }
    }
}

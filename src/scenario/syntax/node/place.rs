//! Converts locations of the YAML crate to source spans.
//!
//! `parse` and `errors` call it.
//! Invariant: a span lies within its text.

use serde_saphyr::Location;

use crate::scenario::syntax::diagnostics::SourceSpan;

/// Converts a location to a range of bytes; nodes of several lines are marked on their first line.
pub(crate) fn span_of(source: usize, text: &str, location: &Location) -> SourceSpan {
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

//! Texts that fit into a place: without control characters, measured in columns, cut or wrapped.
//!
//! All views pass their texts through it.
//! Invariant: texts of targets and scenarios cannot move the cursor, hide text or reverse its
//! direction; a text never takes more columns than it is given.

use ratatui::text::Span;

use crate::report::ansi;

/// Removes control characters, secrets, and invisible marks from a text.
pub(super) fn clean(text: &str) -> String {
    ansi::plain(text)
}

/// Returns the width of a text in columns.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// Cuts a text to a width; a text that was cut ends in `…`.
pub(super) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = take(text, columns.saturating_sub(1)).to_owned();
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// Cuts a text to a width in its middle, so that names that differ at either end can be told apart.
pub(super) fn fit_middle(text: &str, columns: usize) -> String {
    if width(text) <= columns || columns < 4 {
        return fit(text, columns);
    }
    let head = take(text, columns / 2);
    let mut tail = text;
    while width(head) + 1 + width(tail) > columns {
        tail = &tail[tail.chars().next().map_or(0, char::len_utf8)..];
    }
    format!("{head}…{tail}")
}

/// Returns the longest beginning of a text that fits.
fn take(text: &str, columns: usize) -> &str {
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let next = at + c.len_utf8();
        if width(&text[..next]) > columns {
            break;
        }
        end = next;
    }
    &text[..end]
}

/// Wraps a text between words; a word wider than a line is broken.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        let mut word = word;
        if !line.is_empty() {
            if width(&line) + 1 + width(word) <= columns {
                line.push(' ');
                line.push_str(word);
                continue;
            }
            lines.push(std::mem::take(&mut line));
        }
        while width(word) > columns {
            let part = match take(word, columns) {
                // A single character wider than the line.
                "" => &word[..word.chars().next().map_or(0, char::len_utf8)],
                part => part,
            };
            lines.push(part.to_owned());
            word = &word[part.len()..];
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printable::is_printable;

    #[test]
    fn what_is_not_seen_is_shown() {
        let hostile = "a\u{1b}[2J\u{202e}b\u{200b}c\r\n\u{feff}\t\u{9b}31m";
        let cleaned = clean(hostile);
        assert!(cleaned.chars().all(is_printable), "{cleaned:?}");
        assert_eq!(cleaned.chars().count(), hostile.chars().count(), "each leaves its mark");
        assert_eq!(clean("größe 世界 ≥ 5 µs"), "größe 世界 ≥ 5 µs");
    }

    #[test]
    fn a_text_never_takes_more_than_it_is_given() {
        for text in ["", "short", "a longer text with words", "世界世界世界", "x世x世x世"]
        {
            for columns in 0..30 {
                assert!(width(&fit(text, columns)) <= columns, "{text:?} in {columns}");
                assert!(width(&fit_middle(text, columns)) <= columns, "{text:?} in {columns}");
                for line in wrap(text, columns) {
                    assert!(width(&line) <= columns.max(2), "{text:?} in {columns}: {line:?}");
                }
            }
        }
        assert_eq!(fit("abcdef", 4), "abc…");
        assert_eq!(fit_middle("GET /orders/{id}/items", 14), "GET /or…/items");
        assert_eq!(fit_middle("abcdef", 6), "abcdef");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 5), [""]);
    }
}

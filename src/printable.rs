//! The characters that an output may show: one filter for all outputs.
//!
//! Names come from files of other people, responses from targets. Each output filters them here:
//! terminal, page, CSV, Markdown, JUnit, JSON, curl lines, messages.
//! Invariant: the result moves no cursor, reverses no text direction, contains nothing invisible,
//! and is valid in XML 1.0; each character that is not allowed becomes U+FFFD.

/// The replacement of a character that is not allowed.
pub const REPLACED: char = '\u{fffd}';

/// Whether a character is visible, and does not affect the characters beside it.
pub fn is_printable(c: char) -> bool {
    !c.is_control() && !is_unseen(c) && !is_noncharacter(c)
}

/// Filters a text of one line.
pub fn printable(text: &str) -> String {
    keeping(text, |_| false)
}

/// As `printable`, but keeps line ends and tabs: for texts that are escaped or shown as a block.
pub fn printable_lines(text: &str) -> String {
    keeping(text, |c| matches!(c, '\n' | '\t'))
}

fn keeping(text: &str, stays: impl Fn(char) -> bool) -> String {
    text.chars().map(|c| if is_printable(c) || stays(c) { c } else { REPLACED }).collect()
}

/// Whether a character has no width: joiners, directions, fillers, and characters that only change
/// their neighbours.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether Unicode reserves a character for internal use; two of them are not valid in XML (1.0,
/// §2.2).
fn is_noncharacter(c: char) -> bool {
    matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff) || matches!(c, '\u{fdd0}'..='\u{fdef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_replaced() {
        for c in [
            '\0',
            '\u{7}',
            '\u{1b}',
            '\n',
            '\t',
            '\r',
            '\u{7f}',
            '\u{9b}',
            '\u{ad}',
            '\u{200b}',
            '\u{200d}',
            '\u{200f}',
            '\u{2028}',
            '\u{202e}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{fffe}',
            '\u{ffff}',
            '\u{1ffff}',
            '\u{fdd0}',
            '\u{e0041}',
        ] {
            assert_eq!(printable(&format!("a{c}b")), "a\u{fffd}b", "{c:?}");
        }
        for text in ["größe 世界 ≥ 5 µs", "\u{fffd}", "🦓 ✓", "e\u{301}", "עברית"] {
            assert_eq!(printable(text), text);
        }
        assert_eq!(printable_lines("a\n\tb\r\u{202e}"), "a\n\tb\u{fffd}\u{fffd}");
    }
}

//! Which characters an output may show: the one filter of all of them.
//!
//! Names come from files that others wrote, answers from targets. Each output passes them through
//! here: terminal, page, CSV, Markdown, JUnit, JSON, curl lines, messages.
//! Invariant: what comes out moves no cursor, turns no order of letters round, hides nothing, and
//! may stand in XML 1.0; each character that may not be shown leaves U+FFFD.

/// What stands in place of a character that may not be shown.
pub const REPLACED: char = '\u{fffd}';

/// Whether a character shows, and changes nothing of what stands beside it.
pub fn is_printable(c: char) -> bool {
    !c.is_control() && !is_unseen(c) && !is_noncharacter(c)
}

/// A text on one line, without what may not be shown.
pub fn printable(text: &str) -> String {
    keeping(text, |_| false)
}

/// The same with line ends and tabs: of what is escaped or stands in a block of its own.
pub fn printable_lines(text: &str) -> String {
    keeping(text, |c| matches!(c, '\n' | '\t'))
}

fn keeping(text: &str, stays: impl Fn(char) -> bool) -> String {
    text.chars().map(|c| if is_printable(c) || stays(c) { c } else { REPLACED }).collect()
}

/// Marks without width: joiners, directions, fillers, and what only changes its neighbours.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// What Unicode keeps for programs' own use; two of them may not stand in XML (1.0, §2.2).
fn is_noncharacter(c: char) -> bool {
    matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff) || matches!(c, '\u{fdd0}'..='\u{fdef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_shown_leaves_a_mark() {
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

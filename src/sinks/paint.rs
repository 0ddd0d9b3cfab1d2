//! Colours and harmless text for terminals.
//!
//! Invariant: what others wrote (names in files, a target's words) reaches a terminal without
//! control characters.

use anstyle::{AnsiColor, Style};

use crate::mask;

/// All is well.
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Look here.
pub(super) const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// It is not.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What matters most.
pub(super) const BOLD: Style = Style::new().bold();
/// What matters least.
pub(super) const DIM: Style = Style::new().dimmed();

/// A text in a style.
pub(super) fn paint(style: Style, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{style}{text}{style:#}") }
}

/// A text without control characters and secrets.
pub(super) fn plain(text: &str) -> String {
    mask::hide(text).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// How many columns a text takes, colours left out.
pub(super) fn width(text: &str) -> usize {
    let mut columns = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // Skip to the end of the escape sequence, which is a letter.
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            columns += 1;
        }
    }
    columns
}

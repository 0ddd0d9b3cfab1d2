//! Colours for terminals, and texts without control characters.
//!
//! All texts for the terminal go through it.
//! Invariant: names from files and texts of targets reach a terminal without control characters,
//! and a CI log without commands to its runner.

use anstyle::{AnsiColor, Style};

use crate::printable::printable;
use crate::redact;

/// The style of a good result.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// The style of a warning.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// The style of a bad result.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// The style of the most important text.
pub(crate) const BOLD: Style = Style::new().bold();
/// The style of the least important text.
pub(crate) const DIM: Style = Style::new().dimmed();

/// A text in a style.
pub(crate) fn paint(style: Style, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{style}{text}{style:#}") }
}

/// A text without secrets, unprintable characters, and commands that CI runners execute.
pub(crate) fn plain(text: &str) -> String {
    let shown = printable(&redact::redact_secrets(text));
    ORDERS.iter().fold(shown, |shown, (order, harmless)| shown.replace(order, harmless))
}

/// The beginnings of commands to CI runners, and what is shown in their place.
const ORDERS: [(&str, &str); 2] = [("##[", "# #["), ("##vso[", "# #vso[")];

/// The width of a text in columns, without its escape sequences.
pub(crate) fn width(text: &str) -> usize {
    let mut columns = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // An escape sequence ends with a letter.
            chars.by_ref().find(char::is_ascii_alphabetic);
        } else {
            columns += 1;
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_commands_nobody() {
        for (text, shown) in [
            ("a\u{1b}[2Jb\n", "a\u{fffd}[2Jb\u{fffd}"),
            (
                "x ##vso[task.setvariable variable=PATH]y",
                "x # #vso[task.setvariable variable=PATH]y",
            ),
            ("###[add-mask]e", "## #[add-mask]e"),
            ("issue ## 5", "issue ## 5"),
        ] {
            assert_eq!(plain(text), shown);
        }
    }
}

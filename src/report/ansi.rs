//! Colours and harmless text for terminals.
//!
//! Invariant: what others wrote (names in files, a target's words) reaches a terminal without
//! control characters, and a log of a CI without commands to its runner.

use anstyle::{AnsiColor, Style};

use crate::printable::printable;
use crate::redact;

/// All is well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Look here.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// It is not.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What matters most.
pub(crate) const BOLD: Style = Style::new().bold();
/// What matters least.
pub(crate) const DIM: Style = Style::new().dimmed();

/// A text in a style.
pub(crate) fn paint(style: Style, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{style}{text}{style:#}") }
}

/// A text without secrets, what may not be shown, and what runners of a CI obey anywhere in a line.
pub(crate) fn plain(text: &str) -> String {
    let shown = printable(&redact::redact_secrets(text));
    ORDERS.iter().fold(shown, |shown, (order, harmless)| shown.replace(order, harmless))
}

/// How commands to runners begin wherever they stand, and what is shown in their place.
const ORDERS: [(&str, &str); 2] = [("##[", "# #["), ("##vso[", "# #vso[")];

/// How many columns a text takes, colours left out.
pub(crate) fn width(text: &str) -> usize {
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

//! Lines of the terminal's report: headings, and labels before wrapped text.
//!
//! All texts of the report are put together from them.
//! Invariant: no line is wider than 80 columns, unless one word is.

use std::fmt::Write;

use super::ansi::{BOLD, DIM, paint, plain, width};

/// The columns beside a label in a terminal of 80 columns.
const COLUMNS: usize = 67;

/// Writes a line: a label, then text.
pub(crate) fn label(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "{}  {text}", paint(DIM, &format!("{name:>11}")));
}

/// Writes the heading of a part, after an empty line.
pub(crate) fn heading(out: &mut String, text: &str) {
    let _ = writeln!(out, "\n{}", paint(BOLD, text));
}

/// Writes a label, then text that is wrapped between words.
pub(crate) fn wrapped(out: &mut String, name: &str, text: &str) {
    let (mut name, mut line, text) = (name, String::new(), plain(text));
    for word in words(&text) {
        if !line.is_empty() && width(&line) + 1 + width(word) > COLUMNS {
            label(out, name, line.trim_end());
            // Further lines belong to the one above.
            (name, line) = ("", " ".to_owned());
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    label(out, name, &line);
}

/// The words of a text; the digit groups of a number are one word.
fn words(text: &str) -> Vec<&str> {
    let (mut words, mut from) = (Vec::new(), 0);
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    for (at, _) in text.match_indices(' ') {
        let (before, after) = (text[..at].chars().next_back(), text[at + 1..].chars().next());
        if !(digit(before) && digit(after)) {
            words.push(&text[from..at]);
            from = at + 1;
        }
    }
    words.push(&text[from..]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(text: &str) -> Vec<String> {
        let mut out = String::new();
        wrapped(&mut out, "name", text);
        let strip = |line: &str| anstream::adapter::strip_str(line).to_string();
        out.lines().map(strip).collect()
    }

    #[test]
    fn a_long_number_is_one_word() {
        assert_eq!(words("breaker 4 877 calls"), ["breaker", "4 877", "calls"]);
        assert_eq!(words("a  b"), ["a", "", "b"]);
    }

    #[test]
    fn lines_fit_a_terminal_of_80_columns_and_lose_no_word() {
        let text = "word ".repeat(60) + &"x".repeat(100) + " the end";
        let lines = lines_of(&text);
        assert!(lines.iter().all(|line| width(line) <= 80 || line.contains('x')), "{lines:#?}");
        assert!(lines[0].starts_with("       name  word"), "{lines:#?}");
        assert!(lines[1].starts_with("               word"), "{lines:#?}");
        let words: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
        let wanted: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(words[1..], wanted);
        assert_eq!(lines_of("short"), ["       name  short"]);
    }

    #[test]
    fn control_characters_of_targets_are_replaced() {
        assert_eq!(lines_of("a\u{1b}[2J b"), ["       name  a\u{fffd}[2J b"]);
    }
}

//! Lines of the terminal's report: headings, and labels before wrapped text.
//!
//! All texts of the report are put together from them.
//! Invariant: no line is wider than 80 columns, unless one word is.

use std::fmt::Write;

use anstyle::Style;

use super::ansi::{BOLD, DIM, paint, plain, width};

/// The columns of the terminal that texts are laid out for.
pub(crate) const WIDTH: usize = 80;

/// The columns of a label and the space after it.
const LABEL: usize = 13;

/// Writes a line as it is: a label, then text.
pub(crate) fn label(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "{}  {text}", paint(DIM, &format!("{name:>11}")));
}

/// Writes the heading of a part, after an empty line.
pub(crate) fn heading(out: &mut String, text: &str) {
    let _ = writeln!(out, "\n{}", paint(BOLD, text));
}

/// Writes a label, then text that is wrapped between words.
pub(crate) fn wrapped(out: &mut String, name: &str, text: &str) {
    painted(out, name, Style::new(), text);
}

/// Writes a label, then text in a style that is wrapped between words.
pub(crate) fn painted(out: &mut String, mut name: &str, style: Style, text: &str) {
    for line in lines(&plain(text), WIDTH - LABEL) {
        label(out, name, &paint(style, &line));
        name = "";
    }
}

/// A text in lines of at most `columns`, unless one word is wider; all but the first are indented.
pub(crate) fn lines(text: &str, columns: usize) -> Vec<String> {
    let (mut done, mut line) = (Vec::new(), String::new());
    for word in words(text.trim_end()) {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            done.push(line.trim_end().to_owned());
            // Further lines belong to the one above.
            " ".clone_into(&mut line);
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    done.push(line);
    done
}

/// Units that stay on the line of their number.
const UNITS: [&str; 9] = ["ns", "µs", "ms", "s", "%", "B", "KiB", "MiB", "GiB"];

/// The words of a text; a number is one word with its digit groups and its unit.
fn words(text: &str) -> Vec<&str> {
    let (mut words, mut from) = (Vec::new(), 0);
    for (at, _) in text.match_indices(' ') {
        let next = text[at + 1..].split(' ').next().unwrap_or_default();
        let unit = next.trim_end_matches(|c| ",;:.()".contains(c));
        let is_number = text[..at].ends_with(|c: char| c.is_ascii_digit())
            && (next.starts_with(|c: char| c.is_ascii_digit()) || UNITS.contains(&unit));
        if !is_number {
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
        assert_eq!(words("p95 3.1 ms, 5 starts"), ["p95 3.1 ms,", "5", "starts"]);
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

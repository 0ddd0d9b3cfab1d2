//! Spellings that clap cannot parse: those of other tools, and flags with two or three values.
//!
//! Invariant: other words stay unchanged; a change of meaning is reported in a note, and a flag of
//! another tool whose meaning is in doubt is an error with advice.

use std::ffi::OsString;

use crate::units::parse_rate;

/// Separates the words of one `--monitor`; no word contains it.
pub(super) const SEPARATOR: char = '\u{1f}';

/// Returns the words for clap, and notes about changed ones.
pub(super) fn rewrite(words: impl Iterator<Item = OsString>) -> (Vec<OsString>, Vec<String>) {
    let mut words = words.peekable();
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    out.extend(words.next());
    let is_hit = words.peek().is_some_and(|word| word == "hit");
    while let Some(word) = words.next() {
        if word == "--" {
            out.push(word);
            out.extend(words);
            break;
        }
        let text = word.to_str().unwrap_or_default();
        let next = words.peek().and_then(|next| next.to_str());
        match (text, next) {
            ("--monitor" | "--watch", Some("pid")) => out.push(join_monitor(&mut words, 2)),
            ("--monitor" | "--watch", Some("prometheus")) => out.push(join_monitor(&mut words, 3)),
            ("-q", Some(rate)) if is_hit && is_rate(rate) => {
                let unit = if rate.contains('/') { "" } else { "/s" };
                notes.push(format!(
                    "`-q {rate}` is read as `--rate {rate}{unit}`, in all; for less output, use \
                     `--quiet`"
                ));
                out.push(format!("--rate={rate}{unit}").into());
                words.next();
            }
            ("--latency-correction", _) if is_hit => notes.push(
                "`--latency-correction` has no effect: response times always count from the \
                 moment that a request was due"
                    .to_owned(),
            ),
            _ => out.push(word),
        }
    }
    (out, notes)
}

/// Returns what to write instead of a flag that other tools have and this command has not.
pub(super) fn flag_of_other_tool(command: &str, flag: &str) -> Option<&'static str> {
    let advice = match (command, flag) {
        ("hit" | "run", "--no-tui") => "without a dashboard: '--ui plain'",
        ("hit", "-R") => "for a rate: '-r 100/s'",
        ("hit", "-t") => "for a timeout: '--timeout 5s'; for threads: '--shards 2'",
        ("hit", "-T") => "for a content type: \"-H 'content-type: application/json'\"",
        ("hit", "-o" | "--output") => "for a file of the results: '--report results.json'",
        ("hit", "-X" | "--request") => "for a method: '-m POST'",
        ("hit", "--data") => "for a body: \"-b '{}'\", or '-b @FILE'",
        ("hit", "--vus") => "for users: '-c 5'",
        ("run", "-u" | "--vus") => "for users: '--users 5'",
        ("run", "-d") => "for a duration: '--duration 30s'",
        ("run", "-k" | "--insecure" | "--insecure-skip-tls-verify") => {
            "to accept any certificate, write 'tls: { insecure: true }' at the service in the \
             scenario"
        }
        ("run", "--summary-export") => "for a file of the results: '--report summary.json'",
        _ => return None,
    };
    Some(advice)
}

/// Returns what to write instead of a value that the flag has in another tool.
pub(super) fn misread_value(command: &str, flag: &str, value: &str) -> Option<&'static str> {
    let is_body = value.starts_with(['{', '[', '@', '<']) || value.contains('=');
    (command == "hit" && flag.starts_with("--duration") && is_body)
        .then_some("for a body: \"-b '{}'\", or '-b @FILE'")
}

/// Joins `--monitor` and its next `count` words.
fn join_monitor(words: &mut impl Iterator<Item = OsString>, count: usize) -> OsString {
    let mut one = OsString::from("--monitor=");
    for (index, word) in words.take(count).enumerate() {
        if index > 0 {
            one.push(SEPARATOR.to_string());
        }
        one.push(word);
    }
    one
}

/// Whether a word is a rate, or a plain number of requests per second.
fn is_rate(text: &str) -> bool {
    parse_rate(text).is_ok() || parse_rate(&format!("{text}/s")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_foreign_spellings_and_monitors_are_rewritten() {
        for (line, expect, notes) in [
            ("manada hit -q 500 u", "manada hit --rate=500/s u", 1),
            ("manada hit -q 5/m u", "manada hit --rate=5/m u", 1),
            ("manada hit -q u", "manada hit -q u", 0),
            ("manada run -q 500", "manada run -q 500", 0),
            ("manada hit --latency-correction u", "manada hit u", 1),
            ("manada hit --watch pid 1 u", "manada hit --monitor=pid|1 u", 0),
            ("manada run --monitor prometheus a b u", "manada run --monitor=prometheus|a|b u", 0),
            ("manada run --watch x u", "manada run --watch x u", 0),
            ("manada hit -- -q 500 --watch pid 1", "manada hit -- -q 500 --watch pid 1", 0),
            ("manada hit --watch pid", "manada hit --monitor=pid", 0),
            ("manada", "manada", 0),
        ] {
            let (words, notes_found) = rewrite(line.split(' ').map(OsString::from));
            let words: Vec<String> =
                words.iter().map(|word| word.to_str().unwrap().replace(SEPARATOR, "|")).collect();
            assert_eq!((words.join(" ").as_str(), notes_found.len()), (expect, notes), "{line}");
        }
    }
}

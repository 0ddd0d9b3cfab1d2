//! Spellings that clap cannot parse: those of other tools, and flags with two or three values.
//!
//! Invariant: other words stay unchanged; a change of meaning is reported in a note.

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

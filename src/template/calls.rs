//! Finds the calls in an expression before it is compiled, and marks them.
//!
//! `parse` calls it and hands the result to `expression`. `env` and `secret` are evaluated here,
//! once; other functions get a prefix, so that a variable may be called `name` or `date`.
//! Invariant: the value of an environment variable never becomes part of a source text.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use minijinja::Value;

use super::error::ParseErrorKind;
use super::names::{FUNCTIONS, PREFIX, RESERVED};
use crate::redact;

/// An expression whose calls are unambiguous.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub source: String,
    /// Every word in it that may be a variable.
    pub words: Vec<String>,
    /// Names that stand for evaluated `env` and `secret` calls, and their values.
    pub constants: Vec<(String, Value)>,
}

/// Names that can be read without being variables, and their parts.
const KNOWN: [(&str, &[&str]); 3] = [
    ("user", &["number", "iteration"]),
    ("run", &["id", "is_simulation"]),
    ("request", &["method", "path", "body"]),
];

/// Renames the calls; an error names the part of `source` that it is about. `names` are the
/// existing variables.
pub(super) fn rewrite(
    source: &str,
    names: &[String],
) -> Result<Rewritten, (ParseErrorKind, Range<usize>)> {
    let mut out = Rewritten {
        source: String::with_capacity(source.len()),
        words: Vec::new(),
        constants: Vec::new(),
    };
    let mut at = 0;
    // The last byte that is not blank: after `.` and `|` a name is not one of our functions.
    let mut before = b' ';
    while at < source.len() {
        let end = at + token(&source[at..]);
        let word = &source[at..end];
        let called = source[end..].trim_start().starts_with('(') && !matches!(before, b'.' | b'|');
        match word {
            "env" | "secret" if called => {
                let (names, close) = arguments(source, end).ok_or_else(|| {
                    let message =
                        format!("`{word}` takes a name in quotes: `{word}(\"API_TOKEN\")`");
                    (ParseErrorKind::Syntax(message), at..end)
                })?;
                let value = read(word, &names).map_err(|kind| (kind, at..close))?;
                let name = format!("{PREFIX}{}", out.constants.len());
                out.source.push_str(&name);
                out.constants.push((name, value));
                at = close;
                before = b')';
                continue;
            }
            _ if called && FUNCTIONS.contains(&word) && !RESERVED.contains(&word) => {
                out.source.push_str(PREFIX);
            }
            _ if is_word(word) && !matches!(before, b'.' | b'|') => {
                if !names.iter().any(|name| name == word) {
                    check_part(source, word, end)?;
                }
                out.words.push(word.to_owned());
            }
            _ => {}
        }
        out.source.push_str(word);
        if let Some(&last) = word.trim_end().as_bytes().last() {
            before = last;
        }
        at = end;
    }
    Ok(out)
}

/// Checks that the word after `.` is a part of a known name that is not a variable.
fn check_part(source: &str, word: &str, end: usize) -> Result<(), (ParseErrorKind, Range<usize>)> {
    let Some((_, parts)) = KNOWN.iter().find(|(known, _)| *known == word) else { return Ok(()) };
    let Some(rest) = source[end..].strip_prefix('.') else { return Ok(()) };
    let part = &rest[..token(rest)];
    if parts.contains(&part) {
        return Ok(());
    }
    let message = format!("`{word}` has no `{part}`; it has {}", parts.join(", "));
    Err((ParseErrorKind::Syntax(message), end + 1..end + 1 + part.len()))
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Returns the length of the word, the quoted text or the character at the start of `text`.
fn token(text: &str) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let first = text.chars().next().unwrap_or(' ');
    if is_word(first) {
        return text.find(|c| !is_word(c)).unwrap_or(text.len());
    }
    if first == '"' || first == '\'' {
        let mut escaped = false;
        for (at, c) in text.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                _ if c == first => return at + 1,
                _ => {}
            }
        }
        return text.len();
    }
    first.len_utf8()
}

/// Parses one or two quoted texts in parentheses after `from`; also returns where they end.
fn arguments(source: &str, from: usize) -> Option<(Vec<String>, usize)> {
    let mut rest = source[from..].trim_start().strip_prefix('(')?.trim_start();
    let mut texts = Vec::new();
    loop {
        let quoted = &rest[..token(rest)];
        let quote = quoted.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let text = quoted.strip_prefix(quote)?.strip_suffix(quote)?;
        if text.contains('\\') {
            return None;
        }
        texts.push(text.to_owned());
        rest = rest[quoted.len()..].trim_start();
        if let Some(rest) = rest.strip_prefix(')') {
            return Some((texts, source.len() - rest.len()));
        }
        rest = rest.strip_prefix(',').filter(|_| texts.len() < 2)?.trim_start();
    }
}

thread_local! {
    /// Names of variables that templates found, while they are recorded. Of a thread, because
    /// templates are parsed in many places, and a scenario is compiled on one thread.
    static FOUND: RefCell<Option<BTreeMap<String, VariableUse>>> = const { RefCell::new(None) };
}

/// How a scenario reads a variable of the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VariableUse {
    /// By `env`.
    Public,
    /// By `secret`, at least once.
    Secret,
}

/// Calls `compile`, and also returns the names of the environment variables that `env` and
/// `secret` read in it on this thread, also of those that are not set and have a default.
pub fn recording_variables<T>(compile: impl FnOnce() -> T) -> (T, BTreeMap<String, VariableUse>) {
    FOUND.replace(Some(BTreeMap::new()));
    let result = compile();
    (result, FOUND.take().unwrap_or_default())
}

/// The variable with the password of a fleet's bus: an agent has it, and a plan comes from another
/// machine.
pub const OWN_VARIABLE: &str = "MANADA_BUS_PASSWORD";

fn read(function: &str, names: &[String]) -> Result<Value, ParseErrorKind> {
    if names[0] == OWN_VARIABLE {
        let message = format!("`{OWN_VARIABLE}` is for Manada itself: no scenario can read it");
        return Err(ParseErrorKind::Misplaced(message));
    }
    let own_use = if function == "secret" { VariableUse::Secret } else { VariableUse::Public };
    FOUND.with_borrow_mut(|found| {
        let all = found.as_mut()?.entry(names[0].clone()).or_insert(own_use);
        *all = own_use.max(*all);
        Some(())
    });
    let value = match (std::env::var(&names[0]), names.get(1)) {
        (Ok(value), _) => value,
        (Err(std::env::VarError::NotPresent), Some(default)) => default.clone(),
        (Err(_), _) => return Err(ParseErrorKind::Environment(names[0].clone())),
    };
    if function == "secret"
        && let Err(refused) = redact::register_secret(&value)
    {
        let message = format!("secret `{}`: {refused}", names[0]);
        return Err(ParseErrorKind::Misplaced(message));
    }
    Ok(Value::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_the_bus_is_no_variable_of_scenarios() {
        for function in ["env", "secret"] {
            for names in
                [vec![OWN_VARIABLE.to_owned()], vec![OWN_VARIABLE.to_owned(), "x".to_owned()]]
            {
                let refused = read(function, &names).unwrap_err();
                assert!(matches!(refused, ParseErrorKind::Misplaced(_)), "{refused:?}");
            }
        }
    }

    #[test]
    fn calls_are_distinguished_from_variables_filters_and_texts() {
        for (source, expect) in [
            ("name() ~ name", "fn__name() ~ name"),
            ("date (x) + int(1, 2)", "fn__date (x) + int(1, 2)"),
            ("x | hash('md5') ~ y.name()", "x | hash('md5') ~ y.name()"),
            ("'name()' ~ \"it's date()\"", "'name()' ~ \"it's date()\""),
            ("surname() + names (1)", "surname() + names (1)"),
            ("'unclosed name()", "'unclosed name()"),
            ("é ~ email()", "é ~ fn__email()"),
        ] {
            assert_eq!(rewrite(source, &[]).unwrap().source, expect);
        }
    }

    #[test]
    fn the_environment_is_read_once_and_stays_out_of_the_source() {
        // Cargo sets this one for its tests.
        let found =
            rewrite("env('CARGO_PKG_NAME') ~ env(\"NO_SUCH\", 'a ) b') ~ env", &[]).unwrap();
        assert_eq!(found.source, "fn__0 ~ fn__1 ~ env");
        let values: Vec<String> = found.constants.iter().map(|(_, v)| v.to_string()).collect();
        assert_eq!(values, ["manada", "a ) b"]);
        let text = "env('CARGO_PKG_NAME') ~ env('NO_SUCH', '') ~ secret('NO_SUCH', 'a-default-7') \
                    ~ env('NO_SUCH', '')";
        let (_, found) = recording_variables(|| rewrite(text, &[]).unwrap());
        let found: Vec<_> = found.iter().map(|(name, how)| (name.as_str(), *how)).collect();
        let expected = [("CARGO_PKG_NAME", VariableUse::Public), ("NO_SUCH", VariableUse::Secret)];
        assert_eq!(found, expected);
        let missing = rewrite("x ~ env('NO_SUCH')", &[]).unwrap_err();
        assert_eq!(missing, (ParseErrorKind::Environment("NO_SUCH".to_owned()), 4..18));
        for source in ["env()", "env(x)", "env('a', 'b', 'c')", "secret('a' ~ 'b')", "env('a\\n')"]
        {
            let (kind, range) = rewrite(source, &[]).unwrap_err();
            assert!(matches!(kind, ParseErrorKind::Syntax(_)), "{source}");
            assert_eq!(range.start, 0);
        }
        rewrite("secret('NO_SUCH', 'calls-hidden-77')", &[]).unwrap();
        assert_eq!(redact::redact_secrets("a calls-hidden-77"), "a ***");
    }
}

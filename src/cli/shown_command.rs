//! The command line of a run as reports show it.
//!
//! `execute` calls it.
//! Invariant: no credential of the command line is in it.

use std::ffi::OsString;

use crate::redact::{MASK, Redactor, SensitiveNames};

/// Returns the command line for reports: without the values of headers and keys with sensitive
/// names.
pub(super) fn shown_command(
    words: impl Iterator<Item = OsString>,
    names: &SensitiveNames,
) -> Vec<String> {
    let redactor = Redactor::new(names);
    let mut is_login = false;
    let hide = |word: OsString| {
        // A path may not be valid text.
        let word = word.to_string_lossy();
        let was_login = std::mem::replace(&mut is_login, word == "-u" || word == "--user");
        if was_login {
            return MASK.to_owned();
        }
        for flag in ["--user=", "-u"] {
            if word.len() > flag.len() && word.starts_with(flag) {
                return format!("{flag}{MASK}");
            }
        }
        let (name, _) = word.split_once(':').unwrap_or((&word, ""));
        let plain = name.trim_start_matches("--header=").trim_start_matches("-H");
        let is_header = plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_header && name.len() < word.len() && redactor.is_sensitive(plain) {
            return format!("{name}: {MASK}");
        }
        redactor.word(&word).into_owned()
    };
    words.map(hide).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn command_line_is_shown_without_credentials_in_any_bytes() {
        for (word, shown) in [
            (&b"--out"[..], "--out"),
            (b"reports/\xff", "reports/\u{fffd}"),
            (b"Cookie: a=b; c=d&e,f", "Cookie: ***"),
            (b"--header=Authorization: Basic a, b", "--header=Authorization: ***"),
            (b"-HX-Api-Key: a", "-HX-Api-Key: ***"),
            (b"http://u:p@127.0.0.1:9090", "http://***@127.0.0.1:9090"),
            (b"http://127.0.0.1:8080/", "http://127.0.0.1:8080/"),
        ] {
            let words = [OsString::from_vec(word.to_vec())];
            assert_eq!(shown_command(words.into_iter(), &SensitiveNames::default()), [shown]);
        }
        let words = ["hit", "-u", "me:pw", "--user", "a:b", "--user=c:d", "-ue:f", "-U"];
        let shown =
            shown_command(words.into_iter().map(OsString::from), &SensitiveNames::default());
        assert_eq!(shown, ["hit", "-u", "***", "--user", "***", "--user=***", "-u***", "-U"]);
    }
}

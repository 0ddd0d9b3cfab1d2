//! Secrets of this process, and how to keep them out of what people read.
//!
//! `plan::template` learns what `secret("NAME")` reads; whatever prints a text hides it first.
//! Invariant: what was learnt is hidden in every form a request gives it: as it is,
//! percent-encoded, in JSON, in base64 at any alignment.

use std::borrow::Cow;
use std::sync::{LazyLock, RwLock};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::{Captures, Regex};

/// The most secrets of one process.
pub const MAX: usize = 256;

/// A shorter one is not hidden: it would blot out half of every report.
pub const SHORTEST: usize = 4;

/// What stands in its place.
const MASK: &str = "***";

/// The secrets, and all their forms from the longest to the shortest.
static KNOWN: RwLock<(Vec<String>, Vec<String>)> = RwLock::new((Vec::new(), Vec::new()));

/// Hides a value from now on; false when there are [`MAX`] of them already.
pub fn learn(secret: &str) -> bool {
    if secret.len() < SHORTEST {
        return true;
    }
    let Ok(mut known) = KNOWN.write() else { return false };
    let (secrets, forms) = &mut *known;
    if secrets.iter().any(|known| known == secret) {
        return true;
    }
    if secrets.len() == MAX {
        return false;
    }
    secrets.push(secret.to_owned());
    forms.extend(all_forms(secret));
    forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    forms.dedup();
    true
}

/// The text with every secret in it replaced.
pub fn hide(text: &str) -> Cow<'_, str> {
    let Ok(known) = KNOWN.read() else { return Cow::Borrowed(MASK) };
    let mut shown = Cow::Borrowed(text);
    for form in &known.1 {
        if shown.contains(form.as_str()) {
            shown = Cow::Owned(shown.replace(form.as_str(), MASK));
        }
    }
    shown
}

/// Whether a header's value is nobody's business.
pub fn is_login(name: &str) -> bool {
    let known = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
    let name = name.trim().to_ascii_lowercase();
    let ends = ["api-key", "apikey", "token", "secret", "password"];
    known.contains(&name.as_str()) || ends.iter().any(|end| name.ends_with(end))
}

/// What names a login, and its value: quoted, or up to where a value ends in YAML. A map or a list
/// is none.
static LOGIN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let names = "authorization|proxy-authorization|cookie|set-cookie|password|secret|api[-_]key|\
                 bearer|token";
    let value = r#""[^"\n]*"|'[^'\n]*'|[^\s"'{\[][^,}\n]*"#;
    // After a quoted name JSON needs no blank, and YAML takes JSON.
    Regex::new(&format!(r#"(?i)(\b(?:{names})(?:["']\s*:[ \t]*|\s*:[ \t]+))({value})"#)).ok()
});

/// The same in a word of a command line: in a header, in JSON, in a form, in a path and its value;
/// or who somebody is, in an address.
static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let names = "authorization|cookie|password|passwd|secret|api[-_]?key|token";
    let value = r#""[^"]*"|'[^']*'|[^\s"'{\[&][^,}&]*"#;
    let named = format!(r#"([\w-]*(?:{names})["']?\s*[:=]\s*)({value})"#);
    Regex::new(&format!(r"(?i){named}|(://)([^/?#\s@]*)@")).ok()
});

/// A word of a command line without logins. What a template reads from elsewhere stays.
pub fn hide_words(word: &str) -> Cow<'_, str> {
    let Some(login) = &*WORD else { return Cow::Borrowed(MASK) };
    login.replace_all(word, |found: &Captures<'_>| match (found.get(1), found.get(2)) {
        (Some(_), Some(value)) if value.as_str().contains("{{") => found[0].to_owned(),
        (Some(name), _) => format!("{}{MASK}", name.as_str()),
        _ => format!("://{MASK}@"),
    })
}

/// A file without what stands after the names of logins in it: `authorization: …`, `password: …`.
/// What a template reads from elsewhere stays.
pub fn hide_logins(file: &str) -> Cow<'_, str> {
    let Some(login) = &*LOGIN else { return Cow::Borrowed(MASK) };
    login.replace_all(file, |found: &Captures<'_>| {
        if found[2].contains("{{") { found[0].to_owned() } else { format!("{}{MASK}", &found[1]) }
    })
}

fn all_forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned(), json(secret)];
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let in_form = |byte: u8| byte.is_ascii_alphanumeric() || b"*-._".contains(&byte);
    // What may stand in a URL is left alone there.
    let in_url = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
    for plain in [&unreserved as &dyn Fn(u8) -> bool, &in_form, &in_url] {
        let encoded = percent(secret, plain);
        forms.push(encoded.replace("%20", "+"));
        forms.push(encoded.to_lowercase());
        forms.push(encoded);
    }
    // In base64 a text looks different at each of three alignments; its edges are mixed with what
    // stands beside it, the rest is its own.
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(secret.as_bytes());
        let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            forms.push(encoded[from..to].to_owned());
        }
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

fn percent(text: &str, plain: impl Fn(u8) -> bool) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_in_a_file_are_hidden_and_nothing_else() {
        for (line, shown) in [
            ("  authorization: Bearer abc", "  authorization: ***"),
            ("  - \"Cookie\": a=b", "  - \"Cookie\": ***"),
            ("json: { user: u, password: p w, x: 1 }", "json: { user: u, password: ***, x: 1 }"),
            ("{ \"password\": \"a, b\" }", "{ \"password\": *** }"),
            ("capture: { secret: { json: \"$.s\" } }", "capture: { secret: { json: \"$.s\" } }"),
            ("password: 'hunter2'", "password: ***"),
            ("json: {\"password\":\"x\",\"a\":1}", "json: {\"password\":***,\"a\":1}"),
            ("password: \"{{ account.password }}\"", "password: \"{{ account.password }}\""),
            ("auth: { bearer: abc, x: 1 }", "auth: { bearer: ***, x: 1 }"),
            ("capture: { token: { json: a } }", "capture: { token: { json: a } }"),
            ("headers:", "headers:"),
            ("url: http://h:80/", "url: http://h:80/"),
        ] {
            assert_eq!(hide_logins(line), shown);
        }
        assert_eq!(hide_logins("a: 1\npassword: x\n"), "a: 1\npassword: ***\n");
    }

    #[test]
    fn headers_that_carry_keys_are_logins() {
        for (name, is) in [
            ("Authorization", true),
            (" Set-Cookie", true),
            ("X-Api-Key", true),
            ("x-auth-token", true),
            ("Accept", false),
            ("Idempotency-Key", false),
        ] {
            assert_eq!(is_login(name), is, "{name}");
        }
    }

    #[test]
    fn logins_in_the_words_of_a_command_are_hidden_and_nothing_else() {
        for (word, shown) in [
            ("X-Api-Key: abc", "X-Api-Key: ***"),
            ("--header=x-auth-token: a b", "--header=x-auth-token: ***"),
            ("{\"user\":\"u\",\"password\":\"p, w\"}", "{\"user\":\"u\",\"password\":***}"),
            ("user=u&password=p w&x=1", "user=u&password=***&x=1"),
            ("services.api.headers.api-key=abc", "services.api.headers.api-key=***"),
            ("password={{ env.PASSWORD }}", "password={{ env.PASSWORD }}"),
            ("http://u:p@h:9090/a", "http://***@h:9090/a"),
            ("http://h:9090/u@h?a=b", "http://h:9090/u@h?a=b"),
            ("accept: text/html", "accept: text/html"),
            ("errors < 1%", "errors < 1%"),
            ("tokens.yaml", "tokens.yaml"),
        ] {
            assert_eq!(hide_words(word), shown);
        }
    }

    #[test]
    fn a_secret_is_hidden_in_every_form() {
        let secret = "s3cr\"t \\/+&pàss";
        assert_eq!(hide("nothing learnt"), "nothing learnt");
        assert!(learn(secret) && learn(secret));
        let quoted = serde_json::to_string(secret).unwrap();
        let mut shown = vec![
            format!("a {secret} b"),
            quoted.clone(),
            "s3cr%22t%20%5C%2F%2B%26p%C3%A0ss".to_owned(),
            "s3cr%22t+%5C%2F%2B%26p%C3%A0ss".to_owned(),
            "s3cr%22t%20%5C/+&p%C3%A0ss".to_owned(),
        ];
        for before in ["", "u", "us", "usr:"] {
            shown.push(STANDARD_NO_PAD.encode(format!("{before}{secret}")));
            shown.push(URL_SAFE_NO_PAD.encode(format!("{before}{secret}:and more")));
        }
        for text in shown {
            let hidden = hide(&text);
            assert!(hidden.contains(MASK), "{text} → {hidden}");
            assert!(hidden.len() < text.len() - 8, "{text} → {hidden}");
        }
        // Too short to be one.
        assert!(learn("ab"));
        assert_eq!(hide("ab"), "ab");
    }
}

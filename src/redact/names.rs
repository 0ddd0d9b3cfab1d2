//! Names of keys whose values are credentials: `password`, `api_key`, `Authorization` and the like.
//!
//! `scan` looks up each key that it finds.
//! Invariant: the spelling of a key does not matter: `apiKey`, `X-Api-Key`, `user%5Bapi_key%5D`.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;

/// Names that also match the end of a key's word (`authtoken`). docs/secrets.md lists them, and a
/// test compares.
const ENDINGS: [&str; 15] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "authorization",
    "cookie",
    "sessionid",
    "sessid",
    "creditcard",
];

/// Names that match only a whole word of a key: `pin`, but not `spin`.
const WORDS: [&str; 20] = [
    "pwd",
    "pass",
    "pin",
    "otp",
    "auth",
    "bearer",
    "jwt",
    "saml",
    "sid",
    "csrf",
    "xsrf",
    "signature",
    "card",
    "cvv",
    "cvc",
    "pan",
    "iban",
    "ssn",
    "session",
    "clientkey",
];

/// Words of a key beside `tokens` that make it a number of tokens of a language model, no
/// credential: `max_tokens`, `completionTokens`, `x-ratelimit-remaining-tokens`.
const TOKEN_COUNTS: [&str; 20] = [
    "max",
    "min",
    "num",
    "total",
    "prompt",
    "completion",
    "input",
    "output",
    "reasoning",
    "thinking",
    "cached",
    "text",
    "audio",
    "image",
    "per",
    "budget",
    "count",
    "limit",
    "ratelimit",
    "manada",
];

/// Words after `token` that make it such a number, too: `promptTokenCount`.
const COUNT_ENDS: [&str; 3] = ["count", "counts", "limit"];

/// The sensitive names of one run: the built-in ones, with the additions and removals of its safety
/// files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SensitiveNames {
    added: BTreeSet<String>,
    removed: BTreeSet<String>,
}

impl SensitiveNames {
    /// Adds a name, even if [`Self::remove`] removes it. Returns false if it has no letter or
    /// digit.
    pub fn add(&mut self, name: &str) -> bool {
        let name = joined(name);
        let is_name = !name.is_empty();
        if is_name {
            self.added.insert(name);
        }
        is_name
    }

    /// Removes a built-in name. Returns false if there is none of this name.
    pub fn remove(&mut self, name: &str) -> bool {
        let name = joined(name);
        let known = Self::built_in().any(|own| own == name);
        if known {
            self.removed.insert(name);
        }
        known
    }

    /// Whether the values of a key are credentials.
    pub fn is_sensitive(&self, key: &str) -> bool {
        let all = words(key);
        has_run(&all, |run| self.added.contains(run))
            || has_run(&without_token_counts(all), |run| self.is_built_in(run))
    }

    /// All built-in names.
    pub fn built_in() -> impl Iterator<Item = &'static str> {
        ENDINGS.into_iter().chain(WORDS)
    }

    fn is_built_in(&self, run: &str) -> bool {
        let stays = |name: &&&str| !self.removed.contains(**name);
        WORDS.iter().filter(stays).any(|name| run == *name)
            || ENDINGS.iter().filter(stays).any(|name| run.ends_with(name))
    }
}

/// Maximum adjacent words of a key that are compared as one.
const MAX_RUN: usize = 3;

/// Whether some adjacent words satisfy `is`, together or as a plural.
fn has_run(words: &[String], is: impl Fn(&str) -> bool) -> bool {
    // Up to [`MAX_RUN`] adjacent words are compared as one, so `api-key` is `apikey`.
    (0..words.len()).any(|from| {
        let mut run = String::new();
        words[from..].iter().take(MAX_RUN).any(|word| {
            run.push_str(word);
            is(&run) || run.strip_suffix('s').is_some_and(&is)
        })
    })
}

/// Whether a key says only `tokens`: a number after it is a count, anything else a credential.
pub(super) fn is_plain_tokens(key: &str) -> bool {
    words(key) == ["tokens"]
}

/// Whether a key names a number of tokens: `max_tokens`.
pub(super) fn counts_tokens(key: &str) -> bool {
    let words = words(key);
    let all = words.len();
    without_token_counts(words).len() < all
}

/// Removes the words of a key that name a number of tokens.
fn without_token_counts(mut words: Vec<String>) -> Vec<String> {
    let counts = |word: &str| TOKEN_COUNTS.contains(&word);
    if words.iter().any(|word| counts(word)) {
        words.retain(|word| word != "tokens");
    }
    words.retain(|word| !word.strip_suffix("tokens").is_some_and(counts));
    let ends = words.windows(2).position(|two| two[0] == "token" && is_count_end(&two[1]));
    if let Some(at) = ends {
        words.remove(at);
    }
    words
}

fn is_count_end(word: &str) -> bool {
    COUNT_ENDS.contains(&word)
}

/// Returns the letters and digits of a name, in lower case.
fn joined(name: &str) -> String {
    words(name).concat()
}

/// Splits a key into words in lower case, at signs, digits and changes to upper case;
/// percent-encoded signs are decoded first.
fn words(key: &str) -> Vec<String> {
    let decoded = percent_decode_str(key).decode_utf8_lossy();
    let (mut words, mut word, mut was_lower) = (Vec::new(), String::new(), false);
    for c in decoded.chars() {
        let begins = c.is_uppercase() && was_lower;
        if (begins || !c.is_alphabetic()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphabetic() {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_recognised_in_every_spelling() {
        let names = SensitiveNames::default();
        for key in [
            "password",
            "Password",
            "user_password",
            "userPassword",
            "passwords",
            "new-passwd",
            "user[password]",
            "user%5Bpassword%5D",
            "password2",
            "PASSWORD_CONFIRMATION",
            "pwd",
            "secret",
            "clientSecret",
            "token",
            "access_token",
            "authtoken",
            "refreshToken",
            "tokens",
            "api_key",
            "apiKey",
            "apikey",
            "X-Api-Key",
            "api key",
            "Authorization",
            "Proxy-Authorization",
            "Cookie",
            "Set-Cookie",
            "session",
            "PHPSESSIONID",
            "session_id",
            "credentials",
            "card",
            "cardNumber",
            "credit_card",
            "cvv",
            "pin",
            "jwt",
            "X-Auth",
            "AWS_SECRET_ACCESS_KEY",
            "private_key",
            "csrf-token",
            "accessTokens",
            "refresh_tokens",
            "user_tokens",
            "max_token",
            "token_max",
            "session_max_tokens",
            "max_tokens_secret",
        ] {
            assert!(names.is_sensitive(key), "{key}");
        }
    }

    #[test]
    fn other_keys_are_not_sensitive() {
        let names = SensitiveNames::default();
        for key in [
            "",
            "user",
            "name",
            "author",
            "authored",
            "spin",
            "pinned",
            "key",
            "Idempotency-Key",
            "Accept",
            "cardinality",
            "discard",
            "passed",
            "compass",
            "span",
            "id",
            "bytes",
            "tokenizer",
            "secretary",
            "company",
            "page",
            "max_tokens",
            "maxTokens",
            "maxtokens",
            "MAX_COMPLETION_TOKENS",
            "max_new_tokens",
            "completion_tokens",
            "prompt_tokens",
            "total_tokens",
            "input_tokens",
            "cache_read_input_tokens",
            "completion_tokens_details",
            "reasoning_tokens",
            "tokens_per_second",
            "x-ratelimit-remaining-tokens",
            "promptTokenCount",
            "token_limit",
        ] {
            assert!(!names.is_sensitive(key), "{key}");
        }
    }

    #[test]
    fn names_are_added_and_removed() {
        let mut names = SensitiveNames::default();
        assert!(names.add("Kunden-Nummer") && !names.add("-") && !names.is_sensitive("-"));
        assert!(names.is_sensitive("kundenNummer") && names.is_sensitive("x-kunden_nummer"));
        assert!(names.remove("Session") && !names.remove("no-such"));
        assert!(!names.is_sensitive("session") && names.is_sensitive("session_token"));
        // No file can remove a name that another one added.
        assert!(names.add("max_tokens") && names.is_sensitive("maxTokens"));
        assert!(names.add("pin") && names.remove("pin") && names.is_sensitive("pin"));
    }
}

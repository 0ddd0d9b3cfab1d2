//! Credentials and secrets, and how to keep them out of what people read: the one place that
//! redacts.
//!
//! Two rules. What `secret("NAME")` reads is hidden wherever it shows ([`secrets`]): all that
//! prints asks for that. Values of keys with sensitive names are hidden where a text is made of
//! requests, answers or files ([`Redactor`]): `engine` makes one for an exemplar, `plan` for what
//! reports keep of a scenario. docs/secrets.md has the names.
//! Invariant: nothing here is on the path of a request that goes well.

mod names;
mod scan;
mod secret;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;

pub use names::SensitiveNames;
use scan::{Redaction, Syntax};
pub use secret::{MAX, SHORTEST, SecretRefused, learn, secrets};

/// What stands in place of a value.
pub const MASK: &str = "***";

/// The most values of variables that one redactor hides.
const MAX_VALUES: usize = 64;

/// Hides credentials in texts of one run: by the names of their keys, and the values of variables
/// that have such names.
#[derive(Debug)]
pub struct Redactor<'n> {
    names: &'n SensitiveNames,
    forms: Vec<String>,
}

impl<'n> Redactor<'n> {
    /// A redactor that goes by names alone.
    pub fn new(names: &'n SensitiveNames) -> Self {
        Self { names, forms: Vec::new() }
    }

    /// Hides a value, too, wherever it shows and in every form that requests give it. Values
    /// shorter than [`SHORTEST`] stay: they are in every text.
    pub fn add_value(&mut self, value: &str) {
        if value.len() >= SHORTEST && self.forms.len() < MAX_VALUES * secret::FORMS {
            self.forms.extend(secret::forms(value));
            self.forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
            self.forms.dedup();
        }
    }

    /// Whether the values of a key are hidden.
    pub fn is_sensitive(&self, key: &str) -> bool {
        self.names.is_sensitive(key)
    }

    /// A text of any kind: a URL, an answer, a line of a log.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.of(text, Syntax::Any)
    }

    /// A word of a command line. What templates read from elsewhere stays.
    pub fn word<'t>(&self, word: &'t str) -> Cow<'t, str> {
        self.of(word, Syntax::Command)
    }

    /// A file of YAML. What templates read from elsewhere stays.
    pub fn yaml<'t>(&self, file: &'t str) -> Cow<'t, str> {
        self.of(file, Syntax::Yaml)
    }

    /// A part of such a file: as long as it was, so that places in it hold.
    pub fn yaml_in_place(&self, line: &str) -> String {
        let mut out = line.to_owned().into_bytes();
        for Redaction { range, .. } in scan::credentials(line.as_bytes(), self.names, Syntax::Yaml)
        {
            for byte in &mut out[range] {
                if !byte.is_ascii_control() {
                    *byte = b'*';
                }
            }
        }
        // Whole characters were replaced: values end at ASCII.
        String::from_utf8(out).unwrap_or_else(|_| MASK.to_owned())
    }

    /// A sentence of ours, which may name an address.
    pub fn sentence<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.of(text, Syntax::Sentence)
    }

    /// A header's value.
    pub fn header<'t>(&self, name: &str, value: &'t str) -> Cow<'t, str> {
        if self.is_sensitive(name) { Cow::Borrowed(MASK) } else { self.text(value) }
    }

    /// A body, whatever its bytes; `content_type` as its head says it.
    pub fn body(&self, body: &[u8], content_type: &str) -> Vec<u8> {
        let kind = content_type.trim().to_ascii_lowercase();
        let is_form = kind.starts_with("application/x-www-form-urlencoded");
        self.bytes(body, if is_form { Syntax::Form } else { Syntax::Any })
    }

    fn of<'t>(&self, text: &'t str, syntax: Syntax) -> Cow<'t, str> {
        let hidden = self.bytes(text.as_bytes(), syntax);
        if hidden == text.as_bytes() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(String::from_utf8(hidden).unwrap_or_else(|_| MASK.to_owned()))
    }

    fn bytes(&self, text: &[u8], syntax: Syntax) -> Vec<u8> {
        let mut named = Vec::with_capacity(text.len());
        let mut at = 0;
        for Redaction { range, quote } in scan::credentials(text, self.names, syntax) {
            named.extend_from_slice(&text[at..range.start]);
            named.extend_from_slice(&text[quote.clone()]);
            named.extend_from_slice(MASK.as_bytes());
            named.extend_from_slice(&text[quote]);
            at = range.end;
        }
        named.extend_from_slice(&text[at..]);
        let mut out = Vec::with_capacity(named.len());
        for chunk in named.utf8_chunks() {
            let hidden = secret::replace(&self.forms, Cow::Borrowed(chunk.valid()));
            out.extend_from_slice(secrets(&hidden).as_bytes());
            out.extend_from_slice(chunk.invalid());
        }
        out
    }
}

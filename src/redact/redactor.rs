//! Redacts the values of sensitive keys, and given values, in texts of one run.
//!
//! `engine` creates a redactor for exemplars, `plan` for the parts of a scenario that reports show.
//! Invariant: registered secrets are redacted, too.

use std::borrow::Cow;

use super::names::SensitiveNames;
use super::scan::{self, Redaction, Syntax};
use super::secret::{self, MASK, SHORTEST, redact_secrets};

/// Maximum values of variables that one redactor hides.
const MAX_VALUES: usize = 64;

/// Redacts credentials in texts of one run: by the names of their keys, and the values of variables
/// that have such names.
#[derive(Debug)]
pub struct Redactor<'n> {
    names: &'n SensitiveNames,
    forms: Vec<String>,
}

impl<'n> Redactor<'n> {
    /// Creates a redactor that uses names only.
    pub fn new(names: &'n SensitiveNames) -> Self {
        Self { names, forms: Vec::new() }
    }

    /// Also redacts a value, wherever it appears and in every form that requests give it. Values
    /// shorter than [`SHORTEST`] are not redacted: they appear in every text.
    pub fn add_value(&mut self, value: &str) {
        if value.len() >= SHORTEST && self.forms.len() < MAX_VALUES * secret::FORMS {
            self.forms.extend(secret::forms(value));
            self.forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
            self.forms.dedup();
        }
    }

    /// Whether the values of a key are redacted.
    pub fn is_sensitive(&self, key: &str) -> bool {
        self.names.is_sensitive(key)
    }

    /// Redacts a text of any kind: a URL, a response, a log line.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.of(text, Syntax::Any)
    }

    /// Redacts a word of a command line. Templates that only read other values stay.
    pub fn word<'t>(&self, word: &'t str) -> Cow<'t, str> {
        self.of(word, Syntax::Command)
    }

    /// Redacts a YAML file. Templates that only read other values stay.
    pub fn yaml<'t>(&self, file: &'t str) -> Cow<'t, str> {
        self.of(file, Syntax::Yaml)
    }

    /// Redacts a part of such a file without changing its length, so that positions in it stay
    /// valid.
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

    /// Redacts a message of this program, which may contain a URL.
    pub fn sentence<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.of(text, Syntax::Sentence)
    }

    /// Redacts a header's value.
    pub fn header<'t>(&self, name: &str, value: &'t str) -> Cow<'t, str> {
        if self.is_sensitive(name) { Cow::Borrowed(MASK) } else { self.text(value) }
    }

    /// Redacts a body of any bytes; `content_type` as in its head.
    pub fn body(&self, body: &[u8], content_type: &str) -> Vec<u8> {
        let kind = content_type.trim().to_ascii_lowercase();
        let is_form = kind.starts_with("application/x-www-form-urlencoded");
        self.bytes(body, if is_form { Syntax::Form } else { Syntax::Any })
    }

    pub(super) fn of<'t>(&self, text: &'t str, syntax: Syntax) -> Cow<'t, str> {
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
            out.extend_from_slice(redact_secrets(&hidden).as_bytes());
            out.extend_from_slice(chunk.invalid());
        }
        out
    }
}

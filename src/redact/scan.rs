//! Finds the values of sensitive keys in texts of any kind: JSON, forms, query strings, headers,
//! multipart bodies, XML and HTML, YAML.
//!
//! `mod` replaces them.
//! Invariant: linear in the length of the text; truncating a text anywhere redacts no less.

use std::ops::Range;

use super::names::{self, SensitiveNames};
use super::value::{self, MAX_TAG, ValueEnd};

/// The syntax of a text, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// Unknown: a response, a log line, a URL.
    Any,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// A word of a command line; its templates stay.
    Command,
    /// A scenario; its templates and maps stay.
    Yaml,
    /// A message of this program: only user information in URLs is redacted.
    Sentence,
}

/// A value to redact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redaction {
    /// Range of the value.
    pub range: Range<usize>,
    /// Range of the quotes to put around the replacement, where a number or a list becomes a text.
    pub quote: Range<usize>,
}

/// The state of a scan.
struct Scan<'t> {
    text: &'t [u8],
    names: &'t SensitiveNames,
    syntax: Syntax,
    found: Vec<Redaction>,
    /// Whether a question mark precedes on the line.
    in_query: bool,
    /// Where the last `sanitize` of a scenario ends.
    rules_end: usize,
}

/// Returns the values of all sensitive keys of a text, in order, without overlaps.
pub(super) fn credentials(text: &[u8], names: &SensitiveNames, syntax: Syntax) -> Vec<Redaction> {
    let mut scan = Scan { text, names, syntax, found: Vec::new(), in_query: false, rules_end: 0 };
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with(b"://") {
            at = scan.user_info(at + 3);
        } else if syntax != Syntax::Sentence && is_key(text[at]) {
            at = scan.word(at);
        } else {
            scan.in_query = match text[at] {
                b'?' => true,
                b'\n' => false,
                _ => scan.in_query,
            };
            at += 1;
        }
    }
    let mut found = scan.found;
    found.sort_by_key(|one| (one.range.start, std::cmp::Reverse(one.range.end)));
    let mut last = 0;
    found.retain(|one| {
        let is_apart = one.range.start >= last && !one.range.is_empty();
        last = if is_apart { one.range.end } else { last };
        is_apart
    });
    found
}

/// Whether a byte can be part of a key; brackets and percent signs are, in forms.
fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.%[]$".contains(&byte) || byte >= 0x80
}

impl Scan<'_> {
    fn sensitive(&self, key: Range<usize>) -> bool {
        self.names.is_sensitive(&String::from_utf8_lossy(&self.text[key]))
    }

    fn hide(&mut self, range: Range<usize>) {
        let quote = range.start..range.start;
        self.found.push(Redaction { range, quote });
    }

    /// Examines the word that begins at `from`; returns where to continue.
    fn word(&mut self, from: usize) -> usize {
        let text = self.text;
        let end = text[from..].iter().position(|&byte| !is_key(byte));
        let end = end.map_or(text.len(), |length| from + length);
        let key = from..end;
        self.encoded(from, end);
        if let Some(done) = self.element(&key) {
            return done;
        }
        let (slashes, quote) = value::quote_at(text, end);
        let is_quoted = quote.is_some() && from > 0 && quote == text.get(from - 1).copied();
        let mut at = if is_quoted { end + slashes + 1 } else { end };
        while text.get(at).is_some_and(|byte| b" \t".contains(byte)) {
            at += 1;
        }
        let end_of_value = match text.get(at) {
            Some(b':') if text.get(at + 1..at + 3) != Some(b"//") => {
                self.colon(&key, is_quoted, at + 1)
            }
            Some(b'=') if text.get(at + 1) == Some(&b'>') => self.colon(&key, is_quoted, at + 2),
            Some(b'=') if text.get(at + 1) != Some(&b'=') => self.equals(&key, at + 1),
            Some(b' ' | b'"' | b'\'') | None => None,
            _ => None,
        };
        end_of_value.or_else(|| self.bearer(&key)).unwrap_or(end)
    }

    /// Handles `key: value`; returns where the value ends, if it was redacted.
    fn colon(&mut self, key: &Range<usize>, is_quoted: bool, at: usize) -> Option<usize> {
        let is_rules = self.syntax == Syntax::Yaml && &self.text[key.clone()] == b"sanitize";
        // A rule within rules is within their end.
        if is_rules && key.start >= self.rules_end {
            self.rules_end = value::map_end(self.text, key.start, at);
        }
        if !self.sensitive(key.clone()) && !self.is_text_of_tokens(key, at) {
            return None;
        }
        let text = self.text;
        let is_first = value::is_first_of_line(text, key.start);
        // Without a blank, a colon separates only where a key is certain.
        let blank = text.get(at).is_none_or(|byte| b" \t\r\n\"'\\{[".contains(byte));
        let is_apart = blank || is_quoted || is_first;
        if !is_apart || self.is_setting(key, at) || self.is_token_count(key, at) {
            return None;
        }
        let end = match () {
            () if is_quoted && self.syntax != Syntax::Yaml => ValueEnd::Json,
            () if is_first && !is_quoted => ValueEnd::Line,
            () => ValueEnd::Flow,
        };
        let hidden = self.value(at, end, is_quoted.then_some(key.end));
        if self.syntax == Syntax::Yaml && is_first {
            return self.lines_below(key, at, hidden);
        }
        hidden
    }

    /// Whether a key is a setting of the scenario language whose name is sensitive elsewhere:
    /// `session: 5m`, `capture: { id: { cookie: sid } }`, `sanitize: { ssn: hash }`.
    fn is_setting(&self, key: &Range<usize>, at: usize) -> bool {
        let value = &self.text[at..];
        self.syntax == Syntax::Yaml
            && match &self.text[key.clone()] {
                b"session" => value::is_duration(value),
                b"cookie" => value::is_name(value),
                _ => key.start < self.rules_end && value::is_rule_word(value),
            }
    }

    /// Whether `tokens` is followed by a number: a count, no credential.
    fn is_token_count(&self, key: &Range<usize>, at: usize) -> bool {
        value::is_number(&self.text[at..])
            && names::is_plain_tokens(&String::from_utf8_lossy(&self.text[key.clone()]))
    }

    /// Whether a key that names a number of tokens is followed by texts: credentials after all.
    fn is_text_of_tokens(&self, key: &Range<usize>, at: usize) -> bool {
        value::begins_text(&self.text[at..])
            && names::counts_tokens(&String::from_utf8_lossy(&self.text[key.clone()]))
    }

    /// Handles `key=value`, and `name="key"` of a form's field.
    fn equals(&mut self, key: &Range<usize>, at: usize) -> Option<usize> {
        let text = self.text;
        if text[key.clone()].eq_ignore_ascii_case(b"name") {
            let named = value::named(text, at)?;
            if self.sensitive(named.clone()) {
                self.field(key.start, named.end);
            }
            return None;
        }
        if !self.sensitive(key.clone()) || self.is_token_count(key, at) {
            return None;
        }
        let begins = key.start == 0 || matches!(text[key.start - 1], b'&' | b'\n');
        let end = match self.syntax {
            Syntax::Form => ValueEnd::Field,
            Syntax::Command if begins => ValueEnd::Field,
            Syntax::Any if begins && !self.in_query => ValueEnd::Field,
            Syntax::Yaml if !self.in_query => ValueEnd::FlowField,
            _ => ValueEnd::Word,
        };
        self.value(at, end, None)
    }

    /// Redacts the value at `at`; returns where it ends. `quoted`: the end of a key in quotes.
    fn value(&mut self, at: usize, end: ValueEnd, quoted: Option<usize>) -> Option<usize> {
        let has_templates = matches!(self.syntax, Syntax::Command | Syntax::Yaml);
        if self.syntax == Syntax::Yaml
            && let Some(opens) = value::opening(self.text, at)
        {
            // Maps and their contents stay; a list of texts is a value.
            let inner = value::list_of_texts(self.text, opens)?;
            self.hide(inner.clone());
            return Some(inner.end);
        }
        let found = value::read(self.text, at, end, has_templates)?;
        let bytes = &self.text[found.range.clone()];
        if value::says_nothing(bytes, found.is_quoted) {
            return None;
        }
        if has_templates && memchr::memmem::find(bytes, b"{{").is_some() {
            let hidden = value::literals(self.text, found.range.clone());
            hidden.into_iter().for_each(|range| self.hide(range));
            return Some(found.range.end);
        }
        let range = found.range.clone();
        let start = range.start;
        let quote = match quoted {
            // A number becomes a quoted text, so that the result is still JSON.
            Some(key) if end == ValueEnd::Json && !found.is_quoted => {
                key..key + value::quote_at(self.text, key).0 + 1
            }
            _ => start..start,
        };
        self.found.push(Redaction { range, quote });
        Some(found.range.end)
    }

    /// Redacts the lines below that belong to a YAML key.
    fn lines_below(
        &mut self,
        key: &Range<usize>,
        at: usize,
        hidden: Option<usize>,
    ) -> Option<usize> {
        let below = value::lines_below(self.text, key.start, at, hidden)?;
        if memchr::memmem::find(&self.text[below.clone()], b"{{").is_some() {
            let hidden = value::literals(self.text, below.clone());
            hidden.into_iter().for_each(|range| self.hide(range));
            return Some(below.end);
        }
        // One replacement for all of them.
        if hidden
            .is_some_and(|_| self.found.last().is_some_and(|one| one.range.start < below.start))
        {
            let last = self.found.len() - 1;
            self.found[last].range.end = below.end;
        } else {
            self.hide(below.clone());
        }
        Some(below.end)
    }

    /// Redacts a form field: the value beside its name in an HTML tag, or the multipart part that
    /// follows.
    fn field(&mut self, name: usize, end: usize) {
        let text = self.text;
        let first = name.saturating_sub(MAX_TAG);
        let open = text[first..name].iter().rposition(|byte| b"<>".contains(byte));
        if let Some(open) = open.map(|at| first + at).filter(|&at| text[at] == b'<') {
            let last = text.len().min(end + MAX_TAG);
            let close = text[end..last].iter().position(|&byte| byte == b'>');
            let close = close.map_or(last, |length| end + length);
            for range in value::attributes(text, open..close) {
                self.hide(range);
            }
        } else if let Some(range) = value::part(text, end) {
            self.hide(range);
        }
    }

    /// Redacts an XML element whose name is sensitive: `<password>…<`.
    fn element(&mut self, key: &Range<usize>) -> Option<usize> {
        let text = self.text;
        let before = text[..key.start].last()?;
        let opens =
            *before == b'<' || *before == b':' && value::tag_before(text, key.start - 1).is_some();
        if !opens || !self.sensitive(key.clone()) {
            return None;
        }
        let last = text.len().min(key.end + MAX_TAG);
        let close = text[key.end..last].iter().position(|&byte| byte == b'>')? + key.end + 1;
        let length = text[close..].iter().position(|&byte| byte == b'<');
        let end = length.map_or(text.len(), |length| close + length);
        self.hide(close..end);
        Some(end)
    }

    /// Redacts user information in a URL: `://user:password@`.
    fn user_info(&mut self, from: usize) -> usize {
        let ends = |byte: &u8| b"/?#\"'<> \t\r\n@".contains(byte);
        let Some(length) = self.text[from..].iter().position(ends) else { return from };
        let range = from..from + length;
        if self.text[range.end] == b'@'
            && !self.text[range.clone()].windows(2).any(|two| two == b"{{")
        {
            self.hide(range);
        }
        from
    }

    /// Redacts `Bearer TOKEN` anywhere.
    fn bearer(&mut self, key: &Range<usize>) -> Option<usize> {
        let text = self.text;
        if !text[key.clone()].eq_ignore_ascii_case(b"bearer") || text.get(key.end) != Some(&b' ') {
            return None;
        }
        let from = key.end + 1;
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        let length = text[from..].iter().take_while(|byte| is_token(byte)).count();
        (length >= 16).then(|| {
            self.hide(from..from + length);
            from + length
        })
    }

    /// Redacts a query string within a query value: `next=%2Fa%3Ftoken%3Dabc`.
    fn encoded(&mut self, from: usize, end: usize) {
        let text = self.text;
        let is = |three: &[u8], sign: &[u8]| three.eq_ignore_ascii_case(sign);
        let mut at = from;
        while let Some(length) = text[at..end].windows(3).position(|three| is(three, b"%3d")) {
            let equals = at + length;
            let begins = |three: &[u8]| is(three, b"%26") || is(three, b"%3f");
            let key = text[at..equals].windows(3).rposition(begins);
            let key = key.map_or(at, |found| at + found + 3);
            at = equals + 3;
            if self.sensitive(key..equals) {
                let length = text[at..end].windows(3).position(|three| is(three, b"%26"));
                let stop = length.map_or(end, |length| at + length);
                self.hide(at..stop);
                at = stop;
            }
        }
    }
}

//! Finds where the value of a key ends, and the syntax around it.
//!
//! `scan` calls it.
//! Invariant: a value without an end extends to the end of the text.

use std::ops::Range;

/// The longest HTML or XML tag, and the longest head of a part, that is searched: text that is
/// searched repeatedly must be short.
pub(super) const MAX_TAG: usize = 4 << 10;

/// What ends a value without quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueEnd {
    /// The end of a JSON value.
    Json,
    /// The end of the line.
    Line,
    /// The end of the line, or the next key of a map in flow style.
    Flow,
    /// The next field of a form.
    Field,
    /// The next field of a form within a YAML text.
    FlowField,
    /// A blank, or the end of a URL.
    Word,
}

/// A value that was found.
#[derive(Clone, Debug)]
pub(super) struct ScannedValue {
    /// Range of the value, without quotes.
    pub range: Range<usize>,
    /// Whether the value is in quotes.
    pub is_quoted: bool,
}

/// Returns the number of backslashes at `at` and the quote after them.
pub(super) fn quote_at(text: &[u8], at: usize) -> (usize, Option<u8>) {
    let rest = text.get(at..).unwrap_or_default();
    let slashes = rest.iter().take_while(|&&byte| byte == b'\\').count();
    (slashes, rest.get(slashes).copied().filter(|byte| b"\"'".contains(byte)))
}

/// Reads the value at `at`; `None` if there is none.
pub(super) fn read(
    text: &[u8],
    at: usize,
    end: ValueEnd,
    has_templates: bool,
) -> Option<ScannedValue> {
    let blank: &[u8] = if end == ValueEnd::Json { b" \t\r\n" } else { b" \t" };
    let skipped = if end == ValueEnd::Field {
        0
    } else {
        text.get(at..)?.iter().take_while(|byte| blank.contains(byte)).count()
    };
    let from = at + skipped;
    let (slashes, quote) = quote_at(text, from);
    if let Some(quote) = quote.filter(|_| end != ValueEnd::Field) {
        let start = from + slashes + 1;
        return Some(ScannedValue {
            range: start..closing(text, start, slashes, quote),
            is_quoted: true,
        });
    }
    let opens = text.get(from).is_some_and(|byte| b"{[".contains(byte));
    let stop = if opens && !text[from..].starts_with(b"{{") && end != ValueEnd::Field {
        balanced(text, from)
    } else {
        plain(text, from, end, has_templates)
    };
    let trimmed = text[from..stop].trim_ascii_end().len();
    (trimmed > 0).then_some(ScannedValue { range: from..from + trimmed, is_quoted: false })
}

/// Returns where a text ends that was opened by a quote with `slashes` backslashes. The closing
/// quote of an enclosing text ends it, too.
fn closing(text: &[u8], from: usize, slashes: usize, quote: u8) -> usize {
    let mut run = 0;
    for (at, &byte) in text.iter().enumerate().skip(from) {
        match byte {
            b'\\' => run += 1,
            _ if byte == quote => {
                let ends = if slashes == 0 { run % 2 == 0 } else { run <= slashes };
                if ends {
                    return at - run;
                }
                run = 0;
            }
            _ => run = 0,
        }
    }
    text.len()
}

/// Returns where a list or a map ends that opens at `from`; brackets in texts do not count.
fn balanced(text: &[u8], from: usize) -> usize {
    let (mut depth, mut at) = (0usize, from);
    while at < text.len() {
        match text[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            b'"' => {
                let slashes = text[..at].iter().rev().take_while(|&&byte| byte == b'\\').count();
                let end = closing(text, at + 1, slashes, b'"');
                at = end + slashes;
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Returns where a value without quotes ends.
fn plain(text: &[u8], from: usize, end: ValueEnd, has_templates: bool) -> usize {
    let ends: &[u8] = match end {
        ValueEnd::Json => b",}] \t\r\n\"\\",
        ValueEnd::Line => b"\r\n",
        ValueEnd::Flow => b",}]\r\n\"",
        ValueEnd::Field => b"&\r\n",
        ValueEnd::FlowField => b"&,}]\r\n\"'",
        ValueEnd::Word => b"&#;, \t\r\n\"'<>\\)}]",
    };
    let (mut at, mut has_templates) = (from, has_templates);
    while at < text.len() {
        // The contents of a template's braces cannot end the value.
        if has_templates && text[at..].starts_with(b"{{") {
            let last = text.len().min(at + MAX_TAG);
            let close = memchr::memmem::find(&text[at..last], b"}}");
            has_templates = close.is_some();
            if let Some(length) = close {
                at += length + 2;
                continue;
            }
        }
        if ends.contains(&text[at]) {
            return at;
        }
        at += 1;
    }
    text.len()
}

/// Returns where a map or a list opens after blanks; a template is neither.
pub(super) fn opening(text: &[u8], at: usize) -> Option<usize> {
    let from = at + text.get(at..)?.iter().take_while(|byte| b" \t".contains(byte)).count();
    let opens = text.get(from).is_some_and(|byte| b"{[".contains(byte));
    (opens && !text[from..].starts_with(b"{{")).then_some(from)
}

/// Returns the contents of a list that opens at `from`, if it contains neither maps nor lists.
pub(super) fn list_of_texts(text: &[u8], from: usize) -> Option<Range<usize>> {
    let rest = &text[from + 1..text.len().min(from + MAX_TAG)];
    let length = rest.iter().position(|byte| b"[]{".contains(byte)).unwrap_or(rest.len());
    let is_list = text[from] == b'[' && rest.get(length).is_none_or(|&byte| byte == b']');
    let inner = &rest[..length];
    let start = from + 1 + (inner.len() - inner.trim_ascii_start().len());
    let end = from + 1 + inner.trim_ascii_end().len();
    (is_list && start < end).then_some(start..end)
}

/// Whether a value cannot be a credential: empty, a boolean, or null.
pub(super) fn says_nothing(value: &[u8], is_quoted: bool) -> bool {
    let words: [&[u8]; 5] = [b"true", b"false", b"null", b"~", b"nil"];
    value.is_empty() || !is_quoted && words.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Whether there is a cookie's name; the value of a Cookie header has an equals sign.
pub(super) fn is_name(text: &[u8]) -> bool {
    let end = text.iter().position(|byte| b"\r\n,}#".contains(byte)).unwrap_or(text.len());
    !text[..end].contains(&b'=')
}

/// Whether there is a number, with or without quotes and a comparison: `12`, `"> 0"`.
pub(super) fn is_number(text: &[u8]) -> bool {
    let is_around = |byte: &&u8| b" \t\"'<>=!".contains(byte);
    let text = &text[text.iter().take_while(is_around).count()..];
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && text.get(digits).is_none_or(|byte| b" \t\r\n\"'\\,}])&;#".contains(byte))
}

/// Whether there is a text in quotes, or a list that begins with one; no number, no template.
pub(super) fn begins_text(text: &[u8]) -> bool {
    let from = text.iter().take_while(|byte| b" \t[\\".contains(byte)).count();
    let rest = &text[from..];
    rest.first().is_some_and(|byte| b"\"'".contains(byte))
        && !rest[1..].starts_with(b"{{")
        && !is_number(rest)
}

/// Whether there is a duration: `5m`, `1h30m`.
pub(super) fn is_duration(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let end = text.iter().position(|byte| b" \t\r\n,}#".contains(byte)).unwrap_or(text.len());
    let word = &text[..end];
    let of_one = |byte: &u8| byte.is_ascii_digit() || b".hmsun".contains(byte);
    word.len() <= 16
        && word.first().is_some_and(u8::is_ascii_digit)
        && word.last().is_some_and(u8::is_ascii_alphabetic)
        && word.iter().all(of_one)
}

/// Returns the ranges to redact in a value with templates: all but the name of a scheme, and
/// templates that only read other values. A template with a text literal may contain the credential
/// itself.
pub(super) fn literals(text: &[u8], value: Range<usize>) -> Vec<Range<usize>> {
    let (mut found, mut at) = (Vec::new(), value.start);
    while at < value.end {
        let rest = &text[at..value.end];
        let open = memchr::memmem::find(rest, b"{{").unwrap_or(rest.len());
        found.extend(literal(text, at..at + open));
        let close = memchr::memmem::find(&rest[open..], b"}}");
        let end = close.map_or(value.end, |length| at + open + length + 2);
        let inner = &text[at + open..end];
        let is_known = close.is_some() && std::str::from_utf8(inner).is_ok_and(reads_elsewhere);
        if !inner.is_empty() && !is_known {
            found.push(at + open..end);
        }
        at = end;
    }
    found
}

/// Returns a part of a value outside its templates, without the syntax around it.
fn literal(text: &[u8], part: Range<usize>) -> Option<Range<usize>> {
    let is_around = |byte: &&u8| b"\"' \t\r\n}]".contains(byte);
    let bytes = &text[part.clone()];
    let from = part.start + bytes.iter().take_while(is_around).count();
    let end = part.end - bytes.iter().rev().take_while(is_around).count();
    let words = std::str::from_utf8(text.get(from..end)?).unwrap_or("?");
    let is_scheme = |word: &str| {
        ["bearer", "basic", "token", "apikey", "-"].contains(&word.to_ascii_lowercase().as_str())
    };
    (!words.split_whitespace().all(is_scheme)).then_some(from..end)
}

/// Whether an expression contains no text except names that it reads: `env("TOKEN")`.
fn reads_elsewhere(expression: &str) -> bool {
    let mut rest = expression;
    while let Some(at) = rest.find(['"', '\'']) {
        let before = rest[..at].trim_end_matches(['\\', ' ']);
        let names = ["env(", "secret(", "cookie(", "["].iter().any(|call| before.ends_with(call));
        let quote = &rest[at..=at];
        let Some(length) = rest[at + 1..].find(quote).filter(|_| names) else { return false };
        rest = &rest[at + length + 2..];
    }
    true
}

/// Returns the line before `at`.
fn line_before(text: &[u8], at: usize) -> &[u8] {
    let begin = text[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    &text[begin..at]
}

/// Whether only blanks, a dash, a comment sign or a quote precede `at` on its line.
pub(super) fn is_first_of_line(text: &[u8], at: usize) -> bool {
    let before = text[..at].iter().rev().find(|byte| !b" \t-#><\"'".contains(byte));
    before.is_none_or(|&byte| byte == b'\n')
}

/// Returns the name after `name=`, with or without quotes.
pub(super) fn named(text: &[u8], at: usize) -> Option<Range<usize>> {
    let (slashes, quote) = quote_at(text, at);
    let start = quote.map_or(at, |_| at + slashes + 1);
    let ends = |byte: &u8| b"\"'\\;<>& \t\r\n".contains(byte);
    let length = text.get(start..)?.iter().position(ends).unwrap_or(text.len() - start);
    Some(start..start + length)
}

/// Returns the values of `value` and `content` within a tag.
pub(super) fn attributes(text: &[u8], tag: Range<usize>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for name in [&b"value="[..], b"content="] {
        let lower = text[tag.clone()].to_ascii_lowercase();
        if let Some(at) = memchr::memmem::find(&lower, name) {
            let from = tag.start + at + name.len();
            let read = read(&text[..tag.end], from, ValueEnd::Word, false);
            found.extend(read.map(|read| read.range));
        }
    }
    found
}

/// Returns the part of a multipart body whose head has its name at `at`: up to the next boundary.
pub(super) fn part(text: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = &text[at..text.len().min(at + MAX_TAG)];
    let (head, gap) = [(&b"\r\n\r\n"[..], 4), (b"\n\n", 2)]
        .into_iter()
        .filter_map(|(gap, length)| Some((memchr::memmem::find(rest, gap)?, length)))
        .min()?;
    // Another part, or another request, does not belong to it.
    if memchr::memmem::find(&rest[..head], b"\n--").is_some() {
        return None;
    }
    let from = at + head + gap;
    let ends = [&b"\r\n--"[..], b"\n--"];
    let found = ends.iter().filter_map(|end| memchr::memmem::find(&text[from..], end)).min();
    let end = found.map_or(text.len(), |length| from + length);
    Some(from..end)
}

/// Returns the start of a tag whose prefix ends at `at`: `<soap:`.
pub(super) fn tag_before(text: &[u8], at: usize) -> Option<usize> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let length = text[..at].iter().rev().take_while(|byte| is_name(byte)).count();
    let open = (at - length).checked_sub(1)?;
    (text[open] == b'<').then_some(open)
}

/// Whether there is a single word of small letters without quotes, as a rule of `sanitize` is.
pub(super) fn is_rule_word(text: &[u8]) -> bool {
    let text = &text[text.iter().take_while(|byte| b" \t".contains(byte)).count()..];
    let length = text.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    let after = text[length..].iter().find(|byte| !b" \t\r".contains(byte));
    (1..=16).contains(&length) && after.is_some_and(|byte| b",}#\n".contains(byte))
}

/// Returns where the map ends that a YAML key has as its value: in brackets, or on the lines below.
pub(super) fn map_end(text: &[u8], key: usize, at: usize) -> usize {
    if let Some(opens) = opening(text, at) {
        return balanced(text, opens);
    }
    let column = line_before(text, key).len();
    let mut from = at;
    loop {
        let end = memchr::memchr(b'\n', &text[from..]).map_or(text.len(), |length| from + length);
        let next = text.get(end + 1..).unwrap_or_default();
        let line = next.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let indent = line.iter().take_while(|&&byte| byte == b' ').count();
        if end == text.len() || !line.trim_ascii().is_empty() && indent <= column {
            return end;
        }
        from = end + 1;
    }
}

/// Returns what belongs to a YAML key on the lines below it: a block, a continued text, the items
/// of a list. `at`: after its colon; `hidden`: where the value on its own line ends, if it has one.
pub(super) fn lines_below(
    text: &[u8],
    key: usize,
    at: usize,
    hidden: Option<usize>,
) -> Option<Range<usize>> {
    let column = line_before(text, key).len();
    let line_end = |from: usize| {
        text[from..]
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(text.len(), |length| from + length)
    };
    let own_end = line_end(hidden.unwrap_or(at).max(at));
    let own = text[at..line_end(at)].trim_ascii();
    let is_block = own.starts_with(b"|") || own.starts_with(b">");
    // A map or a list in brackets, and a text in quotes, end by themselves.
    if own.first().is_some_and(|byte| b"{[\"'".contains(byte)) {
        return None;
    }
    let (mut end, mut begin) = (None, None);
    let mut from = own_end + 1;
    while from < text.len() {
        let line = &text[from..line_end(from)];
        let indent = line.iter().take_while(|&&byte| byte == b' ').count();
        let inner = line.trim_ascii();
        if !inner.is_empty() {
            let is_item = inner.starts_with(b"- ");
            let deep = if is_item && own.is_empty() { indent >= column } else { indent > column };
            let is_map = own.is_empty()
                && (inner.ends_with(b":") || memchr::memmem::find(inner, b": ").is_some());
            if !deep || is_map && !is_block {
                break;
            }
            begin = begin.or(Some(from + indent));
            end = Some(from + line.trim_ascii_end().len());
        }
        from = line_end(from) + 1;
    }
    Some(begin?..end?)
}

//! A strict parser of InfluxDB's line protocol.
//!
//! Invariant: it takes what the published reference describes, and nothing else.

use std::collections::BTreeMap;

/// A line of line protocol.
pub(crate) struct Point {
    pub(crate) measurement: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) fields: BTreeMap<String, FieldValue>,
    pub(crate) at_ns: u64,
}

/// A value of a field.
pub(crate) enum FieldValue {
    Integer(i64),
    Float(f64),
}

/// Parses a line strictly by the reference of line protocol.
pub(crate) fn parse(line: &str) -> Result<Point, String> {
    let wrong = |what: &str| Err(format!("{what}: {line}"));
    let parts = split(line, ' ');
    let [head, fields, at] = &parts[..] else { return wrong("expected three parts") };
    let mut head = split(head, ',').into_iter();
    let measurement = unescaped(head.next().unwrap_or_default(), ", ")?;
    if measurement.is_empty() || measurement.starts_with('_') {
        return wrong("a measurement has no name, or a reserved one");
    }
    let mut tags = BTreeMap::new();
    for tag in head {
        let pair = split(tag, '=');
        let [name, value] = &pair[..] else { return wrong("a tag is no pair") };
        let (name, value) = (unescaped(name, ",= ")?, unescaped(value, ",= ")?);
        if name.is_empty() || value.is_empty() || name.starts_with('_') || name == "time" {
            return wrong("a tag has no name or no value, or a reserved name");
        }
        if tags.insert(name, value).is_some() {
            return wrong("a tag stands twice");
        }
    }
    let mut known = BTreeMap::new();
    for field in split(fields, ',') {
        let Some((name, value)) = field.split_once('=') else { return wrong("no field") };
        let value = match value.strip_suffix('i') {
            Some(digits) => FieldValue::Integer(digits.parse().map_err(|_| line.to_owned())?),
            None => FieldValue::Float(value.parse().map_err(|_| line.to_owned())?),
        };
        if matches!(value, FieldValue::Float(value) if !value.is_finite()) {
            return wrong("a number that is not finite");
        }
        if name.is_empty() || known.insert(name.to_owned(), value).is_some() {
            return wrong("a field has no name, or stands twice");
        }
    }
    let at_ns = at.parse().map_err(|_| format!("no time: {line}"))?;
    Ok(Point { measurement, tags, fields: known, at_ns })
}

/// Parts of a text between separators that no backslash precedes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut begin, mut was_escape) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if c == separator && !was_escape {
            parts.push(&text[begin..at]);
            begin = at + c.len_utf8();
        }
        was_escape = c == '\\';
    }
    parts.push(&text[begin..]);
    parts
}

/// A text without its escapes. Special characters without one, and control characters, are wrong.
fn unescaped(text: &str, special: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\\', Some(next)) if special.contains(*next) => {
                out.push(*next);
                rest.next();
            }
            ('\\', None) => return Err(format!("a backslash at the end: {text}")),
            (c, _) if special.contains(c) || c.is_control() => {
                return Err(format!("not escaped: {text}"));
            }
            (c, _) => out.push(c),
        }
    }
    Ok(out)
}

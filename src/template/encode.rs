//! Encodes a value for its place: a path, a header, a form, a JSON body.
//!
//! `Template::render` uses it for each slot, the builder once for the literals.
//! Invariant: a value cannot leave its place: no line break in a URL or header, no open quote in
//! JSON, no separator in a form.

use std::io::Write as _;

use minijinja::Value;
use minijinja::value::ValueKind;

use super::error::RenderError;
use super::work::MAX_DEPTH;

/// Maximum bytes of one rendered text: 16 MiB.
pub const MAX_OUTPUT: usize = 16 << 20;

/// The place of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Unencoded.
    Plain,
    /// In a path or query: characters that are not valid in a URL are percent-encoded (RFC 3986
    /// §2.1); separators such as `/`, `&` and `=` are not, so a slot may hold several parts.
    Url,
    /// In a header's value: line breaks and NUL are rejected (RFC 9110 §5.5).
    Header,
    /// In a form: `application/x-www-form-urlencoded`.
    FormValue,
    /// A whole JSON value: a number stays a number, a text is quoted.
    JsonValue,
    /// Inside the quotes of a JSON string.
    JsonText,
}

/// Writes `value` as `encoding` says.
pub(super) fn value(
    value: &Value,
    encoding: Encoding,
    out: &mut Vec<u8>,
) -> Result<(), RenderError> {
    if encoding == Encoding::JsonValue {
        return json(value, MAX_DEPTH, out);
    }
    match value.kind() {
        ValueKind::String => text(string(value)?, encoding, out),
        ValueKind::Number => {
            let start = out.len();
            json(value, MAX_DEPTH, out)?;
            // `1e+20` is never written, so digits, sign, point and `e` are valid at every place.
            debug_assert!(!out[start..].contains(&b'+'));
            Ok(())
        }
        ValueKind::Bool | ValueKind::None => json(value, MAX_DEPTH, out),
        _ => {
            let mut rendered = Vec::new();
            json(value, MAX_DEPTH, &mut rendered)?;
            text(&String::from_utf8_lossy(&rendered), encoding, out)
        }
    }
}

/// Writes `text` as `encoding` says.
pub(super) fn text(text: &str, encoding: Encoding, out: &mut Vec<u8>) -> Result<(), RenderError> {
    if text.len() > MAX_OUTPUT {
        return Err(RenderError::Limit("a text of more than 16 MiB".to_owned()));
    }
    match encoding {
        Encoding::Plain => out.extend_from_slice(text.as_bytes()),
        Encoding::Url => url(text, out),
        Encoding::Header => return header(text, out),
        Encoding::FormValue => form(text, out),
        Encoding::JsonText => json_text(text, out),
        Encoding::JsonValue => {
            out.push(b'"');
            json_text(text, out);
            out.push(b'"');
        }
    }
    Ok(())
}

fn url(text: &str, out: &mut Vec<u8>) {
    for &byte in text.as_bytes() {
        match byte {
            // `#` would begin a fragment, which is never sent (RFC 9112 §3.2.1).
            0..=b' '
            | 0x7f..
            | b'"'
            | b'#'
            | b'<'
            | b'>'
            | b'\\'
            | b'^'
            | b'`'
            | b'{'
            | b'|'
            | b'}' => percent(byte, out),
            _ => out.push(byte),
        }
    }
}

fn form(text: &str, out: &mut Vec<u8>) {
    for &byte in text.as_bytes() {
        match byte {
            b' ' => out.push(b'+'),
            b'*' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => out.push(byte),
            _ => percent(byte, out),
        }
    }
}

fn percent(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

fn header(text: &str, out: &mut Vec<u8>) -> Result<(), RenderError> {
    if text.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
        return Err(RenderError::Invalid("a line break or control character in a header".into()));
    }
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn json_text(text: &str, out: &mut Vec<u8>) {
    for &byte in text.as_bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..b' ' => {
                out.extend_from_slice(b"\\u00");
                out.push(b'0' + (byte >> 4));
                out.push(b"0123456789abcdef"[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
}

fn json(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), RenderError> {
    let invalid = |what: &str| Err(RenderError::Invalid(what.to_owned()));
    if depth == 0 || out.len() > MAX_OUTPUT {
        return Err(RenderError::Limit(
            "a value that is nested too deeply, or too long".to_owned(),
        ));
    }
    match value.kind() {
        ValueKind::None => out.extend_from_slice(b"null"),
        ValueKind::Bool => {
            out.extend_from_slice(if value.is_true() { b"true" } else { b"false" });
        }
        ValueKind::Number => return number(value, out),
        ValueKind::String => return text(string(value)?, Encoding::JsonValue, out),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push(b'[');
            for (index, item) in items(value)?.enumerate() {
                separate(index, out);
                json(&item, depth - 1, out)?;
            }
            out.push(b']');
        }
        ValueKind::Map => {
            out.push(b'{');
            for (index, key) in items(value)?.enumerate() {
                separate(index, out);
                text(&key.to_string(), Encoding::JsonValue, out)?;
                out.push(b':');
                let item = value.get_item(&key);
                json(&item.map_err(|e| RenderError::Invalid(e.to_string()))?, depth - 1, out)?;
            }
            out.push(b'}');
        }
        _ => return invalid("a value that cannot be written"),
    }
    Ok(())
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

fn items(value: &Value) -> Result<impl Iterator<Item = Value> + use<>, RenderError> {
    value.try_iter().map_err(|error| RenderError::Invalid(error.to_string()))
}

fn string(value: &Value) -> Result<&str, RenderError> {
    value.as_str().ok_or_else(|| RenderError::Invalid("a text that is not UTF-8".to_owned()))
}

/// Writes integers exactly, and floats in the shortest form that parses to the same value, always
/// with a point or exponent so that a float stays one.
fn number(value: &Value, out: &mut Vec<u8>) -> Result<(), RenderError> {
    let written = if value.is_integer() {
        match value.as_i64() {
            Some(integer) => write!(out, "{integer}"),
            None => write!(out, "{value}"),
        }
    } else {
        match f64::try_from(value.clone()) {
            Ok(float) if float.is_finite() => write!(out, "{float:?}"),
            _ => return Err(RenderError::Invalid("a number that is not finite".to_owned())),
        }
    };
    written.map_err(|error| RenderError::Invalid(error.to_string()))
}

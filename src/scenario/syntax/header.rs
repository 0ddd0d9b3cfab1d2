//! Checks header names and values.
//!
//! Invariant: accepted headers are valid in a request's head (RFC 9110 §5) and do not conflict
//! with the headers that `wire` writes itself.

use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKey};
use crate::scenario::syntax::{templates, values};
use crate::template::{Encoding, Template};

/// Header names with templates of their values.
pub(crate) type Headers = Vec<(String, Template)>;

/// Headers that `wire` writes itself, from the body and the connection.
const OWN: &[&str] = &["connection", "content-length", "transfer-encoding"];

/// Reads a map of headers; `names` are the variables that their values may read, `help` is added to
/// each mistake in a value.
pub(crate) fn templates(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
    help: Option<&str>,
) -> Headers {
    let expected = "a map of headers, such as `{ accept: application/json }`";
    let Some(entries) = values::entries(diagnostics, node, expected) else { return Vec::new() };
    let mut headers = Vec::new();
    for (key, value) in entries {
        let name = name(diagnostics, key);
        let expected = "a header's value: one line of text";
        let before = diagnostics.count();
        let value = templates::template(diagnostics, value, Encoding::Header, names, expected);
        if let Some(help) = help.filter(|_| diagnostics.count() > before) {
            diagnostics.last().help(help);
        }
        if let (Some(name), Some(value)) = (name, value) {
            headers.push((name, value));
        }
    }
    headers
}

/// Reads a header's name.
pub(crate) fn name(diagnostics: &mut Diagnostics, key: &NodeKey) -> Option<String> {
    if let Err(problem) = check_name(&key.name) {
        diagnostics.mistake(key.span, problem);
        return None;
    }
    Some(key.name.clone())
}

/// Whether a name is valid in a request's head, and not one of `wire`'s own.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        let shown = truncate(name);
        return Err(format!("invalid header name `{shown}`: use letters, digits and `-`"));
    }
    if OWN.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("`{name}` is set by Manada; remove it"));
    }
    Ok(())
}

/// Whether a text is valid as a header's value.
pub(crate) fn is_value(text: &str) -> bool {
    !text.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f)
}

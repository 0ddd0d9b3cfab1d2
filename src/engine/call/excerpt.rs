//! Excerpts of requests and responses as people read them, without credentials.
//!
//! `exemplar` and `trace` make their texts here.
//! Invariant: bounded, and never on the path of a call that goes well.

use crate::redact::{MASK, Redactor};

/// A line of a head; the value of a header with a sensitive name is not shown.
pub(crate) fn header(redactor: &Redactor<'_>, line: &[u8], most: usize) -> String {
    let colon = line.iter().position(|&byte| byte == b':');
    let name = colon.map(|at| String::from_utf8_lossy(&line[..at]));
    // A request's own line is no header, whatever stands in its path.
    let is_header = |name: &str| !name.contains([' ', '/']) && redactor.is_sensitive(name);
    match name.filter(|name| is_header(name)) {
        Some(name) => format!("{name}: {MASK}"),
        None => text(redactor, line, most),
    }
}

/// The beginning of `bytes` as text: credentials hidden, bytes that are no UTF-8 as `\xNN`.
pub(crate) fn text(redactor: &Redactor<'_>, bytes: &[u8], most: usize) -> String {
    body(redactor, bytes, "", most)
}

/// The beginning of a body with this content type.
pub(crate) fn body(
    redactor: &Redactor<'_>,
    bytes: &[u8],
    content_type: &str,
    most: usize,
) -> String {
    use std::fmt::Write;
    // A credential at the end of what is shown is hidden whole.
    let whole = redactor.body(&bytes[..bytes.len().min(most + (64 << 10))], content_type);
    let mut shown = String::new();
    for chunk in whole[..whole.len().min(most)].utf8_chunks() {
        shown.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

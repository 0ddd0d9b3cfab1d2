//! Rewrites heads that a reader must accept though no sender may write them so.
//!
//! `framing` calls it with a head that its parser rejects.
//! Invariant: the output is as long as the input, so that offsets in one are offsets in the other;
//! it differs only in line folds and in the minor version.

/// Returns the head with each line fold as spaces (RFC 9112 §5.2), and with a minor version above 1
/// as 1, the highest that this client speaks (RFC 9110 §2.5). `None` if it has neither.
pub(in crate::wire) fn head(bytes: &[u8]) -> Option<Vec<u8>> {
    let start = start(bytes);
    let mut plain: Option<Vec<u8>> = None;
    let line = &bytes[start..];
    // The bytes so far may end with the digit.
    if matches!(line, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9'])
        || matches!(line, [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9', b' ', ..])
    {
        plain.get_or_insert_with(|| bytes.to_vec())[start + 7] = b'1';
    }
    // No fold before the first header: whitespace there is an error of its own (§2.2).
    let mut line = next_line(bytes, start).and_then(|first| next_line(bytes, first));
    while let Some(at) = line {
        match &bytes[at..] {
            [b'\n', ..] | [b'\r', b'\n', ..] | [] => break,
            [b' ' | b'\t', ..] => {
                let out = plain.get_or_insert_with(|| bytes.to_vec());
                out[at - 1] = b' ';
                if out[at - 2] == b'\r' {
                    out[at - 2] = b' ';
                }
            }
            _ => {}
        }
        line = next_line(bytes, at);
    }
    plain
}

/// Returns where the line after the one at `at` begins; `None` if that line has no end yet.
fn next_line(bytes: &[u8], at: usize) -> Option<usize> {
    memchr::memchr(b'\n', &bytes[at..]).map(|length| at + length + 1)
}

/// Whether the bytes begin like an HTTP/1 response.
pub(in crate::wire) fn is_http(bytes: &[u8]) -> bool {
    bytes[start(bytes)..].starts_with(b"HTTP/")
}

/// Returns where the status line begins: after empty lines.
fn start(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let [b'\n', after @ ..] | [b'\r', b'\n', after @ ..] = rest {
        rest = after;
    }
    bytes.len() - rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_become_spaces_and_versions_above_1_become_1() {
        for (bytes, plain) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", None),
            ("HTTP/1.2 200\r\n\r\n", Some("HTTP/1.1 200\r\n\r\n")),
            ("\r\nHTTP/1.9 200\r\n\r\n", Some("\r\nHTTP/1.1 200\r\n\r\n")),
            ("HTTP/1.0 200\r\n\r\n", None),
            ("HTTP/1.10 200\r\n\r\n", None),
            ("HTTP/2.2 200\r\n\r\n", None),
            ("HTTP/1.1 200\r\nA: b\r\n c\r\n\r\n", Some("HTTP/1.1 200\r\nA: b   c\r\n\r\n")),
            ("HTTP/1.1 200\nA: b\n\tc\n\n", Some("HTTP/1.1 200\nA: b \tc\n\n")),
            ("HTTP/1.1 200\r\nA:\r\n \r\n\r\n", Some("HTTP/1.1 200\r\nA:   \r\n\r\n")),
            ("HTTP/1.1 200\r\n c\r\nA: b\r\n\r\n", None),
            ("HTTP/1.1 200\r\nA: b\r\n\r\n in the body\r\n", None),
            ("HTTP/1.1 200\r\nA: b\r\n c", Some("HTTP/1.1 200\r\nA: b   c")),
            ("HTTP/1.3", Some("HTTP/1.1")),
            ("\n", None),
            ("\rHTTP/1.3 200", None),
            ("", None),
        ] {
            let got = head(bytes.as_bytes());
            let got = got.as_deref().map(|got| std::str::from_utf8(got).unwrap());
            assert_eq!(got, plain, "{bytes:?}");
            assert!(got.is_none_or(|got| got.len() == bytes.len()), "{bytes:?}");
        }
    }
}

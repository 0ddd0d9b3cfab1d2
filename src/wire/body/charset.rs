//! Charsets: converts captured bodies to UTF-8 for text checks and captures.
//!
//! `engine` calls it with a captured body, after its content codings were decoded.
//! Invariant: the output is at most three times the input, and counts against the budget of
//! captured bodies; bytes of an unknown charset stay as received.

use encoding_rs::{CoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

use crate::wire::body::bodies::{BudgetExhausted, KeptBody};
use crate::wire::body::response_capture::ResponseCapture;

/// Decoded at a time, bytes: 8 KiB.
const PIECE: usize = 8 << 10;

/// How far into a page its own charset declaration is searched, as in browsers (HTML §4.2.5.4),
/// bytes: 1 KiB.
const MAX_SCAN: usize = 1 << 10;

/// Sets the text of a captured body that is not plain UTF-8. Its charset is that of its byte order
/// mark, else of Content-Type, else of its HTML or XML declaration, else UTF-8: as browsers decide
/// (Encoding §6). Bytes that are no character of the charset become U+FFFD.
///
/// # Errors
/// If there is no memory for it.
pub fn decode(capture: &mut ResponseCapture) -> Result<(), BudgetExhausted> {
    let found = match Encoding::for_bom(&capture.body) {
        Some((encoding, mark)) => Some((encoding, mark)),
        None => {
            charset(capture).filter(|encoding| *encoding != UTF_8).map(|encoding| (encoding, 0))
        }
    };
    let Some((encoding, mark)) = found else { return Ok(()) };
    let text = to_utf8(encoding, &capture.body[mark..])?;
    capture.rare().text = Some(text);
    Ok(())
}

/// Returns the charset that the head or the body names; `None` if they name no known one.
fn charset(capture: &ResponseCapture) -> Option<&'static Encoding> {
    let content_type = capture.header("content-type").unwrap_or_default();
    let mut parts = content_type.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let named = parts.find_map(|parameter| {
        let (name, value) = parameter.split_at_checked("charset=".len())?;
        name.eq_ignore_ascii_case(b"charset=").then_some(value)
    });
    if let Some(label) = named {
        let label = label.trim_ascii();
        let label =
            label.strip_prefix(b"\"").and_then(|label| label.strip_suffix(b"\"")).unwrap_or(label);
        return Encoding::for_label(label);
    }
    let start = &capture.body[..capture.body.len().min(MAX_SCAN)];
    let found = match kind.as_slice() {
        b"text/html" => of_html(start),
        _ if kind.ends_with(b"/xml") || kind.ends_with(b"+xml") => of_xml(start),
        _ => None,
    };
    // The declaration was readable as ASCII, so the charset cannot be UTF-16 (HTML §13.2.3.2).
    found.map(|encoding| match encoding {
        _ if encoding == UTF_16LE || encoding == UTF_16BE => UTF_8,
        _ if encoding == X_USER_DEFINED => WINDOWS_1252,
        other => other,
    })
}

/// Returns the charset of the first `<meta>` of a page that has one.
fn of_html(start: &[u8]) -> Option<&'static Encoding> {
    let lower = start.to_ascii_lowercase();
    let mut tags = memchr::memmem::find_iter(&lower, b"<meta").map(|at| &lower[at + 5..]);
    tags.find_map(|rest| {
        let tag = &rest[..rest.iter().position(|&byte| byte == b'>')?];
        let after = memchr::memmem::find(tag, b"charset")? + "charset".len();
        label(&tag[after..]).and_then(Encoding::for_label)
    })
}

/// Returns the charset of an XML declaration.
fn of_xml(start: &[u8]) -> Option<&'static Encoding> {
    let rest = start.strip_prefix(b"<?xml")?;
    let declaration = &rest[..memchr::memmem::find(rest, b"?>")?];
    let after = memchr::memmem::find(declaration, b"encoding")? + "encoding".len();
    label(&declaration[after..]).and_then(Encoding::for_label)
}

/// Returns the word after `=`, in quotes or not.
fn label(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let text = match text.first()? {
        b'"' | b'\'' => &text[1..],
        _ => text,
    };
    let is_end =
        |byte: &u8| matches!(byte, b'"' | b'\'' | b';' | b'/') || byte.is_ascii_whitespace();
    Some(&text[..text.iter().position(is_end).unwrap_or(text.len())])
}

fn to_utf8(encoding: &'static Encoding, mut bytes: &[u8]) -> Result<KeptBody, BudgetExhausted> {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let (mut piece, mut out) = ([0; PIECE], KeptBody::default());
    loop {
        let (result, read, written, _) = decoder.decode_to_utf8(bytes, &mut piece, true);
        out.push(&piece[..written])?;
        bytes = &bytes[read..];
        if result == CoderResult::InputEmpty {
            return Ok(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(content_type: &str, body: &[u8]) -> Vec<u8> {
        let head = format!("A: b\r\nContent-Type: {content_type}\r\n\r\n").into_bytes();
        let mut capture =
            ResponseCapture { head, body: body.to_vec().into(), ..ResponseCapture::default() };
        decode(&mut capture).unwrap();
        capture.text().to_vec()
    }

    fn utf16(text: &str, to: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to).collect()
    }

    #[test]
    fn charset_comes_from_mark_then_content_type_then_document() {
        let latin = b"caf\xe9 \x80";
        let page = |meta: &str| [b"<html><head>", meta.as_bytes(), b"</head>caf\xe9"].concat();
        let declares =
            |meta: &str| String::from_utf8_lossy(&text("text/html", &page(meta))).into_owned();
        // ISO-8859-1 means windows-1252 to browsers (Encoding §4.2).
        for content_type in [
            "text/plain; charset=iso-8859-1",
            "text/plain;CHARSET=\"Latin1\"",
            "text/html; a=b; charset=windows-1252 ; c=d",
        ] {
            assert_eq!(
                text(content_type, latin),
                "caf\u{e9} \u{20ac}".as_bytes(),
                "{content_type}"
            );
        }
        for content_type in
            ["text/plain", "", "text/plain; charset=klingon", "text/plain; charset=utf-8"]
        {
            assert_eq!(text(content_type, latin), latin, "{content_type}");
        }
        assert_eq!(
            text("text/plain; charset=shift_jis", b"\x83e\x83X\x83g"),
            "\u{30c6}\u{30b9}\u{30c8}".as_bytes()
        );
        assert_eq!(text("text/plain; charset=koi8-r", b"\xc4\xc1"), "\u{434}\u{430}".as_bytes());
        let json = "{\"a\": \"\u{e9}\u{1f600}\"}";
        let big = [b"\xfe\xff".to_vec(), utf16(json, u16::to_be_bytes)].concat();
        let little = [b"\xff\xfe".to_vec(), utf16(json, u16::to_le_bytes)].concat();
        for content_type in
            ["application/json", "application/json; charset=utf-16", "a/b; charset=utf-8"]
        {
            assert_eq!(text(content_type, &big), json.as_bytes());
            assert_eq!(text(content_type, &little), json.as_bytes());
        }
        assert_eq!(
            text("application/json; charset=utf-16le", &utf16(json, u16::to_le_bytes)),
            json.as_bytes()
        );
        assert_eq!(
            text("application/json", &[b"\xef\xbb\xbf", json.as_bytes()].concat()),
            json.as_bytes()
        );
        for (meta, known) in [
            ("<meta charset=iso-8859-1>", true),
            ("<META CHARSET = 'ISO-8859-1' />", true),
            (
                "<meta name=a><meta http-equiv=\"Content-Type\" \
                 content=\"text/html; charset=latin1\">",
                true,
            ),
            ("<meta charset=utf-8>", false),
            ("<meta charset=utf-16>", false),
            ("<meta charset=", false),
            ("<meta name=charset>", false),
            ("", false),
        ] {
            let whole = format!("<html><head>{meta}</head>caf\u{e9}");
            let spoilt = format!("<html><head>{meta}</head>caf\u{fffd}");
            assert_eq!(declares(meta), if known { whole } else { spoilt }, "{meta}");
        }
        let xml = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>";
        assert!(text("application/rss+xml", xml).ends_with("<a>\u{e9}</a>".as_bytes()));
        assert!(text("text/xml;charset=utf-8", xml).ends_with(b"<a>\xe9</a>"));
        assert!(text("text/plain", xml).ends_with(b"<a>\xe9</a>"));
        // Invalid bytes become U+FFFD.
        assert_eq!(text("a/b; charset=utf-16le", b"a\0b"), "a\u{fffd}".as_bytes());
    }

    proptest! {
        #[test]
        fn output_is_at_most_three_times_any_input(
            content_type in proptest::sample::select(vec![
                "text/html", "a/xml", "a/b; charset=gb18030", "a/b; charset=iso-2022-jp",
                "a/b; charset=utf-16be", "a/b; charset=big5", "a/b; charset=replacement",
            ]),
            body in proptest::collection::vec(any::<u8>(), 0..20_000),
        ) {
            let out = text(content_type, &body);
            prop_assert!(out.len() <= 3 * body.len());
        }
    }
}

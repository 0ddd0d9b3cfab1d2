//! The opening handshake (RFC 6455 §4): headers of the request, and checks of the response.
//!
//! `engine` adds the headers to its request; `Wire::open_stream` checks the response.
//! Invariant: nothing is agreed on that was not offered.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::stats::FailureKind;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::message_stream::StreamOffer;
use crate::wire::websocket::deflate::DeflateAgreement;

/// What the key of a handshake is hashed with (RFC 6455 §1.3).
const SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Returns the lines that a request for an upgrade adds to its head.
pub fn request_lines(offer: &StreamOffer<'_>) -> String {
    let key = BASE64_STANDARD.encode(offer.key);
    let mut lines = format!(
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {key}\r\n"
    );
    if !offer.subprotocols.is_empty() {
        lines += "Sec-WebSocket-Protocol: ";
        lines += &offer.subprotocols.join(", ");
        lines += "\r\n";
    }
    if offer.deflate {
        lines += "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    }
    lines
}

/// Returns the value of Sec-WebSocket-Accept that answers a key.
pub fn accept_value(key: [u8; 16]) -> String {
    let mut text = BASE64_STANDARD.encode(key).into_bytes();
    text.extend_from_slice(SUFFIX);
    BASE64_STANDARD.encode(ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, &text))
}

/// Checks the captured head of a response with status 101. Returns what was agreed on compression.
///
/// # Errors
/// `BadHandshake`, `BadSubprotocol` or `BadExtension`.
pub fn verify(
    response: &ResponseCapture,
    offer: &StreamOffer<'_>,
) -> Result<Option<DeflateAgreement>, FailureKind> {
    let values = |name| header_values(&response.head, name);
    let is_upgrade = values("upgrade").any(|value| value.eq_ignore_ascii_case(b"websocket"))
        && values("connection")
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"upgrade"));
    let expected = accept_value(offer.key);
    let mut accepts = values("sec-websocket-accept");
    if !is_upgrade || accepts.next() != Some(expected.as_bytes()) || accepts.next().is_some() {
        return Err(FailureKind::BadHandshake);
    }
    let mut protocols = values("sec-websocket-protocol");
    if let Some(chosen) = protocols.next() {
        let is_offered = offer.subprotocols.iter().any(|one| one.as_bytes() == chosen);
        if !is_offered || protocols.next().is_some() {
            return Err(FailureKind::BadSubprotocol);
        }
    }
    let mut agreed = None;
    for value in values("sec-websocket-extensions") {
        for extension in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if agreed.is_some() || !offer.deflate {
                return Err(FailureKind::BadExtension);
            }
            agreed = Some(deflate(extension).ok_or(FailureKind::BadExtension)?);
        }
    }
    Ok(agreed)
}

/// Reads the target's choice of permessage-deflate (RFC 7692 §7.1); `None` if it is another
/// extension, or has parameters that are not defined, not valid, or there twice.
fn deflate(extension: &[u8]) -> Option<DeflateAgreement> {
    let text = std::str::from_utf8(extension).ok()?;
    let mut parts = text.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("permessage-deflate") {
        return None;
    }
    let mut agreed = DeflateAgreement::PLAIN;
    let mut seen = Vec::new();
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().trim_matches('"'))),
            None => (part, None),
        };
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        match (name, value) {
            ("server_no_context_takeover", None) => agreed.server_forgets = true,
            ("client_no_context_takeover", None) => agreed.client_forgets = true,
            ("server_max_window_bits", Some(bits)) => agreed.server_bits = window_bits(bits)?,
            ("client_max_window_bits", Some(bits)) => agreed.client_bits = window_bits(bits)?,
            _ => return None,
        }
    }
    Some(agreed)
}

/// Parses a window size: 8 to 15, without leading zeros.
fn window_bits(text: &str) -> Option<u8> {
    let is_plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|bits| is_plain && (8..=15).contains(bits))
}

/// Returns the values of all captured headers of this name (lower case).
fn header_values<'a>(head: &'a [u8], name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    head.split(|&byte| byte == b'\n').filter_map(move |line| {
        let (own, rest) = line.split_at_checked(name.len())?;
        let value = rest.strip_prefix(b":")?;
        own.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ServiceId;

    /// The key of RFC 6455 §1.3.
    const KEY: [u8; 16] = *b"the sample nonce";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn offer_of(subprotocols: &[String], deflate: bool) -> StreamOffer<'_> {
        let service = ServiceId::new(0);
        StreamOffer { key: KEY, subprotocols, deflate, grpc: None, service, user: 0 }
    }

    fn check(
        lines: &str,
        subprotocols: &[String],
        deflate: bool,
    ) -> Result<Option<DeflateAgreement>, FailureKind> {
        let head = format!("{lines}\r\n").into_bytes();
        let response = ResponseCapture { head, ..ResponseCapture::default() };
        verify(&response, &offer_of(subprotocols, deflate))
    }

    fn good(more: &str) -> String {
        format!(
            "upgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Accept: {ACCEPT}\r\n{more}"
        )
    }

    #[test]
    fn the_example_of_the_rfc_is_made_and_accepted() {
        let chat = ["chat".to_owned(), "superchat".to_owned()];
        let offer = offer_of(&chat, true);
        assert_eq!(
            request_lines(&offer),
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: chat, superchat\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
        );
        assert_eq!(accept_value(KEY), ACCEPT);
        assert_eq!(check(&good("Sec-WebSocket-Protocol: chat\r\n"), &chat, true), Ok(None));
    }

    #[test]
    fn what_is_no_answer_to_the_handshake_has_a_kind() {
        let chat = ["chat".to_owned()];
        for (lines, kind) in [
            (good("").replace("s3pP", "s3pQ"), FailureKind::BadHandshake),
            (good("").replace("Upgrade\r\n", "close\r\n"), FailureKind::BadHandshake),
            (good("").replace("WebSocket", "h2c"), FailureKind::BadHandshake),
            (good(&format!("Sec-WebSocket-Accept: {ACCEPT}\r\n")), FailureKind::BadHandshake),
            (good("Sec-WebSocket-Protocol: Chat\r\n"), FailureKind::BadSubprotocol),
            (good("Sec-WebSocket-Protocol: chat, chat\r\n"), FailureKind::BadSubprotocol),
            (good("Sec-WebSocket-Extensions: x-bzip\r\n"), FailureKind::BadExtension),
        ] {
            assert_eq!(check(&lines, &chat, true), Err(kind), "{lines}");
        }
        let unasked = good("Sec-WebSocket-Extensions: permessage-deflate\r\n");
        assert_eq!(check(&unasked, &[], false), Err(FailureKind::BadExtension));
    }

    #[test]
    fn parameters_of_compression_are_read_and_checked() {
        let agreed = |parameters: &str| {
            let line = format!("Sec-WebSocket-Extensions: permessage-deflate{parameters}\r\n");
            check(&good(&line), &[], true).ok().flatten()
        };
        let plain = DeflateAgreement::PLAIN;
        assert_eq!(agreed(""), Some(plain));
        let small = DeflateAgreement { client_bits: 9, server_bits: 8, ..plain };
        let bits = "; client_max_window_bits=\"9\"; server_max_window_bits=8";
        assert_eq!(agreed(bits), Some(small));
        let forgets = DeflateAgreement { client_forgets: true, server_forgets: true, ..plain };
        let both = "; server_no_context_takeover ;client_no_context_takeover";
        assert_eq!(agreed(both), Some(forgets));
        for bad in [
            "; client_max_window_bits",
            "; client_max_window_bits=16",
            "; server_max_window_bits=7",
            "; server_max_window_bits=09",
            "; server_no_context_takeover=1",
            "; server_no_context_takeover; server_no_context_takeover",
            "; unknown",
            ", permessage-deflate",
        ] {
            assert_eq!(agreed(bad), None, "{bad}");
        }
    }
}

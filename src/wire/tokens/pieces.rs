//! What one event of a language model's response is: content, usage, an error, the end.
//!
//! `observer` calls it for each event.
//! Invariant: a scan of bytes decides about content; JSON is parsed for usage and errors alone.
//!
//! The first event of a chat completion has a role and no content; it must not count as the first
//! token. Inside a JSON string a quote is escaped, so a key in quotes is a key.

use memchr::memmem;
use serde_json::Value;

/// Maximum bytes of an error's text that are kept.
const MAX_TEXT: usize = 1 << 10;

/// What an event is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPiece {
    /// Content, and whether it is text of the answer itself: neither reasoning nor a tool call.
    pub content: Option<bool>,
    /// Why the model stopped.
    pub finish: Option<String>,
    /// Tokens of the answer.
    pub tokens: Option<u64>,
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u64>,
    /// The text of an error.
    pub error: Option<String>,
    /// Nothing follows.
    pub is_end: bool,
}

/// Reads an event of one of OpenAI's interfaces.
pub fn openai(event: Option<&str>, data: &[u8]) -> EventPiece {
    if data.trim_ascii() == b"[DONE]" {
        return EventPiece { is_end: true, ..EventPiece::default() };
    }
    let kind = event.map(str::as_bytes).filter(|name| name.starts_with(b"response."));
    let kind = kind.or_else(|| texts(data, b"\"type\"").find(|kind| is_of_responses(kind)));
    match kind {
        Some(kind) => of_responses(kind, data),
        None => of_completions(data),
    }
}

/// Reads an event of Anthropic's messages.
pub fn anthropic(event: Option<&str>, data: &[u8]) -> EventPiece {
    let kind = event.map(str::as_bytes).or_else(|| texts(data, b"\"type\"").next());
    let mut piece = EventPiece::default();
    match kind.unwrap_or_default() {
        b"content_block_delta" => {
            piece.content = if has_text(data, b"\"text\"") {
                Some(true)
            } else {
                let other = has_text(data, b"\"thinking\"") || has_text(data, b"\"partial_json\"");
                other.then_some(false)
            };
        }
        b"message_start" => read_usage(data, &["/message/usage"], &mut piece),
        b"message_delta" => {
            piece.finish = texts(data, b"\"stop_reason\"").next().map(short);
            read_usage(data, &["/usage"], &mut piece);
        }
        b"message_stop" => piece.is_end = true,
        b"error" => piece.error = Some(error_text(data)),
        _ => {}
    }
    piece
}

/// Whether a type is one of the responses interface.
fn is_of_responses(kind: &[u8]) -> bool {
    kind.starts_with(b"response.") || kind == b"error"
}

/// Reads an event of the responses interface; later events repeat the text of the deltas.
fn of_responses(kind: &[u8], data: &[u8]) -> EventPiece {
    let mut piece = EventPiece::default();
    if kind.ends_with(b".delta") {
        let is_text = matches!(kind, b"response.output_text.delta" | b"response.refusal.delta");
        piece.content = has_text(data, b"\"delta\"").then_some(is_text);
        return piece;
    }
    match kind {
        b"response.completed" | b"response.incomplete" => {
            piece.is_end = true;
            piece.finish = kind.strip_prefix(b"response.").map(short);
            read_usage(data, &["/response/usage"], &mut piece);
        }
        b"response.failed" | b"error" => {
            (piece.is_end, piece.error) = (true, Some(error_text(data)));
        }
        _ => {}
    }
    piece
}

/// Reads a chunk of a chat completion, or of a completion.
fn of_completions(data: &[u8]) -> EventPiece {
    let mut piece = EventPiece::default();
    let text = [&b"\"content\""[..], b"\"text\"", b"\"refusal\""];
    let other = [&b"\"reasoning_content\""[..], b"\"reasoning\"", b"\"arguments\""];
    if text.iter().any(|key| has_text(data, key)) {
        piece.content = Some(true);
    } else if other.iter().any(|key| has_text(data, key)) {
        piece.content = Some(false);
    }
    piece.finish = texts(data, b"\"finish_reason\"").next().map(short);
    if values(data, b"\"usage\"").any(|value| value.starts_with(b"{")) {
        read_usage(data, &["/usage"], &mut piece);
    }
    let is_error = |value: &[u8]| value.starts_with(b"{") || value.starts_with(b"\"");
    if piece.content.is_none() && values(data, b"\"error\"").any(is_error) {
        piece.error = Some(error_text(data));
    }
    piece
}

/// Returns what follows each place where `key`, with its quotes, is the key of a JSON object.
fn values<'a>(data: &'a [u8], key: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    memmem::find_iter(data, key).filter_map(move |at| {
        let rest = data[at + key.len()..].trim_ascii_start().strip_prefix(b":")?;
        Some(rest.trim_ascii_start())
    })
}

/// Returns the values of `key` that are texts, as they stand, up to their first quote.
fn texts<'a>(data: &'a [u8], key: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    values(data, key).filter_map(|value| value.strip_prefix(b"\"")).filter_map(|rest| {
        let end = memchr::memchr(b'"', rest)?;
        Some(&rest[..end])
    })
}

/// Whether some value of `key` is a text that is not empty.
fn has_text(data: &[u8], key: &[u8]) -> bool {
    texts(data, key).any(|text| !text.is_empty())
}

/// Reads the counts of tokens from the first of `places` that has some.
fn read_usage(data: &[u8], places: &[&str], piece: &mut EventPiece) {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    let Some(usage) = places.iter().find_map(|place| value.pointer(place)) else { return };
    let count = |names: [&str; 2]| names.iter().find_map(|name| usage.get(name)?.as_u64());
    piece.tokens = count(["completion_tokens", "output_tokens"]);
    piece.prompt_tokens = count(["prompt_tokens", "input_tokens"]);
}

/// Returns the text of an error event; the event itself if it has none.
fn error_text(data: &[u8]) -> String {
    let value: Value = serde_json::from_slice(data).unwrap_or_default();
    let places = ["/error/message", "/response/error/message", "/message", "/error"];
    let text = places.iter().find_map(|place| value.pointer(place)?.as_str());
    text.map_or_else(|| short(data), |text| short(text.as_bytes()))
}

/// Returns the beginning of a text.
fn short(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(MAX_TEXT)]).into_owned()
}

//! The events of OpenAI's `/v1/responses`: a response consists of items, each of which begins, has
//! deltas, and ends with the whole.
//!
//! `dialect` calls it.
//! Invariant: each event has its type as its name and as its member `type`, and its number, from 0
//! on; the last one, which tells the numbers of tokens, is the end mark.

use serde_json::{Value, json};

use super::event_writer::{TOOL, TokenEventWriter, TokenUsage};
use super::parts::TokenKind;

/// Appends what comes before the first item; returns the number of events.
pub(super) fn open(writer: &TokenEventWriter, out: &mut Vec<u8>) -> u64 {
    for kind in ["response.created", "response.in_progress"] {
        let response = response(writer, "in_progress", &[], None);
        event(writer, kind, json!({ "response": response }), out);
    }
    2
}

/// Appends the beginning of the item of a kind; returns the number of events.
pub(super) fn begin(writer: &TokenEventWriter, kind: TokenKind, out: &mut Vec<u8>) -> u64 {
    let index = writer.parts.place(kind);
    let added = json!({ "output_index": index, "item": item(writer, kind, None) });
    event(writer, "response.output_item.added", added, out);
    if kind != TokenKind::Text {
        return 1;
    }
    let part = placed(writer, kind, "part", part(""));
    event(writer, "response.content_part.added", part, out);
    2
}

/// Appends an event with a text.
pub(super) fn delta(writer: &TokenEventWriter, kind: TokenKind, text: &str, out: &mut Vec<u8>) {
    event(
        writer,
        &format!("{}.delta", name(kind)),
        placed(writer, kind, "delta", text.into()),
        out,
    );
}

/// Appends the end of the item of a kind; returns the number of events.
pub(super) fn end(writer: &TokenEventWriter, kind: TokenKind, out: &mut Vec<u8>) -> u64 {
    let text = writer.parts.text(kind);
    let member = if kind == TokenKind::Arguments { "arguments" } else { "text" };
    let done = placed(writer, kind, member, text.as_str().into());
    event(writer, &format!("{}.done", name(kind)), done, out);
    if kind == TokenKind::Text {
        let part = placed(writer, kind, "part", part(&text));
        event(writer, "response.content_part.done", part, out);
    }
    let index = writer.parts.place(kind);
    let done = json!({ "output_index": index, "item": item(writer, kind, Some(&text)) });
    event(writer, "response.output_item.done", done, out);
    if kind == TokenKind::Text { 3 } else { 2 }
}

/// Appends the end mark.
pub(super) fn done(writer: &TokenEventWriter, is_cut: bool, usage: TokenUsage, out: &mut Vec<u8>) {
    let kind = if is_cut { "response.incomplete" } else { "response.completed" };
    event(writer, kind, json!({ "response": document(writer, is_cut, usage) }), out);
}

/// Appends an error in the stream.
pub(super) fn error(writer: &TokenEventWriter, message: &str, out: &mut Vec<u8>) {
    let mut failed = response(writer, "failed", &[], None);
    failed["error"] = json!({ "code": "server_error", "message": message });
    event(writer, "response.failed", json!({ "response": failed }), out);
}

/// The whole response.
pub(super) fn document(writer: &TokenEventWriter, is_cut: bool, usage: TokenUsage) -> Value {
    let kinds = writer.parts.kinds();
    let items: Vec<Value> =
        kinds.map(|kind| item(writer, kind, Some(&writer.parts.text(kind)))).collect();
    let status = if is_cut { "incomplete" } else { "completed" };
    let mut response = response(writer, status, &items, Some(usage));
    if is_cut {
        response["incomplete_details"] = json!({ "reason": "max_output_tokens" });
    }
    response
}

/// Adds the type of an event and its number, and appends it.
fn event(writer: &TokenEventWriter, kind: &str, mut data: Value, out: &mut Vec<u8>) {
    data["type"] = kind.into();
    data["sequence_number"] = writer.number().into();
    writer.named(kind, &data, out);
}

/// The name of the events that bring the text of an item.
const fn name(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Reasoning => "response.reasoning_text",
        TokenKind::Text => "response.output_text",
        TokenKind::Arguments => "response.function_call_arguments",
    }
}

fn item_id(writer: &TokenEventWriter, kind: TokenKind) -> String {
    format!("item-{}-{}", writer.id, writer.parts.place(kind))
}

/// The data of an event that concerns the text of an item.
fn placed(writer: &TokenEventWriter, kind: TokenKind, member: &str, value: Value) -> Value {
    let id = item_id(writer, kind);
    let mut data = json!({ "item_id": id, "output_index": writer.parts.place(kind) });
    if kind != TokenKind::Arguments {
        data["content_index"] = 0.into();
    }
    data[member] = value;
    data
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [] })
}

/// An item with its text; `None`: the text has yet to come.
fn item(writer: &TokenEventWriter, kind: TokenKind, text: Option<&str>) -> Value {
    let status = if text.is_some() { "completed" } else { "in_progress" };
    let id = item_id(writer, kind);
    match kind {
        TokenKind::Reasoning => {
            let content = text.map(|text| json!({ "type": "reasoning_text", "text": text }));
            let content: Vec<Value> = content.into_iter().collect();
            json!({ "id": id, "type": "reasoning", "summary": [], "content": content })
        }
        TokenKind::Text => {
            let content: Vec<Value> = text.map(part).into_iter().collect();
            json!({
                "id": id, "type": "message", "status": status, "role": "assistant",
                "content": content,
            })
        }
        TokenKind::Arguments => json!({
            "id": id, "type": "function_call", "status": status, "call_id": writer.call_id(),
            "name": TOOL, "arguments": text.unwrap_or_default(),
        }),
    }
}

fn response(
    writer: &TokenEventWriter,
    status: &str,
    items: &[Value],
    usage: Option<TokenUsage>,
) -> Value {
    let usage = usage.map(|TokenUsage { prompt, completion }| {
        let reasoning = writer.parts.reasoning.min(completion);
        json!({
            "input_tokens": prompt, "output_tokens": completion,
            "output_tokens_details": { "reasoning_tokens": reasoning },
            "total_tokens": prompt + completion,
        })
    });
    json!({
        "id": writer.id, "object": "response", "created_at": writer.created, "status": status,
        "model": writer.model, "error": null, "incomplete_details": null, "output": items,
        "usage": usage,
    })
}

//! The events of a token stream in the words of each API.
//!
//! `session` appends them, and says when.
//! Invariant: texts of tokens need no escaping; the model's name is escaped.

use std::cell::Cell;
use std::ops::Range;

use serde_json::{Value, json};

use super::event_writer::{TOOL, TokenEventWriter, TokenUsage};
use super::parts::{TokenKind, TokenParts, text};
use super::request::{TokenApi, TokenRequest};
use super::responses;

/// Writes the events of one stream.
pub(super) struct TokenDialect {
    api: TokenApi,
    writer: TokenEventWriter,
    includes_usage: bool,
    /// What is before the text of tokens, between it and the number of the event, and after that,
    /// for each kind. Most events have no number.
    frames: [[String; 3]; 3],
}

impl TokenDialect {
    pub fn new(request: &TokenRequest, stream: u64, created: u64, parts: TokenParts) -> Self {
        let prefix = match request.api {
            TokenApi::Chat => "chatcmpl",
            TokenApi::Completions => "cmpl",
            TokenApi::Messages => "msg",
            TokenApi::Responses => "resp",
        };
        let writer = TokenEventWriter {
            id: format!("{prefix}-{stream}"),
            model: request.model.clone(),
            created,
            line_end: request.settings.line_end,
            parts,
            next_number: Cell::new(0),
        };
        let (api, includes_usage) = (request.api, request.includes_usage);
        let mut dialect = Self { api, writer, includes_usage, frames: Default::default() };
        // An event is made once for each kind, and its text put in its place.
        dialect.frames = TokenKind::ALL.map(|kind| {
            const PLACE: &str = "\u{1}";
            dialect.writer.next_number.set(u64::MAX - 1);
            let mut event = Vec::new();
            dialect.delta(kind, PLACE, &mut event);
            let event = String::from_utf8_lossy(&event).into_owned();
            // A control character is escaped in JSON.
            let (before, after) = event.split_once("\\u0001").unwrap_or((&event, ""));
            let number = (u64::MAX - 1).to_string();
            let (between, after) = after.split_once(&number).unwrap_or((after, ""));
            [before, between, after].map(str::to_owned)
        });
        dialect.writer.next_number.set(0);
        dialect
    }

    /// What the tokens are.
    pub fn parts(&self) -> &TokenParts {
        &self.writer.parts
    }

    /// Appends what comes before the first token; returns the number of events.
    pub fn open(&self, prompt: u64, out: &mut Vec<u8>) -> u64 {
        let first = self.writer.parts.kind_of(0);
        match self.api {
            TokenApi::Chat => {
                let delta = json!({ "role": "assistant", "content": "" });
                self.chat(&json!([choice(&delta, None)]), None, out);
                1 + self.begin(first, out)
            }
            TokenApi::Completions => 0,
            TokenApi::Messages => {
                let usage = json!({ "input_tokens": prompt, "output_tokens": 1 });
                let message = json!({
                    "id": self.writer.id, "type": "message", "role": "assistant",
                    "model": self.writer.model,
                    "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage,
                });
                let kind = "message_start";
                self.writer.named(kind, &json!({ "type": kind, "message": message }), out);
                let blocks = self.begin(first, out);
                self.writer.named("ping", &json!({ "type": "ping" }), out);
                2 + blocks
            }
            TokenApi::Responses => responses::open(&self.writer, out) + self.begin(first, out),
        }
    }

    /// Appends what comes before the tokens of a kind; returns the number of events.
    pub fn begin(&self, kind: TokenKind, out: &mut Vec<u8>) -> u64 {
        match (self.api, kind) {
            (TokenApi::Chat, TokenKind::Arguments) => {
                let function = json!({ "name": TOOL, "arguments": "" });
                let id = self.writer.call_id();
                let call =
                    json!({ "index": 0, "id": id, "type": "function", "function": function });
                self.chat(&json!([choice(&json!({ "tool_calls": [call] }), None)]), None, out);
                1
            }
            (TokenApi::Messages, _) => {
                let block = match kind {
                    TokenKind::Reasoning => json!({ "type": "thinking", "thinking": "" }),
                    TokenKind::Text => json!({ "type": "text", "text": "" }),
                    TokenKind::Arguments => json!({
                        "type": "tool_use", "id": self.writer.call_id(), "name": TOOL, "input": {},
                    }),
                };
                let (index, name) = (self.writer.parts.place(kind), "content_block_start");
                let start = json!({ "type": name, "index": index, "content_block": block });
                self.writer.named(name, &start, out);
                1
            }
            (TokenApi::Responses, _) => responses::begin(&self.writer, kind, out),
            _ => 0,
        }
    }

    /// Appends what comes after the tokens of a kind; returns the number of events.
    pub fn end(&self, kind: TokenKind, out: &mut Vec<u8>) -> u64 {
        match self.api {
            TokenApi::Chat | TokenApi::Completions => 0,
            TokenApi::Messages => {
                let (index, name) = (self.writer.parts.place(kind), "content_block_stop");
                self.writer.named(name, &json!({ "type": name, "index": index }), out);
                1
            }
            TokenApi::Responses => responses::end(&self.writer, kind, out),
        }
    }

    /// Appends an event with tokens of one kind; `piece` is memory for their text.
    pub fn tokens(
        &self,
        kind: TokenKind,
        tokens: Range<u64>,
        piece: &mut String,
        out: &mut Vec<u8>,
    ) {
        piece.clear();
        let all = self.writer.parts.range(kind);
        let is_argument = kind == TokenKind::Arguments;
        // The text stands in a JSON text.
        if is_argument && tokens.start == all.start {
            piece.push_str("{\\\"text\\\":\\\"");
        }
        text(tokens.start, tokens.end, piece);
        if is_argument && tokens.end == all.end {
            piece.push_str("\\\"}");
        }
        self.piece(kind, piece, out);
    }

    /// Appends an event with a text that needs no escaping.
    pub fn piece(&self, kind: TokenKind, text: &str, out: &mut Vec<u8>) {
        let [before, between, after] = &self.frames[kind as usize];
        for part in [before, text, between] {
            out.extend_from_slice(part.as_bytes());
        }
        if self.api == TokenApi::Responses {
            out.extend_from_slice(self.writer.number().to_string().as_bytes());
        }
        out.extend_from_slice(after.as_bytes());
    }

    /// Appends what comes after the last token, without the end mark; returns the number of events.
    pub fn finish(&self, is_cut: bool, usage: TokenUsage, out: &mut Vec<u8>) -> u64 {
        let ended = self.end(self.writer.parts.kind_of(u64::MAX), out);
        match self.api {
            TokenApi::Chat | TokenApi::Completions => {
                let reason = self.finish_reason(is_cut);
                let choice = if self.api == TokenApi::Chat {
                    choice(&json!({}), Some(reason))
                } else {
                    completion("", Some(reason))
                };
                self.chat(&json!([choice]), None, out);
                if self.includes_usage {
                    self.chat(&json!([]), Some(self.usage(usage)), out);
                    return 2;
                }
                1
            }
            TokenApi::Messages => {
                let reason = self.stop_reason(is_cut);
                let delta = json!({ "stop_reason": reason, "stop_sequence": null });
                let usage = json!({ "output_tokens": usage.completion });
                let kind = "message_delta";
                let message = json!({ "type": kind, "delta": delta, "usage": usage });
                self.writer.named(kind, &message, out);
                ended + 1
            }
            TokenApi::Responses => ended,
        }
    }

    /// Appends the end mark.
    pub fn done(&self, is_cut: bool, usage: TokenUsage, out: &mut Vec<u8>) {
        match self.api {
            TokenApi::Chat | TokenApi::Completions => self.writer.line("data: [DONE]", out),
            TokenApi::Messages => {
                self.writer.named("message_stop", &json!({ "type": "message_stop" }), out);
            }
            TokenApi::Responses => responses::done(&self.writer, is_cut, usage, out),
        }
    }

    /// Appends an error in the stream.
    pub fn error(&self, out: &mut Vec<u8>) {
        let message = "an error within the stream, as the request says";
        match self.api {
            TokenApi::Chat | TokenApi::Completions => {
                let error = json!({ "message": message, "type": "server_error", "code": 500 });
                self.writer.line(&format!("data: {}", json!({ "error": error })), out);
            }
            TokenApi::Messages => {
                let error = json!({ "type": "overloaded_error", "message": message });
                self.writer.named("error", &json!({ "type": "error", "error": error }), out);
            }
            TokenApi::Responses => responses::error(&self.writer, message, out),
        }
    }

    /// Appends a comment.
    pub fn comment(&self, out: &mut Vec<u8>) {
        self.writer.line(": keep-alive", out);
    }

    /// The one document of a response that is not a stream.
    pub fn document(&self, is_cut: bool, usage: TokenUsage) -> Value {
        let has = |kind: TokenKind| !self.writer.parts.range(kind).is_empty();
        let [reasoning, text, arguments] = TokenKind::ALL.map(|kind| self.writer.parts.text(kind));
        match self.api {
            TokenApi::Chat => {
                let mut message = json!({ "role": "assistant", "content": text });
                if has(TokenKind::Reasoning) {
                    message["reasoning_content"] = reasoning.into();
                }
                if has(TokenKind::Arguments) {
                    let function = json!({ "name": TOOL, "arguments": arguments });
                    let id = self.writer.call_id();
                    let call = json!({ "id": id, "type": "function", "function": function });
                    message["tool_calls"] = json!([call]);
                }
                let reason = self.finish_reason(is_cut);
                let choices = json!([{ "index": 0, "message": message, "finish_reason": reason }]);
                self.object("chat.completion", &choices, Some(self.usage(usage)))
            }
            TokenApi::Completions => {
                let choices = json!([completion(&text, Some(self.finish_reason(is_cut)))]);
                self.object("text_completion", &choices, Some(self.usage(usage)))
            }
            TokenApi::Messages => {
                let mut content = Vec::new();
                if has(TokenKind::Text) {
                    content.push(json!({ "type": "text", "text": text }));
                }
                if has(TokenKind::Arguments) {
                    let input: Value = serde_json::from_str(&arguments).unwrap_or_default();
                    let id = self.writer.call_id();
                    let call =
                        json!({ "type": "tool_use", "id": id, "name": TOOL, "input": input });
                    content.push(call);
                }
                json!({
                    "id": self.writer.id, "type": "message", "role": "assistant",
                    "model": self.writer.model,
                    "content": content,
                    "stop_reason": self.stop_reason(is_cut), "stop_sequence": null,
                    "usage": { "input_tokens": usage.prompt, "output_tokens": usage.completion },
                })
            }
            TokenApi::Responses => responses::document(&self.writer, is_cut, usage),
        }
    }

    fn delta(&self, kind: TokenKind, text: &str, out: &mut Vec<u8>) {
        match self.api {
            TokenApi::Chat => {
                let delta = match kind {
                    TokenKind::Reasoning => json!({ "reasoning_content": text }),
                    TokenKind::Text => json!({ "content": text }),
                    TokenKind::Arguments => {
                        let function = json!({ "arguments": text });
                        json!({ "tool_calls": [{ "index": 0, "function": function }] })
                    }
                };
                self.chat(&json!([choice(&delta, None)]), None, out);
            }
            TokenApi::Completions => self.chat(&json!([completion(text, None)]), None, out),
            TokenApi::Messages => {
                let delta = match kind {
                    TokenKind::Reasoning => json!({ "type": "thinking_delta", "thinking": text }),
                    TokenKind::Text => json!({ "type": "text_delta", "text": text }),
                    TokenKind::Arguments => {
                        json!({ "type": "input_json_delta", "partial_json": text })
                    }
                };
                let (index, name) = (self.writer.parts.place(kind), "content_block_delta");
                self.writer.named(
                    name,
                    &json!({ "type": name, "index": index, "delta": delta }),
                    out,
                );
            }
            TokenApi::Responses => responses::delta(&self.writer, kind, text, out),
        }
    }

    /// Appends a chunk of OpenAI.
    fn chat(&self, choices: &Value, usage: Option<Value>, out: &mut Vec<u8>) {
        let object = match self.api {
            TokenApi::Chat => "chat.completion.chunk",
            _ => "text_completion",
        };
        let usage = usage.or(self.includes_usage.then_some(Value::Null));
        self.writer.line(&format!("data: {}", self.object(object, choices, usage)), out);
    }

    fn object(&self, object: &str, choices: &Value, usage: Option<Value>) -> Value {
        let mut document = json!({
            "id": self.writer.id, "object": object, "created": self.writer.created,
            "model": self.writer.model, "choices": choices,
        });
        if let Some(usage) = usage {
            document["usage"] = usage;
        }
        document
    }

    /// The numbers of tokens in the words of OpenAI's completions.
    fn usage(&self, usage: TokenUsage) -> Value {
        let TokenUsage { prompt, completion } = usage;
        let mut document = json!({
            "prompt_tokens": prompt, "completion_tokens": completion,
            "total_tokens": prompt + completion,
        });
        if self.writer.parts.reasoning > 0 {
            let details =
                json!({ "reasoning_tokens": self.writer.parts.reasoning.min(completion) });
            document["completion_tokens_details"] = details;
        }
        document
    }

    fn finish_reason(&self, is_cut: bool) -> &'static str {
        match is_cut {
            true => "length",
            false if self.writer.parts.arguments > 0 => "tool_calls",
            false => "stop",
        }
    }

    fn stop_reason(&self, is_cut: bool) -> &'static str {
        match is_cut {
            true => "max_tokens",
            false if self.writer.parts.arguments > 0 => "tool_use",
            false => "end_turn",
        }
    }
}

fn choice(delta: &Value, reason: Option<&str>) -> Value {
    json!({ "index": 0, "delta": delta, "finish_reason": reason })
}

fn completion(text: &str, reason: Option<&str>) -> Value {
    json!({ "index": 0, "text": text, "logprobs": null, "finish_reason": reason })
}

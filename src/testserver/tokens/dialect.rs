//! The events of a token stream in the words of each API.
//!
//! `session` appends them, and says when.
//! Invariant: texts need no escaping, since they consist of [`WORDS`]; the model's name is escaped.

use serde_json::{Value, json};

use super::request::{TokenApi, TokenRequest};

/// The tokens: token n is word n modulo 16, with a blank before it unless it is the first.
const WORDS: [&str; 16] = [
    "herd", "of", "größer", "waves", "under", "ein", "light", "that", "møves", "on", "slow", "and",
    "then", "naïve", "again", "fast",
];

/// What a text of tokens is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Reasoning,
    Text,
}

/// The numbers of tokens of a finished stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenUsage {
    pub prompt: u64,
    /// All tokens that were sent, those of reasoning included.
    pub completion: u64,
    pub reasoning: u64,
}

/// Writes the events of one stream.
pub(super) struct TokenDialect {
    api: TokenApi,
    id: String,
    model: String,
    created: u64,
    line_end: &'static str,
    includes_usage: bool,
    /// Between the text of tokens and what is before and after it, for each kind.
    frames: [[String; 2]; 2],
    /// Whether there is a block of reasoning before that of text.
    has_reasoning: bool,
}

/// The text of tokens `from..to`.
pub(super) fn text(from: u64, to: u64, out: &mut String) {
    for n in from..to {
        if n > 0 {
            out.push(' ');
        }
        out.push_str(WORDS[(n % 16) as usize]);
    }
}

impl TokenDialect {
    pub fn new(request: &TokenRequest, stream: u64, created: u64, has_reasoning: bool) -> Self {
        let prefix = match request.api {
            TokenApi::Chat => "chatcmpl",
            TokenApi::Completions => "cmpl",
            TokenApi::Messages => "msg",
        };
        let mut dialect = Self {
            api: request.api,
            id: format!("{prefix}-{stream}"),
            model: request.model.clone(),
            created,
            line_end: request.settings.line_end,
            includes_usage: request.includes_usage,
            frames: Default::default(),
            has_reasoning,
        };
        // An event is made once for each kind, and its text put in its place.
        dialect.frames = [TokenKind::Reasoning, TokenKind::Text].map(|kind| {
            const PLACE: &str = "\u{1}";
            let mut event = Vec::new();
            dialect.delta(kind, PLACE, &mut event);
            let event = String::from_utf8_lossy(&event).into_owned();
            // A control character is escaped in JSON.
            let (before, after) = event.split_once("\\u0001").unwrap_or((&event, ""));
            [before.to_owned(), after.to_owned()]
        });
        dialect
    }

    /// Appends what comes before the first token; returns the number of events.
    pub fn open(&self, prompt: u64, out: &mut Vec<u8>) -> u64 {
        match self.api {
            TokenApi::Chat => {
                let delta = json!({ "role": "assistant", "content": "" });
                self.chat(&json!([choice(&delta, None)]), None, out);
                1
            }
            TokenApi::Completions => 0,
            TokenApi::Messages => {
                let usage = json!({ "input_tokens": prompt, "output_tokens": 1 });
                let message = json!({
                    "id": self.id, "type": "message", "role": "assistant", "model": self.model,
                    "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage,
                });
                let kind = "message_start";
                self.named(kind, &json!({ "type": kind, "message": message }), out);
                self.block_start(
                    if self.has_reasoning { TokenKind::Reasoning } else { TokenKind::Text },
                    out,
                );
                self.named("ping", &json!({ "type": "ping" }), out);
                3
            }
        }
    }

    /// Appends an event with a text.
    pub fn tokens(&self, kind: TokenKind, text: &str, out: &mut Vec<u8>) {
        let [before, after] = &self.frames[kind as usize];
        for part in [before, text, after] {
            out.extend_from_slice(part.as_bytes());
        }
    }

    /// Appends what comes between reasoning and text; returns the number of events.
    pub fn end_reasoning(&self, out: &mut Vec<u8>) -> u64 {
        if self.api != TokenApi::Messages {
            return 0;
        }
        self.named("content_block_stop", &json!({ "type": "content_block_stop", "index": 0 }), out);
        self.block_start(TokenKind::Text, out);
        2
    }

    /// Appends what comes after the last token, without the end mark; returns the number of events.
    pub fn finish(&self, is_cut: bool, usage: TokenUsage, out: &mut Vec<u8>) -> u64 {
        match self.api {
            TokenApi::Chat | TokenApi::Completions => {
                let reason = finish_reason(is_cut);
                let choice = if self.api == TokenApi::Chat {
                    choice(&json!({}), Some(reason))
                } else {
                    completion("", Some(reason))
                };
                self.chat(&json!([choice]), None, out);
                if self.includes_usage {
                    self.chat(&json!([]), Some(usage.openai()), out);
                    return 2;
                }
                1
            }
            TokenApi::Messages => {
                let index = u64::from(self.has_reasoning);
                let stop = json!({ "type": "content_block_stop", "index": index });
                self.named("content_block_stop", &stop, out);
                let delta = json!({ "stop_reason": stop_reason(is_cut), "stop_sequence": null });
                let usage = json!({ "output_tokens": usage.completion });
                let kind = "message_delta";
                let message = json!({ "type": kind, "delta": delta, "usage": usage });
                self.named(kind, &message, out);
                2
            }
        }
    }

    /// Appends the end mark.
    pub fn done(&self, out: &mut Vec<u8>) {
        if self.api == TokenApi::Messages {
            self.named("message_stop", &json!({ "type": "message_stop" }), out);
        } else {
            self.line("data: [DONE]", out);
        }
    }

    /// Appends an error in the stream.
    pub fn error(&self, out: &mut Vec<u8>) {
        let message = "an error within the stream, as the request says";
        if self.api == TokenApi::Messages {
            let error = json!({ "type": "overloaded_error", "message": message });
            self.named("error", &json!({ "type": "error", "error": error }), out);
        } else {
            let error = json!({ "message": message, "type": "server_error", "code": 500 });
            self.line(&format!("data: {}", json!({ "error": error })), out);
        }
    }

    /// Appends a comment.
    pub fn comment(&self, out: &mut Vec<u8>) {
        self.line(": keep-alive", out);
    }

    /// The one document of a response that is not a stream.
    pub fn document(&self, is_cut: bool, usage: TokenUsage, texts: [&str; 2]) -> Value {
        let [reasoning, text] = texts;
        match self.api {
            TokenApi::Chat => {
                let mut message = json!({ "role": "assistant", "content": text });
                if self.has_reasoning {
                    message["reasoning_content"] = reasoning.into();
                }
                let reason = finish_reason(is_cut);
                let choices = json!([{ "index": 0, "message": message, "finish_reason": reason }]);
                self.object("chat.completion", &choices, Some(usage.openai()))
            }
            TokenApi::Completions => {
                let choices = json!([completion(text, Some(finish_reason(is_cut)))]);
                self.object("text_completion", &choices, Some(usage.openai()))
            }
            TokenApi::Messages => json!({
                "id": self.id, "type": "message", "role": "assistant", "model": self.model,
                "content": [{ "type": "text", "text": text }],
                "stop_reason": stop_reason(is_cut), "stop_sequence": null,
                "usage": { "input_tokens": usage.prompt, "output_tokens": usage.completion },
            }),
        }
    }

    fn delta(&self, kind: TokenKind, text: &str, out: &mut Vec<u8>) {
        match (self.api, kind) {
            (TokenApi::Chat, TokenKind::Text) => {
                self.chat(&json!([choice(&json!({ "content": text }), None)]), None, out);
            }
            (TokenApi::Chat, TokenKind::Reasoning) => {
                self.chat(&json!([choice(&json!({ "reasoning_content": text }), None)]), None, out);
            }
            (TokenApi::Completions, _) => self.chat(&json!([completion(text, None)]), None, out),
            (TokenApi::Messages, _) => {
                let delta = match kind {
                    TokenKind::Text => json!({ "type": "text_delta", "text": text }),
                    TokenKind::Reasoning => json!({ "type": "thinking_delta", "thinking": text }),
                };
                let index = u64::from(self.has_reasoning && kind == TokenKind::Text);
                let name = "content_block_delta";
                self.named(name, &json!({ "type": name, "index": index, "delta": delta }), out);
            }
        }
    }

    fn block_start(&self, kind: TokenKind, out: &mut Vec<u8>) {
        let block = match kind {
            TokenKind::Text => json!({ "type": "text", "text": "" }),
            TokenKind::Reasoning => json!({ "type": "thinking", "thinking": "" }),
        };
        let index = u64::from(self.has_reasoning && kind == TokenKind::Text);
        let name = "content_block_start";
        let start = json!({ "type": name, "index": index, "content_block": block });
        self.named(name, &start, out);
    }

    /// Appends a chunk of OpenAI.
    fn chat(&self, choices: &Value, usage: Option<Value>, out: &mut Vec<u8>) {
        let object = match self.api {
            TokenApi::Chat => "chat.completion.chunk",
            _ => "text_completion",
        };
        let usage = usage.or(self.includes_usage.then_some(Value::Null));
        self.line(&format!("data: {}", self.object(object, choices, usage)), out);
    }

    fn object(&self, object: &str, choices: &Value, usage: Option<Value>) -> Value {
        let mut document = json!({
            "id": self.id, "object": object, "created": self.created, "model": self.model,
            "choices": choices,
        });
        if let Some(usage) = usage {
            document["usage"] = usage;
        }
        document
    }

    fn named(&self, name: &str, data: &Value, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("event: {name}{}", self.line_end).as_bytes());
        self.line(&format!("data: {data}"), out);
    }

    /// Appends a line, and an empty one.
    fn line(&self, line: &str, out: &mut Vec<u8>) {
        for part in [line, self.line_end, self.line_end] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

impl TokenUsage {
    fn openai(self) -> Value {
        let mut usage = json!({
            "prompt_tokens": self.prompt, "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        });
        if self.reasoning > 0 {
            usage["completion_tokens_details"] = json!({ "reasoning_tokens": self.reasoning });
        }
        usage
    }
}

fn choice(delta: &Value, reason: Option<&str>) -> Value {
    json!({ "index": 0, "delta": delta, "finish_reason": reason })
}

fn completion(text: &str, reason: Option<&str>) -> Value {
    json!({ "index": 0, "text": text, "logprobs": null, "finish_reason": reason })
}

const fn finish_reason(is_cut: bool) -> &'static str {
    if is_cut { "length" } else { "stop" }
}

const fn stop_reason(is_cut: bool) -> &'static str {
    if is_cut { "max_tokens" } else { "end_turn" }
}

//! The request for tokens: the JSON body of one of four APIs, and the settings of its stream.
//!
//! `connection` reads it when the body is complete.
//! Invariant: a body that a real server would refuse is refused with its error as JSON.

use serde_json::{Value, json};

use super::super::head::RequestHead;
use super::super::query::{QueryError, QueryString};
use super::super::reply::{MediaType, Response};
use super::super::route::Route;
use super::settings::{TokenCounts, TokenLaws, TokenSettings};

/// The APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenApi {
    /// `/v1/chat/completions` of OpenAI.
    Chat,
    /// `/v1/completions` of OpenAI.
    Completions,
    /// `/v1/responses` of OpenAI.
    Responses,
    /// `/v1/messages` of Anthropic.
    Messages,
}

/// A valid request.
#[derive(Debug)]
pub(in crate::testserver) struct TokenRequest {
    pub(super) api: TokenApi,
    pub(super) settings: TokenSettings,
    pub(super) model: String,
    /// Whether the tokens come as events; if not, in one JSON document.
    pub is_streamed: bool,
    /// Whether there is a last chunk with the numbers of tokens.
    pub(super) includes_usage: bool,
    /// The most tokens that the client wants.
    pub(super) max_tokens: Option<u64>,
    /// Whether the law is ignored, and all of `max_tokens` are sent.
    pub(super) ignores_eos: bool,
    /// Words of the prompt.
    pub(super) prompt_tokens: u64,
}

/// Why there are no tokens.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::testserver) struct TokenRefusal {
    pub status: u16,
    kind: &'static str,
    message: String,
    /// Seconds of the header Retry-After.
    retry_after: Option<u64>,
    is_anthropic: bool,
}

impl TokenRefusal {
    /// Fills in the response.
    pub fn fill(&self, reply: &mut Response) {
        reply.reset(MediaType::Json);
        reply.status = self.status;
        if let Some(seconds) = self.retry_after {
            reply.header("retry-after", &seconds.to_string());
        }
        let (kind, message) = (self.kind, self.message.as_str());
        let document = if self.is_anthropic {
            json!({ "type": "error", "error": { "type": kind, "message": message } })
        } else {
            json!({ "error": { "message": message, "type": kind, "code": self.status } })
        };
        reply.json(&document);
    }
}

impl TokenRequest {
    /// Reads a request: the bytes of its head, and its body.
    pub fn read(
        route: Route,
        head: &RequestHead,
        bytes: &[u8],
        body: &[u8],
        laws: &TokenLaws,
    ) -> Result<Self, TokenRefusal> {
        let api = match route {
            Route::ChatCompletions => TokenApi::Chat,
            Route::Completions => TokenApi::Completions,
            Route::Responses => TokenApi::Responses,
            _ => TokenApi::Messages,
        };
        let refuse = |message: String| refusal(api, 400, message, None);
        let query = query(head, bytes);
        let settings = TokenSettings::read(QueryString(&query), laws)
            .map_err(|QueryError(message)| refuse(message))?;
        if let Some(status) = settings.status {
            let message = format!("status {status}, as the request says");
            return Err(refusal(api, status, message, Some(settings.retry_after)));
        }
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| refuse(format!("the body is not JSON: {error}")))?;
        let prompt = match api {
            TokenApi::Completions => "prompt",
            TokenApi::Responses => "input",
            TokenApi::Chat | TokenApi::Messages => "messages",
        };
        let prompt = body.get(prompt).ok_or_else(|| refuse(format!("`{prompt}` is missing")))?;
        if api == TokenApi::Completions && settings.tool > 0 {
            return Err(refuse("completions have no tool calls".to_owned()));
        }
        let max_tokens = ["max_completion_tokens", "max_output_tokens", "max_tokens"]
            .iter()
            .find_map(|name| body.get(name))
            .filter(|value| !value.is_null())
            .map(|value| {
                let tokens =
                    value.as_u64().filter(|tokens| (1..=TokenCounts::MAX).contains(tokens));
                tokens.ok_or_else(|| {
                    refuse(format!("`max_tokens` must be from 1 to {}", TokenCounts::MAX))
                })
            })
            .transpose()?;
        let is_true = |value: Option<&Value>| value.and_then(Value::as_bool) == Some(true);
        Ok(Self {
            api,
            settings,
            model: body.get("model").and_then(Value::as_str).unwrap_or("manada").to_owned(),
            is_streamed: is_true(body.get("stream")),
            includes_usage: is_true(body.pointer("/stream_options/include_usage")),
            max_tokens,
            ignores_eos: is_true(body.get("ignore_eos")),
            prompt_tokens: words(prompt),
        })
    }
}

fn refusal(api: TokenApi, status: u16, message: String, retry_after: Option<u64>) -> TokenRefusal {
    let kind = match status {
        429 => "rate_limit_error",
        500.. => "overloaded_error",
        _ => "invalid_request_error",
    };
    let is_anthropic = api == TokenApi::Messages;
    TokenRefusal { status, kind, message, retry_after, is_anthropic }
}

/// The query of a request, and after it the headers `manada-KEY: VALUE`.
fn query(head: &RequestHead, bytes: &[u8]) -> String {
    // httparse accepts only UTF-8.
    let target = std::str::from_utf8(&bytes[head.target.clone()]).unwrap_or("/");
    let mut query = target.split_once('?').map_or("", |(_, query)| query).to_owned();
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    // It was parsed before, by the same rules.
    let _ = request.parse(bytes);
    for header in request.headers.iter() {
        let Some(prefix) = header.name.get(..7) else { continue };
        if prefix.eq_ignore_ascii_case("manada-") {
            let name = header.name[7..].to_ascii_lowercase().replace('-', "_");
            query.extend(["&", &name, "=", &String::from_utf8_lossy(header.value)]);
        }
    }
    query
}

/// The number of words in all texts of a prompt but the names of roles: a word is a token.
fn words(prompt: &Value) -> u64 {
    match prompt {
        Value::String(text) => text.split_whitespace().count() as u64,
        Value::Array(parts) => parts.iter().map(words).sum(),
        Value::Object(members) => {
            let texts = members.iter().filter(|(name, _)| ["content", "text"].contains(&&***name));
            texts.map(|(_, value)| words(value)).sum()
        }
        // A prompt may consist of numbers of tokens.
        Value::Number(_) => 1,
        Value::Null | Value::Bool(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::head;
    use super::*;

    fn read(route: Route, target: &str, body: &str) -> Result<TokenRequest, TokenRefusal> {
        let text = format!("POST {target} HTTP/1.1\r\nhost: h\r\nManada-Per-Chunk: 3\r\n\r\n");
        let head = head::parse(text.as_bytes()).unwrap().unwrap();
        TokenRequest::read(route, &head, text.as_bytes(), body.as_bytes(), &TokenLaws::default())
    }

    #[test]
    fn bodies_of_all_apis_are_read() {
        let chat = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},
            "max_completion_tokens":5,"ignore_eos":true,"messages":[
            {"role":"system","content":"be brief"},
            {"role":"user","content":[{"type":"text","text":"one two three"}]}]}"#;
        let request = read(Route::ChatCompletions, "/v1/chat/completions?tokens=9", chat).unwrap();
        assert_eq!((request.api, request.model.as_str()), (TokenApi::Chat, "m"));
        assert!(request.is_streamed && request.includes_usage && request.ignores_eos);
        assert_eq!((request.max_tokens, request.prompt_tokens), (Some(5), 5));
        assert_eq!(request.settings.per_chunk, 3, "from a header");
        let plain = r#"{"prompt":"one two","max_tokens":null}"#;
        let request = read(Route::Completions, "/v1/completions", plain).unwrap();
        assert_eq!((request.max_tokens, request.prompt_tokens), (None, 2));
        assert!(!request.is_streamed && !request.includes_usage);
    }

    #[test]
    fn refusals_are_in_the_words_of_the_api() {
        let mut reply = Response::new();
        for (route, target, body, status, part) in [
            (Route::ChatCompletions, "/", "{", 400, "\"type\":\"invalid_request_error\""),
            (Route::ChatCompletions, "/", "{}", 400, "`messages` is missing"),
            (Route::Completions, "/", "{\"prompt\":\"\",\"max_tokens\":0}", 400, "max_tokens"),
            (Route::Messages, "/?gap=x", "{}", 400, "{\"type\":\"error\",\"error\":"),
            (Route::Messages, "/?status=529", "{}", 529, "\"type\":\"overloaded_error\""),
            (Route::ChatCompletions, "/?status=429&retry_after=7", "", 429, "rate_limit_error"),
        ] {
            read(route, target, body).unwrap_err().fill(&mut reply);
            let text = String::from_utf8_lossy(&reply.body);
            assert!(reply.status == status && text.contains(part), "{target}: {text}");
        }
        assert_eq!(reply.headers, b"retry-after: 7\r\n");
    }
}

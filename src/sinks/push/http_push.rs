//! Requests to a receiver over HTTP.
//!
//! Senders of batches use it.
//! Invariant: a request takes a bounded time, follows no redirect, and reads a bounded part of the
//! response. No message shows the credentials of the URL.

use std::io;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};

use super::delivery::SendResult;
use crate::clock;
use crate::printable::printable;
use crate::side_client::{cause, side_client};

/// The timeout of a request.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest part of a response that is read, bytes.
pub(in crate::sinks) const MOST: usize = 64 << 10;

/// The longest part of a response that a message quotes, characters.
const QUOTED: usize = 200;

/// The name of the program, for the header `User-Agent`.
pub(in crate::sinks) const AGENT: &str = concat!("manada/", env!("CARGO_PKG_VERSION"));

/// A receiver.
pub(in crate::sinks) struct HttpPush {
    /// With credentials: `reqwest` makes a header of them.
    url: Url,
    headers: HeaderMap,
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
}

/// A response of a receiver.
pub(in crate::sinks) struct PushResponse {
    pub(in crate::sinks) status: StatusCode,
    pub(in crate::sinks) headers: HeaderMap,
    /// Its beginning: at most [`MOST`] bytes.
    pub(in crate::sinks) body: Vec<u8>,
}

impl HttpPush {
    /// Prepares requests to `url` with these headers in addition.
    ///
    /// # Errors
    /// If the system provides no runtime, or no roots of trust.
    pub(in crate::sinks) fn new(url: Url, headers: HeaderMap) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let http = side_client(url.as_str(), TIMEOUT).map_err(io::Error::other)?;
        Ok(Self { url, headers, runtime, http })
    }

    /// Posts a body to the URL.
    ///
    /// # Errors
    /// Why there is no response, as text.
    pub(in crate::sinks) fn post(
        &self,
        headers: &[(HeaderName, &'static str)],
        body: Vec<u8>,
    ) -> Result<PushResponse, String> {
        self.send(Method::POST, self.url.clone(), headers, body, MOST)
    }

    /// Sends a body to a URL of the receiver, and reads up to `most` bytes of the response.
    ///
    /// # Errors
    /// Why there is no response, as text.
    pub(in crate::sinks) fn send(
        &self,
        method: Method,
        url: Url,
        headers: &[(HeaderName, &'static str)],
        body: Vec<u8>,
        most: usize,
    ) -> Result<PushResponse, String> {
        let mut all = self.headers.clone();
        for (name, value) in headers {
            all.insert(name, HeaderValue::from_static(value));
        }
        self.runtime.block_on(async {
            let request = self.http.request(method, url).headers(all).body(body);
            let mut response = request.send().await.map_err(|error| cause(&error))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let mut body = Vec::new();
            while body.len() < most
                && let Some(chunk) = response.chunk().await.map_err(|error| cause(&error))?
            {
                body.extend_from_slice(&chunk[..chunk.len().min(most - body.len())]);
            }
            Ok(PushResponse { status, headers, body })
        })
    }
}

impl PushResponse {
    /// What became of a batch: 2xx have taken it, 429 and 5xx may take it later, all else never
    /// will.
    pub(in crate::sinks) fn result(&self) -> SendResult {
        let status = self.status;
        if status.is_success() && self.is_page() {
            let why = "its response is a page of HTML; is the URL right?".to_owned();
            return SendResult::Rejected(why);
        }
        if status.is_success() {
            return SendResult::Delivered;
        }
        let why = why(&status.to_string(), &String::from_utf8_lossy(&self.body));
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            SendResult::Retry(self.retry_after(), why)
        } else {
            SendResult::Rejected(why)
        }
    }

    /// Whether it is a page for people, such as one to log in: no receiver responds so.
    fn is_page(&self) -> bool {
        let media = self.headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok());
        media.is_some_and(|media| media.trim_start().starts_with("text/html"))
    }

    /// The pause that the receiver demands, given in seconds or as a date.
    pub(in crate::sinks) fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        match text.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(clock::wall()).ok(),
        }
    }
}

/// Why a request failed: a status, and the beginning of what a receiver tells about it.
pub(in crate::sinks) fn why(status: &str, text: &str) -> String {
    let text: String = printable(text.trim()).chars().take(QUOTED).collect();
    if text.is_empty() { status.to_owned() } else { format!("{status}: {text}") }
}

/// The URL of a receiver that an option names. `expected`: what it should be, with an example.
///
/// # Errors
/// If it is no URL of HTTP.
pub(in crate::sinks) fn receiver_url(option: &str, url: &str, expected: &str) -> io::Result<Url> {
    let parsed = Url::parse(url).ok();
    let parsed = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    parsed.ok_or_else(|| wrong(format!("{option} expects {expected}")))
}

/// An error of an option.
pub(in crate::sinks) fn wrong(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// A URL for messages: without its credentials, and without its query, which may have some.
pub(in crate::sinks) fn shown_url(url: &Url) -> String {
    let mut shown = url.clone();
    // Both fail only for URLs without a host, which have no credentials.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.to_string()
}

/// Headers of a variable, as `name=value,name=value`, the form that OpenTelemetry uses. Values may
/// be percent-encoded.
///
/// # Errors
/// What is wrong, without the value.
pub(in crate::sinks) fn variable_headers(variable: &str, text: &str) -> io::Result<HeaderMap> {
    headers(text).map_err(|why| wrong(format!("{variable}: {why}")))
}

/// Headers in that form.
///
/// # Errors
/// What is wrong, without the value.
pub(in crate::sinks) fn headers(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = name.trim();
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let (Ok(known), false) = (parsed, value.is_empty()) else {
            return Err("expected `name=value`, separated by commas".to_owned());
        };
        let value: Vec<u8> = percent_decode_str(value.trim()).collect();
        let Ok(mut value) = HeaderValue::from_bytes(&value) else {
            return Err(format!("the value of `{name}` is no value of a header"));
        };
        value.set_sensitive(true);
        headers.append(known, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_from_one_text_and_errors_do_not_show_values() {
        let parsed = headers("authorization=Bearer%20a%2Cb, x-tenant=1%zz").unwrap();
        assert_eq!(parsed["authorization"], "Bearer a,b");
        assert_eq!(parsed["x-tenant"], "1%zz");
        for bad in ["authorization", "=x", "a b=c", "x=", "x=secret%0Aevil"] {
            let error = headers(bad).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn messages_do_not_show_credentials() {
        let url = Url::parse("https://user:pa%2Fss@h:9/api?x=1").unwrap();
        assert_eq!(shown_url(&url), "https://h:9/api");
    }
}

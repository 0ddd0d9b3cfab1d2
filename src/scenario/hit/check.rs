//! Checks the options of `hit`, each under the name of its flag.
//!
//! Invariant: accepted options can be sent and measure something.

use std::time::Duration;

use crate::plan::load::OPEN_END;
use crate::scenario::hit::options::{DURATION, HitOptions};
use crate::scenario::nouns::stages::MAX_USERS;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::header;
use crate::scenario::syntax::mistake::truncate;

/// The methods of RFC 9110 §9 and RFC 5789, accepted in any letter case.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Returns the method to send: a known one in capitals, others as given.
pub(crate) fn method(hit: &HitOptions) -> String {
    let is_prompt = hit.stream.is_some() && hit.body.is_some();
    let text = hit.method.as_deref().unwrap_or(if is_prompt { "POST" } else { "GET" });
    let known = METHODS.into_iter().find(|known| known.eq_ignore_ascii_case(text));
    known.unwrap_or(text).to_owned()
}

/// Reports invalid options.
pub(crate) fn check(diagnostics: &mut Diagnostics, hit: &HitOptions) {
    let mut report = |flag: &str, message: String, expected: &str| {
        diagnostics.global_mistake(flag, message).expected(expected);
    };
    if let Some(connections) = hit.connections.filter(|count| !(1..=MAX_USERS).contains(count)) {
        let message = format!("invalid number of connections: {connections}");
        report("--connections", message, "a whole number from 1 to 10000000");
    }
    let too_long = |duration: Duration| duration >= Duration::from_nanos(OPEN_END);
    if hit.duration.is_some_and(|duration| duration.is_zero() || too_long(duration)) {
        report("--duration", "invalid duration".to_owned(), "a duration above zero, such as 10s");
    }
    if hit.requests == Some(0) {
        report("--requests", "invalid number of requests: 0".to_owned(), "a number above zero");
    }
    if hit.rate.is_some_and(|rate| rate.units() == 0) {
        report("--rate", "invalid rate".to_owned(), "a rate above zero, such as 500/s");
    }
    if hit.timeout.is_some_and(|timeout| timeout.is_zero()) {
        report("--timeout", "invalid timeout".to_owned(), "a duration above zero, such as 30s");
    }
    let end = hit.duration.or(hit.requests.is_none().then_some(DURATION));
    if end.is_some_and(|end| hit.warmup >= end && !end.is_zero()) {
        let message = "the warm-up covers the whole run, nothing is measured".to_owned();
        report("--warmup", message, "a warm-up shorter than the run");
    }
    let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let method = hit.method.as_deref().unwrap_or("GET");
    if method.is_empty() || !method.bytes().all(token) {
        let message = format!("invalid method `{}`", truncate(method));
        report("--method", message, "a method such as GET or POST");
    }
    let hosts = hit.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host"));
    if hosts.count() > 1 {
        // RFC 9112 §3.2: a server responds to such a request with 400.
        report("--header", "duplicate `host` header".to_owned(), "one `Host` header");
    }
    for (name, value) in &hit.headers {
        if let Err(problem) = header::check_name(name) {
            report("--header", problem, "a header such as 'accept: text/html'");
        }
        if !header::is_value(value) {
            let message = format!("a line break or control character in the value of `{name}`");
            report("--header", message, "one line of text");
        }
    }
}

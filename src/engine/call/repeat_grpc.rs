//! A call of gRPC as a command of grpcurl that repeats it.
//!
//! `repeat` calls it.
//! Invariant: as of `repeat`: one line without control characters, and without credentials.

use std::fmt::Write;

use super::curl::quoted;
use super::request::split_line;
use crate::grpc::GrpcCall;
use crate::plan::{Address, Service};
use crate::redact::{MASK, Redactor};

/// Maximum bytes of a message that are looked at.
const MAX: usize = 16 << 10;

/// Headers that grpcurl sends by itself.
const OWN: [&str; 6] = ["host", "user-agent", "content-type", "te", "content-length", "grpc-"];

/// Returns the command that repeats a request.
pub(super) fn line(
    (service, address): (&Service, &Address),
    call: &GrpcCall,
    bytes: &[u8],
    redactor: &Redactor<'_>,
) -> String {
    let mut line = "grpcurl".to_owned();
    if !address.tls {
        line.push_str(" -plaintext");
    } else if service.transport.tls.insecure {
        line.push_str(" -insecure");
    }
    let (headers, message) = parts(bytes);
    for (name, value) in headers {
        let is_own = OWN.iter().any(|own| match own.strip_suffix('-') {
            Some(_) => name.get(..own.len()).is_some_and(|part| part.eq_ignore_ascii_case(own)),
            None => name.eq_ignore_ascii_case(own),
        });
        if !is_own {
            let mut header = format!("{name}: ").into_bytes();
            let is_hidden = redactor.is_sensitive(&name);
            header.extend(if is_hidden { MASK.into() } else { redactor.body(value, "") });
            let _ = write!(line, " -H {}", quoted(&header));
        }
    }
    let json = call.method.request_as_json(message).unwrap_or_default();
    let shown = redactor.body(&json[..json.len().min(MAX)], "application/json");
    let place = match (&service.transport.unix, &service.transport.connect_to) {
        (Some(path), _) => {
            line.push_str(" -unix");
            path.to_string_lossy().into_owned()
        }
        (None, Some((host, port))) => {
            let _ = write!(line, " -authority {}", quoted(address.authority().as_bytes()));
            format!("{host}:{port}")
        }
        // Its own default port is not that of the scheme.
        (None, None) if address.host.contains(':') => {
            format!("[{}]:{}", address.host, address.port)
        }
        (None, None) => format!("{}:{}", address.host, address.port),
    };
    let place = quoted(place.as_bytes());
    let _ = write!(line, " -d {} {place} {}", quoted(&shown), call.method.name);
    line
}

/// What a call does, for a dry run: its method, and its message as JSON.
pub(super) fn describe(call: &GrpcCall, bytes: &[u8], redactor: &Redactor<'_>) -> Vec<String> {
    let json = call.method.request_as_json(parts(bytes).1).unwrap_or_default();
    let shown = redactor.body(&json[..json.len().min(MAX)], "application/json");
    let shown = String::from_utf8_lossy(&shown).into_owned();
    // A stream is opened without a message.
    [call.method.name.clone(), shown].into_iter().filter(|line| !line.is_empty()).collect()
}

/// A header's name and value.
type Header<'b> = (String, &'b [u8]);

/// The headers and the body of a rendered request.
fn parts(bytes: &[u8]) -> (Vec<Header<'_>>, &[u8]) {
    let (mut headers, mut rest) = (Vec::new(), bytes);
    while let Some((line, after)) = split_line(rest) {
        rest = after;
        if line.len() <= 2 {
            break;
        }
        // The request line is no header: what stands before its colon has spaces.
        if let Some(colon) = memchr::memchr(b':', line)
            && !line[..colon].contains(&b' ')
        {
            let name = String::from_utf8_lossy(&line[..colon]).into_owned();
            headers.push((name, line[colon + 1..].trim_ascii()));
        }
    }
    (headers, rest)
}

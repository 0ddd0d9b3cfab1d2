//! A request as a curl command that repeats it.
//!
//! `exemplar` makes it for calls that failed.
//! Invariant: run by a POSIX shell the line sends what was sent, as far as nothing is masked or
//! cut; it is one line without control characters, whatever the bytes.

use super::request::{split_line, target_of};
use crate::plan::transport::{HttpVersion, ProxyKind};
use crate::plan::{Address, Service};
use crate::printable::is_printable;
use crate::redact::{MASK, Redactor};

/// The longest line.
const MAX: usize = 4 << 10;

/// Maximum bytes of a body that are looked at.
const MAX_BODY: usize = 16 << 10;

/// A command that is being put together.
struct CurlCommand<'r> {
    redactor: &'r Redactor<'r>,
    text: String,
    cut: bool,
}

/// Returns the curl command of a request, and whether it was shortened.
pub(crate) fn line(
    service: &Service,
    address: &Address,
    bytes: &[u8],
    redactor: &Redactor<'_>,
) -> (String, bool) {
    let text = "curl -sS -i -g --path-as-is".to_owned();
    let mut line = CurlCommand { redactor, text, cut: false };
    way(&mut line, service, address);
    let (first, mut rest) = split_line(bytes).unwrap_or((bytes, b""));
    let method = String::from_utf8_lossy(first.split(|&byte| byte == b' ').next().unwrap_or(b""));
    let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
    while let Some((header, after)) = split_line(rest) {
        rest = after;
        if header.len() <= 2 {
            break;
        }
        let colon = header.iter().position(|&byte| byte == b':').unwrap_or(header.len());
        let value = header.get(colon + 1..).unwrap_or_default().trim_ascii();
        headers.push((String::from_utf8_lossy(&header[..colon]).into_owned(), value.to_vec()));
    }
    let has = |name: &str| headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    // An empty body is a body, too, if the request has a length.
    let sends = !rest.is_empty() || has("content-length");
    match &*method {
        "GET" if !sends => {}
        "HEAD" if !sends => line.add("-I"),
        method => line.add(&format!("-X {}", quoted(method.as_bytes()))),
    }
    let scheme = if address.tls { "https" } else { "http" };
    let target = target_of(first).unwrap_or("/");
    let url = format!("{scheme}://{}{target}", address.authority());
    line.add(&quoted(redactor.text(&url).as_bytes()));
    for (name, value) in &headers {
        line.header(name, value, address);
    }
    // What curl would add by itself.
    for (name, adds) in [("Accept", true), ("User-Agent", true), ("Content-Type", sends)] {
        if adds && !has(name) {
            line.add(&format!("-H '{name}:'"));
        }
    }
    if rest.len() > 1_000 && !has("Expect") {
        line.add("-H 'Expect:'");
    }
    if sends {
        let of_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let content_type = of_type.map(|(_, value)| String::from_utf8_lossy(value));
        line.body(rest, &content_type.unwrap_or_default());
    }
    (line.text, line.cut)
}

/// How the service is reached, where the URL alone does not say it.
fn way(line: &mut CurlCommand<'_>, service: &Service, address: &Address) {
    let reach = &service.transport;
    match (address.tls, reach.version) {
        (true, HttpVersion::Http1) => line.add("--http1.1"),
        (false, HttpVersion::Http2) => line.add("--http2-prior-knowledge"),
        _ => {}
    }
    if reach.tls.insecure {
        line.add("-k");
    }
    if let Some((host, port)) = &reach.connect_to {
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        line.add(&format!("--connect-to {}", quoted(format!("::{host}:{port}").as_bytes())));
    }
    if let Some(path) = &reach.unix {
        line.add(&format!("--unix-socket {}", quoted(path.to_string_lossy().as_bytes())));
    }
    if let Some(proxy) = &reach.proxy {
        let scheme = if proxy.kind == ProxyKind::Http { "http" } else { "socks5h" };
        let host =
            if proxy.host.contains(':') { format!("[{}]", proxy.host) } else { proxy.host.clone() };
        let url = format!("{scheme}://{host}:{}", proxy.port);
        line.add(&format!("-x {}", quoted(url.as_bytes())));
    }
}

impl CurlCommand<'_> {
    fn add(&mut self, words: &str) {
        if self.text.len() + 1 + words.len() > MAX {
            self.cut = true;
            return;
        }
        self.text.push(' ');
        self.text.push_str(words);
    }

    fn header(&mut self, name: &str, value: &[u8], address: &Address) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let own_host = is("host") && value == address.authority().as_bytes();
        if own_host || is("content-length") || is("proxy-authorization") {
            return;
        }
        let mut header = name.as_bytes().to_vec();
        if value.is_empty() {
            // So curl sends it, and does not leave it out.
            header.push(b';');
        } else {
            header.extend_from_slice(b": ");
            let is_hidden = self.redactor.is_sensitive(name);
            header.extend(if is_hidden { MASK.into() } else { self.redactor.body(value, "") });
        }
        self.add(&format!("-H {}", quoted(&header)));
    }

    fn body(&mut self, body: &[u8], content_type: &str) {
        let shown = self.redactor.body(&body[..body.len().min(MAX_BODY)], content_type);
        self.cut |= body.len() > MAX_BODY;
        let is_text = std::str::from_utf8(&shown).is_ok();
        let mut length = shown.len();
        loop {
            let part = &shown[..length];
            let is_plain = plain(part).is_some();
            let (before, after) = if is_plain {
                (String::new(), format!(" --data-raw {}", quoted(part)))
            } else {
                (format!("printf '{}' | ", octal(part)), " --data-binary @-".to_owned())
            };
            if length == 0 || before.len() + self.text.len() + after.len() <= MAX {
                self.text = format!("{before}{}{after}", self.text);
                return;
            }
            self.cut = true;
            length = length * 3 / 4;
            // Half a character would make bytes of a text.
            while length > 0 && is_text && shown[length] & 0xc0 == 0x80 {
                length -= 1;
            }
        }
    }
}

/// A text that a terminal shows as it is.
fn plain(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| text.chars().all(is_printable))
}

/// Bytes as one word of a POSIX shell.
pub(super) fn quoted(bytes: &[u8]) -> String {
    match plain(bytes) {
        Some(text) => format!("'{}'", text.replace('\'', r"'\''")),
        None => format!("\"$(printf '{}')\"", octal(bytes)),
    }
}

/// Bytes as a format of `printf`, between single quotes.
pub(super) fn octal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str(r"\\"),
                '%' => out.push_str("%%"),
                '\'' => out.push_str(r"'\''"),
                // A format that begins with it would be an option.
                '-' if out.is_empty() => out.push_str(r"\055"),
                c if is_printable(c) => out.push(c),
                c => {
                    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                        let _ = write!(out, "\\{byte:03o}");
                    }
                }
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(out, "\\{byte:03o}");
        }
    }
    out
}

//! A response on its way out: status, headers and body, in reused buffers.
//!
//! `shop` fills it in, `connection` renders and writes it.
//! Invariant: the rendered head always matches the body that follows.

use std::io::Write;

/// A block of filler for bodies that only need a length: `/bytes/{n}`.
pub(super) static FILLER: [u8; 64 << 10] = [b'x'; 64 << 10];

/// The media types of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    Html,
    Text,
    Json,
    Css,
    Script,
    Bytes,
}

/// The state of the connection after this response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterResponse {
    /// Kept open, the default of HTTP/1.1.
    Keep,
    /// Kept open, with a header that tells an HTTP/1.0 client so.
    KeepSaid,
    /// Closed.
    Close,
}

/// A response.
#[derive(Debug)]
pub(super) struct Response {
    pub status: u16,
    pub kind: MediaType,
    /// Additional headers, each with its line end.
    pub headers: Vec<u8>,
    pub body: Vec<u8>,
    /// Bytes of filler after the body.
    pub filler: usize,
}

impl Response {
    pub fn new() -> Self {
        let (headers, body) = (Vec::new(), Vec::new());
        Self { status: 200, kind: MediaType::Text, headers, body, filler: 0 }
    }

    /// Resets the response; buffers that a long response enlarged are shrunk.
    pub fn reset(&mut self, kind: MediaType) {
        self.status = 200;
        self.kind = kind;
        self.headers.clear();
        self.body.clear();
        self.body.shrink_to(64 << 10);
        self.filler = 0;
    }

    /// Fills in a response that consists of its status text.
    pub fn fill_status(&mut self, status: u16) {
        self.reset(MediaType::Text);
        self.status = status;
        self.text(reason(status));
        self.text("\n");
    }

    /// Fills in a response whose body says what is wrong.
    pub fn fill_error(&mut self, status: u16, text: &str) {
        self.reset(MediaType::Text);
        self.status = status;
        self.text(text);
        self.text("\n");
    }

    /// Appends text to the body.
    pub fn text(&mut self, text: &str) {
        self.body.extend_from_slice(text.as_bytes());
    }

    /// Appends a number to the body.
    pub fn number(&mut self, number: u64) {
        self.text(itoa::Buffer::new().format(number));
    }

    /// Appends a string to the body as JSON, quotes included.
    pub fn json(&mut self, value: &(impl serde::Serialize + ?Sized)) {
        // Writing JSON text into memory cannot fail.
        let _ = serde_json::to_writer(&mut self.body, value);
    }

    /// Adds a header.
    pub fn header(&mut self, name: &str, value: &str) {
        let _ = write!(self.headers, "{name}: {value}\r\n");
    }

    /// Appends head and body to `out`; returns the bytes of filler that must follow.
    pub fn render(&self, out: &mut Vec<u8>, after: AfterResponse, head_only: bool) -> usize {
        let bodiless = matches!(self.status, 204 | 304);
        if self.status == 200 {
            out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        } else {
            let _ = write!(out, "HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        }
        if !bodiless {
            out.extend_from_slice(self.kind.line());
            out.extend_from_slice(b"content-length: ");
            let length = self.body.len() + self.filler;
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(&self.headers);
        out.extend_from_slice(match after {
            AfterResponse::Keep => b"\r\n",
            AfterResponse::KeepSaid => b"connection: keep-alive\r\n\r\n",
            AfterResponse::Close => b"connection: close\r\n\r\n",
        });
        if head_only || bodiless {
            return 0;
        }
        out.extend_from_slice(&self.body);
        self.filler
    }
}

impl MediaType {
    const fn line(self) -> &'static [u8] {
        match self {
            Self::Html => b"content-type: text/html; charset=utf-8\r\n",
            Self::Text => b"content-type: text/plain; charset=utf-8\r\n",
            Self::Json => b"content-type: application/json\r\n",
            Self::Css => b"content-type: text/css\r\n",
            Self::Script => b"content-type: text/javascript\r\n",
            Self::Bytes => b"content-type: application/octet-stream\r\n",
        }
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        417 => "Expectation Failed",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "As Asked",
    }
}

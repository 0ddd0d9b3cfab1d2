//! Which parts of a response to capture, and the captured parts.
//!
//! `engine` fills in the request for them; the readers of both HTTP versions fill in the result.
//! Invariant: nothing is captured that was not requested; buffers are reused from call to call.

use crate::stats::FailureKind;
use crate::wire::body::bodies::CapturedBody;

/// Which parts of one response the reader captures.
#[derive(Clone, Copy, Debug)]
pub struct CaptureRequest {
    /// The request was HEAD: no body follows, whatever the head says.
    pub head_request: bool,
    /// Maximum bytes of body accepted.
    pub max_body: u64,
    /// Capture the header block.
    pub keep_head: bool,
    /// Capture the body, and the header block, which says how to decode it.
    pub keep_body: bool,
    /// Capture the header block of a response that sets a cookie.
    pub cookies: bool,
    /// Capture the header block of a redirect.
    pub location: bool,
    /// Capture the header block of a response with Retry-After semantics (429, 503).
    pub retry_after: bool,
}

/// The captured parts of a response; its buffers are reused from call to call.
#[derive(Debug, Default)]
pub struct ResponseCapture {
    /// The header block after the status line.
    pub head: Vec<u8>,
    /// The body, unchunked.
    pub body: CapturedBody,
    /// The response sets a cookie, and cookies were requested.
    pub sets_cookie: bool,
    /// The body was captured and has a content coding.
    pub encoded: bool,
    /// Parts that few responses have. Boxed: every user's task holds a `ResponseCapture`.
    pub(in crate::wire) rare: Option<Box<RareParts>>,
    /// Progress of the exchange; also filled in if the exchange is cancelled half-way.
    pub progress: ExchangeProgress,
}

/// Captured parts that few responses have.
#[derive(Debug, Default)]
pub struct RareParts {
    /// Why the content codings of the captured body could not be decoded; the body is as received.
    pub undecodable: Option<FailureKind>,
    /// The captured body as UTF-8, if it is in another charset or begins with a byte order mark.
    pub text: Option<CapturedBody>,
    /// Details of why a redirect was not followed, beside its kind.
    pub not_followed: Option<String>,
}

impl ResponseCapture {
    /// The body as text: UTF-8, or the bytes as received if the charset is unknown.
    pub fn text(&self) -> &[u8] {
        self.rare.as_ref().and_then(|rare| rare.text.as_ref()).map_or(&self.body, |text| text)
    }

    /// Why the content codings of the body could not be decoded.
    pub fn undecodable(&self) -> Option<FailureKind> {
        self.rare.as_ref()?.undecodable
    }

    /// Details of why a redirect was not followed, beside its kind.
    pub fn not_followed(&self) -> Option<&str> {
        self.rare.as_ref()?.not_followed.as_deref()
    }

    /// Returns the rare parts, to be set.
    pub fn rare(&mut self) -> &mut RareParts {
        self.rare.get_or_insert_default()
    }

    /// Clears the rare parts of an earlier response's body.
    pub fn forget_body(&mut self) {
        if let Some(rare) = &mut self.rare {
            (rare.undecodable, rare.text) = (None, None);
        }
    }

    /// Clears why an earlier redirect was not followed.
    pub fn forget_redirect(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.not_followed = None;
        }
    }

    /// Returns the value of the first captured header of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.split(|&byte| byte == b'\n').find_map(|line| {
            let (own, rest) = line.split_at_checked(name.len())?;
            let value = rest.strip_prefix(b":")?;
            own.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
        })
    }
}

/// Progress of an exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExchangeProgress {
    /// Whether the connection is open by now; `None` if no new one was needed.
    pub connecting: Option<bool>,
    /// Whether the last byte of the request was handed to the kernel.
    pub sent: bool,
    /// Bytes handed to the kernel.
    pub bytes_sent: u64,
    /// Bytes read.
    pub bytes_received: u64,
}

impl CaptureRequest {
    /// Captures nothing.
    pub const NOTHING: Self = Self {
        head_request: false,
        max_body: 0,
        keep_head: false,
        keep_body: false,
        cookies: false,
        location: false,
        retry_after: false,
    };

    /// Whether the header block of a response is captured because of its status or unconditionally.
    pub fn head_of(&self, status: u16) -> bool {
        self.keep_head
            || self.keep_body
            || self.location && status / 100 == 3
            || self.retry_after && matches!(status, 429 | 503)
    }
}

//! What is wanted of an answer, and what was kept of it.
//!
//! `engine` says what it wants, the readers of both versions of HTTP fill it in.
//! Invariant: nothing is kept that nobody asked for; buffers are reused from call to call.

use super::bodies::KeptBody;
use crate::stats::FailureKind;

/// What is asked of the reader for one answer.
#[derive(Clone, Copy, Debug)]
pub struct CaptureRequest {
    /// The request was HEAD: whatever the head says, no body follows.
    pub head_request: bool,
    /// The most bytes of body accepted.
    pub max_body: u64,
    /// Keep the header block.
    pub keep_head: bool,
    /// Keep the body, and the header block, which says how to read it.
    pub keep_body: bool,
    /// Keep the header block of an answer that sets a cookie.
    pub cookies: bool,
    /// Keep the header block of an answer that points elsewhere.
    pub location: bool,
    /// Keep the header block of an answer that asks for patience (429, 503).
    pub retry_after: bool,
}

/// What was kept of an answer; its buffers are reused from call to call.
#[derive(Debug, Default)]
pub struct ResponseCapture {
    /// The header block after the status line.
    pub head: Vec<u8>,
    /// The body, unchunked.
    pub body: KeptBody,
    /// The answer sets a cookie, and somebody wants it.
    pub sets_cookie: bool,
    /// The body was kept and is encoded.
    pub encoded: bool,
    /// What few responses have. Boxed: every user's task has room for a `Kept`.
    pub(super) rare: Option<Box<RareParts>>,
    /// What the exchange has come to so far; told also of one that is given up half-way.
    pub progress: ExchangeProgress,
}

/// What few responses have.
#[derive(Debug, Default)]
pub struct RareParts {
    /// Why the content codings of the body that was kept could not be undone: it is as it came.
    pub undecodable: Option<FailureKind>,
    /// The body that was kept as UTF-8, where it is in another charset or begins with a mark.
    pub text: Option<KeptBody>,
    /// What is known of why a redirect was not followed, beside its kind.
    pub not_followed: Option<String>,
}

impl ResponseCapture {
    /// The body for what looks at it as text: UTF-8, or bytes of an unknown charset as they came.
    pub fn text(&self) -> &[u8] {
        self.rare.as_ref().and_then(|rare| rare.text.as_ref()).map_or(&self.body, |text| text)
    }

    /// Why the content codings of the body could not be undone.
    pub fn undecodable(&self) -> Option<FailureKind> {
        self.rare.as_ref()?.undecodable
    }

    /// What is known of why a redirect was not followed, beside its kind.
    pub fn not_followed(&self) -> Option<&str> {
        self.rare.as_ref()?.not_followed.as_deref()
    }

    /// What few responses have, to be set.
    pub fn rare(&mut self) -> &mut RareParts {
        self.rare.get_or_insert_default()
    }

    /// Forgets what the body of an earlier response was.
    pub fn forget_body(&mut self) {
        if let Some(rare) = &mut self.rare {
            (rare.undecodable, rare.text) = (None, None);
        }
    }

    /// Forgets why an earlier redirect was not followed.
    pub fn forget_redirect(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.not_followed = None;
        }
    }

    /// The value of the first header of this name (lower case) in what was kept of the head.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.split(|&byte| byte == b'\n').find_map(|line| {
            let (own, rest) = line.split_at_checked(name.len())?;
            let value = rest.strip_prefix(b":")?;
            own.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
        })
    }
}

/// What an exchange has put on the wire so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExchangeProgress {
    /// It had to open a connection, and whether it has.
    pub connecting: Option<bool>,
    /// The last byte of the request was handed to the kernel.
    pub sent: bool,
    /// Bytes handed to the kernel.
    pub bytes_sent: u64,
    /// Bytes read.
    pub bytes_received: u64,
}

impl CaptureRequest {
    /// Nothing is kept.
    pub const NOTHING: Self = Self {
        head_request: false,
        max_body: 0,
        keep_head: false,
        keep_body: false,
        cookies: false,
        location: false,
        retry_after: false,
    };

    /// Whether the header block of an answer of this status is wanted for its status alone.
    pub fn head_of(&self, status: u16) -> bool {
        self.keep_head
            || self.keep_body
            || self.location && status / 100 == 3
            || self.retry_after && matches!(status, 429 | 503)
    }
}

//! Which parts of a response to capture.
//!
//! `engine` fills it in; the readers of both HTTP versions follow it.
//! Invariant: whether a body follows in the usual way is one branch for each response.

use crate::wire::tokens::streamed::StreamedFormat;

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
    /// Which response is taken over by a stream.
    pub takes_over: TakesOver,
    /// How the body of a response with status 2xx is observed as it comes; `None`: not at all.
    pub observes: Option<StreamedFormat>,
}

/// Which response ends at its head, because a stream takes over what follows. Its header block is
/// captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TakesOver {
    /// None.
    #[default]
    Nothing,
    /// One with status 101: the connection speaks another protocol from then on.
    Upgrade,
    /// One with status 200: its body is read as it comes.
    Body,
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
        takes_over: TakesOver::Nothing,
        observes: None,
    };

    /// Whether a body follows a head in the usual way: neither to a HEAD request, nor for a stream
    /// or an observer.
    #[inline]
    pub(in crate::wire) const fn reads_body(&self) -> bool {
        // Without a branch between them: this is asked for each response.
        !(self.head_request
            | !matches!(self.takes_over, TakesOver::Nothing)
            | self.observes.is_some())
    }

    /// Whether the data of a body is kept or observed.
    #[inline]
    pub(in crate::wire) const fn uses_body(&self) -> bool {
        self.keep_body | self.observes.is_some()
    }

    /// Whether the header block of a response is captured because of its status or unconditionally.
    pub fn head_of(&self, status: u16) -> bool {
        self.keep_head
            || self.keep_body
            || self.location && status / 100 == 3
            || self.retry_after && matches!(status, 429 | 503)
    }
}

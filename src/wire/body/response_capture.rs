//! The captured parts of a response.
//!
//! The readers of both HTTP versions fill them in, as `capture_request` says.
//! Invariant: nothing is captured that was not requested; buffers are reused from call to call.

use crate::clock::Time;
use crate::stats::FailureKind;
use crate::wire::body::bodies::{BudgetExhausted, CapturedBody};
use crate::wire::body::capture_request::CaptureRequest;
use crate::wire::taken::TakenResponse;
use crate::wire::tokens::observer::TokenObserver;
use crate::wire::tokens::streamed::StreamedResponse;

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
    /// How long the login of a new connection took, ns.
    pub(in crate::wire) login_ns: Option<u64>,
    /// What a stream takes over.
    pub(in crate::wire) taken: Option<TakenResponse>,
    /// What was observed of the body.
    pub(in crate::wire) streamed: Option<StreamedResponse>,
    /// The observer of the body.
    pub(in crate::wire) observer: Option<TokenObserver>,
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

    /// Takes how long the login of the connection took that the exchange opened, ns; `None` if it
    /// opened none, or a connection without a login.
    pub fn take_login_ns(&mut self) -> Option<u64> {
        self.rare.as_mut()?.login_ns.take()
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

    /// Whether a stream can be opened on what follows the head: see `Wire::open_stream`.
    pub fn is_taken_over(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.taken.is_some())
    }

    /// Ends the observation of the body; `is_whole`: the response is complete. `None` if the
    /// request did not ask for it, or the status is not 2xx.
    pub fn end_observing(&mut self, is_whole: bool) -> Option<&StreamedResponse> {
        let rare = self.rare.as_mut()?;
        rare.streamed = Some(rare.observer.take()?.end(is_whole));
        rare.streamed.as_ref()
    }

    /// What was observed of the body; `None` if nothing was.
    pub fn streamed(&self) -> Option<&StreamedResponse> {
        self.rare.as_ref()?.streamed.as_ref()
    }

    /// Begins to observe the body of a response with this status.
    pub(in crate::wire) fn begin_observing(
        &mut self,
        request: &CaptureRequest,
        status: u16,
        is_encoded: bool,
    ) {
        if let Some(format) = request.observes {
            let is_success = status / 100 == 2;
            self.rare().observer = is_success.then(|| TokenObserver::new(format, is_encoded));
        }
    }

    /// Keeps and observes data of the body that the read at `now` brought, as requested.
    pub(in crate::wire) fn take_data(
        &mut self,
        request: &CaptureRequest,
        now: Time,
        data: &[u8],
    ) -> Result<(), BudgetExhausted> {
        if let Some(observer) = self.rare.as_mut().and_then(|rare| rare.observer.as_mut())
            && request.observes.is_some()
        {
            observer.feed(now, data);
        }
        if request.keep_body { self.body.push(data) } else { Ok(()) }
    }

    /// What a stream takes over.
    pub(in crate::wire) fn taken_mut(&mut self) -> Option<&mut TakenResponse> {
        self.rare.as_mut()?.taken.as_mut()
    }

    /// Takes what a stream takes over; without a stream its connection closes.
    pub(in crate::wire) fn take_over(&mut self) -> Option<TakenResponse> {
        self.rare.as_mut()?.taken.take()
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

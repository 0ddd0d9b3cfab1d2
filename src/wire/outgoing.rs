//! A rendered request on its way to an exchange.
//!
//! `engine::attempt` builds one for each attempt.
//! Invariant: it borrows all it holds, so an attempt allocates nothing for it.

use std::rc::Rc;

use crate::clock::RunOffset;
use crate::ids::ServiceId;
use crate::plan::operation::Operation;
use crate::stats::{AttemptOutcome, AttemptPhase};
use crate::wire::body::capture_request::{CaptureRequest, TakesOver};
use crate::wire::deadline::CallDeadline;
use crate::wire::link::emulated_link::EmulatedLink;

/// A rendered request, and which parts of its response to capture.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The service of the request.
    pub service: ServiceId,
    /// Head and body.
    pub bytes: &'a [u8],
    /// Which parts of the response to capture.
    pub capture: &'a CaptureRequest,
    /// What the call does over another protocol than HTTP; `None`: it is an HTTP request.
    pub operation: Option<&'a Operation>,
    /// Whether the request may be sent twice without harm.
    pub idempotent: bool,
    /// Number of the user or arrival; it selects the local address.
    pub user: u64,
    /// The user's emulated link; `None` if the user's network is not slower than ours.
    pub link: Option<&'a Rc<EmulatedLink>>,
    /// Number of the request, for a fake target that logs it.
    pub number: u64,
    /// Intended start.
    pub intended: RunOffset,
}

impl Outgoing<'_> {
    /// Whether the request goes over HTTP/1.1, whatever the service speaks: links are emulated over
    /// it only, and only its connections can be upgraded.
    pub(super) fn is_http1_only(&self) -> bool {
        self.link.is_some() || self.capture.takes_over == TakesOver::Upgrade
    }

    /// Waits for one round trip of the user's emulated link, if there is one.
    pub(super) async fn extra_round_trip(
        &self,
        phase: AttemptPhase,
        deadline: &CallDeadline,
    ) -> Result<(), AttemptOutcome> {
        match self.link {
            None => Ok(()),
            // Boxed: the tasks of other users hold no room for it.
            Some(link) => {
                Box::pin(link.round_trip(deadline)).await.map_err(|why| why.outcome(phase))
            }
        }
    }
}

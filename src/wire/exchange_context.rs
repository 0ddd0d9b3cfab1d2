//! What one exchange works with, and what it records.
//!
//! `engine` makes one for each attempt; the clients of `wire` pass a reference to it down, so that
//! a user's task holds one pointer for each layer and not five.
//! Invariant: the exchange is right at each moment, also if it is cancelled half-way.

use crate::stats::Exchange;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::deadline::CallDeadline;
use crate::wire::outgoing::Outgoing;
use crate::wire::slot::ConnectionSlot;

/// What one exchange works with.
#[derive(Debug)]
pub struct ExchangeContext<'a> {
    /// The place of its connection.
    pub slot: &'a mut ConnectionSlot,
    /// The request.
    pub outgoing: &'a Outgoing<'a>,
    /// The deadline of the call.
    pub deadline: &'a CallDeadline,
    /// Receives the captured parts of the response.
    pub capture: &'a mut ResponseCapture,
    /// What is measured. It begins as [`Exchange::begun`] and is filled in as the exchange goes.
    pub exchange: &'a mut Exchange,
}

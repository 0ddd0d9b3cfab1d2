//! The request of a coordinator that is under way.
//!
//! Invariant: it holds what was sent, so that its reply alone tells what the bus has taken.

use std::sync::Arc;

use crate::clock::Time;
use crate::fleet::protocol::bus::RequestId;
use crate::fleet::protocol::control::ControlRecord;
use crate::fleet::protocol::ledger::FleetSnapshot;
use crate::fleet::protocol::outbox::DeltaPayload;

/// A request that is under way.
pub(super) struct CoordinatorRequest<P: DeltaPayload> {
    pub(super) id: RequestId,
    pub(super) issued: Time,
    pub(super) what: CoordinatorRequestKind<P>,
}

/// What a request is, and what its reply is needed with.
pub(super) enum CoordinatorRequestKind<P: DeltaPayload> {
    Poll,
    WriteControl(Arc<ControlRecord>),
    WriteSnapshot(Arc<FleetSnapshot<P>>),
    ReadSnapshot,
    Trim,
}

//! What happens to a coordinator, and what its driver has to do.
//!
//! The coordinator takes the events and makes the actions.
//! Invariant: actions are carried out in the order in which they come.

use crate::event::ShardCommand;
use crate::fleet::protocol::bus::{BusReply, BusRequest, RequestId};
use crate::fleet::protocol::ledger::{DeclaredLoss, Ledger};
use crate::fleet::protocol::member::Member;
use crate::fleet::protocol::outbox::{DeltaFrame, DeltaPayload};

/// What happens to a coordinator.
#[derive(Clone, Debug)]
pub enum CoordinatorEvent<P: DeltaPayload> {
    /// Time has passed.
    Tick,
    /// A reply of the bus.
    Reply {
        /// The request that it is of.
        id: RequestId,
        /// The reply.
        reply: BusReply<P>,
    },
    /// A command to the engines of all members; see [`Coordinator::has_room`].
    ///
    /// [`Coordinator::has_room`]: super::Coordinator::has_room
    Command(ShardCommand),
    /// End the load; what runs may end.
    Drain,
    /// End the load and cancel what runs.
    Abort,
}

/// What the driver of a coordinator has to do.
#[derive(Clone, Debug)]
pub enum CoordinatorAction<P: DeltaPayload> {
    /// Send a request to the bus.
    Send {
        /// Its number.
        id: RequestId,
        /// The request.
        request: Box<BusRequest<P>>,
    },
    /// Add a frame to the report: each interval of a member comes once.
    Merge {
        /// The member.
        member: Member,
        /// The frame.
        frame: DeltaFrame<P>,
    },
    /// The coordinator has ended; it wants no further event.
    End(Box<CoordinatorEnd<P>>),
}

/// How a coordinator ended.
#[derive(Clone, Debug)]
pub enum CoordinatorEnd<P: DeltaPayload> {
    /// The run is over.
    Done(FleetResult<P>),
    /// Another coordinator leads.
    Fenced,
    /// The run exists already.
    Occupied,
    /// No run appeared while it stood by.
    NoRun,
    /// The bus was away for too long. The result has what was merged until then.
    BusLost(FleetResult<P>),
}

/// What a run measured, and what is missing.
#[derive(Clone, Debug)]
pub struct FleetResult<P: DeltaPayload> {
    /// The account of each member.
    pub ledger: Ledger<P>,
    /// What the accounts lack.
    pub losses: Vec<DeclaredLoss>,
}

//! What happens to an agent, and what its driver has to do.
//!
//! `agent` takes the events and makes the actions.
//! Invariant: actions are carried out in the order in which they come.

use super::bus::{BusReply, BusRequest, RequestId};
use super::control::{FleetCommand, MemberFacts, MemberHealth, MemberRefusal};
use super::member::{FleetTimes, Ordinal};
use super::outbox::DeltaPayload;
use crate::clock::{RunOffset, Time};

/// What an agent is started with.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Its place in the fleet.
    pub ordinal: Ordinal,
    /// Random bits, different for each process.
    pub entropy: u64,
    /// The hash of the plan, as compiled here.
    pub plan: u64,
    /// Times until the control record tells those of the run.
    pub times: FleetTimes,
    /// What the process is.
    pub facts: MemberFacts,
}

/// What happens to an agent.
#[derive(Clone, Debug)]
pub enum AgentEvent<P: DeltaPayload> {
    /// Time has passed.
    Tick,
    /// A reply of the bus.
    Reply {
        /// The request that it is of.
        id: RequestId,
        /// The reply.
        reply: BusReply<P>,
    },
    /// The control record has changed. It is a hint: it may be wrong, or not come.
    Hint,
    /// The engine has prepared the plan.
    Prepared,
    /// The engine measured an interval.
    Measured {
        /// Its end.
        until: RunOffset,
        /// What was measured since the former interval.
        payload: P,
    },
    /// The engine sends nothing more, and its last interval was handed in.
    Finished,
    /// How the process fares, for the fleet's screens.
    Health(MemberHealth),
    /// The process has been asked to end.
    Leave,
}

/// What the driver of an agent has to do.
#[derive(Clone, Debug)]
pub enum AgentAction<P: DeltaPayload> {
    /// Send a request to the bus.
    Send {
        /// Its number.
        id: RequestId,
        /// The request.
        request: Box<BusRequest<P>>,
    },
    /// Let the engine prepare the plan.
    Prepare,
    /// Start the load at this local time.
    Start {
        /// When; it may have passed if the agent joined late.
        at: Time,
    },
    /// Carry out a command of the coordinator. Each comes once, in order.
    Command(FleetCommand),
    /// End the load, then hand in the last interval and `Finished`.
    Stop {
        /// Whether calls that are under way are cancelled.
        cancel: bool,
    },
    /// The agent has ended; it wants no further event.
    End(AgentEnd),
}

/// How an agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentEnd {
    /// The coordinator has everything.
    Closed,
    /// Another process has its ordinal.
    Superseded,
    /// It takes no part.
    Refused(MemberRefusal),
    /// The run ended before its load started.
    NotStarted,
    /// Bus or coordinator were away for too long, or the run ended without it; its journal has what
    /// it measured.
    Abandoned,
}

/// A request that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct AgentRequest {
    pub(super) id: RequestId,
    pub(super) issued: Time,
    pub(super) what: AgentRequestKind,
}

/// What a request is, and what its reply is needed with.
#[derive(Clone, Copy, Debug)]
pub(super) enum AgentRequestKind {
    Look,
    Join { previous_horizon: RunOffset, horizon: RunOffset },
    Beat { horizon: RunOffset },
    Append { generation: u64, last: u64 },
    WriteFinal,
}

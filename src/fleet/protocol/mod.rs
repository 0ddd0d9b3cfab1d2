//! The protocol of a fleet: how a coordinator and agents on many machines run one load, over a bus
//! that may lose, repeat and forget.
//!
//! State machines without sockets and without a clock: events and the time go in, actions come out.
//! A client of the bus and the engine carry them out; `tests/fleet.rs` does so with a seeded
//! simulator of machines, clocks, network and bus.
//! Invariant: of all machines together,
//!
//! 1. No arrival is sent by two agents, whatever clocks, network and bus do (`lease`).
//! 2. What agents measured is counted once, or lies inside a loss that the result declares
//!    (`outbox`, `ledger`).
//! 3. A coordinator that another has replaced changes nothing (`control`).
//! 4. Load ends within the lease after the bus is gone, and within
//!    [`orphan`](FleetTimes::orphan) after the coordinator is gone.
//! 5. Each process ends in bounded time.
//!
//! Only the fourth and the fifth depend on clocks, and only on their rates.
//!
//! What is left out on purpose: elections by votes, logs of our own, replication. The bus orders
//! writes; what it forgets, agents and the leader tell it again. If the bus forgets while there is
//! no coordinator, a run cannot go on: the coordinator that resumes ends it, and collects what
//! agents still have.

mod agent;
mod agent_events;
mod agent_requests;
mod bus;
mod clock_estimate;
mod control;
mod coordinator;
mod heartbeats;
mod lease;
mod ledger;
mod member;
mod outbox;
mod slot_table;

pub use agent::Agent;
pub use agent_events::{AgentAction, AgentConfig, AgentEnd, AgentEvent};
pub use bus::{BusReply, BusRequest, HorizonLimit, PollReply, RequestId};
pub use clock_estimate::{ClockEstimate, DRIFT_PPM};
pub use control::{
    Acknowledgement, ControlRecord, FleetCommand, FleetPhase, Heartbeat, HeartbeatId, MAX_COMMANDS,
    MAX_REASON, MemberFacts, MemberHealth, MemberRefusal, MemberState, Revision,
};
pub use coordinator::Coordinator;
pub use coordinator::config::{FleetConfig, LeaderStart};
pub use coordinator::events::{CoordinatorAction, CoordinatorEnd, CoordinatorEvent, FleetResult};
pub use coordinator::restore::MergedFrames;
pub use lease::{Grant, Lease};
pub use ledger::{DeclaredLoss, FinalCheck, FleetSnapshot, FrameUse, Ledger, MemberAccount};
pub use member::{BusTime, FleetTimes, Incarnation, Member, Ordinal};
pub use outbox::{
    DeltaFrame, DeltaPayload, DeltaStream, FinalState, MAX_ISSUED, MAX_WAITING, Outbox,
};
pub use slot_table::{MAX_TABLES, SlotTable, TableHistory};

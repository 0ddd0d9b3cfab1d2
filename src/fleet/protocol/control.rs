//! The control record: the one value on the bus that steers a fleet.
//!
//! The coordinator that leads writes it, with the revision that it replaces as a condition; agents
//! read it in the transaction of each heartbeat.
//! Invariant: the records of a run form a line: each replaces exactly one other, and its revision
//! is larger. A record of a smaller revision than one already read is not obeyed.
//!
//! Leadership is part of this value, so there is no separate key that expires: a coordinator
//! becomes the leader by replacing the record with one that carries a larger token. The write of a
//! former leader then fails, because the revision that it expects is gone. Expiry of keys runs on
//! the wall clock of the bus, which may be set; here it decides nothing.

use super::member::{BusTime, FleetTimes, Incarnation, Member, Ordinal};
use super::slot_table::SlotTable;
use crate::clock::RunOffset;
use crate::event::ShardCommand;
use crate::host::usage::CpuTime;
use crate::stats::FirstStart;

/// Which control record: first the leader, then the write. The leader takes a number for each write
/// that it issues, so that it can tell afterwards which of them was carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// The token of the leader; each leader has a larger one.
    pub token: u64,
    /// The number of the write; it rises over leaders, too.
    pub number: u64,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FleetPhase {
    /// Agents join.
    Lobby,
    /// Agents prepare the plan.
    Prepare,
    /// The start is set.
    Armed,
    /// The load is on. Agents act as in `Armed`; screens show the difference.
    Running,
    /// No new arrivals; what runs may end.
    Draining,
    /// No new arrivals; what runs is cancelled.
    Aborting,
    /// The result stands.
    Done,
}

impl FleetPhase {
    /// Whether arrivals may be sent.
    pub const fn has_load(self) -> bool {
        matches!(self, Self::Armed | Self::Running)
    }

    /// Whether agents have to end.
    pub const fn is_ending(self) -> bool {
        matches!(self, Self::Draining | Self::Aborting | Self::Done)
    }
}

/// What steers a fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlRecord {
    /// The id of the run.
    pub run: String,
    /// Which record.
    pub revision: Revision,
    /// The coordinator that wrote it: a random number.
    pub leader: u64,
    /// The instance of the bus that it was written to, as far as the leader knew.
    pub instance: u64,
    /// How far the run is.
    pub phase: FleetPhase,
    /// The hash of the plan; agents with another are refused.
    pub plan: u64,
    /// The start of the load; `None` before it is set.
    pub t0: Option<BusTime>,
    /// The shards of each agent; zero before agents prepare the plan.
    pub shards: u16,
    /// The end of the schedule; `NEVER` if only a count ends it.
    pub end: RunOffset,
    /// The latest tables, by epoch.
    pub tables: Vec<SlotTable>,
    /// No arrival intended from here on may be sent before a later record permits it. The leader
    /// moves it ahead of the schedule by [`FleetTimes::orphan`]: so load ends without a leader, and
    /// whatever the bus has forgotten, no agent has got further.
    pub granted_until: RunOffset,
    /// What the coordinator has of each member.
    pub acknowledgements: Vec<Acknowledgement>,
    /// The number of the snapshot that the acknowledgements are about; zero if there is none.
    pub snapshot: u64,
    /// Whether the bus lost some of its state while there was no coordinator: members may have
    /// measured something of which nothing is known.
    pub is_incomplete: bool,
    /// Commands to the engines, in order, until all members have carried them out.
    pub commands: Vec<FleetCommand>,
    /// The number of the last command that there ever was.
    pub last_command: u64,
    /// Members that take no part.
    pub refused: Vec<(Member, MemberRefusal)>,
    /// The times of the protocol.
    pub times: FleetTimes,
}

impl ControlRecord {
    /// What the coordinator has of a member.
    pub fn acknowledgement(&self, member: Member) -> Option<&Acknowledgement> {
        self.acknowledgements.iter().find(|one| one.member == member)
    }

    /// Why a member takes no part; `None` if it does.
    pub fn refusal(&self, member: Member) -> Option<MemberRefusal> {
        self.refused.iter().find(|(refused, _)| *refused == member).map(|(_, why)| *why)
    }
}

/// A command to the engines of all members.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetCommand {
    /// Which one, from one.
    pub number: u64,
    /// The command.
    pub command: ShardCommand,
}

/// The most commands that wait until all members have carried them out.
pub const MAX_COMMANDS: usize = 64;

/// The longest reason of a member that cannot run the plan, bytes.
pub const MAX_REASON: usize = 1_000;

/// What the process of a member is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberFacts {
    /// The name of its machine.
    pub host: String,
    /// The cores that it may use.
    pub cores: u16,
    /// Why it cannot, or may not, run the plan; empty if it can. As bytes: a text of another
    /// machine, at most [`MAX_REASON`] of them.
    pub reason: Vec<u8>,
}

/// How a member fares, as it tells with its heartbeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemberHealth {
    /// Its first start; `None` if there was none.
    pub first_start: Option<FirstStart>,
    /// p99 of its lateness in the last whole second, µs.
    pub lag_us: u64,
    /// The CPU use of its busiest shard in that second, thousandths of a core.
    pub cpu_permille: u64,
    /// Its resident memory, bytes.
    pub rss: u64,
    /// The CPU time of its process since it began.
    pub cpu: CpuTime,
}

/// What the coordinator has of a member's deltas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The member.
    pub member: Member,
    /// Which of its streams is read; a larger one than before asks it to send again.
    pub generation: u64,
    /// The first interval that the stream has to have.
    pub resend_from: u64,
    /// The last interval that is in a snapshot: the member may forget it.
    pub saved: u64,
    /// Whether its final state is in a snapshot, too: the member may end.
    pub closed: bool,
}

/// Why a member takes no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberRefusal {
    /// It compiled another plan.
    OtherPlan,
    /// Its ordinal is not below the number of agents.
    TooMany,
    /// It cannot, or may not, run the plan: its facts say why.
    Unable,
    /// It joined after the load had been divided, and takes over none of it.
    TooLate,
}

/// Which heartbeat of one ordinal, in the order of the bus: a later process has a larger one than
/// all of its predecessors, so it also ends their leases. On the bus it is the id of a stream
/// entry, which has to rise: delayed and repeated heartbeats are refused there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeartbeatId {
    /// The process.
    pub incarnation: Incarnation,
    /// Its heartbeats, from zero.
    pub beat: u64,
}

/// How far a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// In the lobby, or preparing the plan.
    Joined,
    /// The plan is prepared.
    Ready,
    /// It got a request to end and takes no arrivals from its horizon on.
    Leaving,
    /// It sends nothing more, and its intervals are complete.
    Finished,
    /// It cannot, or may not, run the plan.
    Unable,
}

/// What a member tells with each heartbeat.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// The member.
    pub member: Member,
    /// Which of its heartbeats, from zero.
    pub beat: u64,
    /// The latest control record that it has read; `None` if none.
    pub seen: Option<Revision>,
    /// Its time of the run; zero before the start.
    pub at: RunOffset,
    /// It sends no arrival that is intended from here on, before its next heartbeat.
    pub horizon: RunOffset,
    /// No former process of this ordinal sends an arrival that is intended from here on. It is the
    /// horizon of the newest of them, which the first heartbeat replaced and thereby ended.
    pub previous_horizon: RunOffset,
    /// The hash of its plan.
    pub plan: u64,
    /// How far it is.
    pub state: MemberState,
    /// Which of its streams it writes.
    pub generation: u64,
    /// The last interval that this stream has.
    pub appended: u64,
    /// The first interval that it still has; it forgets what is in a snapshot.
    pub kept_from: u64,
    /// How many intervals it measured.
    pub measured: u64,
    /// The error of its estimate of the bus's clock at most, ns.
    pub clock_error: u64,
    /// The last command that it has carried out.
    pub command: u64,
    /// What it is.
    pub facts: MemberFacts,
    /// How it fares.
    pub health: MemberHealth,
}

impl Heartbeat {
    /// Its place in the order of the bus.
    pub fn id(&self) -> HeartbeatId {
        HeartbeatId { incarnation: self.member.incarnation, beat: self.beat }
    }

    /// The bound of the schedule for a process of this ordinal, if this is the ordinal's newest
    /// heartbeat; `None` if the process is newer.
    pub fn bound_of(&self, incarnation: Incarnation) -> Option<RunOffset> {
        match incarnation.cmp(&self.member.incarnation) {
            std::cmp::Ordering::Less => Some(self.previous_horizon),
            std::cmp::Ordering::Equal => Some(self.horizon),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// The ordinal that it is of.
    pub fn ordinal(&self) -> Ordinal {
        self.member.ordinal
    }
}

//! What a fleet needs of its bus: requests, replies, and what each is on Redis.
//!
//! `agent` and `coordinator` make requests and take replies; `fleet::bus` carries them out on Redis
//! from 7.0 on or Valkey.
//! Invariant: a request is one atomic step on the bus. It may be lost, carried out late, or carried
//! out twice: nothing here depends on it being carried out once. Hints may be lost altogether.
//!
//! | request | on Redis, in a `MULTI` unless it is one command or a script |
//! |---|---|
//! | `Look` | `XREVRANGE beat:<i> + - COUNT 1`, `TIME` |
//! | `Join` | after `WATCH beat:<i>` and `XREVRANGE`, as `Beat`: fails if another came between |
//! | `Beat` | `XADD beat:<i> MAXLEN 1 <incarnation>-<beat>`, `GET control`, `TIME`, `INFO server` |
//! | `Append` | `XADD delta:<i>:<incarnation>:<generation> <last interval>-0` |
//! | `WriteFinal` | `SET final:<i>:<incarnation>` |
//! | `Poll` | a script that counts bytes: `GET control`, `XREVRANGE` of all `beat:<i>`, `XRANGE` |
//! | | of streams, `GET` of finals, `TIME`, `INFO server` (its `run_id` is the instance) |
//! | `WriteControl` | a script: compares, then `SET control`, `PUBLISH wake` |
//! | `WriteSnapshot` | a script: compares the token of `control`, and the number of `snapshot` |
//! | `ReadSnapshot` | `GET snapshot` |
//! | `Trim` | `XTRIM delta:… MINID` |
//!
//! An agent needs no scripts, no `PUBLISH` and no right to write `control`.

use std::sync::Arc;

use super::control::{ControlRecord, Heartbeat, HeartbeatId, Revision};
use super::ledger::FleetSnapshot;
use super::member::{BusTime, Incarnation, Member, Ordinal};
use super::outbox::{DeltaFrame, DeltaPayload, DeltaStream, FinalState};
use crate::clock::RunOffset;

/// Tells replies of one process apart: requests have rising numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A condition of a change of slots: the newest heartbeat of a member binds it below a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HorizonLimit {
    /// The member that loses slots.
    pub member: Member,
    /// From when on it loses them: its horizon must not be later.
    pub from: RunOffset,
}

/// A request to the bus.
#[derive(Clone, Debug)]
pub enum BusRequest<P: DeltaPayload> {
    /// Read what a process needs in order to join.
    Look {
        /// Its ordinal.
        ordinal: Ordinal,
    },
    /// Write the first heartbeat of a process.
    Join {
        /// The ordinal's newest heartbeat, which has to be the same still.
        after: Option<HeartbeatId>,
        /// The heartbeat.
        heartbeat: Heartbeat,
    },
    /// Write a heartbeat and read the control record, in one step. If the bus refuses writes but
    /// not reads, the step fails as a whole, and the lease is not renewed.
    Beat {
        /// The heartbeat.
        heartbeat: Heartbeat,
    },
    /// Append a frame; its id is its last interval.
    Append {
        /// The stream.
        stream: DeltaStream,
        /// The frame.
        frame: DeltaFrame<P>,
    },
    /// Write the final state of a member.
    WriteFinal {
        /// The member.
        member: Member,
        /// The state.
        state: FinalState<P>,
    },
    /// Read everything that the coordinator follows, in one step.
    Poll {
        /// The streams, and the id after which entries are wanted.
        streams: Vec<(DeltaStream, u64)>,
        /// The number of ordinals.
        ordinals: u16,
    },
    /// Replace the control record.
    WriteControl {
        /// The record that is replaced; `None` if there is none.
        expected: Option<Revision>,
        /// The instance of the bus that the conditions were read from.
        instance: u64,
        /// The bus does not carry it out later than this.
        deadline: BusTime,
        /// Conditions on the members that lose slots.
        limits: Vec<HorizonLimit>,
        /// The new record.
        record: Arc<ControlRecord>,
    },
    /// Replace the snapshot, if the control record has this token and the snapshot is newer.
    WriteSnapshot {
        /// The token of the leader.
        token: u64,
        /// The snapshot.
        snapshot: Arc<FleetSnapshot<P>>,
    },
    /// Read the snapshot.
    ReadSnapshot,
    /// Remove entries of a stream.
    Trim {
        /// The stream.
        stream: DeltaStream,
        /// The last entry to remove.
        last: u64,
    },
}

/// A reply of the bus.
#[derive(Clone, Debug)]
pub enum BusReply<P: DeltaPayload> {
    /// Of `Look`.
    Looked {
        /// The ordinal's newest heartbeat.
        top: Option<Box<Heartbeat>>,
        /// The time of the bus.
        clock: BusTime,
    },
    /// Of `Join` and `Beat`: the heartbeat is written.
    Beat {
        /// The control record.
        control: Option<Arc<ControlRecord>>,
        /// The instance of the bus; see [`PollReply`].
        instance: u64,
        /// The time of the bus.
        clock: BusTime,
    },
    /// Of `Join` and `Beat`: the ordinal has a heartbeat that is not older. Nothing was written.
    Superseded {
        /// The incarnation of that heartbeat.
        by: Incarnation,
    },
    /// Of `Append`: the stream has the entry, or a later one.
    Appended,
    /// Of `WriteFinal`, `WriteControl`, `WriteSnapshot` and `Trim`: carried out.
    Written,
    /// Of `WriteControl` and `WriteSnapshot`: a condition does not hold. Nothing was written.
    Refused,
    /// Of `Poll`.
    Polled(Box<PollReply<P>>),
    /// Of `ReadSnapshot`.
    Snapshot(Option<Arc<FleetSnapshot<P>>>),
    /// Of all: the bus carried nothing out, or its state is unknown.
    Failed,
}

/// Everything that the coordinator follows, at one moment.
#[derive(Clone, Debug)]
pub struct PollReply<P: DeltaPayload> {
    /// The instance of the bus: it changes with each restart and each failover.
    pub instance: u64,
    /// The time of the bus.
    pub clock: BusTime,
    /// The control record.
    pub control: Option<Arc<ControlRecord>>,
    /// The newest heartbeat of each ordinal that has one.
    pub heartbeats: Vec<Heartbeat>,
    /// Entries of the streams, in order. All there are: a client that reads a stream in parts
    /// leaves the heartbeat and the final state of its member out until it has read the last part.
    /// In place of the heartbeat, it has the one of the former poll: without any, the bus would
    /// seem to have lost it.
    pub frames: Vec<(DeltaStream, DeltaFrame<P>)>,
    /// Final states of the members of these streams.
    pub finals: Vec<(Member, FinalState<P>)>,
}

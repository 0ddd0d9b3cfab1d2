//! What an agent is started with, and what happens around it.
//!
//! `driver` takes the inputs; threads of the bus, the engine and the signals send them.
//! Invariant: the protocol's local time and the clock of the machine differ by a constant.

use std::path::PathBuf;
use std::time::Duration;

use super::engine_parts::PreparedEngine;
use super::error::AgentError;
use crate::clock::{self, Time};
use crate::event::Interrupt;
use crate::fleet::bus::BusAddress;
use crate::fleet::payload::ShardDeltas;
use crate::fleet::protocol::{AgentEnd, BusReply, RequestId};
use crate::fleet::signature::TrustedKey;
use crate::stats::Delta;

/// What an agent is started with.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// The bus.
    pub bus: BusAddress,
    /// The id of the run on the bus.
    pub run: String,
    /// Its place in the fleet.
    pub ordinal: u16,
    /// How long it waits for the run.
    pub patience: Duration,
    /// Folders with private keys and client certificates of this machine.
    pub own_folders: Vec<PathBuf>,
    /// The keys with which plans have to be signed; none: any plan is run.
    pub trusted: Vec<TrustedKey>,
    /// The folder of its journal; `None`: it keeps none.
    pub journal: Option<PathBuf>,
    /// What this machine is, for the journal.
    pub machine: Vec<(String, String)>,
}

/// How an agent ended.
#[derive(Debug)]
pub struct AgentResult {
    /// How it ended in the protocol.
    pub end: AgentEnd,
    /// The intervals that it measured.
    pub measured: u64,
    /// Why a shard failed; `None` if none did.
    pub failed: Option<String>,
}

/// The zero of the protocol's local time lies so long before that of the machine's clock, ns (ten
/// years): a machine may be younger than the run that it joins.
const BEFORE_BOOT: u64 = 10 * 365 * 24 * 3_600 * 1_000_000_000;

/// The protocol's local time.
pub(super) fn local_now() -> Time {
    clock::now().after(BEFORE_BOOT)
}

/// A local time of the protocol on the machine's clock.
pub(super) fn machine_time(local: Time) -> Time {
    if local == Time::NEVER { local } else { Time(local.0.saturating_sub(BEFORE_BOOT)) }
}

/// Inputs that wait for the driver; shards keep their deltas if they have to wait.
pub(super) const INPUTS: usize = 64;

/// What happens around an agent.
pub(super) enum AgentInput {
    Reply(RequestId, BusReply<ShardDeltas>),
    Hint,
    /// A line for people.
    Told(String),
    Prepared(Box<Result<PreparedEngine, AgentError>>),
    Delta(Box<Delta>),
    /// All shards have ended.
    EngineEnded,
    Interrupt(Interrupt),
}

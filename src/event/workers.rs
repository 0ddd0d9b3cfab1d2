//! Worker processes of a run, as the dispatcher and reports see them.
//!
//! `fleet` makes them, `run` adds them to the report.
//! Invariant: workers are numbered from 1 for readers, by index in code.

use crate::clock::{RunOffset, Time};
use crate::host::usage::CpuTime;
use crate::plan::slots::{OwnedSlots, ShardRange};
use crate::stats::{ChangeSubject, FirstStart};

/// A worker process that ended before its shards did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerLoss {
    /// The index of the worker.
    pub worker: usize,
    /// Its shards.
    pub range: ShardRange,
    /// How it ended, as text.
    pub why: String,
    /// Whether it was an agent of a fleet.
    pub is_agent: bool,
}

impl WorkerLoss {
    /// The subject of its changes.
    pub fn subject(&self) -> ChangeSubject {
        let worker = self.worker as u64;
        if self.is_agent { ChangeSubject::Agent(worker) } else { ChangeSubject::Worker(worker + 1) }
    }
}

/// What happens to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEvent {
    /// A process of this machine ended: its load goes to others by the policy of the run.
    Lost(WorkerLoss),
    /// The coordinator of the fleet misses heartbeats of an agent. It may come back.
    Silent {
        /// The index of the worker.
        worker: usize,
    },
    /// The coordinator of the fleet gave slots of an agent to others.
    Moved {
        /// The index of the worker that had them.
        worker: usize,
        /// The slots and their new owners.
        adoption: Adoption,
    },
    /// Nothing more comes from an agent.
    Settled {
        /// Its loss.
        loss: WorkerLoss,
        /// What is due from then on belongs to others.
        until: RunOffset,
    },
    /// The fleet cannot be led any more: the run ends here.
    Ended {
        /// Why.
        why: String,
    },
    /// A remark on the fleet.
    Told(String),
}

/// What becomes of the load of a lost worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LossPolicy {
    /// The other workers serve it from a time on; what is due before is unserved.
    #[default]
    Redistribute,
    /// It is unserved.
    Continue,
    /// The run stops.
    Abort,
}

/// What an agent of a fleet may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadLease {
    /// What is due earlier is not sent: it became due while there was no lease.
    pub since: RunOffset,
    /// What is due at or after is not sent yet.
    pub horizon: RunOffset,
    /// What is due at or after is not sent at all: the agent leaves.
    pub end: RunOffset,
    /// When the lease ends, on the monotonic clock of this machine.
    pub until: Time,
}

/// Slots of lost shards, and the shards that own them from a time on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// What is due from then on belongs to the new owners.
    pub from: RunOffset,
    /// Slots and their new owners.
    pub slots: Vec<(u16, u16)>,
}

impl Adoption {
    /// The slots that `shard` gets; `None` if it gets none.
    pub fn of(&self, shard: u64) -> Option<OwnedSlots> {
        let own = self.slots.iter().filter(|(_, owner)| u64::from(*owner) == shard);
        let mut own = own.map(|(slot, _)| u64::from(*slot)).peekable();
        own.peek()?;
        Some(OwnedSlots { slots: own.collect(), from: self.from })
    }
}

/// The use of one worker over the whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerUse {
    /// Its shards.
    pub range: ShardRange,
    /// Peak resident memory, bytes; as it was read last, if the worker was lost.
    pub rss_peak: u64,
    /// CPU time since it began; as it was read last, if the worker was lost.
    pub cpu: CpuTime,
    /// Why one of its shards failed; `None` if none did.
    pub failed: Option<String>,
    /// How it ended, if it was lost.
    pub loss: Option<String>,
    /// What is known of it if it is an agent of a fleet.
    pub agent: Option<AgentUse>,
}

/// What the coordinator knows of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentUse {
    /// The name of its machine.
    pub host: String,
    /// The cores that it may use.
    pub cores: u64,
    /// The slots that it has.
    pub slots: u64,
    /// For how long no heartbeat of it has come, ns.
    pub silent_ns: u64,
    /// The largest error of its estimate of the bus's clock since the start, ns.
    pub clock_error_ns: u64,
    /// Its first start; `None` if there was none.
    pub first_start: Option<FirstStart>,
    /// The largest p99 of its lateness in a second, µs.
    pub lag_us: u64,
    /// The highest CPU use of its busiest shard in a second, thousandths of a core.
    pub cpu_permille: u64,
    /// How far its account is.
    pub account: AgentAccount,
}

/// How far the account of an agent is: the sum of its deltas, against its final state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentAccount {
    /// It is at work, or its final state did not come.
    Open,
    /// Both are equal.
    Exact,
    /// They differ.
    Differs,
}

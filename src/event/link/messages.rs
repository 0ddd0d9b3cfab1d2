//! The messages of a link.
//!
//! `fleet::processes` and `fleet::worker` exchange them: first `Prepare` and `Ready`, then `Start`,
//! then commands down and deltas up, at last `Ended`.
//! Invariant: each message has a kind, and each kind a maximum length.

use crate::clock::Time;
use crate::event::ShardCommand;
use crate::event::packed::frame::checksum;
use crate::event::packed::{Packed, PackedBytes, Shape, listed, packed, variants};
use crate::exit::ExitStatus;
use crate::host::usage::CpuTime;
use crate::plan::slots::ShardRange;
use crate::plan::{Address, RunManifest};
use crate::protocol::Protocol;
use crate::seed::Seed;
use crate::stats::Delta;

/// A message to a worker.
#[derive(Debug)]
pub enum ToWorker {
    /// Compile the plan, and make everything ready for the start.
    Prepare {
        /// What the worker is to run.
        setup: Box<WorkerSetup>,
    },
    /// Begin the run.
    Start {
        /// When it begins, on the monotonic clock of this machine.
        start: Time,
    },
    /// A command to all shards of the worker.
    Command {
        /// The command.
        command: ShardCommand,
    },
}

/// What a worker is to run.
#[derive(Debug)]
pub struct WorkerSetup {
    /// The command line, program first, as bytes: the worker compiles the plan that it names.
    pub words: Vec<Vec<u8>>,
    /// The seed, also if the command line has none.
    pub seed: Seed,
    /// The id of the run.
    pub run_id: String,
    /// The address of each service.
    pub addresses: Vec<Address>,
    /// The shards of the worker.
    pub range: ShardRange,
    /// The values of the variables that the scenario's `setup` set, as JSON.
    pub globals: Vec<Option<Vec<u8>>>,
    /// The memory for bodies that checks and captures read, bytes.
    pub body_budget: u64,
}

/// A message from a worker.
#[derive(Debug)]
pub enum FromWorker {
    /// The worker can start.
    Ready {
        /// The hash of its plan; see [`manifest_hash`](super::manifest_hash).
        plan: u32,
    },
    /// The worker cannot run the plan.
    Refused {
        /// Why.
        why: String,
        /// The exit status of the program.
        status: ExitStatus,
    },
    /// The delta of one of its shards.
    Delta {
        /// The delta.
        delta: Box<Delta>,
    },
    /// All shards have ended.
    Ended {
        /// What became of the worker.
        end: WorkerEnd,
    },
}

/// What a worker tells at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerEnd {
    /// Why a shard failed; `None` if none did.
    pub failed: Option<String>,
    /// Peak resident memory, bytes.
    pub rss_peak: Option<u64>,
    /// CPU time since the process began.
    pub cpu: Option<CpuTime>,
}

/// Maximum length of a setup, bytes.
const MAX_SETUP: usize = 64 << 20;

/// Maximum length of other messages than deltas, bytes.
const MAX_SMALL: usize = 1 << 20;

/// The kinds of frame.
const SETUP: u8 = 0;
const SMALL: u8 = 1;
const DELTA: u8 = 2;

/// A message of a link, with the kind of its frame.
pub trait LinkMessage: Sized {
    /// Returns the kind of its frame.
    fn kind(&self) -> u8;
    /// Appends the message.
    fn write(&self, out: &mut Vec<u8>);
    /// Reads a message that fills `bytes`; `None` if it is not valid.
    fn read(bytes: &[u8]) -> Option<Self>;
}

macro_rules! link_message {
    ($type:ty, $($pattern:pat => $kind:expr),+) => {
        impl LinkMessage for $type {
            fn kind(&self) -> u8 {
                match self { $($pattern => $kind),+ }
            }

            fn write(&self, out: &mut Vec<u8>) {
                self.pack(out);
            }

            fn read(bytes: &[u8]) -> Option<Self> {
                let version = crate::event::record::header::VERSION;
                let mut from = PackedBytes { left: bytes, version };
                Self::unpack(&mut from).filter(|_| from.left.is_empty())
            }
        }
    };
}

link_message!(ToWorker, Self::Prepare { .. } => SETUP, _ => SMALL);
link_message!(FromWorker, Self::Delta { .. } => DELTA, _ => SMALL);

/// Returns the maximum length of a kind, bytes, where a delta may have `delta` bytes; `None` if the
/// kind does not exist.
pub(super) fn max_length(kind: u8, delta: usize) -> Option<usize> {
    match kind {
        SETUP => Some(MAX_SETUP),
        SMALL => Some(MAX_SMALL),
        DELTA => Some(delta),
        _ => None,
    }
}

variants! {
    ToWorker {
        0 Prepare { setup }
        1 Start { start }
        2 Command { command }
    }
    FromWorker {
        0 Ready { plan }
        1 Refused { why, status }
        2 Delta { delta }
        3 Ended { end }
    }
}

listed! {
    Protocol: Http, Redis, Tcp, Udp, Dns, DnsTcp;
}

packed! {
    WorkerSetup { words, seed, run_id, addresses, range, globals, body_budget }
    WorkerEnd { failed, rss_peak, cpu }
    Address { protocol, tls, host, port, prefix }
    ShardRange { process, processes, total }
}

impl Packed for Time {
    fn pack(&self, out: &mut Vec<u8>) {
        self.0.pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        u64::unpack(from).map(Self)
    }

    fn describe(shape: &mut Shape) {
        shape.text("ns of the monotonic clock");
    }
}

impl Packed for ExitStatus {
    fn pack(&self, out: &mut Vec<u8>) {
        self.code().pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        Self::from_code(u8::unpack(from)?)
    }

    fn describe(shape: &mut Shape) {
        shape.text("exit code");
    }
}

/// Returns a hash of a plan's manifest: the coordinator and its workers compile the plan, each for
/// itself, and files or variables may have changed between.
pub fn manifest_hash(plan: &RunManifest) -> u32 {
    // Spans, and links to traces, are a matter of the coordinator alone.
    let plan = RunManifest { traces: None, ..plan.clone() };
    let mut bytes = Vec::new();
    plan.pack(&mut bytes);
    checksum(&bytes)
}

/// Describes the forms of all messages.
pub(super) fn describe(shape: &mut Shape) {
    ToWorker::describe(shape);
    FromWorker::describe(shape);
}

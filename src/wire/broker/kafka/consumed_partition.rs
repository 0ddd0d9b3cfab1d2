//! What a consumer knows of a topic and of a partition.
//!
//! `consumer` keeps it, `fetched` moves its positions on.
//! Invariant: a partition has the subscription that it is consumed by.

use crate::plan::kafka::OffsetStart;

/// A topic that a step listens to.
#[derive(Debug)]
pub(super) struct TopicSubscription {
    pub(super) topic: Box<str>,
    /// Its number in the engine.
    pub(super) number: u32,
    /// Its group, by index.
    pub(super) group: Option<usize>,
    pub(super) start: OffsetStart,
    /// Messages that are handed on before they are settled; `None`: each is settled when it is
    /// handed on.
    pub(super) prefetch: Option<usize>,
    /// The number of the command that began it.
    pub(super) began: u64,
    /// The same, until it is answered: when the first positions are known.
    pub(super) command: Option<u64>,
    /// Whether its partitions are known.
    pub(super) is_assigned: bool,
}

/// A subscription, by index, and a partition of its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartitionPlace {
    pub(super) subscription: usize,
    pub(super) index: i32,
}

/// A partition that is consumed.
#[derive(Debug)]
pub(super) struct ConsumedPartition {
    pub(super) place: PartitionPlace,
    /// The offset of the next record.
    pub(super) position: PartitionPosition,
    /// The offset behind the last record of the broker that is read.
    pub(super) high_watermark: i64,
    /// The offset that is to be stored, and whether it is stored already.
    pub(super) done: Option<(i64, bool)>,
}

/// Where a partition is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartitionPosition {
    /// Its group is asked for the stored one.
    Stored,
    /// The broker is to be asked, with this timestamp.
    Unknown(i64),
    /// The broker is asked.
    Asked(i64),
    At(i64),
}

/// The timestamp with which a broker is asked for an offset.
pub(super) const fn timestamp(start: OffsetStart) -> i64 {
    match start {
        OffsetStart::Latest => -1,
        OffsetStart::Earliest => -2,
    }
}

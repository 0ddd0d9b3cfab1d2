//! Responses as values, each in the version of its `api`.
//!
//! `session` reads them for `cluster`, `producer`, `consumer` and `group`.
//! Invariant: a response is read by one function here; what follows its known fields is left.

use super::api::NO_TAGS;
use super::error_code::OPERATION_NOT_ATTEMPTED;
use super::fields::KafkaFields;
use crate::stats::FailureKind;

/// A broker of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BrokerNode {
    pub(super) id: i32,
    pub(super) host: String,
    pub(super) port: u16,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicLayout {
    pub(super) name: String,
    /// The code of an error; 0: none.
    pub(super) error: i16,
    /// The broker that leads each partition, by its index; −1: none does.
    pub(super) leaders: Vec<i32>,
}

/// The response to `metadata`.
#[derive(Debug)]
pub(super) struct ClusterMetadata {
    pub(super) nodes: Vec<BrokerNode>,
    pub(super) topics: Vec<TopicLayout>,
}

/// The most partitions of a topic that are accepted.
const MAX_PARTITIONS: usize = 100_000;

impl BrokerNode {
    fn read(fields: &mut KafkaFields<'_>) -> Result<Self, FailureKind> {
        let id = fields.int()?;
        let host = fields.text()?.to_owned();
        let port = u16::try_from(fields.int()?).map_err(|_| FailureKind::BadReply)?;
        Ok(Self { id, host, port })
    }
}

impl ClusterMetadata {
    pub(super) fn read(body: &[u8]) -> Result<Self, FailureKind> {
        let mut fields = KafkaFields(body);
        fields.int()?;
        let mut nodes = Vec::new();
        for _ in 0..fields.count(12)? {
            nodes.push(BrokerNode::read(&mut fields)?);
            fields.text()?;
        }
        fields.text()?;
        fields.int()?;
        let mut topics = Vec::new();
        for _ in 0..fields.count(9)? {
            let error = fields.short()?;
            let name = fields.text()?.to_owned();
            fields.byte()?;
            let mut leaders = Vec::new();
            for _ in 0..fields.count(18)? {
                fields.short()?;
                let index = usize::try_from(fields.int()?).map_err(|_| FailureKind::BadReply)?;
                let leader = fields.int()?;
                fields.ints()?;
                fields.ints()?;
                if index >= MAX_PARTITIONS {
                    return Err(FailureKind::BadReply);
                }
                leaders.resize(leaders.len().max(index + 1), -1);
                leaders[index] = leader;
            }
            topics.push(TopicLayout { name, error, leaders });
        }
        Ok(Self { nodes, topics })
    }
}

/// Reads the response to `init_producer`: error, identifier, epoch.
pub(super) fn producer_identity(body: &[u8]) -> Result<(i16, i64, i16), FailureKind> {
    let mut fields = KafkaFields(body);
    // The tagged fields of the header: none are defined.
    if fields.byte()? != NO_TAGS {
        return Err(FailureKind::BadReply);
    }
    fields.int()?;
    Ok((fields.short()?, fields.long()?, fields.short()?))
}

/// Reads the response to `add_partitions`: the first error of a partition.
pub(super) fn added_partitions(body: &[u8]) -> Result<i16, FailureKind> {
    let mut fields = KafkaFields(body);
    fields.int()?;
    let mut first = 0;
    for _ in 0..fields.count(6)? {
        fields.text()?;
        for _ in 0..fields.count(6)? {
            fields.int()?;
            let error = fields.short()?;
            // The others were not tried, for an error of one of them.
            if first == 0 || first == OPERATION_NOT_ATTEMPTED {
                first = error;
            }
        }
    }
    Ok(first)
}

/// Reads the response to `end_transaction`: its error.
pub(super) fn ended_transaction(body: &[u8]) -> Result<i16, FailureKind> {
    let mut fields = KafkaFields(body);
    fields.int()?;
    fields.short()
}

/// Reads a response to `Produce`: calls `each` with the topic, the partition and the error of each
/// batch.
pub(super) fn produced(
    body: &[u8],
    each: &mut dyn FnMut(&str, i32, i16),
) -> Result<(), FailureKind> {
    let mut fields = KafkaFields(body);
    for _ in 0..fields.count(6)? {
        let topic = fields.text()?;
        for _ in 0..fields.count(30)? {
            let (partition, error) = (fields.int()?, fields.short()?);
            fields.take(8 + 8 + 8)?;
            each(topic, partition, error);
        }
    }
    Ok(())
}

/// Reads a response to `list_offsets`: calls `each` with topic, partition, error and offset.
pub(super) fn listed_offsets(
    body: &[u8],
    each: &mut dyn FnMut(&str, i32, i16, i64),
) -> Result<(), FailureKind> {
    let mut fields = KafkaFields(body);
    fields.int()?;
    for _ in 0..fields.count(6)? {
        let topic = fields.text()?;
        for _ in 0..fields.count(22)? {
            let (partition, error) = (fields.int()?, fields.short()?);
            fields.long()?;
            each(topic, partition, error, fields.long()?);
        }
    }
    Ok(())
}

/// What a fetch returned of a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchedPartition<'a> {
    pub(super) partition: i32,
    pub(super) error: i16,
    /// The offset behind the last record that all replicas have.
    pub(super) high_watermark: i64,
    /// The first offset of the oldest transaction that is open, or the high watermark.
    pub(super) last_stable: i64,
    /// Aborted transactions: pairs of a producer and the first offset.
    pub(super) aborted: &'a [u8],
    /// Batches of records.
    pub(super) records: &'a [u8],
}

/// Reads a response to `fetch`: calls `each` with the topic and what came of each partition.
/// Returns the error of the whole.
pub(super) fn fetched(
    body: &[u8],
    each: &mut dyn FnMut(&str, FetchedPartition<'_>) -> Result<(), FailureKind>,
) -> Result<i16, FailureKind> {
    let mut fields = KafkaFields(body);
    fields.int()?;
    let whole = fields.short()?;
    fields.int()?;
    for _ in 0..fields.count(6)? {
        let topic = fields.text()?;
        for _ in 0..fields.count(42)? {
            let (partition, error) = (fields.int()?, fields.short()?);
            let (high_watermark, last_stable) = (fields.long()?, fields.long()?);
            fields.long()?;
            let aborted = fields.count(16)? * 16;
            let aborted = fields.take(aborted)?;
            fields.int()?;
            let records = fields.bytes()?;
            let found = FetchedPartition {
                partition,
                error,
                high_watermark,
                last_stable,
                aborted,
                records,
            };
            each(topic, found)?;
        }
    }
    Ok(whole)
}

/// Reads the response to `find_coordinator`: error, and the broker.
pub(super) fn coordinator(body: &[u8]) -> Result<(i16, BrokerNode), FailureKind> {
    let mut fields = KafkaFields(body);
    fields.int()?;
    let error = fields.short()?;
    fields.text()?;
    if error != 0 {
        return Ok((error, BrokerNode { id: -1, host: String::new(), port: 0 }));
    }
    Ok((error, BrokerNode::read(&mut fields)?))
}

/// The response to `join_group`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct JoinedGroup {
    pub(super) error: i16,
    pub(super) generation: i32,
    /// The member that assigns the partitions.
    pub(super) leader: String,
    /// This member.
    pub(super) member: String,
    /// All members and their subscriptions, for the leader.
    pub(super) members: Vec<(String, Vec<String>)>,
}

impl JoinedGroup {
    pub(super) fn read(body: &[u8]) -> Result<Self, FailureKind> {
        let mut fields = KafkaFields(body);
        fields.int()?;
        let (error, generation) = (fields.short()?, fields.int()?);
        fields.text()?;
        let leader = fields.text()?.to_owned();
        let member = fields.text()?.to_owned();
        let mut members = Vec::new();
        for _ in 0..fields.count(6)? {
            let id = fields.text()?.to_owned();
            members.push((id, topics_of(fields.bytes()?)?));
        }
        Ok(Self { error, generation, leader, member, members })
    }
}

/// The topics of a member's subscription.
fn topics_of(subscription: &[u8]) -> Result<Vec<String>, FailureKind> {
    let mut fields = KafkaFields(subscription);
    fields.short()?;
    let count = fields.count(2)?;
    (0..count).map(|_| fields.text().map(str::to_owned)).collect()
}

/// Reads the response to `sync_group`: error, and the assigned partitions.
pub(super) fn synced(body: &[u8]) -> Result<(i16, Vec<(String, i32)>), FailureKind> {
    let mut fields = KafkaFields(body);
    fields.int()?;
    let error = fields.short()?;
    let mut fields = KafkaFields(fields.bytes()?);
    let mut partitions = Vec::new();
    if error != 0 || fields.0.is_empty() {
        return Ok((error, partitions));
    }
    fields.short()?;
    for _ in 0..fields.count(6)? {
        let topic = fields.text()?;
        partitions.extend(fields.ints()?.into_iter().map(|index| (topic.to_owned(), index)));
    }
    Ok((error, partitions))
}

/// Reads a response that is an error and nothing else: to `heartbeat` and `leave_group`.
pub(super) fn error_alone(body: &[u8]) -> Result<i16, FailureKind> {
    let mut fields = KafkaFields(body);
    fields.int()?;
    fields.short()
}

/// Reads the response to `commit`: the first error of a partition; 0: none.
pub(super) fn committed(body: &[u8]) -> Result<i16, FailureKind> {
    let mut fields = KafkaFields(body);
    fields.int()?;
    let mut first = 0;
    for _ in 0..fields.count(6)? {
        fields.text()?;
        for _ in 0..fields.count(6)? {
            fields.int()?;
            let error = fields.short()?;
            if first == 0 {
                first = error;
            }
        }
    }
    Ok(first)
}

/// Reads the response to `fetch_offsets`: calls `each` with topic, partition and offset, which is
/// negative if none is stored. Returns the error.
pub(super) fn stored_offsets(
    body: &[u8],
    each: &mut dyn FnMut(&str, i32, i64),
) -> Result<i16, FailureKind> {
    let mut fields = KafkaFields(body);
    fields.int()?;
    let mut first = 0;
    for _ in 0..fields.count(6)? {
        let topic = fields.text()?;
        for _ in 0..fields.count(16)? {
            let (partition, offset) = (fields.int()?, fields.long()?);
            fields.text()?;
            let error = fields.short()?;
            if first == 0 {
                first = error;
            }
            each(topic, partition, offset);
        }
    }
    let whole = fields.short()?;
    Ok(if whole == 0 { first } else { whole })
}

/// Reads a response to the creation or deletion of one topic: error, and its text.
pub(super) fn topic_result(body: &[u8], is_creation: bool) -> Result<(i16, String), FailureKind> {
    let mut fields = KafkaFields(body);
    fields.int()?;
    if fields.count(4)? == 0 {
        return Err(FailureKind::BadReply);
    }
    fields.text()?;
    let error = fields.short()?;
    let text = if is_creation { fields.text()? } else { "" };
    Ok((error, text.to_owned()))
}

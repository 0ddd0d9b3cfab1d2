//! Requests as bytes, each in the version of its `api`.
//!
//! `producer`, `consumer`, `group` and `session` send them.
//! Invariant: a request is encoded by one function here, in the order of the protocol's fields.

use super::api::{KafkaApi, NO_TAGS, put_request};
use super::fields::{
    KafkaFields, put_bytes, put_compact_text, put_int, put_optional_text, put_text,
};
use super::record_batch::ProducerIdentity;
use crate::plan::kafka::{KafkaSettings, TopicPlan};

/// A request: what it is, and its body.
pub(super) struct KafkaRequest {
    pub(super) api: KafkaApi,
    pub(super) body: Vec<u8>,
}

impl KafkaRequest {
    fn new(api: KafkaApi, fill: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut body = Vec::new();
        fill(&mut body);
        Self { api, body }
    }
}

/// Appends a whole request `ApiVersions`, which begins a session.
pub fn api_versions(out: &mut Vec<u8>) {
    put_request(out, KafkaApi::ApiVersions, 0, |_| {});
}

/// The brokers of the cluster, and the partitions of these topics. No topic is made by it.
pub(super) fn metadata<'a>(topics: impl ExactSizeIterator<Item = &'a str>) -> KafkaRequest {
    KafkaRequest::new(KafkaApi::Metadata, |out| {
        put_int(out, topics.len() as i32);
        topics.for_each(|topic| put_text(out, topic));
        out.push(0);
    })
}

/// The identity of an idempotent producer; for one with transactions, their identifier and how
/// long each may stay open, ms.
pub(super) fn init_producer(transactions: Option<(&str, i32)>) -> KafkaRequest {
    KafkaRequest::new(KafkaApi::InitProducerId, |out| {
        let (id, timeout_ms) = transactions.unzip();
        put_compact_text(out, id);
        put_int(out, timeout_ms.unwrap_or(0));
        // No identity yet.
        out.extend_from_slice(&(-1_i64).to_be_bytes());
        out.extend_from_slice(&(-1_i16).to_be_bytes());
        out.push(NO_TAGS);
    })
}

/// What a partition is asked for its offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OffsetQuery<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    /// −1: behind the last record; −2: the first one.
    pub(super) timestamp: i64,
}

/// The first offset of partitions, or the one behind their last record that is read.
pub(super) fn list_offsets(settings: &KafkaSettings, queries: &[OffsetQuery<'_>]) -> KafkaRequest {
    KafkaRequest::new(KafkaApi::ListOffsets, |out| {
        put_int(out, -1);
        out.push(settings.reads_committed.into());
        put_int(out, queries.len() as i32);
        for query in queries {
            put_text(out, query.topic);
            put_int(out, 1);
            put_int(out, query.partition);
            out.extend_from_slice(&query.timestamp.to_be_bytes());
        }
    })
}

/// From where a partition is fetched.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchPosition<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// Records from these offsets on.
pub(super) fn fetch(settings: &KafkaSettings, positions: &[FetchPosition<'_>]) -> KafkaRequest {
    KafkaRequest::new(KafkaApi::Fetch, |out| {
        put_int(out, -1);
        put_int(out, milliseconds(settings.fetch_wait));
        put_int(out, settings.fetch_min as i32);
        put_int(out, settings.fetch_max as i32);
        out.push(settings.reads_committed.into());
        // No fetch session.
        put_int(out, 0);
        put_int(out, -1);
        put_int(out, positions.len() as i32);
        for position in positions {
            put_text(out, position.topic);
            put_int(out, 1);
            put_int(out, position.partition);
            // The epoch of the leader is not checked.
            put_int(out, -1);
            out.extend_from_slice(&position.offset.to_be_bytes());
            out.extend_from_slice(&(-1_i64).to_be_bytes());
            put_int(out, settings.fetch_max as i32);
        }
        put_int(out, 0);
        put_text(out, "");
    })
}

/// The broker that coordinates a group.
pub(super) fn find_coordinator(group: &str) -> KafkaRequest {
    KafkaRequest::new(KafkaApi::FindCoordinator, |out| {
        put_text(out, group);
        out.push(0);
    })
}

/// The broker that coordinates the transactions of an identifier.
pub(super) fn find_transaction_coordinator(id: &str) -> KafkaRequest {
    KafkaRequest::new(KafkaApi::FindCoordinator, |out| {
        put_text(out, id);
        out.push(1);
    })
}

/// Takes partitions into a transaction: topic and partition by index, sorted by topic.
pub(super) fn add_partitions(
    id: &str,
    producer: ProducerIdentity,
    names: &[&str],
    partitions: &[(usize, usize)],
) -> KafkaRequest {
    KafkaRequest::new(KafkaApi::AddPartitionsToTxn, |out| {
        put_producer(out, id, producer);
        let topics = || partitions.chunk_by(|one, other| one.0 == other.0);
        put_int(out, topics().count() as i32);
        for of_topic in topics() {
            let Some((topic, _)) = of_topic.first() else { continue };
            put_text(out, names[*topic]);
            put_int(out, of_topic.len() as i32);
            of_topic.iter().for_each(|(_, partition)| put_int(out, *partition as i32));
        }
    })
}

/// Ends a transaction.
pub(super) fn end_transaction(id: &str, producer: ProducerIdentity, commits: bool) -> KafkaRequest {
    KafkaRequest::new(KafkaApi::EndTxn, |out| {
        put_producer(out, id, producer);
        out.push(commits.into());
    })
}

fn put_producer(out: &mut Vec<u8>, id: &str, producer: ProducerIdentity) {
    put_text(out, id);
    out.extend_from_slice(&producer.id.to_be_bytes());
    out.extend_from_slice(&producer.epoch.to_be_bytes());
}

/// A member of a group, as it names itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Membership<'a> {
    pub(super) group: &'a str,
    pub(super) generation: i32,
    pub(super) member: &'a str,
}

/// Joins a group; `subscription` is what the leader of the group learns of the member.
pub(super) fn join_group(
    settings: &KafkaSettings,
    member: Membership<'_>,
    subscription: &[u8],
) -> KafkaRequest {
    KafkaRequest::new(KafkaApi::JoinGroup, |out| {
        put_text(out, member.group);
        put_int(out, milliseconds(settings.session_timeout));
        put_int(out, milliseconds(settings.rebalance_timeout));
        put_text(out, member.member);
        put_text(out, "consumer");
        put_int(out, 1);
        put_text(out, "range");
        put_bytes(out, subscription);
    })
}

/// Takes part in the assignment of partitions; the leader brings it.
pub(super) fn sync_group(member: Membership<'_>, parts: &[(String, Vec<u8>)]) -> KafkaRequest {
    KafkaRequest::new(KafkaApi::SyncGroup, |out| {
        put_member(out, member);
        put_int(out, parts.len() as i32);
        for (of, assignment) in parts {
            put_text(out, of);
            put_bytes(out, assignment);
        }
    })
}

/// Keeps the membership alive.
pub(super) fn heartbeat(member: Membership<'_>) -> KafkaRequest {
    KafkaRequest::new(KafkaApi::Heartbeat, |out| put_member(out, member))
}

/// Leaves a group.
pub(super) fn leave_group(member: Membership<'_>) -> KafkaRequest {
    KafkaRequest::new(KafkaApi::LeaveGroup, |out| {
        put_text(out, member.group);
        put_text(out, member.member);
    })
}

/// A partition, and the offset of the next record that its group reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommittedOffset {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// Stores offsets of a group.
pub(super) fn commit(member: Membership<'_>, offsets: &[CommittedOffset]) -> KafkaRequest {
    KafkaRequest::new(KafkaApi::OffsetCommit, |out| {
        put_member(out, member);
        put_int(out, offsets.len() as i32);
        for committed in offsets {
            put_text(out, &committed.topic);
            put_int(out, 1);
            put_int(out, committed.partition);
            out.extend_from_slice(&committed.offset.to_be_bytes());
            put_optional_text(out, None);
        }
    })
}

/// The stored offsets of a group.
pub(super) fn fetch_offsets<'a>(
    group: &str,
    partitions: impl ExactSizeIterator<Item = (&'a str, i32)>,
) -> KafkaRequest {
    KafkaRequest::new(KafkaApi::OffsetFetch, |out| {
        put_text(out, group);
        put_int(out, partitions.len() as i32);
        for (topic, partition) in partitions {
            put_text(out, topic);
            put_int(out, 1);
            put_int(out, partition);
        }
    })
}

/// How long a broker may wait until all brokers know of a new topic, ms.
const TOPIC_MS: i32 = 30_000;

/// Appends a whole request that makes or deletes a topic.
pub fn topic_request(out: &mut Vec<u8>, plan: &TopicPlan, name: &str) {
    match plan {
        TopicPlan::Create { partitions, replication, config } => {
            put_request(out, KafkaApi::CreateTopics, 0, |out| {
                put_int(out, 1);
                put_text(out, name);
                put_int(out, *partitions);
                out.extend_from_slice(&replication.to_be_bytes());
                put_int(out, 0);
                put_int(out, config.len() as i32);
                for (key, value) in config {
                    put_text(out, key);
                    put_text(out, value);
                }
                put_int(out, TOPIC_MS);
                out.push(0);
            });
        }
        TopicPlan::Delete => put_request(out, KafkaApi::DeleteTopics, 0, |out| {
            put_int(out, 1);
            put_text(out, name);
            put_int(out, TOPIC_MS);
        }),
    }
}

fn put_member(out: &mut Vec<u8>, member: Membership<'_>) {
    put_text(out, member.group);
    put_int(out, member.generation);
    put_text(out, member.member);
}

fn milliseconds(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// The name of the topic in the bytes of [`topic_request`]; `None` if they are others.
pub fn topic_name(request: &[u8]) -> Option<&str> {
    let mut fields = KafkaFields(request.get(12..)?);
    fields.text().ok()?;
    fields.int().ok()?;
    fields.text().ok()
}

//! `Produce` as bytes.
//!
//! `producer` sends it.
//! Invariant: the batches of a topic follow each other, as the protocol wants them.

use super::api::KafkaApi;
use super::fields::{put_int, put_measured, put_optional_text, put_text};
use super::partition::SentBatch;
use super::record_batch::ProducerIdentity;
use super::requests::KafkaRequest;

/// How long a broker may wait for its replicas, ms.
const REPLICAS_MS: i32 = 30_000;

/// A request with these batches, which are sorted by topic; `names` are those of the topics.
/// `transactional_id`: that of the transaction which they are part of.
pub(super) fn encode(
    (acks, identity, transactional_id): (i16, ProducerIdentity, Option<&str>),
    names: &[&str],
    batches: &[SentBatch],
) -> KafkaRequest {
    let length: usize = batches.iter().map(|sent| sent.batch.batch.length() + 64).sum();
    let mut out = Vec::with_capacity(length + 64);
    put_optional_text(&mut out, transactional_id);
    out.extend_from_slice(&acks.to_be_bytes());
    put_int(&mut out, REPLICAS_MS);
    let topics = || batches.chunk_by(|one, other| one.topic == other.topic);
    put_int(&mut out, topics().count() as i32);
    for of_topic in topics() {
        let Some(first) = of_topic.first() else { continue };
        put_text(&mut out, names[first.topic]);
        put_int(&mut out, of_topic.len() as i32);
        for sent in of_topic {
            put_int(&mut out, sent.partition as i32);
            let sequence = sent.batch.sequence.map_or(-1, |(_, sequence)| sequence);
            put_measured(&mut out, |out| sent.batch.batch.put(out, identity, sequence));
        }
    }
    KafkaRequest { api: KafkaApi::Produce, body: out }
}

//! The requests of Kafka's protocol that are used, each in one version, and their frames.
//!
//! `requests` begins its bytes here, `link` splits what a broker sends.
//! Invariant: each version is one that brokers from 2.5 to 4.x speak, without tagged fields where
//! there is such a one; a broker that does not speak it is found when its session opens.

use super::fields::{KafkaFields, put_int, put_measured, put_text};
use crate::stats::FailureKind;

/// The name that brokers see in their logs and quotas.
const CLIENT: &str = "manada";

/// No tagged fields.
pub(super) const NO_TAGS: u8 = 0;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KafkaApi {
    Produce,
    Fetch,
    ListOffsets,
    Metadata,
    OffsetCommit,
    OffsetFetch,
    FindCoordinator,
    JoinGroup,
    Heartbeat,
    LeaveGroup,
    SyncGroup,
    SaslHandshake,
    ApiVersions,
    CreateTopics,
    DeleteTopics,
    InitProducerId,
    AddPartitionsToTxn,
    EndTxn,
    SaslAuthenticate,
}

impl KafkaApi {
    /// Its key, and the version in which it is sent.
    const fn key_and_version(self) -> (i16, i16) {
        match self {
            Self::Produce => (0, 7),
            Self::Fetch => (1, 11),
            Self::ListOffsets => (2, 2),
            Self::Metadata => (3, 4),
            Self::OffsetCommit => (8, 5),
            Self::OffsetFetch => (9, 3),
            Self::FindCoordinator => (10, 2),
            Self::JoinGroup => (11, 4),
            Self::Heartbeat => (12, 2),
            Self::LeaveGroup => (13, 2),
            Self::SyncGroup => (14, 2),
            Self::SaslHandshake => (17, 1),
            Self::ApiVersions => (18, 0),
            Self::CreateTopics => (19, 4),
            Self::DeleteTopics => (20, 3),
            Self::InitProducerId => (22, 3),
            Self::AddPartitionsToTxn => (24, 1),
            Self::EndTxn => (26, 1),
            Self::SaslAuthenticate => (36, 0),
        }
    }

    /// Whether its header has tagged fields.
    const fn has_tags(self) -> bool {
        matches!(self, Self::InitProducerId)
    }
}

/// What a session needs of a broker, with its names in messages.
const NEEDED: [(KafkaApi, &str); 11] = [
    (KafkaApi::Produce, "Produce"),
    (KafkaApi::Fetch, "Fetch"),
    (KafkaApi::ListOffsets, "ListOffsets"),
    (KafkaApi::Metadata, "Metadata"),
    (KafkaApi::OffsetCommit, "OffsetCommit"),
    (KafkaApi::OffsetFetch, "OffsetFetch"),
    (KafkaApi::FindCoordinator, "FindCoordinator"),
    (KafkaApi::JoinGroup, "JoinGroup"),
    (KafkaApi::Heartbeat, "Heartbeat"),
    (KafkaApi::LeaveGroup, "LeaveGroup"),
    (KafkaApi::SyncGroup, "SyncGroup"),
];

/// Appends a request: its header (version 1, or 2 with tagged fields), and what `body` writes.
pub(super) fn put_request(
    out: &mut Vec<u8>,
    api: KafkaApi,
    correlation: i32,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let (key, version) = api.key_and_version();
    put_measured(out, |out| {
        out.extend_from_slice(&key.to_be_bytes());
        out.extend_from_slice(&version.to_be_bytes());
        put_int(out, correlation);
        put_text(out, CLIENT);
        if api.has_tags() {
            out.push(NO_TAGS);
        }
        body(out);
    });
}

/// The versions that a broker offers: the response to `ApiVersions`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OfferedVersions {
    /// The code of an error; 0: none.
    pub(super) error: i16,
    /// What is needed and not offered, for a message; empty if all is.
    pub(super) missing: String,
}

impl OfferedVersions {
    /// Reads the body of a response.
    pub(super) fn read(body: &[u8]) -> Result<Self, FailureKind> {
        let mut fields = KafkaFields(body);
        let error = fields.short()?;
        let mut offered = Vec::new();
        for _ in 0..fields.count(6)? {
            offered.push((fields.short()?, fields.short()?, fields.short()?));
        }
        let lacks = |api: KafkaApi| {
            let (key, version) = api.key_and_version();
            let speaks = |(known, least, most): &(i16, i16, i16)| {
                *known == key && (*least..=*most).contains(&version)
            };
            !offered.iter().any(speaks)
        };
        let missing = NEEDED.iter().filter(|(api, _)| error == 0 && lacks(*api));
        let missing: Vec<String> =
            missing.map(|(api, name)| format!("{name} {}", api.key_and_version().1)).collect();
        Ok(Self { error, missing: missing.join(", ") })
    }
}

/// Takes a frame: its correlation number, and its body.
pub(super) type EachFrame<'a> = &'a mut dyn FnMut(i32, &[u8]) -> Result<(), FailureKind>;

/// Splits what a broker sends into frames.
#[derive(Debug)]
pub(super) struct KafkaFrames {
    /// The longest frame accepted, bytes.
    most: usize,
    /// The beginning of a frame, its length included.
    partial: Vec<u8>,
}

/// The buffer that is kept for the next frame, bytes.
const KEPT: usize = 64 << 10;

impl KafkaFrames {
    pub(super) const fn new(most: usize) -> Self {
        Self { most, partial: Vec::new() }
    }

    /// Whether no frame has begun.
    pub(super) const fn is_empty(&self) -> bool {
        self.partial.is_empty()
    }

    /// Takes bytes; calls `each` with the correlation number and the body of each frame.
    ///
    /// # Errors
    /// `MessageTooLarge`, `BadReply`, and those of `each`.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        each: EachFrame<'_>,
    ) -> Result<(), FailureKind> {
        if !self.partial.is_empty() {
            let missing = 4_usize.saturating_sub(self.partial.len()).min(bytes.len());
            self.partial.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            let Some(length) = self.length_of(&self.partial)? else { return Ok(()) };
            let left = (4 + length - self.partial.len()).min(bytes.len());
            self.partial.extend_from_slice(&bytes[..left]);
            bytes = &bytes[left..];
            if self.partial.len() < 4 + length {
                return Ok(());
            }
            let mut whole = std::mem::take(&mut self.partial);
            hand_over(&whole[4..], each)?;
            if whole.capacity() <= KEPT {
                whole.clear();
                self.partial = whole;
            }
        }
        while let Some(length) = self.length_of(bytes)? {
            let Some(frame) = bytes.get(4..4 + length) else { break };
            hand_over(frame, each)?;
            bytes = &bytes[4 + length..];
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// The length of the frame that begins here; `None` if it is not known yet.
    fn length_of(&self, bytes: &[u8]) -> Result<Option<usize>, FailureKind> {
        let Some(length) = bytes.first_chunk() else { return Ok(None) };
        let length = usize::try_from(i32::from_be_bytes(*length));
        let length = length.ok().filter(|length| *length >= 4).ok_or(FailureKind::BadReply)?;
        if length > self.most { Err(FailureKind::MessageTooLarge) } else { Ok(Some(length)) }
    }
}

fn hand_over(frame: &[u8], each: EachFrame<'_>) -> Result<(), FailureKind> {
    let mut fields = KafkaFields(frame);
    let correlation = fields.int()?;
    each(correlation, fields.0)
}

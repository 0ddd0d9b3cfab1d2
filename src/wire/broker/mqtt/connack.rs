//! The CONNACK that begins a session: the response to an `open`.
//!
//! `framed::reader` feeds it; `session` reads the packet again for the broker's limits.
//! Invariant: an accepted session leaves its CONNACK, and all bytes after it, to the stream.

use super::packet::{MqttPacket, PacketFields, PacketReader};
use super::properties::{self, MqttProperty};
use super::reason;
use crate::clock::Time;
use crate::plan::broker::{MqttSettings, MqttVersion};
use crate::protocol::{Protocol, status};
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::response_reader::ReadsResponse;
use crate::wire::taken::TakenResponse;

/// The type of CONNACK.
const CONNACK: u8 = 2;

/// What a broker grants a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionLimits {
    /// Messages that may wait for their confirmation.
    pub(super) receive_maximum: u16,
    /// The largest packet that it takes, bytes.
    pub(super) max_packet: usize,
    /// The keep-alive that it demands, s; `None`: the client's own.
    pub(super) keep_alive: Option<u16>,
    /// Whether it takes identifiers of subscriptions.
    pub(super) has_identifiers: bool,
}

/// A CONNACK.
pub(super) struct Connack<'a> {
    pub(super) status: u16,
    pub(super) limits: SessionLimits,
    pub(super) reason: &'a str,
}

impl<'a> Connack<'a> {
    /// Reads a packet as one.
    pub(super) fn read(packet: &MqttPacket<'a>, version: MqttVersion) -> Result<Self, FailureKind> {
        if packet.kind() != CONNACK {
            return Err(FailureKind::BadReply);
        }
        let mut fields = PacketFields(packet.body);
        fields.byte()?;
        let code = fields.byte()?;
        let mut limits = SessionLimits {
            receive_maximum: u16::MAX,
            max_packet: usize::MAX,
            keep_alive: None,
            has_identifiers: version == MqttVersion::V5,
        };
        let mut reason = "";
        let code = match version {
            MqttVersion::V311 => reason::of_return_code(code),
            // A broker that does not know 5.0 answers as 3.1.1 does, without properties (§3.2.2.2).
            MqttVersion::V5 if fields.0.is_empty() => match code {
                0x80.. => code,
                code => reason::of_return_code(code),
            },
            MqttVersion::V5 => {
                properties::read(&mut fields, |property| match property {
                    MqttProperty::ReceiveMaximum(most) => limits.receive_maximum = most.max(1),
                    MqttProperty::MaximumPacket(most) => limits.max_packet = most as usize,
                    MqttProperty::ServerKeepAlive(s) => limits.keep_alive = Some(s),
                    MqttProperty::SubscriptionIdentifiers(has) => limits.has_identifiers = has,
                    MqttProperty::Reason(text) => reason = text,
                    _ => {}
                })?;
                code
            }
        };
        Ok(Self { status: reason::status_of(code), limits, reason })
    }
}

/// Reads the response to CONNECT.
#[derive(Debug)]
pub(in crate::wire) struct ConnackReader {
    version: MqttVersion,
    packets: PacketReader,
    /// All bytes so far.
    read: Vec<u8>,
    at: Time,
    status: u16,
}

impl ConnackReader {
    /// A reader for a client with these settings.
    pub(in crate::wire) fn new(settings: &MqttSettings) -> Self {
        Self {
            version: settings.version,
            packets: PacketReader::new(settings.max_packet),
            read: Vec::new(),
            at: Time::NEVER,
            status: 0,
        }
    }

    fn is_accepted(&self) -> bool {
        self.status == status::of_code(Protocol::Mqtt, 0)
    }
}

impl ReadsResponse for ConnackReader {
    fn read_at(&mut self, now: Time) {
        self.at = now;
    }

    fn feed(
        &mut self,
        bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<bool, AttemptOutcome> {
        self.read.extend_from_slice(bytes);
        let (version, mut found) = (self.version, 0);
        let fed = self.packets.feed(bytes, &mut |packet| {
            if found == 0 {
                let connack = Connack::read(&packet, version)?;
                found = connack.status;
                // As an error text of other protocols.
                let _ = capture.body.push(connack.reason.as_bytes());
            }
            Ok(())
        });
        if found == 0 {
            let failed = |kind| AttemptOutcome::Failed(AttemptPhase::FirstByte, kind);
            return fed.map(|()| false).map_err(failed);
        }
        self.status = found;
        if self.is_accepted() {
            capture.rare().taken =
                Some(TakenResponse::session(self.at, std::mem::take(&mut self.read)));
        }
        Ok(true)
    }

    fn end(&mut self) -> bool {
        false
    }

    fn status(&self) -> u16 {
        self.status
    }

    fn may_reuse(&self) -> bool {
        false
    }

    fn is_taken_over(&self) -> bool {
        self.is_accepted()
    }

    fn has_begun(&self) -> bool {
        !self.read.is_empty() || self.status != 0
    }
}

//! Messages that a broker delivers: PUBLISH packets as they arrive.
//!
//! `session` reads them.
//! Invariant: a topic is UTF-8 without wildcards; headers hold no line breaks.

use super::packet::{MqttPacket, PacketFields};
use super::properties::{self, MqttProperty};
use crate::plan::broker::MqttVersion;
use crate::stats::FailureKind;

/// Flags of PUBLISH (§3.3.1).
const RETAIN: u8 = 0x01;
const DUPLICATE: u8 = 0x08;

/// A delivered message.
#[derive(Debug)]
pub(super) struct DeliveredPublish<'a> {
    pub(super) topic: &'a str,
    pub(super) qos: u8,
    /// 0 for quality of service 0.
    pub(super) id: u16,
    pub(super) is_redelivered: bool,
    /// The subscription that it came by, if the broker says.
    pub(super) subscription: Option<u32>,
    /// Content type, user properties and whether it is retained, as lines of headers.
    pub(super) headers: Vec<u8>,
    pub(super) payload: &'a [u8],
}

impl<'a> DeliveredPublish<'a> {
    /// Reads a packet as one.
    pub(super) fn read(packet: &MqttPacket<'a>, version: MqttVersion) -> Result<Self, FailureKind> {
        let mut fields = PacketFields(packet.body);
        let topic = fields.text()?;
        let qos = packet.first >> 1 & 3;
        if qos == 3 || topic.contains(['+', '#', '\0']) {
            return Err(FailureKind::BadReply);
        }
        let id = if qos > 0 { fields.number()? } else { 0 };
        if qos > 0 && id == 0 {
            return Err(FailureKind::BadReply);
        }
        let (mut headers, mut subscription) = (Vec::new(), None);
        if version == MqttVersion::V5 {
            properties::read(&mut fields, |property| match property {
                MqttProperty::SubscriptionIdentifier(number) => subscription = Some(number),
                MqttProperty::ContentType(kind) => header(&mut headers, "content-type", kind),
                MqttProperty::User(name, value) => header(&mut headers, name, value),
                _ => {}
            })?;
        }
        if packet.first & RETAIN != 0 {
            header(&mut headers, "retain", "1");
        }
        let is_redelivered = packet.first & DUPLICATE != 0;
        Ok(Self { topic, qos, id, is_redelivered, subscription, headers, payload: fields.0 })
    }
}

/// Appends a header line; control characters become spaces.
fn header(out: &mut Vec<u8>, name: &str, value: &str) {
    let clean = |text: &str, out: &mut Vec<u8>| {
        out.extend(text.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
    };
    clean(name, out);
    out.extend_from_slice(b": ");
    clean(value, out);
    out.extend_from_slice(b"\r\n");
}

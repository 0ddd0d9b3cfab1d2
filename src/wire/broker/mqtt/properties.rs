//! Properties of MQTT 5 packets.
//!
//! `connack`, `publish` and `session` read them.
//! Invariant: a property of an unknown identifier is an error, since its length is unknown.

use super::packet::PacketFields;
use crate::stats::FailureKind;

/// One property, as far as it is used here.
#[derive(Clone, Copy, Debug)]
pub(super) enum MqttProperty<'a> {
    /// How many confirmed messages the broker takes at once.
    ReceiveMaximum(u16),
    /// The largest packet that the broker takes.
    MaximumPacket(u32),
    /// The keep-alive that the broker demands, s.
    ServerKeepAlive(u16),
    /// Whether the broker takes identifiers of subscriptions.
    SubscriptionIdentifiers(bool),
    /// The subscription that a message came by.
    SubscriptionIdentifier(u32),
    /// Why a request failed, in words.
    Reason(&'a str),
    ContentType(&'a str),
    User(&'a str, &'a str),
    /// Any other.
    Other,
}

/// Calls `each` with each property of a packet, and leaves what follows them.
pub(super) fn read<'a>(
    fields: &mut PacketFields<'a>,
    mut each: impl FnMut(MqttProperty<'a>),
) -> Result<(), FailureKind> {
    let length = fields.varint()?;
    let mut inner = PacketFields(fields.take(length)?);
    while !inner.0.is_empty() {
        each(property(&mut inner)?);
    }
    Ok(())
}

/// Reads a property (§2.2.2.2).
fn property<'a>(fields: &mut PacketFields<'a>) -> Result<MqttProperty<'a>, FailureKind> {
    Ok(match fields.varint()? {
        0x21 => MqttProperty::ReceiveMaximum(fields.number()?),
        0x27 => MqttProperty::MaximumPacket(fields.long()?),
        0x13 => MqttProperty::ServerKeepAlive(fields.number()?),
        0x29 => MqttProperty::SubscriptionIdentifiers(fields.byte()? != 0),
        0x0b => {
            let identifier = fields.varint()?;
            MqttProperty::SubscriptionIdentifier(u32::try_from(identifier).unwrap_or(u32::MAX))
        }
        0x1f => MqttProperty::Reason(fields.text()?),
        0x03 => MqttProperty::ContentType(fields.text()?),
        0x26 => {
            let name = fields.text()?;
            MqttProperty::User(name, fields.text()?)
        }
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x2a => {
            fields.byte()?;
            MqttProperty::Other
        }
        0x22 | 0x23 => {
            fields.number()?;
            MqttProperty::Other
        }
        0x02 | 0x11 | 0x18 => {
            fields.long()?;
            MqttProperty::Other
        }
        0x08 | 0x12 | 0x15 | 0x1a | 0x1c => {
            fields.text()?;
            MqttProperty::Other
        }
        0x09 | 0x16 => {
            fields.bytes()?;
            MqttProperty::Other
        }
        _ => return Err(FailureKind::BadReply),
    })
}

//! Packets of MQTT as bytes, but CONNECT.
//!
//! `session` sends them.
//! Invariant: a packet has its exact length before it; a text that is too long for its length field
//! encodes nothing.

use crate::plan::broker::MqttVersion;
use crate::wire::broker::command::PublishCommand;

/// The largest number that a variable byte integer holds (§1.5.5).
pub(super) const MAX_VARINT: usize = 268_435_455;

/// The first bytes of packets: type, and the flags that the protocol fixes (§2.1).
pub(super) const PUBACK: u8 = 0x40;
pub(super) const PUBREC: u8 = 0x50;
pub(super) const PUBREL: u8 = 0x62;
pub(super) const PUBCOMP: u8 = 0x70;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const PINGREQ: u8 = 0xc0;
const DISCONNECT: u8 = 0xe0;

/// Identifiers of properties (§2.2.2.2).
const CONTENT_TYPE: u8 = 0x03;
const MESSAGE_EXPIRY: u8 = 0x02;
const USER_PROPERTY: u8 = 0x26;
const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;

/// Appends a variable byte integer of at most [`MAX_VARINT`].
pub(super) fn varint(out: &mut Vec<u8>, mut value: usize) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// The bytes that a variable byte integer takes.
pub(super) const fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

/// Appends bytes with their length before them (§1.5.4, §1.5.6).
///
/// # Errors
/// `()` if they are longer than 65,535 bytes.
pub(super) fn text(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), ()> {
    let length = u16::try_from(bytes.len()).map_err(|_| ())?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// Appends a PUBLISH packet; `id` is 0 for quality of service 0.
///
/// # Errors
/// `()` if topic, header or packet is too long; `out` is as before then.
pub(super) fn publish(
    out: &mut Vec<u8>,
    version: MqttVersion,
    id: u16,
    command: &PublishCommand<'_>,
) -> Result<(), ()> {
    let options = command.options;
    let topic = command.destination.as_bytes();
    let mut properties = Vec::new();
    if version == MqttVersion::V5 {
        publish_properties(&mut properties, command)?;
    }
    let id_len = if options.qos > 0 { 2 } else { 0 };
    let properties_len = match version {
        MqttVersion::V311 => 0,
        MqttVersion::V5 => varint_len(properties.len()) + properties.len(),
    };
    let length = 2 + topic.len() + id_len + properties_len + command.payload.len();
    if topic.len() > usize::from(u16::MAX) || length > MAX_VARINT {
        return Err(());
    }
    out.reserve(5 + length);
    out.push(PUBLISH | options.qos << 1 | u8::from(options.is_retained));
    varint(out, length);
    text(out, topic)?;
    if options.qos > 0 {
        out.extend_from_slice(&id.to_be_bytes());
    }
    if version == MqttVersion::V5 {
        varint(out, properties.len());
        out.extend_from_slice(&properties);
    }
    out.extend_from_slice(command.payload);
    Ok(())
}

fn publish_properties(out: &mut Vec<u8>, command: &PublishCommand<'_>) -> Result<(), ()> {
    if let Some(expiration) = command.options.expiration {
        let seconds = u32::try_from(expiration.as_secs()).unwrap_or(u32::MAX);
        out.push(MESSAGE_EXPIRY);
        out.extend_from_slice(&seconds.to_be_bytes());
    }
    if let Some(content_type) = &command.options.content_type {
        out.push(CONTENT_TYPE);
        text(out, content_type.as_bytes())?;
    }
    for (name, value) in command.headers {
        out.push(USER_PROPERTY);
        text(out, name.as_bytes())?;
        text(out, value.as_bytes())?;
    }
    Ok(())
}

/// Appends a SUBSCRIBE packet for one filter; `identifier` is sent if the broker takes them.
///
/// # Errors
/// `()` if the filter is too long; `out` is as before then.
pub(super) fn subscribe(
    out: &mut Vec<u8>,
    version: MqttVersion,
    id: u16,
    (filter, qos): (&str, u8),
    identifier: Option<u32>,
) -> Result<(), ()> {
    let mut body = id.to_be_bytes().to_vec();
    if version == MqttVersion::V5 {
        let mut properties = Vec::new();
        if let Some(identifier) = identifier {
            properties.push(SUBSCRIPTION_IDENTIFIER);
            varint(&mut properties, identifier as usize);
        }
        varint(&mut body, properties.len());
        body.extend_from_slice(&properties);
    }
    text(&mut body, filter.as_bytes())?;
    body.push(qos);
    out.push(SUBSCRIBE);
    varint(out, body.len());
    out.extend_from_slice(&body);
    Ok(())
}

/// Appends PUBACK, PUBREC, PUBREL or PUBCOMP: a success has no reason code (§3.4.2.1).
pub(super) fn acknowledgement(out: &mut Vec<u8>, first: u8, id: u16) {
    let [high, low] = id.to_be_bytes();
    out.extend_from_slice(&[first, 2, high, low]);
}

/// Appends PINGREQ.
pub(super) fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PINGREQ, 0]);
}

/// Appends DISCONNECT with a reason code, which 3.1.1 has not.
pub(super) fn disconnect(out: &mut Vec<u8>, version: MqttVersion, reason: u8) {
    match version {
        MqttVersion::V5 if reason != 0 => out.extend_from_slice(&[DISCONNECT, 1, reason]),
        _ => out.extend_from_slice(&[DISCONNECT, 0]),
    }
}

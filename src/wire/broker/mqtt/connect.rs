//! CONNECT of MQTT as bytes.
//!
//! `engine::call::operation` renders it.
//! Invariant: credentials are in the packet alone, never in an error.

use super::encode::{text, varint};
use crate::plan::broker::{MqttSettings, MqttVersion};

/// The parts of a CONNECT packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectParts<'a> {
    /// The client identifier.
    pub client_id: &'a [u8],
    /// The user name, if there is one.
    pub user: Option<&'a [u8]>,
    /// The password, if there is one.
    pub password: Option<&'a [u8]>,
    /// The will, if there is one.
    pub will: Option<WillParts<'a>>,
}

/// The parts of a will.
#[derive(Clone, Copy, Debug)]
pub struct WillParts<'a> {
    /// Its topic.
    pub topic: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
    /// Its quality of service.
    pub qos: u8,
    /// Whether it is retained.
    pub is_retained: bool,
}

/// Flags of CONNECT (§3.1.2.3).
const CLEAN: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER: u8 = 0x80;

/// Identifiers of properties (§3.1.2.11).
const SESSION_EXPIRY: u8 = 0x11;
const MAXIMUM_PACKET: u8 = 0x27;

/// Appends a CONNECT packet.
///
/// # Errors
/// Which part is longer than 65,535 bytes: the end of a sentence after it.
pub fn connect(
    out: &mut Vec<u8>,
    settings: &MqttSettings,
    parts: &ConnectParts<'_>,
) -> Result<(), &'static str> {
    const TOO_LONG: &str = "is longer than 65,535 bytes";
    let (mut flags, mut payload) = (if settings.clean { CLEAN } else { 0 }, Vec::new());
    let mut put = |bytes: &[u8]| text(&mut payload, bytes).map_err(|()| TOO_LONG);
    put(parts.client_id)?;
    if let Some(will) = &parts.will {
        flags |= WILL | will.qos << 3 | if will.is_retained { WILL_RETAIN } else { 0 };
        if settings.version == MqttVersion::V5 {
            // No properties of the will: a length of 0, before the topic.
            payload.push(0);
        }
        text(&mut payload, will.topic).map_err(|()| TOO_LONG)?;
        text(&mut payload, will.payload).map_err(|()| TOO_LONG)?;
    }
    for (bytes, flag) in [(parts.user, USER), (parts.password, PASSWORD)] {
        if let Some(bytes) = bytes {
            flags |= flag;
            text(&mut payload, bytes).map_err(|()| TOO_LONG)?;
        }
    }
    let mut head = b"\0\x04MQTT".to_vec();
    head.push(match settings.version {
        MqttVersion::V311 => 4,
        MqttVersion::V5 => 5,
    });
    head.push(flags);
    let keep_alive = u16::try_from(settings.keep_alive.as_secs()).unwrap_or(u16::MAX);
    head.extend_from_slice(&keep_alive.to_be_bytes());
    if settings.version == MqttVersion::V5 {
        let mut properties = Vec::new();
        let expiry = u32::try_from(settings.session_expiry.as_secs()).unwrap_or(u32::MAX);
        if expiry > 0 {
            properties.push(SESSION_EXPIRY);
            properties.extend_from_slice(&expiry.to_be_bytes());
        }
        properties.push(MAXIMUM_PACKET);
        let largest = u32::try_from(settings.max_packet).unwrap_or(u32::MAX);
        properties.extend_from_slice(&largest.to_be_bytes());
        varint(&mut head, properties.len());
        head.extend_from_slice(&properties);
    }
    out.push(0x10);
    varint(out, head.len() + payload.len());
    out.extend_from_slice(&head);
    out.extend_from_slice(&payload);
    Ok(())
}

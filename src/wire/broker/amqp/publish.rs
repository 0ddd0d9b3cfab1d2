//! A message as basic.publish, content header and body.
//!
//! `channel` sends it.
//! Invariant: no frame is longer than agreed; a message that cannot be encoded leaves no bytes.

use std::hash::{DefaultHasher, Hasher};

use super::encode::{CHANNEL, begin_frame, end_frame, method};
use super::frames::{BODY, FRAME_OVERHEAD, HEADER};
use super::table::{put_short, put_table, put_text_entry};
use crate::wire::broker::command::PublishCommand;

/// Flags of properties (the order of `basic` in the specification).
const CONTENT_TYPE: u16 = 0x8000;
const HEADERS: u16 = 0x2000;
const DELIVERY_MODE: u16 = 0x1000;
const PRIORITY: u16 = 0x0800;
const EXPIRATION: u16 = 0x0100;

/// The class of messages.
const BASIC: u16 = 60;

/// The part of a payload that identifies its message, bytes.
pub(super) const MARKED: usize = 256;

/// Appends a message.
///
/// # Errors
/// `()` if a name, or all properties together, are too long; `out` is as before then.
pub(super) fn publish(
    out: &mut Vec<u8>,
    frame_max: usize,
    command: &PublishCommand<'_>,
) -> Result<(), ()> {
    let start = out.len();
    let written = append(out, frame_max, command);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn append(out: &mut Vec<u8>, frame_max: usize, command: &PublishCommand<'_>) -> Result<(), ()> {
    let most = frame_max - FRAME_OVERHEAD;
    out.reserve(128 + command.payload.len() + command.payload.len() / most * FRAME_OVERHEAD);
    method(out, CHANNEL, (BASIC, 40), |out| {
        out.extend_from_slice(&[0, 0]);
        put_short(out, command.options.exchange.as_bytes())?;
        put_short(out, command.destination.as_bytes())?;
        out.push(u8::from(command.options.is_mandatory));
        Ok(())
    })?;
    let start = begin_frame(out, HEADER, CHANNEL);
    out.extend_from_slice(&BASIC.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&(command.payload.len() as u64).to_be_bytes());
    properties(out, command)?;
    end_frame(out, start)?;
    if out.len() - start > frame_max {
        return Err(());
    }
    for piece in command.payload.chunks(most) {
        let start = begin_frame(out, BODY, CHANNEL);
        out.extend_from_slice(piece);
        end_frame(out, start)?;
    }
    Ok(())
}

fn properties(out: &mut Vec<u8>, command: &PublishCommand<'_>) -> Result<(), ()> {
    let (options, place, mut flags) = (command.options, out.len(), 0);
    out.extend_from_slice(&[0, 0]);
    if let Some(content_type) = &options.content_type {
        flags |= CONTENT_TYPE;
        put_short(out, content_type.as_bytes())?;
    }
    if !command.headers.is_empty() {
        flags |= HEADERS;
        put_table(out, |out| {
            let mut headers = command.headers.iter();
            headers.try_for_each(|(name, value)| {
                put_text_entry(out, name.as_bytes(), value.as_bytes())
            })
        })?;
    }
    if options.is_persistent {
        flags |= DELIVERY_MODE;
        out.push(2);
    }
    if let Some(priority) = options.priority {
        flags |= PRIORITY;
        out.push(priority);
    }
    if let Some(expiration) = options.expiration {
        flags |= EXPIRATION;
        put_short(out, itoa::Buffer::new().format(expiration.as_millis()).as_bytes())?;
    }
    out[place..place + 2].copy_from_slice(&flags.to_be_bytes());
    Ok(())
}

/// A number that a message has in common with no other, or with few: a broker that returns a
/// message does not tell its number.
pub(super) fn mark((exchange, key): (&[u8], &[u8]), length: u64, payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in [exchange, key, &payload[..payload.len().min(MARKED)]] {
        hasher.write(part);
        hasher.write_u8(0xff);
    }
    hasher.write_u64(length);
    hasher.finish()
}

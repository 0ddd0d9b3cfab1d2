//! The content header of a message: its length and its properties.
//!
//! `content` reads it.
//! Invariant: headers hold no line breaks, and no value of a table or list but the count of
//! `x-death`.

use super::fault::AmqpFault;
use super::table::{AmqpFields, AmqpValue, entries};

/// A property, by its type and whether it becomes a header line.
enum PropertyForm {
    ShownText(&'static str),
    Text,
    Byte,
    Headers,
    Time,
}

/// The properties in their order; the first one has the highest flag.
const PROPERTIES: [PropertyForm; 14] = [
    PropertyForm::ShownText("content-type"),
    // Content encoding.
    PropertyForm::Text,
    PropertyForm::Headers,
    // Delivery mode, priority.
    PropertyForm::Byte,
    PropertyForm::Byte,
    PropertyForm::ShownText("correlation-id"),
    PropertyForm::ShownText("reply-to"),
    // Expiration.
    PropertyForm::Text,
    PropertyForm::ShownText("message-id"),
    PropertyForm::Time,
    // Type, user, application, cluster.
    PropertyForm::Text,
    PropertyForm::Text,
    PropertyForm::Text,
    PropertyForm::Text,
];

/// Reads a content header; appends its properties to `lines` as lines of headers. Returns the
/// length of the body.
pub(super) fn read(payload: &[u8], lines: &mut Vec<u8>) -> Result<u64, AmqpFault> {
    let mut fields = AmqpFields(payload);
    let (class, _weight) = (fields.short()?, fields.short()?);
    if class != 60 {
        return Err(AmqpFault::Unexpected);
    }
    let length = fields.long_long()?;
    let flags = fields.short()?;
    // The lowest bit would be for more flags, the next one has no property.
    if flags & 0b11 != 0 {
        return Err(AmqpFault::Syntax);
    }
    for (place, form) in PROPERTIES.iter().enumerate() {
        if flags & 0x8000 >> place == 0 {
            continue;
        }
        match form {
            PropertyForm::ShownText(name) => {
                line(lines, name.as_bytes(), fields.short_text()?);
            }
            PropertyForm::Text => {
                fields.short_text()?;
            }
            PropertyForm::Byte => {
                fields.byte()?;
            }
            PropertyForm::Time => {
                fields.long_long()?;
            }
            PropertyForm::Headers => headers(fields.long_text()?, lines)?,
        }
    }
    Ok(length)
}

fn headers(table: &[u8], lines: &mut Vec<u8>) -> Result<(), AmqpFault> {
    let mut deaths = None;
    entries(table, |name, value| match value {
        AmqpValue::Text(text) => line(lines, name, text),
        AmqpValue::Whole(number) => {
            line(lines, name, itoa::Buffer::new().format(number).as_bytes());
        }
        AmqpValue::Truth(truth) => {
            line(lines, name, if truth { b"true" } else { b"false" });
        }
        AmqpValue::Float(number) => line(lines, name, number.to_string().as_bytes()),
        AmqpValue::List(list) if name == b"x-death" => deaths = Some(list),
        AmqpValue::List(_) | AmqpValue::Table(_) | AmqpValue::Other => {}
    })?;
    if let Some(list) = deaths {
        let count = death_count(list)?;
        line(lines, b"x-death-count", itoa::Buffer::new().format(count).as_bytes());
    }
    Ok(())
}

/// How often a message was dead-lettered: the sum over queues and reasons.
fn death_count(list: &[u8]) -> Result<i128, AmqpFault> {
    let (mut fields, mut sum) = (AmqpFields(list), 0_i128);
    while !fields.0.is_empty() {
        if let AmqpValue::Table(table) = fields.value()? {
            entries(table, |name, value| {
                if let (b"count", AmqpValue::Whole(count)) = (name, value) {
                    sum = sum.saturating_add(count);
                }
            })?;
        }
    }
    Ok(sum)
}

/// Appends a header line; control characters become spaces.
pub(super) fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let clean = |byte: &u8| if byte.is_ascii_control() { b' ' } else { *byte };
    out.extend(name.iter().map(clean));
    out.extend_from_slice(b": ");
    out.extend(value.iter().map(clean));
    out.extend_from_slice(b"\r\n");
}

//! Methods that declare, bind, delete and purge, and the one that begins a session, as bytes.
//!
//! `engine::call` renders requests with it, and reads names out of them for its outputs.
//! Invariant: a name never changes where a request ends: each has its length before it.

use super::encode::{self, CHANNEL, method};
use super::limits::MAX_FRAME;
use super::table::{
    AmqpFields, put_number_entry, put_short, put_table, put_text_entry, put_truth_entry,
};
use crate::plan::broker::DeclareKind;

/// What a declaration is rendered from.
#[derive(Clone, Copy, Debug)]
pub struct DeclareParts<'a> {
    /// What is declared or deleted.
    pub kind: &'a DeclareKind,
    /// Its name.
    pub name: &'a [u8],
    /// Exchange and routing key of a binding; else empty.
    pub binding: (&'a [u8], &'a [u8]),
    /// Whether it survives a restart of the broker.
    pub is_durable: bool,
    /// Further arguments.
    pub arguments: &'a [(&'a str, ArgumentValue<'a>)],
}

/// The value of an argument.
#[derive(Clone, Debug)]
pub enum ArgumentValue<'a> {
    /// A text.
    Text(std::borrow::Cow<'a, [u8]>),
    /// A whole number.
    Number(i64),
    /// A truth value.
    Truth(bool),
}

/// Flag of declarations; others are not used.
const DURABLE: u8 = 0b10;

/// Appends the request that begins a session.
pub fn begin_session(out: &mut Vec<u8>) {
    encode::select(out);
}

/// Appends a declaration.
///
/// # Errors
/// Why it cannot be encoded: the end of a sentence.
pub fn declare(out: &mut Vec<u8>, parts: &DeclareParts<'_>) -> Result<(), &'static str> {
    let method_id = match parts.kind {
        DeclareKind::Queue => (50, 10),
        DeclareKind::Exchange(_) => (40, 10),
        DeclareKind::Binding { .. } => (50, 20),
        DeclareKind::DeleteQueue => (50, 40),
        DeclareKind::DeleteExchange => (40, 20),
        DeclareKind::Purge => (50, 30),
    };
    let start = out.len();
    let written = method(out, CHANNEL, method_id, |out| fill(out, parts));
    if written.is_err() {
        return Err("has a name of more than 255 bytes");
    }
    if out.len() - start > MAX_FRAME {
        out.truncate(start);
        return Err("has arguments of more than 128 KiB");
    }
    Ok(())
}

fn fill(out: &mut Vec<u8>, parts: &DeclareParts<'_>) -> Result<(), ()> {
    let flags = if parts.is_durable { DURABLE } else { 0 };
    out.extend_from_slice(&[0, 0]);
    put_short(out, parts.name)?;
    match parts.kind {
        DeclareKind::Queue => out.push(flags),
        DeclareKind::Exchange(kind) => {
            put_short(out, kind.as_bytes())?;
            out.push(flags);
        }
        DeclareKind::Binding { .. } => {
            put_short(out, parts.binding.0)?;
            put_short(out, parts.binding.1)?;
            out.push(0);
        }
        DeclareKind::DeleteQueue | DeclareKind::DeleteExchange | DeclareKind::Purge => {
            out.push(0);
            return Ok(());
        }
    }
    put_table(out, |out| {
        parts.arguments.iter().try_for_each(|(name, value)| match value {
            ArgumentValue::Text(text) => put_text_entry(out, name.as_bytes(), text),
            ArgumentValue::Number(number) => put_number_entry(out, name.as_bytes(), *number),
            ArgumentValue::Truth(truth) => put_truth_entry(out, name.as_bytes(), *truth),
        })
    })
}

/// The name in an encoded declaration, and the exchange and routing key of a binding, which are
/// empty for others; `None` if the bytes are none.
pub fn names(request: &[u8]) -> Option<[&[u8]; 3]> {
    // Header of the frame, class, number of the method, a field without a meaning.
    let class_and_method = request.get(7..11)?;
    let mut fields = AmqpFields(request.get(13..)?);
    let name = fields.short_text().ok()?;
    let mut next =
        || if class_and_method == [0, 50, 0, 20] { fields.short_text().ok() } else { None };
    let (exchange, key) = (next().unwrap_or_default(), next().unwrap_or_default());
    Some([name, exchange, key])
}

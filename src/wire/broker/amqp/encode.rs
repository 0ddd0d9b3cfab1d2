//! Methods of a client as bytes, but those that declare and publish.
//!
//! `framed::amqp_login`, `channel` and `session` send them.
//! Invariant: a frame has its exact length before it, and its end behind it; a text that is too
//! long for its length field encodes nothing.

use super::frames::{FRAME_END, FRAME_OVERHEAD, HEARTBEAT, METHOD};
use super::limits::AmqpLimits;
use super::table::{put_long, put_short, put_table, put_text_entry, put_truth_entry};

/// What a client sends first (§4.2.2): the name of the protocol, 0, and its version.
pub(in crate::wire) const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\0\0\x09\x01";

/// The channel of a connection that all but questions use.
pub(in crate::wire) const CHANNEL: u16 = 1;

/// The channel of questions for the messages of queues.
pub(super) const QUESTION_CHANNEL: u16 = 2;

/// The longest text of a reason.
const MAX_REASON: usize = 255;

/// Begins a frame; [`end_frame`] has to end it.
pub(super) fn begin_frame(out: &mut Vec<u8>, kind: u8, channel: u16) -> usize {
    let start = out.len();
    let [high, low] = channel.to_be_bytes();
    out.extend_from_slice(&[kind, high, low, 0, 0, 0, 0]);
    start
}

/// Ends the frame that was begun at `start`.
///
/// # Errors
/// `()` if it is longer than 4 GiB.
pub(super) fn end_frame(out: &mut Vec<u8>, start: usize) -> Result<(), ()> {
    out.push(FRAME_END);
    let length = u32::try_from(out.len() - start - FRAME_OVERHEAD).map_err(|_| ())?;
    out[start + 3..start + 7].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Appends a method whose arguments `fill` writes.
///
/// # Errors
/// `()` if `fill` fails; `out` is as before then.
pub(super) fn method(
    out: &mut Vec<u8>,
    channel: u16,
    (class, number): (u16, u16),
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), ()>,
) -> Result<(), ()> {
    let start = begin_frame(out, METHOD, channel);
    out.extend_from_slice(&class.to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes());
    let written = fill(out).and_then(|()| end_frame(out, start));
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends a method whose arguments are these bytes: a few.
fn short_method(out: &mut Vec<u8>, channel: u16, method_id: (u16, u16), arguments: &[u8]) {
    let filled = method(out, channel, method_id, |out| {
        out.extend_from_slice(arguments);
        Ok(())
    });
    debug_assert!(filled.is_ok());
}

/// Appends connection.start-ok: who this client is, and user and password by SASL PLAIN.
///
/// # Errors
/// `()` if they are longer than 4 GiB.
pub(in crate::wire) fn start_ok(out: &mut Vec<u8>, user: &str, password: &str) -> Result<(), ()> {
    const CAPABILITIES: [&str; 5] = [
        "publisher_confirms",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "authentication_failure_close",
    ];
    method(out, 0, (10, 11), |out| {
        put_table(out, |out| {
            put_text_entry(out, b"product", b"manada")?;
            put_text_entry(out, b"version", env!("CARGO_PKG_VERSION").as_bytes())?;
            put_short(out, b"capabilities")?;
            out.push(b'F');
            put_table(out, |out| {
                CAPABILITIES.iter().try_for_each(|name| put_truth_entry(out, name.as_bytes(), true))
            })
        })?;
        put_short(out, b"PLAIN")?;
        put_long(out, format!("\0{user}\0{password}").as_bytes())?;
        put_short(out, b"en_US")
    })
}

/// Appends connection.tune-ok.
pub(in crate::wire) fn tune_ok(out: &mut Vec<u8>, limits: &AmqpLimits) {
    let mut arguments = limits.channel_max.to_be_bytes().to_vec();
    arguments.extend_from_slice(&(limits.frame_max as u32).to_be_bytes());
    arguments.extend_from_slice(&limits.heartbeat.to_be_bytes());
    short_method(out, 0, (10, 31), &arguments);
}

/// Appends connection.open.
///
/// # Errors
/// `()` if the name of the virtual host is longer than 255 bytes.
pub(in crate::wire) fn open(out: &mut Vec<u8>, virtual_host: &str) -> Result<(), ()> {
    method(out, 0, (10, 40), |out| {
        put_short(out, virtual_host.as_bytes())?;
        // Two fields that have no meaning any more.
        out.extend_from_slice(&[0, 0]);
        Ok(())
    })
}

/// Appends channel.open.
pub(in crate::wire) fn channel_open(out: &mut Vec<u8>, channel: u16) {
    short_method(out, channel, (20, 10), &[0]);
}

/// Appends confirm.select.
pub(in crate::wire) fn select(out: &mut Vec<u8>) {
    short_method(out, CHANNEL, (85, 10), &[0]);
}

/// Appends connection.close; a long reason is cut.
pub(super) fn close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let mut arguments = code.to_be_bytes().to_vec();
    let reason = &reason[..reason.floor_char_boundary(MAX_REASON)];
    let written = put_short(&mut arguments, reason.as_bytes());
    debug_assert!(written.is_ok());
    arguments.extend_from_slice(&[0; 4]);
    short_method(out, 0, (10, 50), &arguments);
}

/// Appends connection.close-ok.
pub(super) fn close_ok(out: &mut Vec<u8>) {
    short_method(out, 0, (10, 51), &[]);
}

/// Appends channel.close-ok.
pub(super) fn channel_close_ok(out: &mut Vec<u8>, channel: u16) {
    short_method(out, channel, (20, 41), &[]);
}

/// Appends channel.flow-ok.
pub(super) fn flow_ok(out: &mut Vec<u8>, channel: u16, is_active: bool) {
    short_method(out, channel, (20, 21), &[u8::from(is_active)]);
}

/// Appends the question for a queue: queue.declare that declares nothing.
///
/// # Errors
/// `()` if the name of the queue is longer than 255 bytes; `out` is as before then.
pub(super) fn passive_declare(out: &mut Vec<u8>, queue: &str) -> Result<(), ()> {
    method(out, QUESTION_CHANNEL, (50, 10), |out| {
        out.extend_from_slice(&[0, 0]);
        put_short(out, queue.as_bytes())?;
        out.push(1);
        put_table(out, |_| Ok(()))
    })
}

/// Appends basic.qos, which is for the consumers that begin after it.
pub(super) fn qos(out: &mut Vec<u8>, prefetch: u16) {
    let [high, low] = prefetch.to_be_bytes();
    // Without a limit of bytes, and not for the whole channel.
    short_method(out, CHANNEL, (60, 10), &[0, 0, 0, 0, high, low, 0]);
}

/// Appends basic.consume.
///
/// # Errors
/// `()` if the name of the queue is longer than 255 bytes; `out` is as before then.
pub(super) fn consume(
    out: &mut Vec<u8>,
    (queue, tag): (&str, &str),
    is_automatic: bool,
    is_exclusive: bool,
) -> Result<(), ()> {
    method(out, CHANNEL, (60, 20), |out| {
        out.extend_from_slice(&[0, 0]);
        put_short(out, queue.as_bytes())?;
        put_short(out, tag.as_bytes())?;
        out.push(u8::from(is_automatic) << 1 | u8::from(is_exclusive) << 2);
        put_table(out, |_| Ok(()))
    })
}

/// Appends basic.cancel-ok.
///
/// # Errors
/// `()` if the tag is longer than 255 bytes.
pub(super) fn cancel_ok(out: &mut Vec<u8>, tag: &[u8]) -> Result<(), ()> {
    method(out, CHANNEL, (60, 31), |out| put_short(out, tag))
}

/// Appends basic.ack.
pub(super) fn ack(out: &mut Vec<u8>, tag: u64, is_multiple: bool) {
    settlement(out, 80, tag, u8::from(is_multiple));
}

/// Appends basic.reject.
pub(super) fn reject(out: &mut Vec<u8>, tag: u64, is_requeued: bool) {
    settlement(out, 90, tag, u8::from(is_requeued));
}

/// Appends basic.nack for a delivery and all before it.
pub(super) fn nack(out: &mut Vec<u8>, tag: u64, is_requeued: bool) {
    settlement(out, 120, tag, 1 | u8::from(is_requeued) << 1);
}

fn settlement(out: &mut Vec<u8>, number: u16, tag: u64, bits: u8) {
    let mut arguments = [0; 9];
    arguments[..8].copy_from_slice(&tag.to_be_bytes());
    arguments[8] = bits;
    short_method(out, CHANNEL, (60, number), &arguments);
}

/// Appends a heartbeat.
pub(super) fn heartbeat(out: &mut Vec<u8>) {
    out.extend_from_slice(&[HEARTBEAT, 0, 0, 0, 0, 0, 0, FRAME_END]);
}

//! Frames of a server, with and without compression, whole and in pieces: the same messages and the
//! same end, none over the limit.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manada::stats::FailureKind;
use manada::wire::message_stream::MessageKind;
use manada::wire::websocket::decoder::{FrameEvent, MessageDecoder};
use manada::wire::websocket::deflate::DeflateAgreement;

/// Maximum bytes of a message.
const MAX: usize = 4_000;

fn decode<'a>(
    deflate: Option<DeflateAgreement>,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<String>, Result<(), FailureKind>) {
    let (mut decoder, mut events) = (MessageDecoder::new(MAX as u64, deflate), Vec::new());
    for piece in pieces {
        let fed = decoder.feed(piece, &mut |event| {
            if let FrameEvent::Message(kind, payload) = event {
                assert!(payload.len() <= MAX);
                assert!(kind == MessageKind::Binary || std::str::from_utf8(payload).is_ok());
            }
            events.push(format!("{event:?}"));
        });
        if fed.is_err() {
            return (events, fed);
        }
    }
    (events, Ok(()))
}

fuzz_target!(|data: &[u8]| {
    let [flags, size, frames @ ..] = data else { return };
    let deflate = (flags & 1 != 0).then_some(DeflateAgreement {
        client_bits: 15,
        server_bits: if flags & 2 != 0 { 9 } else { 15 },
        client_forgets: false,
        server_forgets: flags & 4 != 0,
    });
    let whole = decode(deflate, std::iter::once(frames));
    let size = usize::from(*size).max(1);
    let pieces = decode(deflate, frames.chunks(size));
    assert_eq!(pieces.0, whole.0, "the cuts changed the messages");
    // Of a message with two faults, damaged and no text, either one may be found first.
    let may_differ = deflate.is_some() && whole.1.is_err() && pieces.1.is_err();
    assert!(pieces.1 == whole.1 || may_differ, "the cuts changed the end");
});

//! Tests of the decoder and the encoder, with tungstenite as the other side.

use proptest::prelude::*;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameSocket};

use super::decoder::{FrameEvent, MAX_FRAGMENTS, MessageDecoder};
use super::deflate::{Compressor, DeflateAgreement};
use super::frame::{self, MaskKeys, Opcode};
use crate::stats::FailureKind;
use crate::wire::message_stream::MessageKind;

/// What came out of a decoder, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decoded {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

fn decode_pieces<'a>(
    mut decoder: MessageDecoder,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Decoded>, Result<(), FailureKind>) {
    let mut got = Vec::new();
    for piece in pieces {
        let fed = decoder.feed(piece, &mut |event| {
            got.push(match event {
                FrameEvent::Message(MessageKind::Text, text) => {
                    Decoded::Text(String::from_utf8(text.to_vec()).unwrap())
                }
                FrameEvent::Message(MessageKind::Binary, bytes) => Decoded::Binary(bytes.to_vec()),
                FrameEvent::Ping(payload) => Decoded::Ping(payload.to_vec()),
                FrameEvent::Pong => Decoded::Pong,
                FrameEvent::Close(code) => Decoded::Close(code),
            });
        });
        if fed.is_err() {
            return (got, fed);
        }
    }
    (got, Ok(()))
}

fn decode(bytes: &[u8]) -> (Vec<Decoded>, Result<(), FailureKind>) {
    decode_pieces(MessageDecoder::new(100, None), std::iter::once(bytes))
}

/// A frame of a server: its first byte, and its payload.
fn server_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut bytes = match length {
        0..126 => vec![first, length as u8],
        126..=0xffff => [&[first, 126][..], &(length as u16).to_be_bytes()].concat(),
        _ => [&[first, 127][..], &(length as u64).to_be_bytes()].concat(),
    };
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn control_frames_may_stand_between_fragments() {
    let frames = [
        server_frame(0x01, b"a\xc3"),
        server_frame(0x89, b"are you there"),
        server_frame(0x00, b""),
        server_frame(0x8a, b""),
        server_frame(0x80, b"\xa4b"),
        server_frame(0x82, b""),
        server_frame(0x88, b"\x03\xe8bye"),
        server_frame(0x81, b"after the close"),
    ]
    .concat();
    let expected = vec![
        Decoded::Ping(b"are you there".to_vec()),
        Decoded::Pong,
        Decoded::Text("aäb".to_owned()),
        Decoded::Binary(Vec::new()),
        Decoded::Close(Some(1000)),
    ];
    for size in 1..=frames.len() {
        let decoder = MessageDecoder::new(100, None);
        let (got, fed) = decode_pieces(decoder, frames.chunks(size));
        assert_eq!((got, fed), (expected.clone(), Ok(())), "pieces of {size}");
    }
}

#[test]
fn frames_that_break_a_rule_have_a_kind_with_their_first_wrong_byte() {
    for (bytes, kind) in [
        // Reserved bits and opcodes, masks, fragments of control frames, long ones.
        (&[0xc1][..], FailureKind::BadFrame),
        (&[0xa1], FailureKind::BadFrame),
        (&[0x83], FailureKind::BadFrame),
        (&[0x8b], FailureKind::BadFrame),
        (&[0x09], FailureKind::BadFrame),
        (&[0x81, 0x80], FailureKind::BadFrame),
        (&[0x89, 126], FailureKind::BadFrame),
        // Lengths that are not in their shortest form, or have the highest bit.
        (&[0x81, 126, 0, 125], FailureKind::BadFrame),
        (&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], FailureKind::BadFrame),
        (&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], FailureKind::BadFrame),
        // Continuations of nothing, and a message inside a message.
        (&[0x80, 0], FailureKind::BadFrame),
        (&[0x00, 0], FailureKind::BadFrame),
        (&[0x01, 1, b'a', 0x81, 1], FailureKind::BadFrame),
        // Text, whole and in fragments.
        (&[0x81, 2, 0xc3, 0x28], FailureKind::InvalidUtf8),
        (&[0x81, 1, 0xc3], FailureKind::InvalidUtf8),
        (&[0x01, 3, b'a', 0xf4, 0x90], FailureKind::InvalidUtf8),
        (&[0x01, 1, 0xc3, 0x80, 0], FailureKind::InvalidUtf8),
        // Closes.
        (&[0x88, 1, 3], FailureKind::BadFrame),
        (&[0x88, 2, 0x03, 0xed], FailureKind::BadFrame),
        (&[0x88, 2, 0x0b, 0xb7], FailureKind::BadFrame),
        (&[0x88, 2, 0x13, 0x88], FailureKind::BadFrame),
        (&[0x88, 3, 0x03, 0xe8, 0xff], FailureKind::InvalidUtf8),
        // 10 GB, announced; and more than 100 bytes in fragments.
        (&[0x82, 127, 0, 0, 0, 2, 0x54, 0x0b, 0xe4, 0], FailureKind::MessageTooLarge),
        (&[0x82, 101], FailureKind::MessageTooLarge),
    ] {
        assert_eq!(decode(bytes), (vec![], Err(kind)), "{bytes:x?}");
        let decoder = MessageDecoder::new(100, None);
        let (_, fed) = decode_pieces(decoder, bytes[..bytes.len() - 1].chunks(1));
        assert_eq!(fed, Ok(()), "{bytes:x?} without its last byte");
    }
    let halves = [server_frame(2, &[0; 60]), server_frame(0x80, &[0; 60])].concat();
    assert_eq!(decode(&halves).1, Err(FailureKind::MessageTooLarge));
}

#[test]
fn fragments_of_a_message_are_limited() {
    let mut frames = vec![2, 0];
    frames.extend([0, 0].repeat(MAX_FRAGMENTS as usize - 2));
    let decoder = || MessageDecoder::new(100, None);
    let whole = [&frames[..], &[0x80, 0]].concat();
    let (got, fed) = decode_pieces(decoder(), whole.chunks(1 << 16));
    assert_eq!((got, fed), (vec![Decoded::Binary(Vec::new())], Ok(())));
    let more = [&frames[..], &[0, 0, 0x80, 0]].concat();
    let (_, fed) = decode_pieces(decoder(), more.chunks(1 << 16));
    assert_eq!(fed, Err(FailureKind::TooManyFragments));
}

/// A frame of a target that compresses.
fn compressed(compressor: &mut Compressor, text: &[u8]) -> Vec<u8> {
    server_frame(0xc1, &compressor.compress(text).unwrap())
}

#[test]
fn compressed_messages_are_read_with_and_without_a_kept_window() {
    let text = "the same again, ".repeat(5);
    for (forgets, bits) in [(false, 15), (true, 15), (false, 9), (true, 9)] {
        let agreement = DeflateAgreement {
            client_bits: bits,
            server_bits: bits,
            client_forgets: forgets,
            server_forgets: forgets,
        };
        let mut compressor = Compressor::new(agreement);
        let first = compressed(&mut compressor, text.as_bytes());
        let second = compressed(&mut compressor, text.as_bytes());
        // A kept window has seen the text before.
        assert_eq!(second.len() < first.len(), !forgets);
        let plain = server_frame(0x81, b"plain");
        // A fragment need not end where a block does.
        let (payload, mut fragments) = (&first[2..], Vec::new());
        fragments.extend(server_frame(0x41, &payload[..3]));
        fragments.extend(server_frame(0x80, &payload[3..]));
        let all = [fragments, plain, second].concat();
        for size in [1, 2, 7, all.len()] {
            let decoder = MessageDecoder::new(100, Some(agreement));
            let (got, fed) = decode_pieces(decoder, all.chunks(size));
            let plain = Decoded::Text("plain".to_owned());
            let text = Decoded::Text(text.clone());
            assert_eq!((got, fed), (vec![text.clone(), plain, text], Ok(())), "{size} {forgets}");
        }
    }
}

#[test]
fn bombs_and_damaged_compression_are_rejected() {
    let plain = DeflateAgreement::PLAIN;
    let bomb = Compressor::new(plain).compress(&vec![b'0'; 50 << 20]).unwrap();
    assert!(bomb.len() < 100_000);
    let decode = |max, frame: Vec<u8>| {
        let decoder = MessageDecoder::new(max, Some(plain));
        decode_pieces(decoder, frame.chunks(1 << 16)).1
    };
    assert_eq!(decode(1 << 20, server_frame(0xc2, &bomb)), Err(FailureKind::MessageTooLarge));
    assert_eq!(decode(100, server_frame(0xc2, &[7; 50])), Err(FailureKind::BadCompression));
    let text = Compressor::new(plain).compress(b"\xff\xff").unwrap();
    assert_eq!(decode(100, server_frame(0xc1, &text)), Err(FailureKind::InvalidUtf8));
    // Only the first frame of a message says that it is compressed.
    let twice = [server_frame(0x42, &[]), server_frame(0xc0, &[])].concat();
    assert_eq!(decode(100, twice), Err(FailureKind::BadFrame));
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        (0usize..70_000).prop_map(|length| vec![b'z'; length]),
    ]
}

proptest! {
    #[test]
    fn tungstenite_reads_what_we_write(messages in proptest::collection::vec(payload(), 1..5)) {
        let (mut keys, mut out) = (MaskKeys::new([7; 16]), Vec::new());
        for message in &messages {
            frame::write(&mut out, Opcode::Binary, false, keys.draw(), message);
        }
        let mut socket = FrameSocket::new(std::io::Cursor::new(out));
        for message in messages {
            let frame = socket.read(None).unwrap().unwrap();
            prop_assert_eq!(frame.header().opcode, OpCode::Data(Data::Binary));
            let key = frame.header().mask.unwrap();
            let masked = frame.payload().iter().zip(key.iter().cycle());
            let unmasked: Vec<u8> = masked.map(|(byte, key)| byte ^ key).collect();
            prop_assert_eq!(unmasked, message);
        }
    }

    #[test]
    fn we_read_what_tungstenite_writes_in_any_pieces(
        messages in proptest::collection::vec((payload(), 1usize..4, any::<bool>()), 1..5),
        size in 1usize..5_000,
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for (payload, parts, pings) in messages {
            let length = payload.len().div_ceil(parts).max(1);
            let parts: Vec<&[u8]> = if payload.is_empty() {
                vec![&[]]
            } else {
                payload.chunks(length).collect()
            };
            for (number, part) in parts.iter().enumerate() {
                let data = if number == 0 { Data::Binary } else { Data::Continue };
                let is_final = number + 1 == parts.len();
                let frame = Frame::message(part.to_vec(), OpCode::Data(data), is_final);
                frame.format(&mut bytes).unwrap();
                if pings && !is_final {
                    Frame::ping("hi").format(&mut bytes).unwrap();
                    expected.push(Decoded::Ping(b"hi".to_vec()));
                }
            }
            expected.push(Decoded::Binary(payload));
        }
        let decoder = MessageDecoder::new(1 << 20, None);
        let (got, fed) = decode_pieces(decoder, bytes.chunks(size));
        prop_assert_eq!(fed, Ok(()));
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn any_bytes_in_any_pieces_give_the_same(
        bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(0x81), Just(1), Just(0x80), Just(0xc1), 0u8..4], 0..60),
        size in 1usize..9,
        deflates in any::<bool>(),
    ) {
        let decoder = || MessageDecoder::new(50, deflates.then_some(DeflateAgreement::PLAIN));
        let (whole, end) = decode_pieces(decoder(), std::iter::once(&bytes[..]));
        let (pieces, piece_end) = decode_pieces(decoder(), bytes.chunks(size));
        prop_assert_eq!(whole, pieces);
        // Of a message with two faults, damaged and no text, either one may be found first.
        let may_differ = deflates && end.is_err() && piece_end.is_err();
        prop_assert!(end == piece_end || may_differ, "{end:?} {piece_end:?}");
    }
}

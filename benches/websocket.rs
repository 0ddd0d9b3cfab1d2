//! The cost of receiving WebSocket messages: our decoder, and tungstenite's message layer.
//!
//! Run with `cargo bench --bench websocket`. One message of 66 bytes is one item; a read brings one
//! or eight of them.

use std::io::{self, Read, Write};

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use manada::wire::websocket::decoder::{FrameEvent, MessageDecoder};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

fn main() {
    divan::main();
}

/// Returns `count` text messages of 66 bytes as a server frames them.
fn frames(count: usize) -> Vec<u8> {
    let frame = [&[0x81, 66][..], &[b'm'; 66]].concat();
    frame.repeat(count)
}

/// A socket with the same bytes in it, again and again; in between it would block, as a real one
/// does.
struct Reads<'a> {
    bytes: &'a [u8],
    read: usize,
}

impl Read for Reads<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = &self.bytes[self.read..];
        if left.is_empty() {
            self.read = 0;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.read += count;
        Ok(count)
    }
}

impl Write for Reads<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[divan::bench(args = [1, 8])]
fn ours(bencher: Bencher<'_, '_>, messages: usize) {
    let bytes = frames(messages);
    let mut decoder = MessageDecoder::new(1 << 20, None);
    let mut buffer = vec![0; 64 << 10];
    bencher.counter(ItemsCount::new(messages)).bench_local(|| {
        // What the kernel does in a read; the other bench pays for it, too.
        buffer[..bytes.len()].copy_from_slice(black_box(&bytes));
        let mut received = 0;
        let fed = decoder.feed(&buffer[..bytes.len()], &mut |event| {
            if let FrameEvent::Message(_, payload) = event {
                received += payload.len();
            }
        });
        assert!(fed.is_ok());
        received
    });
}

#[divan::bench(args = [1, 8])]
fn tungstenite_context(bencher: Bencher<'_, '_>, messages: usize) {
    let bytes = frames(messages);
    let mut socket = Reads { bytes: &bytes, read: 0 };
    let config = WebSocketConfig::default().read_buffer_size(4 << 10);
    let mut context = WebSocketContext::new(Role::Client, Some(config));
    bencher.counter(ItemsCount::new(messages)).bench_local(|| {
        let mut received = 0;
        while let Ok(message) = context.read(black_box(&mut socket)) {
            received += message.len();
        }
        received
    });
}

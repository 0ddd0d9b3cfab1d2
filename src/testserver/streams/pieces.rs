//! Bodies of unknown length: chunks of HTTP/1.1, and writes in small pieces.
//!
//! Event streams and token streams write with it.
//! Invariant: a piece is written by a call of its own, and waits for the one before.

use std::io::{self, Write};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::clock;

/// The chunk that ends a body.
pub(in crate::testserver) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// Bytes of a piece: lines, and characters of more than one byte, are cut.
const PIECE: usize = 7;
/// The wait between two pieces, so that they arrive in different reads.
const BETWEEN: Duration = Duration::from_micros(500);

/// Appends a chunk.
pub(in crate::testserver) fn chunk_into(bytes: &[u8], out: &mut Vec<u8>) {
    // Writing into memory cannot fail.
    let _ = write!(out, "{:x}\r\n", bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Writes bytes in pieces, each a chunk of its own if `is_chunked`.
pub(in crate::testserver) async fn write_pieces(
    stream: &mut TcpStream,
    bytes: &[u8],
    is_chunked: bool,
) -> io::Result<()> {
    let mut chunk = Vec::new();
    for piece in bytes.chunks(PIECE) {
        chunk.clear();
        if is_chunked {
            chunk_into(piece, &mut chunk);
        } else {
            chunk.extend_from_slice(piece);
        }
        stream.write_all(&chunk).await?;
        clock::sleep_until(clock::now() + BETWEEN).await;
    }
    Ok(())
}

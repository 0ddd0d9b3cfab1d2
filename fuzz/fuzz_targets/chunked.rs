//! Any bytes as a chunked body: read as RFC 9112 §7.1 says, however they are segmented.
//!
//! Input: a byte with the length of a piece, the body. The oracle below reads the body in one
//! piece.
#![no_main]

use libfuzzer_sys::fuzz_target;
use manada::wire::http1::framing::ResponseReader;
use manada::wire::{CaptureRequest, ResponseCapture};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Returns the data of a body, and whether bytes follow it; `None` if it is incomplete or
/// malformed.
fn oracle(mut rest: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut data = Vec::new();
    loop {
        let line = line(&mut rest)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let blank = line[digits..].iter().take_while(|byte| b" \t".contains(byte)).count();
        let is_bare = line.len() == digits + blank;
        if !is_bare && line[digits + blank] != b';' {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let (chunk, more) = rest.split_at_checked(usize::try_from(size).ok()?)?;
        data.extend_from_slice(chunk);
        rest = more.strip_prefix(b"\r\n")?;
    }
    while !line(&mut rest)?.is_empty() {}
    Some((data, !rest.is_empty()))
}

/// Takes the next line, without its end; a line feed or a carriage return alone ends none.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| b"\r\n".contains(byte))?;
    let (line, after) = rest.split_at(end);
    *rest = after.strip_prefix(b"\r\n")?;
    Some(line)
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<(Vec<u8>, bool)> {
    let request = CaptureRequest { max_body: 1 << 20, keep_body: true, ..CaptureRequest::NOTHING };
    let (mut reader, mut capture) = (ResponseReader::new(request), ResponseCapture::default());
    let mut complete = reader.feed(HEAD, &mut capture).ok()?;
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        complete = reader.feed(piece, &mut capture).ok()?;
    }
    complete.then(|| (capture.body.to_vec(), !reader.may_reuse()))
}

fuzz_target!(|data: &[u8]| {
    let [length, body @ ..] = data else { return };
    // Longer extensions and trailers are rejected, which the oracle does not model.
    if body.len() > 16 << 10 {
        return;
    }
    let whole = read(std::iter::once(body));
    assert_eq!(whole, oracle(body), "not as the oracle");
    assert_eq!(read(body.chunks(usize::from(*length) + 1)), whole, "the cuts changed it");
});

//! Any bytes as a chunked body: read as RFC 9112 §7.1 says, wherever the network cuts them.
//!
//! Input: a byte with the length of a piece, the body. The oracle below reads it at once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use manada::wire::framing::Reader;
use manada::wire::{Kept, Wanted};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What a body holds and whether bytes follow it; `None` when it is cut or broken.
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

/// The next line without its end; a line feed alone, or a return alone, is none.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|byte| b"\r\n".contains(byte))?;
    let (line, after) = rest.split_at(end);
    *rest = after.strip_prefix(b"\r\n")?;
    Some(line)
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<(Vec<u8>, bool)> {
    let wanted = Wanted { max_body: 1 << 20, keep_body: true, ..Wanted::NOTHING };
    let (mut reader, mut kept) = (Reader::new(wanted), Kept::default());
    let mut complete = reader.feed(HEAD, &mut kept).ok()?;
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        complete = reader.feed(piece, &mut kept).ok()?;
    }
    complete.then(|| (kept.body.to_vec(), !reader.may_reuse()))
}

fuzz_target!(|data: &[u8]| {
    let [length, body @ ..] = data else { return };
    // Extensions and trailers of that much are refused, which the oracle knows nothing of.
    if body.len() > 16 << 10 {
        return;
    }
    let whole = read(std::iter::once(body));
    assert_eq!(whole, oracle(body), "not as the oracle");
    assert_eq!(read(body.chunks(usize::from(*length) + 1)), whole, "the cuts changed it");
});

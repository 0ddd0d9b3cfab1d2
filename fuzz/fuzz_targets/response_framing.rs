//! Any bytes as an answer: the reader neither panics nor loops, and where the network cuts them
//! makes no difference.
//!
//! Input: a byte of flags, a byte with the number of cuts, two bytes for each cut, the answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use manada::wire::framing::Reader;
use manada::wire::{Kept, Wanted};

/// A complete answer: its status, whether the connection may be used again, its head and body.
type Answer = (u16, bool, Vec<u8>, Vec<u8>);

/// Feeds the pieces, then the end of the connection.
fn read<'a>(wanted: Wanted, pieces: impl Iterator<Item = &'a [u8]>) -> Option<Answer> {
    let (mut reader, mut kept) = (Reader::new(wanted), Kept::default());
    let mut complete = false;
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        // Also after its end: bytes nobody asked for must be seen, however late they come.
        complete = reader.feed(piece, &mut kept).ok()?;
    }
    assert!(kept.body.len() as u64 <= wanted.max_body, "more kept than accepted");
    let complete = complete || reader.end();
    complete.then(|| (reader.status(), reader.may_reuse(), kept.head, kept.body.to_vec()))
}

fuzz_target!(|data: &[u8]| {
    let [flags, cuts, rest @ ..] = data else { return };
    let Some((places, answer)) = rest.split_at_checked(usize::from(cuts % 16) * 2) else { return };
    let wanted = Wanted {
        head_request: flags & 1 != 0,
        max_body: if flags & 2 != 0 { 64 } else { 1 << 20 },
        keep_head: flags & 4 == 0,
        keep_body: flags & 8 == 0,
        cookies: flags & 16 == 0,
        location: flags & 32 == 0,
        retry_after: true,
    };
    let mut places: Vec<usize> = places
        .chunks_exact(2)
        .map(|pair| usize::from(u16::from_le_bytes([pair[0], pair[1]])) % (answer.len() + 1))
        .collect();
    places.push(answer.len());
    places.sort_unstable();
    let mut start = 0;
    let pieces = places.iter().map(|&end| &answer[std::mem::replace(&mut start, end)..end]);
    let split = read(wanted, pieces);
    assert_eq!(read(wanted, std::iter::once(answer)), split, "the cuts changed the answer");
    assert_eq!(read(wanted, answer.chunks(1)), split, "byte by byte it is another answer");
});

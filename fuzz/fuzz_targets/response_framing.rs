//! Any bytes as a response: the reader neither panics nor loops, and segmentation makes no
//! difference.
//!
//! Input: a byte of flags, a byte with the number of cuts, two bytes for each cut, the response.
#![no_main]

use libfuzzer_sys::fuzz_target;
use manada::wire::http1::framing::ResponseReader;
use manada::wire::{CaptureRequest, ResponseCapture, TakesOver};

/// A complete response: its status, whether the connection may be used again, its head and body.
type Response = (u16, bool, Vec<u8>, Vec<u8>);

/// Feeds the pieces, then the end of the connection.
fn read<'a>(request: CaptureRequest, pieces: impl Iterator<Item = &'a [u8]>) -> Option<Response> {
    let (mut reader, mut capture) = (ResponseReader::new(request), ResponseCapture::default());
    let mut complete = false;
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        // Also after its end: surplus bytes must be detected, however late they arrive.
        complete = reader.feed(piece, &mut capture).ok()?;
    }
    assert!(capture.body.len() as u64 <= request.max_body, "more captured than accepted");
    let complete = complete || reader.end();
    complete.then(|| (reader.status(), reader.may_reuse(), capture.head, capture.body.to_vec()))
}

fuzz_target!(|data: &[u8]| {
    let [flags, cuts, rest @ ..] = data else { return };
    let Some((places, response)) = rest.split_at_checked(usize::from(cuts % 16) * 2) else {
        return;
    };
    let request = CaptureRequest {
        head_request: flags & 1 != 0,
        max_body: if flags & 2 != 0 { 64 } else { 1 << 20 },
        keep_head: flags & 4 == 0,
        keep_body: flags & 8 == 0,
        cookies: flags & 16 == 0,
        location: flags & 32 == 0,
        retry_after: true,
        takes_over: TakesOver::Nothing,
        observes: None,
    };
    let mut places: Vec<usize> = places
        .chunks_exact(2)
        .map(|pair| usize::from(u16::from_le_bytes([pair[0], pair[1]])) % (response.len() + 1))
        .collect();
    places.push(response.len());
    places.sort_unstable();
    let mut start = 0;
    let pieces = places.iter().map(|&end| &response[std::mem::replace(&mut start, end)..end]);
    let split = read(request, pieces);
    assert_eq!(read(request, std::iter::once(response)), split, "the cuts changed the response");
    assert_eq!(read(request, response.chunks(1)), split, "byte by byte it is another response");
});

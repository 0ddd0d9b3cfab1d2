//! A body of server-sent events, and of lines, whole and in pieces: the same messages, none over
//! the limit.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manada::stats::FailureKind;
use manada::wire::events::lines::LineParser;
use manada::wire::events::parser::EventParser;

/// Maximum bytes of an event's data before its invalid bytes are replaced, and of a line.
const MAX: u64 = 200;

fn events<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Vec<String>, FailureKind> {
    let (mut parser, mut events) = (EventParser::new(MAX), Vec::new());
    for piece in pieces {
        parser.feed(piece, &mut |event| {
            assert!(event.data.len() as u64 <= 3 * MAX && std::str::from_utf8(event.data).is_ok());
            events.push(format!("{event:?}"));
        })?;
    }
    events.push(format!("{:?}", parser.retry_ms()));
    Ok(events)
}

fn lines<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, FailureKind> {
    let (mut parser, mut lines) = (LineParser::new(MAX), Vec::new());
    for piece in pieces {
        parser.feed(piece, &mut |line| lines.push(line.to_vec()))?;
    }
    parser.end(&mut |line| lines.push(line.to_vec()))?;
    assert!(lines.iter().all(|line| line.len() as u64 <= MAX && !line.contains(&b'\n')));
    Ok(lines)
}

fuzz_target!(|data: &[u8]| {
    let [size, body @ ..] = data else { return };
    let size = usize::from(*size).max(1);
    assert_eq!(events(body.chunks(size)), events(std::iter::once(body)), "the cuts changed events");
    assert_eq!(lines(body.chunks(size)), lines(std::iter::once(body)), "the cuts changed lines");
});

//! The headers by which a target joins its spans to ours: `traceparent` of W3C Trace Context, and
//! `baggage` with the names of what the call belongs to.
//!
//! `prepared` puts them into requests with places for the ids, `attempt` fills these in.
//! Invariant: the header names the span of the call, whose id is a function of numbers; a step that
//! sets a header itself keeps its own.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::call_record::iteration_of;
use super::prepared::PreparedCall;
use crate::clock::{RunOffset, Time};
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::hex::write_hex;
use crate::plan::{Archetype, Call, Plan, Service};

/// The header, with places for its ids.
const LINE: &[u8; 70] = b"traceparent: 00-00000000000000000000000000000000-0000000000000000-00\r\n";

/// Where the ids and the flag stand in it.
const TRACE: usize = 16;
const SPAN: usize = 49;
const FLAG: usize = 67;

/// Characters of a value of `baggage` that are percent-encoded: all but those that RFC 3986 calls
/// unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Maximum bytes of a value of `baggage` before it is encoded: receivers need only take 8,192 for
/// all members.
const MAX_VALUE: usize = 256;

/// The headers of the requests of a call, the first of them with places for the ids; `None` if they
/// have none.
pub(super) fn headers(
    plan: &Plan,
    archetype: &Archetype,
    call: &Call,
    service: &Service,
) -> Option<String> {
    plan.call_records?.trace_context?;
    let own = |header: &str| {
        let mut names = call.request.headers.iter().chain(&service.headers);
        names.any(|(name, _)| name.eq_ignore_ascii_case(header))
    };
    if !call.sends_request() || own("traceparent") {
        return None;
    }
    let mut lines = String::from_utf8_lossy(LINE).into_owned();
    if !own("baggage") {
        let step = archetype.series.get(usize::from(call.series)).map_or("", |name| name);
        let members = [
            ("run_id", plan.run_id.as_str()),
            ("scenario", plan.scenario.as_str()),
            ("archetype", archetype.name.as_str()),
            ("step", step),
        ];
        let members = members.map(|(name, value)| {
            let value = &value[..value.floor_char_boundary(MAX_VALUE)];
            format!("manada.{name}={}", utf8_percent_encode(value, ENCODED))
        });
        lines = format!("{lines}baggage: {}\r\n", members.join(","));
    }
    Some(lines)
}

/// Fills the ids of a call into its request, which begins with a line and then has [`headers`].
#[inline]
pub(crate) fn fill(
    shard: &Shard,
    user: &User,
    prepared: &PreparedCall,
    intended: Time,
    request: &mut [u8],
) {
    let options = shard.plan.call_records.and_then(|records| records.trace_context);
    let (Some(ids), Some(sampled_below)) = (&shard.trace_ids, options) else { return };
    let end_of_line = memchr::memchr(b'\n', request);
    let Some(line) = end_of_line.and_then(|end| request[end + 1..].first_chunk_mut()) else {
        return;
    };
    let ids = ids.of(iteration_of(user));
    let step = user.step(prepared.call.series);
    let span = ids.call_span(step, RunOffset::of(intended, shard.start));
    write(line, (ids.trace_id(), span), ids.key < sampled_below);
}

/// Writes a trace, its span, and whether it is sampled into the header.
#[inline]
fn write(line: &mut [u8; LINE.len()], (trace, span): (u128, u64), is_sampled: bool) {
    write_hex(&mut line[TRACE..TRACE + 32], trace.to_be_bytes());
    write_hex(&mut line[SPAN..SPAN + 16], span.to_be_bytes());
    line[FLAG] = if is_sampled { b'1' } else { b'0' };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_the_one_of_the_specification() {
        // The example of W3C Trace Context, section 3.2.4.
        let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
        let mut line = *LINE;
        write(&mut line, (trace, 0x00f0_67aa_0ba9_02b7), true);
        assert_eq!(
            std::str::from_utf8(&line).unwrap(),
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
        );
        write(&mut line, (trace, 1), false);
        assert!(line.ends_with(b"-0000000000000001-00\r\n"));
    }
}

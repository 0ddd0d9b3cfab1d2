//! The headers by which a target joins its spans to ours: `traceparent` of W3C Trace Context.
//!
//! `attempt` calls it while it completes a request, if the run sends trace context.
//! Invariant: the header names the span of the call, whose id is a function of numbers; a step that
//! sets the header itself keeps its own.

use super::call_record::iteration_of;
use super::prepared::PreparedCall;
use super::request;
use crate::clock::{RunOffset, Time};
use crate::engine::shard::Shard;
use crate::engine::users::user::User;

/// The header, with places for its ids.
const LINE: &[u8; 70] = b"traceparent: 00-00000000000000000000000000000000-0000000000000000-00\r\n";

/// Where the ids and the flag stand in it.
const TRACE: usize = 16;
const SPAN: usize = 49;
const FLAG: usize = 67;

/// The request with the header; `None` if requests have none.
pub(crate) fn add(
    shard: &Shard,
    user: &User,
    prepared: &PreparedCall,
    intended: Time,
    bytes: &[u8],
) -> Option<Vec<u8>> {
    let ids = shard.trace_ids.as_ref()?;
    let sampled_below = shard.plan.call_records?.trace_context?;
    let iteration = iteration_of(user);
    let step = user.step(prepared.call.series);
    let span = ids.call_span(iteration, step, RunOffset::of(intended, shard.start));
    let is_sampled = ids.sampling_key(iteration) < sampled_below;
    let line = header(ids.trace_id(iteration), span, is_sampled);
    let (first, rest) = request::split_line(bytes)?;
    let mut whole = shard.buffers.take();
    whole.clear();
    whole.reserve(bytes.len() + line.len());
    whole.extend_from_slice(first);
    whole.extend_from_slice(&line);
    whole.extend_from_slice(rest);
    Some(whole)
}

/// The line of a trace, its span, and whether it is sampled.
fn header(trace: u128, span: u64, is_sampled: bool) -> [u8; LINE.len()] {
    let mut line = *LINE;
    write_hex(&mut line[TRACE..TRACE + 32], trace.to_be_bytes());
    write_hex(&mut line[SPAN..SPAN + 16], span.to_be_bytes());
    line[FLAG] = if is_sampled { b'1' } else { b'0' };
    line
}

/// Writes bytes as lower-case hexadecimal digits.
fn write_hex<const N: usize>(out: &mut [u8], bytes: [u8; N]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_the_one_of_the_specification() {
        // The example of W3C Trace Context, section 3.2.4.
        let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
        let line = header(trace, 0x00f0_67aa_0ba9_02b7, true);
        assert_eq!(
            std::str::from_utf8(&line).unwrap(),
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
        );
        assert!(header(trace, 1, false).ends_with(b"-0000000000000001-00\r\n"));
    }
}

//! The headers by which a target joins its spans to ours: `traceparent` of W3C Trace Context, and
//! `baggage` with the names of what the call belongs to.
//!
//! `prepared` puts them into requests with places for the ids, `attempt` fills these in.
//! Invariant: the header names the span of the call, whose id is a function of numbers; a step that
//! sets a header itself keeps its own.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::request::PreparedRequest;
use crate::clock::RunOffset;
use crate::hex::write_hex;
use crate::ids::StepId;
use crate::plan::{Archetype, Call, Plan, Service};
use crate::stats::TraceIds;

/// The header, with places for its ids.
const LINE: &[u8; 70] = b"traceparent: 00-00000000000000000000000000000000-0000000000000000-00\r\n";

/// Where the halves of the trace, the span and the flag stand in it.
const RUN: usize = 16;
const OWN: usize = 32;
const SPAN: usize = 49;
const FLAG: usize = 67;

/// Characters of a value of `baggage` that are percent-encoded: all but those that RFC 3986 calls
/// unreserved.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Maximum bytes of a value of `baggage` before it is encoded: receivers need only take 8,192 for
/// all members.
const MAX_VALUE: usize = 256;

/// What the requests of a run say of their traces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TraceContext {
    ids: TraceIds,
    /// Iterations whose keys are below it are sampled.
    sampled_below: u64,
}

impl TraceContext {
    /// That of a run; `None` if its requests say nothing.
    pub(crate) fn of(plan: &Plan) -> Option<Self> {
        let sampled_below = plan.call_records?.trace_context?;
        Some(Self { ids: TraceIds::new(&plan.run_id), sampled_below })
    }

    /// Fills the ids of a call, whose iteration has this key, into its request, which has
    /// [`headers`] after its first line.
    #[inline]
    pub(crate) fn fill(
        self,
        key: u64,
        (step, intended): (StepId, RunOffset),
        place: TracePlace,
        request: &mut [u8],
    ) {
        let at = match place {
            TracePlace::At(at) => Some(at),
            TracePlace::SecondLine => memchr::memchr(b'\n', request).map(|end| end + 1),
        };
        let line = at.and_then(|at| request.get_mut(at..)).and_then(<[u8]>::first_chunk_mut);
        if let Some(line) = line {
            let ids = self.ids.of(key);
            let is_sampled = key < self.sampled_below;
            write(line, ids.own_half(), ids.call_span(step, intended), is_sampled);
        }
    }
}

/// Where [`headers`] stand in a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TracePlace {
    /// At this byte: the request is rendered once.
    At(usize),
    /// After the first line.
    SecondLine,
}

impl TracePlace {
    /// The place in a request.
    pub(super) fn of(request: &PreparedRequest) -> Self {
        let first_line = request.as_static().and_then(|bytes| memchr::memchr(b'\n', bytes));
        first_line.map_or(Self::SecondLine, |end| Self::At(end + 1))
    }
}

/// The headers of the requests of a call, the first of them with places for the ids; `None` if they
/// have none.
pub(super) fn headers(
    plan: &Plan,
    archetype: &Archetype,
    call: &Call,
    service: &Service,
) -> Option<String> {
    let context = TraceContext::of(plan)?;
    let own = |header: &str| {
        let mut names = call.request.headers.iter().chain(&service.headers);
        names.any(|(name, _)| name.eq_ignore_ascii_case(header))
    };
    if !call.sends_request() || own("traceparent") {
        return None;
    }
    let mut lines = String::from_utf8_lossy(&line_of_run(context.ids)).into_owned();
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

/// The header with the half of the trace that is the same in a whole run.
fn line_of_run(ids: TraceIds) -> [u8; LINE.len()] {
    let mut line = *LINE;
    let run = (ids.of(0).trace() >> 64) as u64;
    write_hex(&mut line[RUN..RUN + 16], run.to_be_bytes());
    line
}

/// Writes the own half of a trace, a span, and whether it is sampled into the header.
#[inline]
fn write(line: &mut [u8; LINE.len()], own: u64, span: u64, is_sampled: bool) {
    write_hex(&mut line[OWN..OWN + 16], own.to_be_bytes());
    write_hex(&mut line[SPAN..SPAN + 16], span.to_be_bytes());
    line[FLAG] = if is_sampled { b'1' } else { b'0' };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_the_one_of_the_specification() {
        // The example of W3C Trace Context, section 3.2.4.
        let mut line = *LINE;
        write(&mut line, 0xa3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7, true);
        assert_eq!(
            std::str::from_utf8(&line).unwrap(),
            "traceparent: 00-0000000000000000a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
        );
        // Filled in over those of another call: nothing of it is left.
        let ids = TraceIds::new("19a-1");
        let mut line = line_of_run(ids);
        write(&mut line, u64::MAX, u64::MAX, true);
        write(&mut line, ids.of(5).own_half(), 1, false);
        let trace = format!("{:032x}", ids.of(5).trace());
        let expected = format!("traceparent: 00-{trace}-0000000000000001-00\r\n");
        assert_eq!(std::str::from_utf8(&line).unwrap(), expected);
    }
}

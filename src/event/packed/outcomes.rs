//! Outcomes, their counts and latencies of a record, also of records that know fewer of them.
//!
//! Invariant: a change of a form, or of its description, changes `header::VERSION`.

use super::{Packed, PackedBytes, Shape};
use crate::stats::outcome::{self, ERRORS, ErrorCounts};
use crate::stats::{
    AttemptOutcome, AttemptPhase, FailureKind, GeneratorError, Histogram, Latency, Untimed,
};

/// Kinds of failures and phases that records of version 9 know, and those before it.
const FORMER: [(usize, usize); 2] = [(70, 9), (51, 8)];
/// Errors of the generator that records before version 10 know; later ones come after them.
const FORMER_GENERATOR: usize = 9;
/// Causes of waits that they know; later ones come after them.
const FORMER_CAUSES: usize = 10;

/// The length of a row of errors, and the number of rows, in a record before version 10.
const fn former_table(version: u32) -> (usize, usize) {
    let (kinds, phases) = if version == 9 { FORMER[0] } else { FORMER[1] };
    (kinds + 2, phases)
}

/// The index of an error that a record of this version has at `index`; `None` if it has none there.
pub(in crate::event) fn error_of(index: usize, version: u32) -> Option<usize> {
    let now = FailureKind::ALL.len() + 2;
    if version >= 10 {
        return (index < ERRORS).then_some(index);
    }
    let (row, phases) = former_table(version);
    let Some(beyond) = index.checked_sub(phases * row) else {
        let (phase, kind) = (index / row, index % row);
        // The last kind, `Other`, and what stands after the kinds stayed the last ones.
        let kind = if kind + 3 < row { kind } else { kind + now - row };
        return Some(phase * now + kind);
    };
    let added =
        if beyond < FORMER_GENERATOR { 0 } else { GeneratorError::ALL.len() - FORMER_GENERATOR };
    let index = AttemptPhase::ALL.len() * now + beyond + added;
    (index < ERRORS).then_some(index)
}

/// In order of the index of each error.
impl Packed for ErrorCounts {
    fn pack(&self, out: &mut Vec<u8>) {
        self.0.pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        if from.version >= 10 {
            return Packed::unpack(from).map(Self);
        }
        let mut counts = Self::default();
        let (row, phases) = former_table(from.version);
        for index in 0..row * phases + FORMER_GENERATOR + FORMER_CAUSES {
            counts[error_of(index, from.version)?] = u64::unpack(from)?;
        }
        Some(counts)
    }

    fn describe(shape: &mut Shape) {
        <[u64; ERRORS]>::describe(shape);
    }
}

/// Records before version 9 know no lost messages.
impl Packed for Latency {
    fn pack(&self, out: &mut Vec<u8>) {
        self.responses.pack(out);
        self.at_least.pack(out);
        self.beyond.pack(out);
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        let mut latency = Self {
            responses: Packed::unpack(from)?,
            at_least: Packed::unpack(from)?,
            ..Self::default()
        };
        let reasons = if from.version < 9 { Untimed::Lost as usize } else { Untimed::ALL.len() };
        for count in &mut latency.beyond[..reasons] {
            *count = Packed::unpack(from)?;
        }
        Some(latency)
    }

    fn describe(shape: &mut Shape) {
        shape.text("Latency { ");
        Histogram::describe(shape);
        Histogram::describe(shape);
        <[u64; Untimed::ALL.len()]>::describe(shape);
        shape.text("}");
    }
}

/// A status, the index of an error, or the end of a step without a status.
impl Packed for AttemptOutcome {
    fn pack(&self, out: &mut Vec<u8>) {
        match (self, outcome::error_index(*self)) {
            (Self::Responded(status), _) => (0u8, usize::from(*status)).pack(out),
            (Self::Done, _) => (2u8, 0usize).pack(out),
            (_, index) => (1u8, index.unwrap_or(ERRORS)).pack(out),
        }
    }

    fn unpack(from: &mut PackedBytes<'_>) -> Option<Self> {
        match <(u8, usize)>::unpack(from)? {
            (0, status) => Some(Self::Responded(status.try_into().ok()?)),
            (1, index) => outcome::outcome_at(error_of(index, from.version)?),
            (2, _) => Some(Self::Done),
            _ => None,
        }
    }

    fn describe(shape: &mut Shape) {
        shape.text("0 status, 2 done, 1 error of ");
        for index in 0..ERRORS {
            let (phase, kind, _) = outcome::error_at(index);
            shape.text(&format!("{phase} {kind}, "));
        }
        <(u8, usize)>::describe(shape);
    }
}

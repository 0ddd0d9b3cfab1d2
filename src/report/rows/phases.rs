//! Rows of phases: what the time of an attempt consists of.
//!
//! Invariant: phases are in the order in which an attempt goes through them.

use crate::event::Report;
use crate::stats::Histogram;

/// A phase of attempts.
pub(crate) struct PhaseRow<'r> {
    /// Name of the phase, as text.
    pub(crate) name: &'static str,
    /// Key of the phase in JSON.
    pub(crate) key: &'static str,
    /// How long it took, after the warm-up.
    pub(crate) times: &'r Histogram,
}

/// The names and keys of the phases.
const NAMES: [(&str, &str); 5] = [
    ("dns", "dns"),
    ("connect", "connect"),
    ("tls", "tls"),
    ("first byte", "first_byte"),
    ("body", "body"),
];

/// All phases, also those that no attempt went through.
pub(crate) fn phases(report: &Report) -> [PhaseRow<'_>; 5] {
    let phases = &report.snapshot.measured.phases;
    std::array::from_fn(|at| {
        let (name, key) = NAMES[at];
        PhaseRow { name, key, times: &phases[at] }
    })
}

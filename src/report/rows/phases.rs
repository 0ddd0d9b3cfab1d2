//! Rows of phases: what the time of an attempt consists of.
//!
//! Invariant: phases are in the order in which an attempt goes through them.

use crate::event::Report;
use crate::stats::Histogram;
use crate::stats::delta::Window;

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
const NAMES: [(&str, &str); 6] = [
    ("dns", "dns"),
    ("connect", "connect"),
    ("tls", "tls"),
    ("login", "login"),
    ("first byte", "first_byte"),
    ("body", "body"),
];

/// All phases in their order, also those that no attempt went through.
pub(crate) fn phases(report: &Report) -> [PhaseRow<'_>; 6] {
    phases_of(&report.snapshot.measured)
}

/// The phases of a window.
pub(crate) fn phases_of(window: &Window) -> [PhaseRow<'_>; 6] {
    let [dns, connect, tls, first_byte, body] = &window.phases;
    let times = [dns, connect, tls, &window.login, first_byte, body];
    std::array::from_fn(|at| {
        let (name, key) = NAMES[at];
        PhaseRow { name, key, times: times[at] }
    })
}

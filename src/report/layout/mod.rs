//! The results of `hit` in the layout of other tools, for scripts that read those.
//!
//! `cli` prints one of them in place of the summary (`--format`).
//! Invariant: each figure is one of the summary's, under the name that the tool has for it; what a
//! layout has no place for is in [`notes`].

mod figures;
mod k6;
mod oha;
mod wrk;

use super::rows;
use crate::event::Report;
use crate::units::counted;
use crate::verdict::trust::TrustLevel;
use figures::response;

/// A tool whose layout is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerLayout {
    /// oha 1.16.
    Oha,
    /// wrk 4 with `--latency`, which is wrk2's, too.
    Wrk,
    /// k6, its end-of-test summary.
    K6,
}

/// The results of a run in a layout; ends with a line end.
pub fn render(report: &Report, layout: PeerLayout) -> String {
    match layout {
        PeerLayout::Oha => oha::render(report),
        PeerLayout::Wrk => wrk::render(report),
        PeerLayout::K6 => k6::render(report),
    }
}

/// What a reader of a layout has to know besides: failed rules, trust, and bounds among the times.
pub fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    if report.status.code() != 0 {
        let why = report.why.as_ref().map_or(String::new(), |why| format!(": {why}"));
        let (verdict, code) = (rows::verdict(report), report.status.code());
        notes.push(format!("verdict {verdict}, exit code {code}{why}"));
    }
    for rule in rows::thresholds(report).filter(|rule| rule.state == rows::ThresholdState::Fails) {
        notes.push(format!("threshold failed: {}, observed {}", rule.rule, rule.observed));
    }
    if report.trust.level != TrustLevel::Yes {
        let reasons: Vec<_> = report.trust.reasons.iter().map(|reason| reason.check).collect();
        notes.push(format!("trust {}: {}", report.trust.level.name(), reasons.join(", ")));
    }
    let unknown = response(report).censored();
    if unknown > 0 {
        let calls = counted(unknown, "call");
        notes.push(format!(
            "{calls} without a known time rank above every response: times among them are lower \
             bounds"
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::page::tests::made_up;

    #[test]
    fn every_layout_has_the_figures_of_the_report() {
        let report = made_up(3, "shop");
        for (layout, wanted) in [
            (PeerLayout::Oha, ["[200] 100 responses", "50.00% in 52.0310 ms"]),
            (PeerLayout::Wrk, ["  102 requests in 3.00s", "50%   52.03ms"]),
            (PeerLayout::K6, ["med=52.03ms", "http_reqs..........................: 103 "]),
        ] {
            let text = render(&report, layout);
            for part in wanted {
                assert!(text.contains(part), "{layout:?}: {part}: {text}");
            }
        }
        let notes = notes(&report).join("; ");
        for part in ["verdict", "threshold failed: shop", "trust", "3 calls without a known time"] {
            assert!(notes.contains(part), "{part}: {notes}");
        }
    }
}

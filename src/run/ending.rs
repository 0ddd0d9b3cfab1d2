//! How did it end? Thresholds, trust and interrupts, folded into one Ending.
//!
//! Invariant: a rule that looks at a number nobody can believe neither passes nor fails the run.

use crate::event::{Interrupt, Stop};
use crate::exit::Ending;
use crate::stats::delta::Halt;
use crate::verdict::trust::Level;
use crate::verdict::{Judgement, Trust};

pub(super) fn of<'a>(
    mut judgements: impl Iterator<Item = &'a Judgement> + Clone,
    trust: &Trust,
    stopped: Option<&Stop>,
) -> Ending {
    match stopped {
        Some(Stop::Signal(Interrupt::Int | Interrupt::Wish) | Stop::Lost) => {
            return Ending::Interrupted;
        }
        Some(Stop::Signal(Interrupt::Term)) => return Ending::Terminated,
        Some(Stop::Flow(Halt::Check(_) | Halt::Safety(_)) | Stop::Storm(_)) => {
            return Ending::Aborted;
        }
        // It went on for as long as there was data: that was asked for.
        // A rule's own judgement fails the run.
        Some(Stop::Flow(Halt::DataEnd(_)) | Stop::Rule(_)) | None => {}
    }
    let doubtful = |judgement: &Judgement| trust.spoils(judgement.threshold.metric, Level::No);
    let mut failed = judgements.clone().filter(|judgement| !judgement.passed);
    if failed.any(|judgement| !trust.explains(judgement)) {
        Ending::Fail
    } else if judgements.any(doubtful) {
        Ending::Inconclusive
    } else {
        Ending::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Threshold;
    use crate::verdict::trust::Reason;

    fn judgement(rule: &str, passed: bool) -> Judgement {
        let threshold = Threshold::parse(rule).unwrap();
        Judgement {
            threshold,
            observed: Some(1.0),
            at_least: false,
            thin: false,
            unknown: Default::default(),
            worst_at_s: None,
            passed,
        }
    }

    fn trust(level: Level, affects: &'static [&'static str]) -> Trust {
        let reason = Reason {
            check: "test",
            level,
            observed: 1.0,
            limit: 0.0,
            unit: "count",
            affects,
            hint: String::new(),
        };
        Trust { level, reasons: vec![reason] }
    }

    #[test]
    fn the_first_that_applies() {
        let good = || judgement("response.p95 < 1s", true);
        let bad = || judgement("response.p95 < 1s", false);
        let bad_errors = || judgement("errors < 1%", false);
        let all_is_well = Trust { level: Level::Yes, reasons: vec![] };
        let no = trust(Level::No, &["response"]);
        let degraded = trust(Level::Degraded, &["response"]);
        let check = Some(Stop::Flow(Halt::Check("x".to_owned())));
        let data = Some(Stop::Flow(Halt::DataEnd("x".to_owned())));
        for (judgements, trust, stopped, ending) in [
            (vec![], &all_is_well, None, Ending::Pass),
            (vec![], &no, None, Ending::Pass),
            (vec![good()], &all_is_well, None, Ending::Pass),
            (vec![good()], &degraded, None, Ending::Pass),
            (vec![good()], &no, None, Ending::Inconclusive),
            (vec![bad()], &all_is_well, None, Ending::Fail),
            (vec![bad()], &degraded, None, Ending::Fail),
            (vec![bad()], &no, None, Ending::Inconclusive),
            (vec![bad(), bad_errors()], &no, None, Ending::Fail),
            (vec![bad()], &all_is_well, check, Ending::Aborted),
            (vec![bad()], &all_is_well, data, Ending::Fail),
            (vec![bad()], &all_is_well, Some(Stop::Signal(Interrupt::Int)), Ending::Interrupted),
            (vec![], &all_is_well, Some(Stop::Signal(Interrupt::Term)), Ending::Terminated),
        ] {
            assert_eq!(
                of(judgements.iter(), trust, stopped.as_ref()),
                ending,
                "{judgements:?} {trust:?}"
            );
        }
    }
}

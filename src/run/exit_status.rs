//! The exit status of a run, from thresholds, trust and interrupts.
//!
//! `aggregator` asks for it.
//! Invariant: a rule whose value may be due to the generator neither passes nor fails the run; a
//! run without a response never passes.

use crate::event::StopCause;
use crate::exit::ExitStatus;
use crate::stats::delta::Halt;
use crate::stats::shift::{ShiftOutcome, ShiftReport};
use crate::stats::{Snapshot, Window};
use crate::units::counted;
use crate::verdict::trust::TrustLevel;
use crate::verdict::{Judgement, Trust};

/// How a run ended, and why if its rules do not show it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EndOfRun {
    pub(super) ending: ExitStatus,
    /// The reason, as a sentence.
    pub(super) why: Option<String>,
}

impl From<ExitStatus> for EndOfRun {
    fn from(ending: ExitStatus) -> Self {
        Self { ending, why: None }
    }
}

/// The end of a run with a shift: one that was rolled back fails the run, and one that the load
/// ended before leaves it undecided.
pub(super) fn with_shift(
    (status, why): (ExitStatus, Option<String>),
    shift: Option<&ShiftReport>,
) -> (ExitStatus, Option<String>) {
    let Some(shift) = shift else { return (status, why) };
    match (shift.outcome, status) {
        (ShiftOutcome::RolledBack, ExitStatus::Pass | ExitStatus::Inconclusive) => {
            (ExitStatus::Fail, Some(format!("the shift was rolled back: {}", shift.why)))
        }
        (ShiftOutcome::Unfinished, ExitStatus::Pass) => {
            (ExitStatus::Inconclusive, Some(format!("the shift is unfinished: {}", shift.why)))
        }
        _ => (status, why),
    }
}

/// `calls` sums up the calls; `None` during the run.
pub(super) fn of<'a>(
    judgements: &(impl Iterator<Item = &'a Judgement> + Clone),
    trust: &Trust,
    stopped: Option<&StopCause>,
    answers: Option<CallSummary>,
) -> EndOfRun {
    match stopped {
        Some(StopCause::Signal(interrupt)) => return interrupt.exit_status().into(),
        Some(StopCause::Lost) => return ExitStatus::Interrupted.into(),
        Some(StopCause::Workers(_)) => return ExitStatus::Broken.into(),
        Some(StopCause::Flow(Halt::Check(_) | Halt::Safety(_)) | StopCause::ErrorRate(_)) => {
            return ExitStatus::Aborted.into();
        }
        // The run went on for as long as there was data, as the scenario says.
        // A rule's own judgement fails the run.
        // The outcome of a shift does, too.
        Some(StopCause::Flow(Halt::DataEnd(_)) | StopCause::Rule(_) | StopCause::Shift(_))
        | None => {}
    }
    let mut failed = judgements.clone().filter(|judgement| !judgement.passed);
    let has_rules = judgements.clone().next().is_some();
    if failed.any(|judgement| !trust.doubts(judgement)) {
        ExitStatus::Fail.into()
    } else if let Some(why) = answers.and_then(CallSummary::nothing) {
        EndOfRun { ending: ExitStatus::Fail, why: Some(why.to_owned()) }
    } else if judgements.clone().any(|judgement| trust.doubts(judgement)) {
        let doubted = judgements.clone().filter(|judgement| trust.doubts(judgement)).count();
        let rules = counted(doubted as u64, "threshold");
        let why = format!("{rules} not decided: the generator may have caused the value");
        EndOfRun { ending: ExitStatus::Inconclusive, why: Some(why) }
    } else if answers.is_some() && !has_rules && trust.level == TrustLevel::No {
        let why = "no threshold was judged, and the measurement is not trusted";
        EndOfRun { ending: ExitStatus::Inconclusive, why: Some(why.to_owned()) }
    } else {
        ExitStatus::Pass.into()
    }
}

/// The calls of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallSummary {
    /// Whether the plan has calls.
    pub(super) has_steps: bool,
    /// Calls made.
    pub(super) made: u64,
    /// Complete responses, whatever their status, and messages.
    pub(super) complete: u64,
}

impl CallSummary {
    /// The calls of a finished run.
    pub(super) fn of(snapshot: &Snapshot, has_steps: bool) -> Self {
        let responses: u64 = snapshot.statuses.iter().map(|(_, count)| count).sum();
        let received = |part: &Window| part.messages(|_| true).counts.received;
        let messages = received(&snapshot.measured) + received(&snapshot.warmup);
        Self { has_steps, made: snapshot.calls().made, complete: responses + messages }
    }

    /// Why the run cannot pass; `None` if it can.
    fn nothing(self) -> Option<&'static str> {
        match self {
            _ if !self.has_steps || self.complete > 0 => None,
            _ if self.made == 0 => Some("no call was made"),
            _ => Some("no call received a complete response"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Interrupt;
    use crate::verdict::Threshold;
    use crate::verdict::trust::{Effect, Moves, TrustReason};

    fn judgement(rule: &str, passed: bool) -> Judgement {
        let threshold = Threshold::parse(rule).unwrap();
        let observed = Some(1.0);
        Judgement { observed, passed, ..Judgement::nothing_observed(&threshold) }
    }

    fn trust(level: TrustLevel, effects: &'static [Effect]) -> Trust {
        let reason = TrustReason {
            check: "test",
            level,
            observed: 1.0,
            limit: 0.0,
            unit: "count",
            effects,
            hint: String::new(),
        };
        Trust { level, reasons: vec![reason] }
    }

    const SOME: Option<CallSummary> = Some(CallSummary { has_steps: true, made: 9, complete: 1 });
    const REFUSED: Option<CallSummary> =
        Some(CallSummary { has_steps: true, made: 9, complete: 0 });
    const NO_CALL: Option<CallSummary> =
        Some(CallSummary { has_steps: true, made: 0, complete: 0 });

    #[test]
    fn the_first_that_applies() {
        let good = || judgement("response.p95 < 1s", true);
        let bad = || judgement("response.p95 < 1s", false);
        let bad_errors = || judgement("errors < 1%", false);
        let own = || Judgement { rests_on_own_delay: true, ..bad() };
        let slow = || judgement("response.p95 > 1s", true);
        let all_is_well = Trust { level: TrustLevel::Yes, reasons: vec![] };
        let no = trust(TrustLevel::No, &[("response", Moves::Any)]);
        let up = trust(TrustLevel::No, &[("response", Moves::Up)]);
        let degraded = trust(TrustLevel::Degraded, &[("response", Moves::Any)]);
        let check = Some(StopCause::Flow(Halt::Check("x".to_owned())));
        let data = Some(StopCause::Flow(Halt::DataEnd("x".to_owned())));
        let int = Some(StopCause::Signal(Interrupt::Int));
        for (judgements, trust, stopped, answers, ending) in [
            (vec![], &all_is_well, None, SOME, ExitStatus::Pass),
            (vec![], &degraded, None, SOME, ExitStatus::Pass),
            (vec![], &no, None, SOME, ExitStatus::Inconclusive),
            (vec![], &no, None, None, ExitStatus::Pass),
            (vec![], &all_is_well, None, REFUSED, ExitStatus::Fail),
            (vec![], &no, None, REFUSED, ExitStatus::Fail),
            (vec![], &all_is_well, None, NO_CALL, ExitStatus::Fail),
            (vec![good()], &all_is_well, None, REFUSED, ExitStatus::Fail),
            (vec![good()], &all_is_well, None, SOME, ExitStatus::Pass),
            (vec![good()], &degraded, None, SOME, ExitStatus::Pass),
            (vec![good()], &no, None, SOME, ExitStatus::Inconclusive),
            // What lateness can only raise, and what is good enough with it, stands.
            (vec![good()], &up, None, SOME, ExitStatus::Pass),
            (vec![bad()], &up, None, SOME, ExitStatus::Inconclusive),
            (vec![slow()], &up, None, SOME, ExitStatus::Inconclusive),
            (vec![bad()], &all_is_well, None, SOME, ExitStatus::Fail),
            (vec![bad()], &degraded, None, SOME, ExitStatus::Fail),
            (vec![bad()], &no, None, SOME, ExitStatus::Inconclusive),
            (vec![own()], &all_is_well, None, SOME, ExitStatus::Inconclusive),
            (vec![own(), bad_errors()], &all_is_well, None, SOME, ExitStatus::Fail),
            (vec![bad(), bad_errors()], &no, None, SOME, ExitStatus::Fail),
            (vec![bad()], &all_is_well, check, SOME, ExitStatus::Aborted),
            (vec![bad()], &all_is_well, data, SOME, ExitStatus::Fail),
            (vec![bad()], &all_is_well, int.clone(), SOME, ExitStatus::Interrupted),
            (vec![], &all_is_well, int, REFUSED, ExitStatus::Interrupted),
            (
                vec![],
                &all_is_well,
                Some(StopCause::Signal(Interrupt::Term)),
                SOME,
                ExitStatus::Terminated,
            ),
        ] {
            assert_eq!(
                of(&judgements.iter(), trust, stopped.as_ref(), answers).ending,
                ending,
                "{judgements:?} {trust:?} {answers:?}"
            );
        }
    }
}

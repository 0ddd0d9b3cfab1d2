//! JUnit XML: thresholds and checks as test cases.
//!
//! Invariant: a case fails if the condition that it names does not hold, and some case fails
//! whenever the exit code is not 0.

use std::io;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

use crate::event::Report;
use crate::exit::ExitStatus;
use crate::ids::StepId;
use crate::report::ansi::plain;
use crate::report::rows::{self, ThresholdState};
use crate::units::show_count;
use crate::verdict::threshold::Metric;
use crate::verdict::trust::TrustLevel;

pub(super) fn render(report: &Report) -> io::Result<String> {
    let plan = &report.info.plan;
    let took = Duration::from_nanos(report.snapshot.elapsed_ns);
    let mut document = Document::new(plain(&plan.scenario));
    document.set_time(took);
    document.add_test_suites([run(report, took), thresholds(report), checks(report)]);
    document.to_string().map_err(io::Error::other)
}

fn case(name: &str, class: &str, failure: Option<(NonSuccessKind, String)>) -> TestCase {
    let mut status = TestCaseStatus::success();
    if let Some((kind, message)) = failure {
        status = TestCaseStatus::non_success(kind);
        status.set_message(message);
    }
    let mut case = TestCase::new(plain(name), status);
    case.set_classname(plain(class));
    case
}

/// Cases for the run itself: carried out, trusted, responses received.
fn run(report: &Report, took: Duration) -> TestSuite {
    let scenario = &report.info.plan.scenario;
    let whole =
        matches!(report.status, ExitStatus::Pass | ExitStatus::Fail | ExitStatus::Inconclusive);
    let stopped = || {
        let why = report.stopped.as_deref().or(report.broken.first().map(String::as_str));
        let verdict = report.status.verdict().unwrap_or("not carried out");
        (NonSuccessKind::Error, plain(&format!("{verdict}: {}", why.unwrap_or("see the log"))))
    };
    let mut carried = case("carried out", scenario, (!whole).then(stopped));
    carried.set_time(took);
    let doubt = (report.status == ExitStatus::Inconclusive).then(|| {
        let reasons = report.trust.reasons.iter().filter(|reason| reason.level == TrustLevel::No);
        let words = reasons.map(|reason| format!("{}: {}", reason.check, reason.hint));
        let mut words: Vec<String> = report.why.iter().cloned().chain(words).collect();
        if words.is_empty() {
            words.push("thresholds fail only because of the generator's own delays".to_owned());
        }
        (NonSuccessKind::Error, plain(&words.join("; ")))
    });
    let nothing = report.why.as_deref().filter(|_| report.status == ExitStatus::Fail);
    let nothing = nothing.map(|why| (NonSuccessKind::Failure, plain(why)));
    let mut suite = TestSuite::new("run");
    let mut trusted = case("numbers can be trusted", scenario, doubt);
    let words = report.trust.reasons.iter().map(|reason| {
        format!("{} (affects {}): {}", reason.check, reason.affects().join(", "), reason.hint)
    });
    let words = plain(&words.collect::<Vec<_>>().join("; "));
    if !words.is_empty() {
        if matches!(trusted.status, TestCaseStatus::Success { .. }) {
            // Skipped, neither passed nor failed: no threshold depends on it.
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_message(format!("trust {}: {words}", report.trust.level.name()));
            trusted.status = skipped;
        }
        trusted.set_system_out(words);
    }
    suite.add_test_cases([carried, trusted, case("responses came", scenario, nothing)]);
    suite
}

fn thresholds(report: &Report) -> TestSuite {
    let mut suite = TestSuite::new("thresholds");
    suite.add_test_cases(rows::thresholds(report).map(|threshold| {
        let note = threshold.note(", ");
        let note = if note.is_empty() { note } else { format!(" ({note})") };
        let (observed, limit) = (&threshold.observed, &threshold.limit);
        let values = plain(&format!("observed {observed}, limit {limit}{note}"));
        let is_failed = threshold.state == ThresholdState::Fails;
        let failed = is_failed.then(|| (NonSuccessKind::Failure, values.clone()));
        let mut case = case(threshold.rule, &report.info.plan.scenario, failed);
        // A case that passed has no message; its values are of interest all the same.
        case.set_system_out(values);
        case
    }));
    suite
}

/// Cases for checks. A failed check is no failure if a threshold that holds allows for it.
fn checks(report: &Report) -> TestSuite {
    let plan = &report.info.plan;
    let subjects = plan.subjects();
    let allowed = |series: StepId, index: usize| {
        report.judgements.iter().any(|judgement| {
            let scope = &judgement.threshold.scope;
            judgement.passed
                && judgement.threshold.metric == Metric::Checks
                && scope.has_series(&subjects, series)
                && scope.has_check_of(&subjects, series, index)
        })
    };
    let mut suite = TestSuite::new("checks");
    for (series, (names, step)) in StepId::number(plan.checks.iter().zip(&plan.steps)) {
        let counts = report.snapshot.measured.steps[series].as_deref();
        for (index, name) in names.iter().enumerate() {
            let counts = counts.and_then(|step| step.checks.get(index));
            let [passed, failed] = counts.copied().unwrap_or_default();
            let message =
                format!("{} of {} failed", show_count(failed), show_count(passed + failed));
            let fails = (failed > 0 && !allowed(series, index))
                .then_some((NonSuccessKind::Failure, message));
            let name = format!("{}: {name}", step.name);
            suite.add_test_case(case(&name, &plan.workloads[step.workload].name, fails));
        }
    }
    suite
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::page::tests::made_up;

    fn cases(report: &Report) -> Vec<TestCase> {
        let text = render(report).unwrap();
        let document = Document::deserialize_from_str(&text).unwrap();
        document.test_suites.into_iter().flat_map(|suite| suite.test_cases).collect()
    }

    #[test]
    fn degraded_numbers_are_no_pass_and_every_rule_shows_its_values() {
        let mut report = made_up(3, "shop");
        report.status = ExitStatus::Pass;
        report.judgements[0].passed = true;
        assert_eq!(report.trust.level, TrustLevel::Degraded);
        let named = |report: &Report, name: &str| {
            cases(report).into_iter().find(|case| case.name.as_str() == name).unwrap()
        };
        let trusted = named(&report, "numbers can be trusted");
        let TestCaseStatus::Skipped { message, .. } = &trusted.status else { panic!() };
        let message = message.as_ref().unwrap().as_str();
        assert!(message.starts_with("trust degraded: lag (affects response): "), "{message}");
        let rule = named(&report, &report.judgements[0].threshold.rule);
        assert!(matches!(rule.status, TestCaseStatus::Success { .. }));
        let values = rule.system_out.unwrap();
        assert!(values.as_str().starts_with("observed ≥ 300 ms, limit 250 ms"), "{values:?}");
        // The reason of an inconclusive run is an error.
        report.status = ExitStatus::Inconclusive;
        let trusted = named(&report, "numbers can be trusted");
        assert!(matches!(trusted.status, TestCaseStatus::NonSuccess { .. }));
        report.trust.reasons.clear();
        report.status = ExitStatus::Pass;
        let trusted = named(&report, "numbers can be trusted");
        assert!(matches!(trusted.status, TestCaseStatus::Success { .. }));
    }
}

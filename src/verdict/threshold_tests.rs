//! Thresholds that parse, and the messages of those that do not.

use super::*;
use crate::ids::{StepId, WorkloadId};

#[test]
fn limits_parse_into_the_metrics_unit() {
    let p = Statistic::Percentile;
    for (rule, metric, op, limit) in [
        (
            "response.p95 < 250ms",
            Metric::Time(MetricTime::Response, p(95.0)),
            Comparison::Less,
            250_000.0,
        ),
        ("service.p99.9<=1s", Metric::Time(MetricTime::Service, p(99.9)), Comparison::AtMost, 1e6),
        ("lag.max < 1ms", Metric::Time(MetricTime::Lag, Statistic::Max), Comparison::Less, 1_000.0),
        (
            "response.p(95) < 250",
            Metric::Time(MetricTime::Response, p(95.0)),
            Comparison::Less,
            250_000.0,
        ),
        ("p(95)<250", Metric::Time(MetricTime::Response, p(95.0)), Comparison::Less, 250_000.0),
        ("errors < 1%", Metric::Errors, Comparison::Less, 0.01),
        ("achieved > 99%", Metric::Achieved, Comparison::More, 0.99),
        ("checks >= 0.95", Metric::Checks, Comparison::AtLeast, 0.95),
        ("dropped == 0", Metric::Dropped, Comparison::Equal, 0.0),
        ("rate > 190/s", Metric::Rate, Comparison::More, 190.0),
    ] {
        let parsed = Threshold::parse(rule).unwrap_or_else(|e| panic!("{rule}: {e}"));
        assert_eq!((parsed.metric, parsed.op), (metric, op), "{rule}");
        assert!((parsed.limit - limit).abs() < 1e-9, "{rule}: {}", parsed.limit);
    }
}

#[test]
fn errors_name_what_is_expected() {
    for (rule, message, help) in [
        ("", "this rule has no comparison", None),
        ("response.p95", "this rule has no comparison", None),
        ("reponse.p95 < 1s", "unknown metric `reponse`", Some("did you mean `response`?")),
        ("eror < 1%", "unknown metric `eror`", None),
        ("response < 1s", "`response` needs a statistic", Some("for example `response.p95`")),
        ("response.p100 < 1s", "unknown statistic `p100`", None),
        ("errors = 1%", "unknown comparison `=`", Some("write `==`")),
        ("errors < 5ms", "`5ms` is not a valid limit for `errors`", None),
        ("errors < 120%", "`120%` is not a valid limit for `errors`", None),
        ("response.p95 < 250", "`250` is not a valid limit for `response.p95`", None),
        ("response.p95 < 1s often", "unknown word `often` after the limit", None),
        ("response.p95 < 1s over", "`over ` is not a valid time", None),
        ("response.p95 < 1s over 1500ms", "`over 1500ms` is not a valid time", None),
        ("response.p95 < 1s over 2h", "`over 2h` is not a valid time", None),
        ("response.p95 < 1s after 3s", "`after` without `over` or `abort`", None),
        ("bytes < 1MB over 3s", "bytes are counted for the whole run", None),
        ("step(pay).errors < 1%", "`step(` has no name in quotes", None),
        ("step(\"pay\") errors < 1%", "`step(` has no name in quotes", None),
        ("tag(\"team\").errors < 1%", "`tag(` has no name in quotes", None),
        ("step(\"pay\").lag.p99 < 1s", "`lag.p99` is recorded per workload", None),
        ("step(\"a\").dropped == 0", "`dropped` is recorded per workload", None),
        ("check(\"a\").errors < 1%", "`errors` is recorded for calls, not for a check", None),
        ("stp(\"pay\").errors < 1%", "unknown selector `stp`", Some("did you mean `step`?")),
        ("errors < 1% abrt", "unknown word `abrt` after the limit", Some("did you mean `abort`?")),
        ("status(0xx) < 1%", "`0xx` is not a status", None),
        ("status(5xx) < 1s", "`1s` is not a valid limit for `status(5xx)`", None),
        ("< 1s", "this rule has no metric before the comparison", None),
    ] {
        let error = Threshold::parse(rule).unwrap_err();
        assert_eq!(error.message, message, "{rule}");
        if help.is_some() {
            assert_eq!(error.help.as_deref(), help, "{rule}");
        }
        assert!(!error.expected.is_empty());
    }
}

#[test]
fn foreign_spellings_have_a_native_one() {
    let native = |rule| Threshold::parse(rule).unwrap().native();
    assert_eq!(native("p(99.9)<1500").as_deref(), Some("response.p99.9 < 1.5s"));
    assert_eq!(native("response.p95 < 1s"), None);
    assert_eq!(native("step(\"home\").response.p95 < 1s"), None);
    assert!(native("step(\"home\").response.p(95)<9").is_some());
}

#[test]
fn comparisons_hold_as_written_and_never_for_nan() {
    for (op, below, same, above) in [
        (Comparison::Less, true, false, false),
        (Comparison::AtMost, true, true, false),
        (Comparison::More, false, false, true),
        (Comparison::AtLeast, false, true, true),
        (Comparison::Equal, false, true, false),
    ] {
        let got = [1.0, 2.0, 3.0].map(|observed| op.holds(observed, 2.0));
        assert_eq!(got, [below, same, above], "{op:?}");
        assert!(!op.holds(f64::NAN, 2.0));
    }
}

#[test]
fn full_grammar_parses() {
    use crate::verdict::scope::Selector;
    let parse = |rule: &str| Threshold::parse(rule).unwrap_or_else(|e| panic!("{rule}: {e}"));
    let full =
        parse("step(\"a \\\"b\\\"\") . workload('w').service.p99 < 2s over 10s after 30s abort");
    let expect = [Selector::Step("a \"b\"".into()), Selector::Workload("w".into())];
    assert_eq!(full.scope.selectors, expect);
    assert_eq!((full.over_s, full.after_s, full.abort), (Some(10), 30, true));
    let p99 = Metric::Time(MetricTime::Service, Statistic::Percentile(99.0));
    assert_eq!((full.metric, full.op), (p99, Comparison::Less));
    for (rule, metric, limit) in [
        ("status(404) == 0", Metric::Statuses(404, 404), 0.0),
        ("status(799) == 0", Metric::Statuses(799, 799), 0.0),
        ("status(9xx) == 0", Metric::Statuses(900, 999), 0.0),
        ("status(5xx) < 1%", Metric::StatusShare(500, 599), 0.01),
        ("status(5xx) < 0.5", Metric::StatusShare(500, 599), 0.5),
        ("calls > 100", Metric::Calls, 100.0),
        ("workload(\"w\").iterations > 5", Metric::Iterations, 5.0),
        ("bytes < 1MB", Metric::Bytes, 1e6),
        ("generator_errors == 0", Metric::GeneratorErrors, 0.0),
        ("check(\"status is 200\") > 99%", Metric::Checks, 0.99),
        ("step(\"a\").check(\"b < c\") > 99% abort", Metric::Checks, 0.99),
        ("tag(\"team=checkout\").errors < 1%", Metric::Errors, 0.01),
        ("tag('team', 'check out').archetype(\"a\").errors < 1% abort", Metric::Errors, 0.01),
    ] {
        let parsed = parse(rule);
        assert_eq!(parsed.metric, metric, "{rule}");
        assert!((parsed.limit - limit).abs() < 1e-9, "{rule}");
    }
}

#[test]
fn selectors_narrow_and_report_unmatched_names() {
    use crate::verdict::scope::{Subject, Subjects};
    let series = |step: &str, archetype: &str, workload, team: &str| Subject {
        step: step.to_owned(),
        archetype: archetype.to_owned(),
        workload: WorkloadId::new(workload),
        tags: vec![("team".to_owned(), team.to_owned())],
        checks: vec!["status is 200".to_owned()],
    };
    let subjects = Subjects {
        workloads: vec!["api".to_owned(), "shop".to_owned()],
        series: vec![
            series("home", "browser", 1, "web"),
            series("pay", "buyer", 1, "checkout"),
            series("poll", "poller", 0, "web"),
        ],
        ..Subjects::default()
    };
    for (rule, expect) in [
        ("errors < 1%", &[0, 1, 2][..]),
        ("workload(\"shop\").errors < 1%", &[0, 1]),
        ("tag(\"team=web\").errors < 1%", &[0, 2]),
        ("workload(\"shop\").tag(\"team=web\").errors < 1%", &[0]),
        ("archetype(\"buyer\").errors < 1%", &[1]),
    ] {
        let scope = Threshold::parse(rule).unwrap().scope;
        let seen = (0..3).filter(|&n| scope.has_series(&subjects, StepId::new(n)));
        let seen: Vec<usize> = seen.collect();
        assert_eq!(seen, expect, "{rule}");
        assert_eq!(scope.matches(&subjects), Ok(()));
    }
    for (rule, message, help) in [
        ("step(\"pya\").errors < 1%", "unknown step `pya`", Some("did you mean `pay`?")),
        (
            "tag(\"team=wep\").errors < 1%",
            "unknown tag `team=wep`",
            Some("did you mean `team=web`?"),
        ),
        ("workload(\"x\").errors < 1%", "unknown workload `x`", None),
        (
            "workload(\"api\").step(\"pay\").errors < 1%",
            "no series matches all selectors: step `pay` belongs to others",
            None,
        ),
    ] {
        let error = Threshold::parse(rule).unwrap().scope.matches(&subjects).unwrap_err();
        assert_eq!((error.message.as_str(), error.help.as_deref()), (message, help), "{rule}");
    }
}

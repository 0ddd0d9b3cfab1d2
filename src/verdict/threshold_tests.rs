//! Rules that parse, and the messages of those that do not.

use super::*;

#[test]
fn rules_parse_into_the_metrics_unit() {
    let p = Stat::Percentile;
    for (rule, metric, op, limit) in [
        ("response.p95 < 250ms", Metric::Time(Time::Response, p(95.0)), Op::Less, 250_000.0),
        ("service.p99.9<=1s", Metric::Time(Time::Service, p(99.9)), Op::AtMost, 1e6),
        ("lag.max < 1ms", Metric::Time(Time::Lag, Stat::Max), Op::Less, 1_000.0),
        ("response.p(95) < 250", Metric::Time(Time::Response, p(95.0)), Op::Less, 250_000.0),
        ("p(95)<250", Metric::Time(Time::Response, p(95.0)), Op::Less, 250_000.0),
        ("errors < 1%", Metric::Errors, Op::Less, 0.01),
        ("achieved > 99%", Metric::Achieved, Op::More, 0.99),
        ("checks >= 0.95", Metric::Checks, Op::AtLeast, 0.95),
        ("dropped == 0", Metric::Dropped, Op::Equal, 0.0),
        ("rate > 190/s", Metric::Rate, Op::More, 190.0),
    ] {
        let parsed = Threshold::parse(rule).unwrap_or_else(|e| panic!("{rule}: {e}"));
        assert_eq!((parsed.metric, parsed.op), (metric, op), "{rule}");
        assert!((parsed.limit - limit).abs() < 1e-9, "{rule}: {}", parsed.limit);
    }
}

#[test]
fn mistakes_say_what_was_expected() {
    for (rule, message, help) in [
        ("", "no comparison in this rule", None),
        ("response.p95", "no comparison in this rule", None),
        ("reponse.p95 < 1s", "unknown metric `reponse`", Some("did you mean `response`?")),
        ("eror < 1%", "unknown metric `eror`", None),
        ("response < 1s", "`response` alone is not one number", Some("for example `response.p95`")),
        ("response.p100 < 1s", "unknown statistic `p100`", None),
        ("errors = 1%", "unknown comparison `=`", Some("write `==`")),
        ("errors < 5ms", "`5ms` is no limit for `errors`", None),
        ("errors < 120%", "`120%` is no limit for `errors`", None),
        ("response.p95 < 250", "`250` is no limit for `response.p95`", None),
        ("response.p95 < 1s abort", "`1s abort` is no limit for `response.p95`", None),
        ("< 1s", "no metric before the comparison", None),
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
}

#[test]
fn comparisons_hold_as_written_and_never_for_nan() {
    for (op, below, same, above) in [
        (Op::Less, true, false, false),
        (Op::AtMost, true, true, false),
        (Op::More, false, false, true),
        (Op::AtLeast, false, true, true),
        (Op::Equal, false, true, false),
    ] {
        let got = [1.0, 2.0, 3.0].map(|observed| op.holds(observed, 2.0));
        assert_eq!(got, [below, same, above], "{op:?}");
        assert!(!op.holds(f64::NAN, 2.0));
    }
}

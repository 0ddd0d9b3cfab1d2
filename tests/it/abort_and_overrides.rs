//! Tests of thresholds that stop a run, and of overrides on the command line.

use crate::builtin::Builtin;
use crate::harness::{Manada, count};

#[test]
fn threshold_with_abort_ends_and_fails_the_run() {
    let target = Builtin::start(&["--fail", "100%:503"]);
    let scenario = format!(
        r#"
services: {{ shop: "{}" }}
workloads:
  api:
    tags: {{ team: web }}
    arrivals: {{ rate: 50/s }}
    duration: 10m
    flow: [ {{ get: /, name: home }} ]
thresholds:
  - 'tag("team=web").status(5xx) < 10% over 1s abort'
  - 'calls > 0'
"#,
        target.url("")
    );
    let done = Manada::run(&scenario, &["--ui", "plain"]).go();
    let report = done.report(4);
    assert!(
        done.stderr.contains("stopping: threshold `tag(\"team=web\").status(5xx) < 10%"),
        "{done}"
    );
    let [stopped, calls] = [0, 1].map(|rule| &report["thresholds"][rule]);
    assert_eq!(stopped["passed"], false, "{done}");
    assert_eq!((&stopped["observed"], &stopped["margin"]), (&1.0.into(), &(-0.9).into()));
    assert_eq!((&stopped["worst_at_s"], &calls["worst_at_s"]), (&0.into(), &().into()));
    assert_eq!(report["steps"][0]["tags"]["team"], "web");
    assert!(count(&report, "iterations.not_reached") > 20_000, "{done}");
}

#[test]
fn a_rule_over_the_run_that_stopped_it_shows_both_values() {
    let target = Builtin::start(&["--fail", "100%:503"]);
    let scenario = format!(
        "services: {{ shop: \"{}\" }}\nworkloads: {{ api: {{ arrivals: {{ rate: 50/s }}, \
         duration: 10m, flow: [ {{ get: / }} ] }} }}\nthresholds: [ errors < 10% abort ]\n",
        target.url("")
    );
    let done = Manada::run(&scenario, &["--report", "r.md"]).go();
    let report = done.report(4);
    let rules = report["thresholds"].as_array().unwrap();
    let stopped = rules.iter().find(|rule| rule["rule"] == "errors < 10% abort").unwrap();
    assert_eq!(stopped["observed"], 1.0, "{report}");
    assert_eq!(stopped["stopped_run"]["observed_at_end"], 1.0, "{report}");
    let at_s = stopped["stopped_run"]["at_s"].as_u64().unwrap();
    let said = format!("observed at {at_s}s, when it stopped the run, 100.00 % at the end");
    assert!(done.read("r.md").contains(&said), "{done}");
}

#[test]
fn environments_and_settings_reach_the_run() {
    let target = Builtin::start(&[]);
    let scenario = format!(
        r#"
services: {{ shop: "http://127.0.0.1:9" }}
workloads: {{ w: {{ users: 1, iterations: 3, flow: [ {{ get: / }} ] }} }}
environments: {{ here: {{ services: {{ shop: "{}" }} }} }}
"#,
        target.url("")
    );
    let words = ["-e", "here", "--set", "workloads.w.iterations=7", "--set", "seed=5"];
    let report = Manada::run(&scenario, &words).go().report(0);
    assert_eq!((count(&report, "calls.ok"), count(&report, "seed")), (7, 5), "{report}");
    for (words, code, said) in [
        (&["-e", "her"][..], 2, "did you mean `here`?"),
        (&["--set", "workloads.w.iteration=7"], 2, "did you mean `iterations`?"),
        (&["--threshold", "step(\"GET\").errors < 1%"], 2, "unknown step `GET`"),
    ] {
        let done = Manada::run(&scenario, words).go();
        assert_eq!(done.code, Some(code), "{done}");
        assert!(done.stderr.contains(said), "{done}");
        if words[0] != "--threshold" {
            let check = ["check", "scenario.yaml"];
            let done = Manada::new(&check).words(words).file("scenario.yaml", &scenario).go();
            assert_eq!(done.code, Some(code), "{done}");
        }
    }
}

#[test]
fn check_covers_every_environment() {
    let scenario = "services: { it: builtin }\n\
                    workloads: { w: { users: 1, flow: [ { get: / } ] } }\n\
                    environments:\n  good: { grace: 1s }\n  bad: { grace: soon }\n";
    let check = |words: &[&str]| {
        Manada::new(&["check", "s.yaml"]).words(words).file("s.yaml", scenario).go()
    };
    let done = check(&[]);
    assert_eq!(done.code, Some(3), "{done}");
    assert!(done.stderr.contains("in the environment `bad`:"), "{done}");
    assert!(!done.stderr.contains("`good`"), "{done}");
    assert_eq!(check(&["-e", "good"]).code, Some(0));
}

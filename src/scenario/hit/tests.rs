//! Tests of the plans that `hit` builds.

use std::time::Duration;

use super::*;
use crate::plan::load::LoadBound;
use crate::plan::{Load, Plan, Step};
use crate::seed::Seed;
use crate::units::Rate;

fn hit(url: &str) -> HitOptions {
    HitOptions {
        urls: vec![url.to_owned()],
        connections: None,
        duration: None,
        requests: None,
        rate: None,
        method: "GET".to_owned(),
        headers: Vec::new(),
        body: None,
        client: HitClient::default(),
        timeout: None,
        seed: Seed::new(1),
        thresholds: Vec::new(),
        warmup: Duration::ZERO,
    }
}

fn path(plan: &Plan) -> &[u8] {
    plan.archetypes[0].calls[0].request.path.as_static().unwrap()
}

#[test]
fn url_compiles_to_a_plan() {
    let plan = plan(&hit("http://127.0.0.1:8080/p/1?q={{ x }}#top")).unwrap();
    assert_eq!(path(&plan), b"/p/1?q=%7B%7B%20x%20%7D%7D");
    assert_eq!(plan.steps[0].name, "GET /p/1");
    assert_eq!(plan.load_end(), Some(DURATION));
    assert_eq!(plan.peak_users(), 50);
    let bare = super::plan(&hit("localhost:9?a=1")).unwrap();
    assert_eq!(path(&bare), b"/?a=1");
    assert!(bare.has_local_target());
}

#[test]
fn counts_and_rates_choose_the_model() {
    let counted = plan(&HitOptions { requests: Some(1_000), ..hit("http://x") }).unwrap();
    let Load::Closed(users) = &counted.workloads[0].load else { panic!("closed") };
    assert_eq!(users.bound, LoadBound::Iterations(1_000));
    assert_eq!(counted.load_end(), None);
    let rate = Some(Rate::per_s(100));
    let open = plan(&HitOptions { rate, requests: Some(5), ..hit("http://x") }).unwrap();
    let Load::Open(arrivals) = &open.workloads[0].load else { panic!("open") };
    assert_eq!((arrivals.max_users, arrivals.iterations), (10_000, Some(5)));
    let few = plan(&HitOptions { rate, connections: Some(7), ..hit("http://x") }).unwrap();
    assert_eq!(few.peak_users(), 7);
}

#[test]
fn each_invalid_option_is_reported() {
    let wrong = HitOptions {
        connections: Some(0),
        requests: Some(0),
        method: "GE T".to_owned(),
        headers: vec![("a b".to_owned(), "x\r\ny".to_owned())],
        thresholds: vec!["eror".to_owned()],
        ..hit("ftp://x")
    };
    let mistakes = plan(&wrong).unwrap_err();
    let flags: Vec<&str> = mistakes.list.iter().map(|m| m.file.as_str()).collect();
    let expect = [
        "URL",
        "--connections",
        "--requests",
        "--method",
        "--header",
        "--header",
        "--threshold 'eror'",
    ];
    assert_eq!(flags, expect);
}

#[test]
fn urls_have_path_origin_and_weight() {
    let urls = [
        "http://a.test/x?k=1",
        "http://a.test/x?k=2",
        "https://b.test:8443",
        "http://a.test/x?k=2",
    ];
    let urls = urls.map(str::to_owned).to_vec();
    let plan = plan(&HitOptions { urls, ..hit("") }).unwrap();
    let services: Vec<&str> = plan.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(services, ["a.test", "b.test:8443"]);
    let names: Vec<&str> = plan.steps.iter().map(|series| series.name.as_str()).collect();
    assert_eq!(names, ["GET http://a.test/x", "GET https://b.test:8443/"]);
    let kind = &plan.archetypes[0];
    let calls: Vec<_> = kind.calls.iter().map(|call| (call.service.index(), call.series)).collect();
    assert_eq!(calls, [(0, 0), (0, 0), (1, 1)]);
    let Step::Choose(choice) = &kind.steps[0] else { panic!("{:?}", kind.steps) };
    assert_eq!(choice.options, [(1.0, 1), (2.0, 3), (1.0, 5)]);
    let ends = [2, 4, 6].map(|at| matches!(kind.steps[at], Step::Jump(7)));
    assert!(ends == [true; 3] && matches!(kind.steps[7], Step::End), "{:?}", kind.steps);
}

#[test]
fn counted_requests_come_after_the_warm_up() {
    let counted =
        HitOptions { requests: Some(5), warmup: Duration::from_secs(2), ..hit("http://x") };
    assert_eq!(plan(&counted).unwrap().uncounted, Duration::from_secs(2));
    // 3/s: starts 0 to 5 are due before second 2, the first one at once.
    let open = plan(&HitOptions { rate: Some(Rate::per_s(3)), ..counted }).unwrap();
    let Load::Open(arrivals) = &open.workloads[0].load else { panic!("open") };
    assert_eq!(arrivals.iterations, Some(6 + 5));
}

#[test]
fn known_methods_are_sent_in_capitals_and_others_as_written() {
    for (written, sent) in [("get", "GET"), ("Post", "POST"), ("PURGE", "PURGE"), ("x", "x")] {
        let plan = plan(&HitOptions { method: written.to_owned(), ..hit("http://x") }).unwrap();
        assert_eq!(plan.archetypes[0].calls[0].request.method, sent);
    }
}

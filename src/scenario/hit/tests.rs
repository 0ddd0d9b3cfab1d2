//! Tests of the plans that `hit` builds.

use std::time::Duration;

use super::*;
use crate::files::Files;
use crate::plan::load::LoadBound;
use crate::plan::stream::{AnswerFormat, GoodAnswer, StreamAct, StreamForm, StreamedAnswer};
use crate::plan::{Endpoints, Load, Plan, ServiceTarget, Step};
use crate::seed::Seed;
use crate::units::Rate;

fn hit(url: &str) -> HitOptions {
    HitOptions {
        files: Files::default(),
        urls: vec![url.to_owned()],
        connections: None,
        duration: None,
        requests: None,
        rate: None,
        method: None,
        headers: Vec::new(),
        body: None,
        message: None,
        listen: false,
        stream: None,
        good: None,
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
        method: Some("GE T".to_owned()),
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
        let plan =
            plan(&HitOptions { method: Some(written.to_owned()), ..hit("http://x") }).unwrap();
        assert_eq!(plan.archetypes[0].calls[0].request.method, sent);
    }
}

fn is_tls(plan: &Plan) -> bool {
    matches!(&plan.services[0].target, ServiceTarget::Url(address) if address.tls)
}

fn words(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|series| series.name.as_str()).collect()
}

#[test]
fn websocket_sends_and_awaits_over_a_connection_that_stays() {
    let talks = plan(&hit("ws://127.0.0.1:8080/echo?k=secret")).unwrap();
    assert_eq!(words(&talks), ["open /echo", "send /echo", "await /echo"]);
    let user = &talks.archetypes[0];
    assert!(user.streams[0].of_user && user.streams[0].is_kept);
    assert!(matches!(user.steps[..], [Step::Stream(0), Step::End, Step::Stream(1), ..]));
    assert_eq!((user.sections.on_start, user.sections.flow), (Some(0), 2));
    assert!(user.calls[1].stamp.is_some(), "a stamp is the default message");
    // Steps that use the stream have the endpoint of its handshake.
    let endpoints = Endpoints::new(&talks);
    assert_eq!(endpoints.all.len(), 1, "{endpoints:?}");
    assert_eq!(endpoints.all[0].name(), "GET /echo");
    assert!(!is_tls(&talks));
    let said = HitOptions { message: Some(b"hello".to_vec()), ..hit("wss://chat.test/ws") };
    let said = plan(&said).unwrap();
    assert!(said.archetypes[0].calls[1].stamp.is_none() && is_tls(&said));
    let client = HitClient { keep_alive: false, ..HitClient::default() };
    let short = plan(&HitOptions { client, ..hit("ws://x/y") }).unwrap();
    assert_eq!(words(&short), ["open /y", "send /y", "await /y", "close /y"]);
    assert!(!short.archetypes[0].streams[0].of_user);
}

#[test]
fn messages_of_a_rate_are_evenly_spaced_over_the_connections() {
    let rate = Some(Rate::per_s(200));
    let talks = HitOptions { rate, connections: Some(50), ..hit("ws://x") };
    let plan = plan(&talks).unwrap();
    assert_eq!(plan.archetypes[0].pace, Some(Duration::from_millis(250)));
    let Load::Closed(users) = &plan.workloads[0].load else { panic!("closed") };
    // They arrive one message apart: all of them after one round.
    assert_eq!(users.curve.level(250_000_000), 50);
    assert_eq!(users.curve.level(125_000_000), 25);
    assert_eq!(plan.load_end(), Some(DURATION));
    let few = super::plan(&HitOptions { rate: Some(Rate::per_s(7)), ..hit("ws://x") }).unwrap();
    assert_eq!(few.peak_users(), 7, "each sends once a second");
    let idle =
        HitOptions { connections: Some(1_000), rate: Some(Rate::per_s(10)), ..hit("ws://x") };
    let mistakes = super::plan(&idle).unwrap_err();
    assert_eq!(mistakes.list[0].file, "--rate");
}

#[test]
fn listeners_hold_their_streams() {
    for (url, form) in [("ws://x/feed", StreamForm::WebSocket), ("x/feed", StreamForm::Events)] {
        let plan = plan(&HitOptions { listen: true, ..hit(url) }).unwrap();
        assert_eq!(words(&plan), ["open /feed", "listen /feed"]);
        let user = &plan.archetypes[0];
        let stream = user.calls[0].stream.as_deref().unwrap();
        let StreamAct::Open(open) = &stream.act else { panic!("{stream:?}") };
        assert_eq!(open.form, form);
        let (on_start, flow) = user.steps.split_at(3);
        assert!(matches!(on_start, [Step::Stream(0), Step::Stream(1), Step::End]));
        assert!(matches!(flow, [Step::Pause(_), Step::End]));
    }
}

#[test]
fn response_in_pieces_is_observed_and_judged() {
    let good = GoodAnswer { first: Some(Duration::from_millis(300)), ..GoodAnswer::default() };
    let asks = HitOptions {
        stream: Some(AnswerFormat::OpenAi),
        good: Some(good),
        body: Some(b"{}".to_vec()),
        ..hit("http://x/v1/chat/completions")
    };
    let plan = plan(&asks).unwrap();
    let call = &plan.archetypes[0].calls[0];
    assert_eq!(call.request.method, "POST");
    assert_eq!(call.request.headers[0].0, "content-type");
    let streamed = StreamedAnswer { format: AnswerFormat::OpenAi, good: Some(good) };
    assert_eq!(call.streamed, Some(streamed));
}

#[test]
fn options_without_effect_on_a_stream_are_mistakes() {
    let flags = |options: HitOptions| -> Vec<String> {
        plan(&options).unwrap_err().list.into_iter().map(|mistake| mistake.file).collect()
    };
    let client = HitClient { http2: true, redirects: Some(3), ..HitClient::default() };
    let talks = HitOptions {
        method: Some("POST".to_owned()),
        body: Some(Vec::new()),
        stream: Some(AnswerFormat::Events),
        good: Some(GoodAnswer::default()),
        client,
        ..hit("ws://x")
    };
    assert_eq!(flags(talks), ["--method", "--body", "--stream", "--good", "--http2", "--location"]);
    let listens = HitOptions {
        listen: true,
        message: Some(Vec::new()),
        requests: Some(1),
        rate: Some(Rate::per_s(1)),
        client: HitClient { keep_alive: false, ..HitClient::default() },
        ..hit("ws://x")
    };
    let expect = ["--message", "--requests", "--rate", "--disable-keepalive", "--rate"];
    assert_eq!(flags(listens), expect);
    assert_eq!(flags(HitOptions { message: Some(Vec::new()), ..hit("x") }), ["--message"]);
    assert_eq!(flags(HitOptions { good: Some(GoodAnswer::default()), ..hit("x") }), ["--good"]);
    let urls = vec!["ws://x/a".to_owned(), "http://x/b".to_owned()];
    assert_eq!(flags(HitOptions { urls, ..hit("") }), ["URL"]);
}

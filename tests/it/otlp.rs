//! OpenTelemetry at real receivers: what they have equals the report. Receivers in trouble: the
//! run goes on, and what they lost is said.
//!
//! Invariant: no figure is compared before the receiver has the final ones.

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, Running};
use crate::metrics::{scenario, start, step};
use crate::nginx::Nginx;
use crate::otlp_receivers::{OtlpReceiver, Received, array, attributes, whole};
use crate::peer::{Peer, Server, refusing_address};

/// Checks the telemetry of the scenario of `metrics` against its report.
fn check(summary: &Value, received: &Received) {
    for name in ["look", "buy"] {
        let calls = &step(summary, name)["calls"];
        let of_step = [("step", name), ("period", "measured")];
        for result in ["ok", "failed"] {
            let labels = [of_step[0], of_step[1], ("result", result)];
            let got = received.number("manada.calls", &labels);
            assert_eq!(got, calls[result].as_f64(), "{name} {result}");
        }
        let responses = received.number("manada.responses", &of_step);
        assert_eq!(responses, calls["made"].as_f64(), "{name}");
        let points = received.points("manada.response.duration", &of_step);
        let [point] = &*points else { panic!("{points:#?}") };
        let counts = array(&point["positive"]["bucketCounts"]);
        let counts: Vec<f64> = counts.map(|count| whole(count).unwrap()).collect();
        let zeros = whole(&point["zeroCount"]).unwrap_or(0.0);
        assert!(counts.len() <= 160, "{point}");
        assert_eq!(Some(counts.iter().sum::<f64>() + zeros), calls["made"].as_f64(), "{point}");
        assert_eq!(whole(&point["count"]), calls["made"].as_f64());
        assert!(point["min"].as_f64() <= point["max"].as_f64(), "{point}");
        // The median lies in the bucket in which the counts reach one half.
        let half = calls["made"].as_f64().unwrap() / 2.0;
        let mut sum = zeros;
        let at = counts.iter().position(|count| {
            sum += count;
            sum >= half
        });
        let scale = point["scale"].as_i64().unwrap_or(0);
        let base = 2f64.powf(2f64.powi(-(scale as i32)));
        let index = point["positive"]["offset"].as_f64().unwrap_or(0.0) + at.unwrap() as f64;
        let median = step(summary, name)["response_us"]["p50"].as_f64().unwrap() / 1e6;
        let (low, high) = (base.powf(index), base.powf(index + 1.0));
        assert!(low < median * 1.002 && median <= high * 1.002, "{low} {median} {high}");
    }
    let sent = received.number("manada.network.sent", &[]);
    assert_eq!(sent, summary["bytes"]["sent"].as_f64());
    let due = received.number("manada.starts.due", &[("workload", "shop")]);
    assert_eq!(due, summary["iterations"]["due"].as_f64());
    let kind = |name: &str| {
        let (unit, data) = &received.kinds[name];
        (unit.as_str(), data.as_str())
    };
    assert_eq!(kind("manada.calls"), ("1", "sum"));
    assert_eq!(kind("manada.network.sent"), ("By", "sum"));
    assert_eq!(kind("manada.users"), ("1", "gauge"));
    assert_eq!(kind("manada.response.duration"), ("s", "exponentialHistogram"));
    let tagged = received.number("manada.calls", &[("tag_team", "red \"one\"")]);
    assert!(tagged > Some(0.0), "{:#}", summary["steps"]);
    assert!(received.texts("manada.run.started")[0].starts_with("run of s started: 1 shard"));
    assert_eq!(received.texts("manada.threshold"), ["threshold `response.p95 < 2s` held"]);
    assert_eq!(received.texts("manada.run.ended"), ["run of s ended: pass"]);
    for log in &received.logs {
        let times = ["timeUnixNano", "observedTimeUnixNano"].map(|name| whole(&log[name]).unwrap());
        // Both are within an hour before now, by the wall clock of this machine.
        assert!(times[0] > 1.7e18 && times[0] <= times[1], "{log}");
        assert_eq!(log["severityText"], "INFO", "{log}");
    }
}

#[test]
fn oteltap_has_the_sums_of_the_report_and_the_events_of_the_run() {
    let (target, receiver) = (Builtin::start(&["--fail", "20%:503"]), OtlpReceiver::http());
    let url = format!("http://{}", receiver.address);
    let done = start(&target, &["--otlp", &url]).wait();
    check(&done.report(0), &receiver.received());
    assert!(!done.stderr.contains("lost"), "{done}");
}

#[test]
fn a_receiver_of_grpc_has_the_same_with_a_resource_and_metadata() {
    let (target, receiver) = (Builtin::start(&["--fail", "20%:503"]), OtlpReceiver::grpc(None));
    let url = format!("http://{}", receiver.address);
    let words = ["run", "s.yaml", "--json", "--ui", "none", "--no-control", "--seed", "7"];
    let done = Manada::new(&words)
        .words(&["--otlp", &url, "--otlp-protocol", "grpc"])
        .file("s.yaml", scenario(&target))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a1,x-tenant=t")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=stage%2C1,service.version=9")
        .env("OTEL_SERVICE_NAME", "checkout-load")
        .go();
    let received = receiver.received();
    check(&done.report(0), &received);
    assert!(!done.stderr.contains("lost"), "{done}");
    let wanted = [
        ("service.name", "checkout-load"),
        ("service.version", "9"),
        ("deployment.environment.name", "stage,1"),
        ("manada.scenario", "s"),
        ("manada.seed", "7"),
    ];
    for (name, value) in wanted {
        assert_eq!(received.resource[name], value, "{:?}", received.resource);
    }
    for name in ["service.instance.id", "host.name", "process.pid", "manada.run.id"] {
        assert!(!received.resource[name].is_empty(), "{name}");
    }
    let metadata = &receiver.lines()[1]["metadata"];
    assert_eq!(
        (&metadata["authorization"], &metadata["x-tenant"]),
        (&"Bearer a1".into(), &"t".into())
    );
}

/// Some calls of a target that push to a receiver.
fn hit(target: &Builtin, url: &str, words: &[&str]) -> Manada {
    let all = ["hit", &target.url("/"), "-r", "20/s", "-d", "2s", "--ui", "none", "--json"];
    Manada::new(&all).words(&["--otlp", url]).words(words)
}

/// The lines about receivers, after a run that made all of its calls.
fn told(done: &Done) -> Vec<&str> {
    assert_eq!(done.report(0)["calls"]["ok"], 40, "{done}");
    let lines: Vec<&str> = done.stderr.lines().filter(|line| line.contains("--otlp")).collect();
    for line in &lines {
        assert!(line.contains("the report is complete"), "{line}");
        assert!(!line.contains("s3cret") && !line.contains('\x1b'), "{line}");
    }
    lines
}

#[test]
fn grpc_with_tls_is_trusted_by_the_roots_of_the_system() {
    let (target, nginx) = (Builtin::start(&[]), Nginx::start());
    let (certificate, key) = (nginx.path("cert.pem"), nginx.path("key.pem"));
    let receiver = OtlpReceiver::grpc(Some([&certificate, &key]));
    let url = format!("https://{}", receiver.address);
    let run = || hit(&target, &url, &["--otlp-protocol", "grpc"]);
    let done = run().env("SSL_CERT_FILE", &certificate).go();
    assert_eq!(told(&done), [""; 0], "{done}");
    receiver.received();
    let done = run().go();
    assert!(told(&done)[0].contains("certificate"), "{done}");
}

#[test]
fn statuses_of_grpc_are_final_or_tried_again() {
    let (target, receiver) = (Builtin::start(&[]), OtlpReceiver::grpc(None));
    let url = format!("http://{}", receiver.address);
    let words = ["--otlp-protocol", "grpc", "--otlp-signals", "metrics"];
    let run = |headers: &str| {
        hit(&target, &url, &words).env("OTEL_EXPORTER_OTLP_HEADERS", headers).start()
    };
    // In parallel: each is told apart by its own lines.
    let lost = [
        ("x-test-status=INVALID_ARGUMENT", "lost: INVALID_ARGUMENT: so be it: ü %41"),
        ("x-test-status=UNAVAILABLE", "lost: UNAVAILABLE: so be it"),
        ("x-test-status=RESOURCE_EXHAUSTED", "lost: RESOURCE_EXHAUSTED: so be it"),
        ("x-test-reject=3", "data points: too many"),
    ];
    let runs: Vec<Running> = lost.iter().map(|(headers, _)| run(headers)).collect();
    for (running, (_, wanted)) in runs.into_iter().zip(lost) {
        let done = running.wait();
        let [line] = &*told(&done) else { panic!("{done}") };
        assert!(line.contains(wanted), "{line}");
    }
    let once = "x-test-status=RESOURCE_EXHAUSTED,x-test-delay=1000000,x-test-retry=once";
    assert_eq!(told(&run(once).wait()), [""; 0]);
}

#[test]
fn receivers_in_trouble_cost_telemetry_and_nothing_else() {
    let target = Builtin::start(&[]);
    let servers = [
        Server::answering_whole(
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-protobuf\r\n\
              Content-Length: 9\r\n\r\n\x08\x03\x12\x05no\x1b[m",
        ),
        Server::answering_whole(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        Server::answering_whole(
            b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n",
        ),
        Server::answering_whole(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"),
        Server::answering_whole(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>"),
        Server::answering_whole(b"nonsense\r\n\r\n"),
        // 5 rejected items of each request.
        Server::answering_whole(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x0a\x07\x08\x05\x12\x03old",
        ),
        Server::start(Peer::hold),
    ];
    let mut urls: Vec<String> = servers.iter().map(Server::url).collect();
    let (_bound, closed) = refusing_address();
    urls.push(format!("http://user:s3cret@{closed}/otlp"));
    let wanted = [
        "lost: 400 Bad Request: no\u{fffd}[m",
        "lost: 503 Service Unavailable",
        "lost: 429 Too Many Requests",
        "lost: 500 Internal Server Error",
        "lost: the response is not one of OTLP",
        "lost",
        "data points: old",
        "lost",
        "refused",
    ];
    let runs = urls.iter().map(|url| hit(&target, url, &[]).start());
    let runs: Vec<Running> = runs.collect();
    for (run, wanted) in runs.into_iter().zip(wanted) {
        let done = run.wait();
        let lines = told(&done);
        assert!(lines.len() == 2 && lines[0].contains(wanted), "{wanted}: {lines:#?}");
    }
    // Over gRPC: servers that do not speak it, or are not there.
    let grpc = ["--otlp-protocol", "grpc", "--otlp-signals", "logs"];
    let origins = [servers[1].address(), closed];
    let origins = origins.map(|address| format!("http://{address}"));
    let runs = origins.each_ref().map(|url| hit(&target, url, &grpc).start());
    for run in runs {
        let done = run.wait();
        let lines = told(&done);
        assert!(lines.len() == 1 && lines[0].contains("with logs lost: "), "{lines:#?}");
    }
}

#[test]
fn a_receiver_that_was_busy_gets_all() {
    let target = Builtin::start(&[]);
    let busy = std::sync::atomic::AtomicU64::new(0);
    let server = Server::start(move |peer| {
        while let Some(head) = peer.whole_request() {
            assert!(head.starts_with("POST /base/v1/metrics HTTP/1.1\r\n"), "{head}");
            let is_first = busy.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            let answer: &[u8] = if is_first {
                b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            };
            if !peer.send(answer) {
                return;
            }
        }
    });
    let url = format!("{}base/", server.url());
    let done = hit(&target, &url, &["--otlp-signals", "metrics"]).go();
    assert_eq!(told(&done), [""; 0], "{done}");
    assert!(server.seen().1 >= 3, "{:?}", server.seen());
}

#[test]
fn a_breaker_is_a_warning_among_the_logs() {
    let (target, receiver) = (Builtin::start(&["--fail", "100%:503"]), OtlpReceiver::grpc(None));
    let scenario = format!(
        "services: {{ s: {{ url: '{}' }} }}\nclient: resilient\nworkloads:\n  w:\n    \
         users: 4\n    duration: 3s\n    flow: [ {{ get: / }},\
         {{ log: 'token {{{{ 1 + 1 }}}}' }} ]\n",
        target.url("")
    );
    let url = format!("http://{}", receiver.address);
    let words = ["--otlp", &url, "--otlp-protocol", "grpc", "--otlp-signals", "logs,metrics"];
    let done = Manada::run(&scenario, &words).go();
    let received = receiver.received();
    // Shards report independently, so that a later change may come first.
    let mut changes = received.logs.iter().filter(|log| log["eventName"] == "manada.breaker");
    let opened = changes.find(|log| attributes(log)["manada.change.from"] == "closed");
    let opened = opened.unwrap_or_else(|| panic!("{done} {:#?}", received.logs));
    assert_eq!(opened["severityNumber"], "SEVERITY_NUMBER_WARN", "{opened:#}");
    assert!(opened["body"]["stringValue"].as_str().unwrap().contains("closed → open"));
    assert_eq!(attributes(opened)["manada.change.to"], "open");
    assert!(received.texts("manada.log").contains(&"token 2"), "{:#?}", received.logs);
}

#[test]
fn wrong_options_are_refused_before_the_load() {
    let target = Builtin::start(&[]);
    let url = target.url("/");
    let hit = ["hit", &url, "-n", "1", "--ui", "none"];
    let cases: [(&[&str], &str); 6] = [
        (&["--otlp", "127.0.0.1:4318"], "such as http://127.0.0.1:4318"),
        (&["--otlp", "file:///x"], "expects the URL of a receiver"),
        (&["--otlp", "http://h:1/v1/metrics"], "without /v1/metrics"),
        (&["--otlp", "http://h:1/x", "--otlp-protocol", "grpc"], "without a path"),
        (&["--otlp-protocol", "grpc"], "--otlp"),
        (&["--otlp", "http://h:1", "--otlp-signals", "spans"], "metrics, traces, logs"),
    ];
    for (words, text) in cases {
        let done = Manada::new(&hit).words(words).go();
        assert_eq!(done.code, Some(2), "{done}");
        assert!(done.stderr.contains(text), "{done}");
    }
    for name in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_RESOURCE_ATTRIBUTES"] {
        let run = Manada::new(&hit).words(&["--otlp", "http://127.0.0.1:1"]);
        let done = run.env(name, "authorization Bearer-s3cret").go();
        assert_eq!(done.code, Some(2), "{done}");
        assert!(done.stderr.contains(name) && done.stderr.contains("expected `name=value`"));
        assert!(!done.stderr.contains("s3cret"), "{done}");
    }
    assert_eq!(target.count("/"), 0);
}

//! Methods that a server tells by reflection: grpcio's of v1alpha, and one of v1; runs, dry runs,
//! checks that send nothing, `hit`, TLS, and servers that do not tell.

use crate::grpc_steps::{Echo, checks_hold, expected, scenario, statuses};
use crate::harness::{Done, Manada, count};

const SERVICE: &str = "grpc: { reflection: true }";

fn url(echo: &Echo) -> String {
    format!("grpc://{}", echo.server.address)
}

const STEPS: &str = r#"
- grpc: echo.v1.Echo/Say
  json: { text: "u{{ user.number }}", parts: [ { name: a, count: 2 } ], at: "2026-01-02T03:04:05Z" }
  check: { status: OK, json: { "$.request.parts[0].count": "2" } }
- { grpc: echo.v1.Echo/Watch, name: watch, json: { count: 3 }, check: { messages: 3 } }
- { open: echo.v1.Echo/Talk, as: talk }
- { send: talk, json: { text: a } }
- { await: talk, check: { json: { "$.text": a } } }
- { close: talk, half: true, expect: { status: OK } }
"#;

#[test]
fn methods_are_those_that_servers_of_both_versions_tell() {
    for version in ["reflect-v1alpha", "reflect-v1"] {
        let echo = Echo::with(&[version]);
        let done = Manada::run(&scenario(&url(&echo), (2, SERVICE), STEPS), &[]).go();
        let report = done.measured();
        assert_eq!(statuses(&report), expected([("grpc OK", 120)]), "{version}: {done}");
        checks_hold(&done, &report);
        let calls = echo.calls();
        let of = |method: &str| calls.iter().filter(|call| call["method"] == method).count();
        assert_eq!((of("Say"), of("Watch"), of("Talk")), (40, 40, 40), "{version}");
    }
}

#[test]
fn a_server_is_asked_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let files = [certificate.to_str().unwrap(), key.to_str().unwrap()];
    let echo = Echo::with(&["reflect-v1", files[0], files[1]]);
    let port = echo.server.address.rsplit(':').next().unwrap();
    let service = format!("tls: {{ ca: cert.pem }}, connect_to: '127.0.0.1:{port}', {SERVICE}");
    let text = scenario(&format!("grpcs://localhost:{port}"), (1, &service), STEPS);
    let done = Manada::run(&text, &[]).file("cert.pem", made.cert.pem()).go();
    assert_eq!(statuses(&done.measured()), expected([("grpc OK", 60)]), "{done}");
    // Without the certificate nothing is told, and nothing runs.
    let text = text.replace("tls: { ca: cert.pem }, ", "");
    let done = Manada::run(&text, &[]).go();
    assert_eq!(done.code, Some(3), "{done}");
    assert!(done.stderr.contains("does not tell its methods"), "{done}");
    assert!(done.stderr.contains("certificate"), "{done}");
}

fn check(text: &str, words: &[&str]) -> Done {
    Manada::new(&["check", "scenario.yaml"]).words(words).file("scenario.yaml", text).go()
}

#[test]
fn a_check_asks_nothing_and_a_dry_run_asks() {
    // Nothing listens at port 9.
    let text = scenario("grpc://127.0.0.1:9", (1, SERVICE), STEPS);
    let done = check(&text, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stderr.contains("warning: the methods of `echo` are those that its"), "{done}");
    let done = Manada::new(&["plan", "scenario.yaml"]).file("scenario.yaml", &text).go();
    assert_eq!(done.code, Some(0), "{done}");
    let done = check(&text, &["--once"]);
    assert_eq!(done.code, Some(3), "{done}");
    for part in
        ["the server does not tell its methods: ", "scenario.yaml:3", "grpc.reflection.v1", "proto"]
    {
        assert!(done.stderr.contains(part), "{part}: {done}");
    }
    let echo = Echo::with(&["reflect-v1"]);
    let done = check(&scenario(&url(&echo), (1, SERVICE), STEPS), &["--once"]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("grpc OK") && !done.stderr.contains("warning"), "{done}");
}

#[test]
fn what_the_server_does_not_have_is_a_mistake_at_its_place() {
    let echo = Echo::with(&["reflect-v1alpha"]);
    let steps = "
- { grpc: echo.v1.Echo/Sai }
- { grpc: echo.v1.Echo/Say, json: { txt: a } }
- { grpc: echo.v2.Echo/Say }";
    let done = Manada::run(&scenario(&url(&echo), (1, SERVICE), steps), &[]).go();
    assert_eq!(done.code, Some(3), "{done}");
    for part in [
        "the service has no method `echo.v1.Echo/Sai`",
        "did you mean `echo.v1.Echo/Say`?",
        "`txt` is no field of echo.v1.Request",
        "did you mean `text`?",
        "the service has no method `echo.v2.Echo/Say`",
    ] {
        assert!(done.stderr.contains(part), "{part}: {done}");
    }
    assert!(echo.calls().is_empty(), "{done}");
}

#[test]
fn a_server_without_reflection_is_named() {
    let echo = Echo::start();
    let done = Manada::run(&scenario(&url(&echo), (1, SERVICE), STEPS), &[]).go();
    assert_eq!(done.code, Some(3), "{done}");
    assert!(done.stderr.contains("it has no reflection (UNIMPLEMENTED)"), "{done}");
    assert!(done.stderr.contains("enable it there, or give `proto`"), "{done}");
}

#[test]
fn hit_calls_a_method_of_a_server_that_tells_it() {
    let echo = Echo::with(&["reflect-v1alpha"]);
    let hit = |method: &str, body: &str, words: &[&str]| {
        let url = format!("{}/{method}", url(&echo));
        Manada::hit(&url, &["-n", "20", "-c", "2", "-b", body]).words(words).go()
    };
    let done = hit("echo.v1.Echo/Say", r#"{"text":"a"}"#, &["-H", "x-user: me"]);
    let report = done.measured();
    assert_eq!(statuses(&report), expected([("grpc OK", 20)]), "{done}");
    assert_eq!(report["steps"][0]["name"], "grpc echo.v1.Echo/Say", "{done}");
    assert_eq!(count(&report, "calls.ok"), 20, "{done}");
    let calls = echo.calls();
    assert_eq!(calls.len(), 20);
    assert!(calls.iter().all(|call| call["metadata"]["x-user"] == "me"), "{calls:?}");
    for (method, body, words, message) in [
        ("echo.v1.Echo/Sey", "{}", &[][..], "did you mean `echo.v1.Echo/Say`?"),
        ("echo.v1.Echo/Watch", "{}", &[], "takes or returns a stream"),
        ("echo.v1.Echo/Say", "{\"txt\":1}", &[], "this is no echo.v1.Request"),
        ("echo.v1.Echo/Say", "{", &[], "this is no JSON: "),
        ("echo.v1.Echo/Say", "{}", &["-m", "PUT"], "has no effect on calls of gRPC"),
    ] {
        let done = hit(method, body, words);
        assert_eq!(done.code, Some(2), "{method} {body}: {done}");
        assert!(done.stderr.contains(message), "{message}: {done}");
    }
    assert_eq!(echo.calls().len(), 20, "mistakes send nothing");
}

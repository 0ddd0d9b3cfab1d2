//! Steps that call a real server of gRPC, grpcio: counts equal to the server's own, each status,
//! deadlines, metadata, compression, TLS, a restart in mid-run, and servers that are none of gRPC.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::builtin::Builtin;
use crate::harness::{Done, Manada, count};
use crate::otlp_receivers::PythonServer;

/// A server, and the file in which it counts calls.
pub(crate) struct Echo {
    pub(crate) server: PythonServer,
    folder: TempDir,
}

impl Echo {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = serve("0", &folder, more);
        Self { server, folder }
    }

    /// Replaces the server by a new one at its address.
    fn restart(self) -> Self {
        let port = self.server.address.rsplit(':').next().unwrap().to_owned();
        let Self { server, folder } = self;
        drop(server);
        Self { server: serve(&port, &folder, &[]), folder }
    }

    /// The calls that the server has counted.
    pub(crate) fn calls(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn serve(port: &str, folder: &TempDir, more: &[&str]) -> PythonServer {
    let (calls, proto) = (folder.path().join("calls"), proto());
    let words = [port, calls.to_str().unwrap(), proto.to_str().unwrap()];
    PythonServer::start("grpc_echo.py", &[&words, more].concat())
}

fn proto() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/grpc_echo.proto").into()
}

/// A scenario of users that do these steps 20 times; `service` are more keys of the service.
pub(crate) fn scenario(url: &str, (users, service): (u64, &str), steps: &str) -> String {
    format!(
        "
scenario: grpc
services: {{ echo: {{ url: '{url}', {service} }} }}
workloads: {{ w: {{ users: {users}, iterations: {}, archetypes: {{ a: 1 }} }} }}
archetypes:
  a:
    flow:
      {}
thresholds: [ 'errors < 100%' ]
",
        users * 20,
        steps.trim().replace('\n', "\n      "),
    )
}

pub(crate) const PLAIN: &str = "grpc: { proto: [grpc_echo.proto] }";

pub(crate) fn run(scenario: &str) -> Done {
    with_proto(Manada::run(scenario, &[])).go()
}

pub(crate) fn with_proto(manada: Manada) -> Manada {
    manada.file("grpc_echo.proto", std::fs::read(proto()).unwrap())
}

pub(crate) fn statuses(report: &Value) -> BTreeMap<String, u64> {
    let all = report["status"].as_object().unwrap();
    all.iter().map(|(name, count)| (name.clone(), count.as_u64().unwrap())).collect()
}

pub(crate) fn expected<const N: usize>(pairs: [(&str, u64); N]) -> BTreeMap<String, u64> {
    pairs.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

#[track_caller]
pub(crate) fn checks_hold(done: &Done, report: &Value) {
    let checks = report["checks"].as_array().unwrap();
    assert!(!checks.is_empty());
    for check in checks {
        assert_eq!(check["failed"], 0, "{check} {done}");
    }
}

/// The kind of the only error of a run.
#[track_caller]
pub(crate) fn only_error(done: &Done, report: &Value) -> (String, String) {
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{done}");
    let text = |key: &str| errors[0][key].as_str().unwrap().to_owned();
    (text("phase"), text("kind"))
}

#[test]
fn calls_are_those_that_the_server_counted() {
    let echo = Echo::start();
    let steps = r#"
- grpc: echo.v1.Echo/Say
  json:
    text: "ü {{ user.number }}"
    parts: [ { name: a, count: 2 } ]
    at: "2026-01-02T03:04:05Z"
  headers: { x-user: "{{ user.number }}", x-raw-bin: "AAEC" }
  capture: { n: { json: "$.number" }, all: { value: true }, last: { header: x-trailing } }
  check:
    status: OK
    json: { "$.request.parts[0].count": "2", "$.request.at": "2026-01-02T03:04:05Z" }
    header: { x-initial: first, grpc-status: "0" }
    body: { contains: '"x-raw-bin":"000102"' }
- grpc: /echo.v1.Echo/Read
  json: { text: "{{ n }} {{ all.metadata['x-user'] }}" }
  name: read
  check: { json: { "$.leftMs": 0 } }
- { grpc: echo.v1.Echo/Say, name: fixed, json: { text: same } }
- { grpc: echo.v1.Echo/Say, name: empty, check: { json: { "$.text": "" } } }
"#;
    let done = run(&scenario(&format!("grpc://{}", echo.server.address), (5, PLAIN), steps));
    let report = done.measured();
    assert_eq!(statuses(&report), expected([("grpc OK", 400)]), "{done}");
    let calls = echo.calls();
    assert_eq!(calls.len(), 400);
    let of = |method: &str| calls.iter().filter(|call| call["method"] == method).count();
    assert_eq!((of("Say"), of("Read")), (300, 100));
    let users = calls.iter().filter_map(|call| call["metadata"]["x-user"].as_str());
    assert_eq!(users.clone().count(), 100);
    assert!(users.into_iter().all(|user| user.parse::<u64>().is_ok()));
    assert_eq!(count(&report, "connections.opened"), 5, "one for each user");
    // A timeout of 30 s is in each request, so that time is left.
    let failed: Vec<&Value> = report["checks"].as_array().unwrap().iter().collect();
    for check in failed {
        let is_timeout = check["name"].as_str().unwrap().contains("leftMs");
        assert_eq!(check["failed"], if is_timeout { 100 } else { 0 }, "{check} {done}");
    }
}

#[test]
fn each_status_is_counted_by_its_name_and_an_error_is_shown_with_its_message() {
    let echo = Echo::start();
    let url = format!("grpc://{}", echo.server.address);
    let names = [
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let steps: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let code = at + 1;
            format!(
                "- {{ grpc: echo.v1.Echo/Say, name: '{name}', json: {{ text: why, code: {code} }}, \
                 check: {{ status: {name}, body: {{ equals: 'so be it: why ü 100%' }} }} }}\n"
            )
        })
        .collect();
    let steps = steps.concat();
    let more = "- { grpc: echo.v1.Echo/Missing, name: absent }";
    let done = run(&scenario(&url, (1, PLAIN), &(steps + more)));
    let report = done.measured();
    let found = statuses(&report);
    for name in names {
        let times = if name == "UNIMPLEMENTED" { 40 } else { 20 };
        assert_eq!(found.get(&format!("grpc {name}")), Some(&times), "{name} {done}");
    }
    checks_hold(&done, &report);
    // The one that no check expects fails its call, and is shown.
    assert_eq!(count(&report, "calls.failed"), 20, "{done}");
    let failure = report["exemplars"].as_array().unwrap().first().unwrap();
    assert_eq!(failure["step"], "absent");
    assert!(failure["body"].as_str().unwrap().contains("not implemented"), "{failure}");
    let port = echo.server.address.rsplit(':').next().unwrap();
    let line = failure["curl"].as_str().unwrap();
    assert!(line.starts_with("grpcurl -plaintext "), "{line}");
    assert!(line.contains(" -d '{\"text\":\"\""), "{line}");
    assert!(line.ends_with(&format!(" '127.0.0.1:{port}' echo.v1.Echo/Missing")), "{line}");
}

#[test]
fn a_deadline_is_sent_and_kept() {
    let echo = Echo::start();
    let url = format!("grpc://{}", echo.server.address);
    let steps = "
- { grpc: echo.v1.Echo/Say, name: slow, timeout: 100ms, json: { sleep_ms: 300 } }
- { grpc: echo.v1.Echo/Say, name: quick, timeout: 5s,
    expect: { body: { matches: '\"leftMs\":4[0-9]{3}' } } }";
    let done = run(&scenario(&url, (1, PLAIN), steps));
    let report = done.measured();
    // The server may notice its deadline before ours has passed.
    let found = statuses(&report);
    let of_server = found.get("grpc DEADLINE_EXCEEDED").copied().unwrap_or(0);
    assert_eq!(found["grpc OK"], 20, "{done}");
    let errors = report["errors"].as_array().unwrap();
    let of_client: u64 = errors
        .iter()
        .filter(|error| error["kind"] == "timeout")
        .map(|error| error["count"].as_u64().unwrap())
        .sum();
    assert_eq!(of_server + of_client, 20, "{done}");
    assert_eq!(report["checks"][0]["failed"], 0, "{done}");
}

#[test]
fn compressed_messages_are_decoded_within_the_limit_of_their_step() {
    let echo = Echo::start();
    let url = format!("grpc://{}", echo.server.address);
    let service = "grpc: { proto: grpc_echo.proto, compress: true }";
    let steps = "
- { grpc: echo.v1.Echo/Say, name: fits, json: { text: a, size: 100000 },
    headers: { x-compress: 'yes' },
    check: { size: '> 130000', header: { grpc-encoding: gzip } } }
- { grpc: echo.v1.Echo/Say, name: too large, json: { size: 100000 }, headers: { x-compress: 'yes' },
    max_body: 10KiB, check: { json: { '$.text': '' } } }
- { grpc: echo.v1.Echo/Say, name: still open, expect: { status: OK } }";
    let done = run(&scenario(&url, (1, service), steps));
    let report = done.measured();
    assert_eq!(only_error(&done, &report), ("body".to_owned(), "body_too_large".to_owned()));
    assert_eq!(statuses(&report), expected([("grpc OK", 40)]), "{done}");
    let checks = report["checks"].as_array().unwrap();
    let failed = checks.iter().filter(|check| check["failed"] != 0);
    assert_eq!(failed.count(), 1, "{done}");
    // 100,000 zeros are a few hundred bytes on the wire.
    assert!(count(&report, "bytes.received") < 60 * 2_000, "{done}");
}

#[test]
fn a_large_message_goes_both_ways() {
    let echo = Echo::start();
    let url = format!("grpc://{}", echo.server.address);
    let steps = "
- { grpc: echo.v1.Echo/Say, json: { text: '{{ alnum(30000) }}', size: 5000000 },
    check: { size: '> 6000000' } }
- { grpc: echo.v1.Echo/Say, name: too large, json: { size: 5000000 }, max_body: 1MiB }";
    let text = scenario(&url, (1, PLAIN), steps).replace("iterations: 20", "iterations: 3");
    let done = run(&text);
    let report = done.measured();
    assert_eq!(only_error(&done, &report), ("body".to_owned(), "body_too_large".to_owned()));
    assert_eq!(statuses(&report), expected([("grpc OK", 3)]), "{done}");
    checks_hold(&done, &report);
}

#[test]
fn a_server_with_tls_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let echo = Echo::with(&[certificate.to_str().unwrap(), key.to_str().unwrap()]);
    let port = echo.server.address.rsplit(':').next().unwrap();
    let url = format!("grpcs://localhost:{port}");
    let trusted = format!("tls: {{ ca: cert.pem }}, connect_to: '127.0.0.1:{port}', {PLAIN}");
    let steps =
        "- { grpc: echo.v1.Echo/Say, json: { text: '{{ word() }}' }, expect: { status: OK } }";
    let manada = Manada::run(&scenario(&url, (2, &trusted), steps), &[]);
    let done = with_proto(manada.file("cert.pem", made.cert.pem())).go();
    let report = done.measured();
    assert_eq!(statuses(&report), expected([("grpc OK", 40)]), "{done}");
    assert_eq!(echo.calls().len(), 40);
    let distrusting = format!("connect_to: '127.0.0.1:{port}', {PLAIN}");
    let done = run(&scenario(&url, (1, &distrusting), steps));
    let report = done.measured();
    assert_eq!(only_error(&done, &report).0, "tls", "{done}");
    assert_eq!(echo.calls().len(), 40);
}

#[test]
fn a_server_that_is_none_of_grpc_is_named() {
    let target = Builtin::start(&[]);
    let url = format!("grpc://{}", target.address());
    let done = run(&scenario(&url, (1, PLAIN), "- grpc: echo.v1.Echo/Say"));
    let report = done.measured();
    let (_, kind) = only_error(&done, &report);
    assert!(["malformed", "closed", "reset", "http2_protocol"].contains(&&*kind), "{kind} {done}");
    assert!(statuses(&report).is_empty(), "{done}");
}

#[test]
fn a_restart_costs_the_calls_of_its_time_and_no_others() {
    let echo = Echo::start();
    let scenario = format!(
        "
scenario: restart
services: {{ echo: {{ url: 'grpc://{}', {PLAIN} }} }}
workloads: {{ w: {{ users: 4, duration: 6s, archetypes: {{ a: 1 }} }} }}
archetypes: {{ a: {{ pace: 20ms, flow: [ {{ grpc: echo.v1.Echo/Say, json: {{ text: a }} }} ] }} }}
thresholds: [ 'errors < 100%' ]
",
        echo.server.address
    );
    let running = with_proto(Manada::telling(&scenario, &[])).start();
    running.hear_second(1);
    let before = echo.calls().len();
    let echo = echo.restart();
    let done = running.wait();
    let report = done.measured();
    let (calls, answered) = (echo.calls().len() as u64, statuses(&report)["grpc OK"]);
    assert!(before > 0 && calls > before as u64, "{calls} {done}");
    // A call that the old server had counted when it was killed has no response.
    assert!((answered..=answered + 4).contains(&calls), "{calls} of {answered} {done}");
    assert!(count(&report, "connections.opened") >= 8, "{done}");
    let kinds = ["closed", "reset", "refused", "going_away"];
    for error in report["errors"].as_array().unwrap() {
        assert!(kinds.contains(&error["kind"].as_str().unwrap()), "{error}");
    }
}

#[test]
fn a_message_that_cannot_be_encoded_is_the_generator_s_error_and_is_not_sent() {
    let echo = Echo::start();
    let url = format!("grpc://{}", echo.server.address);
    let steps = "- { grpc: echo.v1.Echo/Say, json: { sleep_ms: '{{ word() }}' } }";
    let done = run(&scenario(&url, (1, PLAIN), steps));
    assert!(done.stdout.contains("no echo.v1.Request"), "{done}");
    assert!(echo.calls().is_empty());
}

#[test]
fn the_shipped_scenario_runs_against_a_real_server() {
    let greeter = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/greeter.proto");
    let echo = Echo::with(&[greeter]);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/grpc-greeter.yaml");
    let url = format!("services.greeter.url=grpc://{}", echo.server.address);
    let words = ["run", file, "--set", &url, "--duration", "2s", "--users", "5"];
    let done = Manada::new(&words).words(&["--json", "--ui", "none", "--out", "out"]).go();
    let code = done.code.unwrap();
    assert!([0, 4, 5].contains(&code), "{done}");
    let report = done.report(code);
    assert_eq!(echo.calls().len() as u64, count(&report, "calls.ok"), "{done}");
    assert_eq!(count(&report, "calls.failed"), 0);
    checks_hold(&done, &report);
}

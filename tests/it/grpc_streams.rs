//! Streams of gRPC at a real server, grpcio: messages counted as the server counted them, statuses
//! at the end and in mid-stream, both kinds of an end, compression, windows, TLS.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::grpc_steps::{
    Echo, PLAIN, checks_hold, expected, only_error, run, scenario, statuses, with_proto,
};
use crate::harness::{Done, Manada, count};

/// What a server counted of its streams: streams, messages sent and received, cancelled ones.
fn ended(echo: &Echo, method: &str) -> [u64; 4] {
    let calls = echo.calls();
    let streams = calls.iter().filter(|call| call["ended"] == method);
    streams.fold([0; 4], |sum, one| {
        let number = |key: &str| one[key].as_u64().unwrap();
        let cancelled = u64::from(one["cancelled"] == true);
        [sum[0] + 1, sum[1] + number("sent"), sum[2] + number("received"), sum[3] + cancelled]
    })
}

fn url(echo: &Echo) -> String {
    format!("grpc://{}", echo.server.address)
}

#[track_caller]
fn messages<'r>(report: &'r Value, step: &str) -> &'r Value {
    let mut steps = report["steps"].as_array().unwrap().iter();
    &steps.find(|one| one["name"] == step).unwrap_or_else(|| panic!("no {step}"))["messages"]
}

#[track_caller]
fn received(report: &Value, step: &str) -> u64 {
    messages(report, step)["counts"]["received"].as_u64().unwrap()
}

#[track_caller]
fn closed(done: &Done, report: &Value, wanted: &[(&str, u64)]) {
    let wanted: serde_json::Map<String, Value> =
        wanted.iter().map(|(name, count)| ((*name).to_owned(), (*count).into())).collect();
    assert_eq!(report["streams"]["closed"], Value::from(wanted), "{done}");
}

#[test]
fn messages_of_a_response_are_counted_and_timed_as_they_come() {
    let echo = Echo::start();
    let steps = r#"
- grpc: echo.v1.Echo/Watch
  name: watch
  json: { text: "u{{ user.number }}", count: 10, sleep_ms: 5 }
  stream: messages
  good: { first: 2s, response: 10s }
  capture: { n: { json: "$.number" } }
  check:
    status: OK
    messages: 10
    first: "< 2s"
    json: { "$.number": "10" }
    header: { x-trailing: last, grpc-status: "0" }
- { grpc: echo.v1.Echo/Watch, name: after, json: { text: "{{ n }}", count: 1 },
    check: { json: { "$.text": "10" }, messages: ">= 1" } }
- { grpc: echo.v1.Echo/Watch, name: none, check: { status: OK, messages: "< 1" } }
- { grpc: echo.v1.Echo/Watch, name: broken, json: { text: why, count: 3, code: 14 },
    check: { status: UNAVAILABLE, messages: 3, body: { contains: 'so be it: why' } } }
"#;
    let done = run(&scenario(&url(&echo), (2, PLAIN), steps));
    let report = done.measured();
    assert_eq!(statuses(&report), expected([("grpc OK", 120), ("grpc UNAVAILABLE", 40)]), "{done}");
    checks_hold(&done, &report);
    let found = ["watch", "after", "none", "broken"].map(|step| received(&report, step));
    assert_eq!(found, [400, 40, 0, 120], "{done}");
    assert_eq!(ended(&echo, "Watch"), [160, 560, 0, 0], "{done}");
    let watch = messages(&report, "watch");
    assert!(watch["gap_us"]["p50"].as_u64().unwrap() >= 4_500, "{watch}");
    assert!(watch["first_us"]["p50"].is_number() && watch["tpot_us"].is_null(), "{watch}");
    assert_eq!(watch["counts"]["good"], 40, "{watch}");
    assert_eq!(watch["counts"]["tokens"], 0, "{watch}");
}

#[test]
fn a_thousand_messages_a_response_and_compressed_ones_are_counted() {
    let echo = Echo::start();
    let service = "grpc: { proto: grpc_echo.proto, compress: true }";
    let steps = "
- { grpc: echo.v1.Echo/Watch, name: many, json: { text: a, count: 1000 },
    check: { messages: 1000, json: { '$.number': '1000' } } }
- { grpc: echo.v1.Echo/Watch, name: packed, json: { text: a, count: 10, size: 20000 },
    headers: { x-compress: 'yes' },
    check: { messages: 10, size: '> 26000', header: { grpc-encoding: gzip } } }
- { grpc: echo.v1.Echo/Watch, name: unread, json: { count: 10, size: 100000 } }
- { grpc: echo.v1.Echo/Watch, name: large, json: { count: 2, size: 100000 }, max_body: 10KiB }";
    let done = run(&scenario(&url(&echo), (1, service), steps));
    let report = done.measured();
    assert_eq!(only_error(&done, &report), ("body".to_owned(), "body_too_large".to_owned()));
    checks_hold(&done, &report);
    let found = ["many", "packed", "unread", "large"].map(|step| received(&report, step));
    assert_eq!(found, [20_000, 200, 200, 0], "{done}");
}

#[test]
fn a_response_without_an_end_is_cut_at_the_timeout_and_the_server_sees_that() {
    let echo = Echo::start();
    let steps = "
- { grpc: echo.v1.Echo/Say, name: whole }
- { grpc: echo.v1.Echo/Watch, name: watch, timeout: 200ms,
    json: { text: a, endless: true, sleep_ms: 10 } }";
    let text = scenario(&url(&echo), (1, PLAIN), steps).replace("iterations: 20", "iterations: 5");
    let done = run(&text);
    let report = done.measured();
    // The server may notice its deadline before ours has passed.
    let of_server = statuses(&report).get("grpc DEADLINE_EXCEEDED").copied().unwrap_or(0);
    assert_eq!(of_server + count(&report, "calls.timeout"), 5, "{done}");
    let found = received(&report, "watch");
    assert!((50..=100).contains(&found), "{found} {done}");
    let [streams, sent, _, cancelled] = ended(&echo, "Watch");
    assert_eq!((streams, cancelled), (5, 5), "{done}");
    assert!(sent >= found, "{sent} {done}");
}

#[test]
fn messages_go_both_ways_until_our_side_ends() {
    let echo = Echo::start();
    let steps = r#"
- { open: echo.v1.Echo/Talk, as: talk, headers: { x-user: "{{ user.number }}" } }
- repeat:
    times: 5
    do:
      - { send: talk, json: { text: "u{{ user.number }}" } }
      - { await: talk, match: { json: { "$.text": "u{{ user.number }}" } }, since: send }
- { send: talk, name: fixed, json: { text: fixed } }
- { await: talk, name: fixed answer, match: { json: { "$.text": fixed } } }
- { close: talk, half: true, expect: { status: OK } }
"#;
    let done = run(&scenario(&url(&echo), (3, PLAIN), steps));
    let report = done.measured();
    assert_eq!(statuses(&report), expected([("grpc OK", 60)]), "{done}");
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
    assert_eq!(ended(&echo, "Talk"), [60, 360, 360, 0], "{done}");
    closed(&done, &report, &[("grpc OK by us", 60)]);
    assert_eq!(messages(&report, "send talk")["counts"]["sent"], 300, "{done}");
    assert_eq!(received(&report, "await talk"), 300, "{done}");
    assert_eq!(report["streams"]["opened"], 60, "{done}");
    let opened = messages(&report, "open echo.v1.Echo/Talk");
    assert!(opened["life_us"]["p50"].is_number(), "{opened}");
    assert_eq!(opened["counts"]["unmatched"], 0, "{opened}");
}

#[test]
fn one_message_returns_when_many_were_sent() {
    let echo = Echo::start();
    let steps = r#"
- { open: echo.v1.Echo/Collect, as: up }
- { send: up, json: { text: a } }
- { send: up, json: { text: "u{{ user.number }}" } }
- { send: up, json: { text: c, parts: [ { name: x, count: 3 } ] } }
- close: up
  half: true
  capture: { n: { json: "$.number" }, all: { value: true } }
  expect: { status: OK, json: { "$.number": "3" }, body: { contains: " c" } }
- { grpc: echo.v1.Echo/Say, json: { text: "{{ n }}" }, check: { json: { "$.text": "3" } } }
"#;
    let done = run(&scenario(&url(&echo), (2, PLAIN), steps));
    let report = done.measured();
    assert_eq!(statuses(&report), expected([("grpc OK", 80)]), "{done}");
    checks_hold(&done, &report);
    assert_eq!(ended(&echo, "Collect"), [40, 40, 120, 0], "{done}");
    assert_eq!(received(&report, "close up"), 40, "{done}");
}

#[test]
fn a_stream_that_its_user_closes_is_cancelled_at_the_server() {
    let echo = Echo::start();
    let steps = r#"
- { listen: echo.v1.Echo/Watch, as: feed, json: { text: a, endless: true, sleep_ms: 5 },
    check: { json: { "$.text": a } } }
- { open: echo.v1.Echo/Talk, as: talk }
- { send: talk, json: { text: a } }
- { await: talk }
- pause: 100ms
- { close: talk }
"#;
    let text = scenario(&url(&echo), (2, PLAIN), steps).replace("iterations: 40", "iterations: 6");
    let done = run(&text);
    let report = done.measured();
    checks_hold(&done, &report);
    closed(&done, &report, &[("end by us", 12)]);
    assert_eq!(statuses(&report), expected([]), "{done}");
    let [streams, sent, _, cancelled] = ended(&echo, "Watch");
    assert_eq!((streams, cancelled), (6, 6), "{done}");
    assert_eq!(ended(&echo, "Talk"), [6, 6, 6, 6], "{done}");
    let found = received(&report, "listen echo.v1.Echo/Watch");
    assert!(found >= 30 && sent >= found && sent <= found + 12, "{found} of {sent} {done}");
    let watch = messages(&report, "listen echo.v1.Echo/Watch");
    assert!(watch["gap_us"]["p50"].as_u64().unwrap() >= 4_000, "{watch}");
}

#[test]
fn a_stream_that_the_server_ends_has_its_status() {
    let echo = Echo::start();
    let steps = "
- { open: echo.v1.Echo/Talk, as: talk }
- { send: talk, json: { text: why, code: 8 } }
- { await: talk, timeout: 3s }
- { open: echo.v1.Echo/Missing2, as: none }";
    let text = scenario(&url(&echo), (1, PLAIN), steps);
    let done = with_proto(Manada::run(&text, &[])).go();
    assert!(done.stderr.contains("no method `echo.v1.Echo/Missing2`"), "{done}");
    let steps = steps.replace("\n- { open: echo.v1.Echo/Missing2, as: none }", "");
    let more = "
- { close: talk, half: true, name: end, check: { status: RESOURCE_EXHAUSTED,
    body: { equals: 'so be it: why ü 100%' } } }
- { listen: echo.v1.Echo/Watch, as: feed, json: { count: 3, code: 5 } }
- { close: feed, half: true, name: end of feed, timeout: 3s }";
    let done = run(&scenario(&url(&echo), (1, PLAIN), &(steps + more)));
    let report = done.measured();
    closed(
        &done,
        &report,
        &[("grpc NOT_FOUND by target", 20), ("grpc RESOURCE_EXHAUSTED by target", 20)],
    );
    // The `await`, and the end of the feed, whose status no check names.
    assert_eq!(count(&report, "calls.failed"), 40, "{done}");
    assert_eq!(report["exemplars"][0]["error"]["kind"], "closed", "{done}");
    checks_hold(&done, &report);
    let found = expected([("grpc NOT_FOUND", 20), ("grpc RESOURCE_EXHAUSTED", 20)]);
    assert_eq!(statuses(&report), found, "{done}");
    assert_eq!(received(&report, "listen echo.v1.Echo/Watch"), 60, "{done}");
}

/// The connections that the server has seen.
fn connections(echo: &Echo) -> usize {
    let calls = echo.calls();
    let peers = calls.iter().filter_map(|call| call["peer"].as_str());
    peers.collect::<BTreeSet<_>>().len()
}

/// Two streams, and a call beside them.
const TWO_STREAMS: &str = "
- { open: echo.v1.Echo/Talk, as: one }
- { open: echo.v1.Echo/Talk, as: two }
- { send: one, json: { text: a } }
- { await: one, match: { json: { '$.text': a } } }
- { send: two, json: { text: b } }
- { await: two, match: { json: { '$.text': b } } }
- { grpc: echo.v1.Echo/Say, json: { text: c }, check: { json: { '$.text': c } } }
- { close: one, half: true }
- { close: two, half: true }";

#[test]
fn streams_and_calls_of_a_user_share_its_connection() {
    let echo = Echo::start();
    let done = run(&scenario(&url(&echo), (3, PLAIN), TWO_STREAMS));
    let report = done.measured();
    assert_eq!(statuses(&report), expected([("grpc OK", 180)]), "{done}");
    checks_hold(&done, &report);
    assert_eq!(ended(&echo, "Talk"), [120, 120, 120, 0], "{done}");
    assert_eq!(connections(&echo), 3, "{done}");
    assert_eq!(count(&report, "connections.opened"), 3, "{done}");
    assert_eq!(count(&report, "connections.peak"), 3, "{done}");
}

#[test]
fn a_connection_without_room_is_followed_by_another() {
    let echo = Echo::with(&["streams-2"]);
    let done = run(&scenario(&url(&echo), (1, PLAIN), TWO_STREAMS));
    let report = done.measured();
    assert_eq!(statuses(&report), expected([("grpc OK", 60)]), "{done}");
    // The call goes to a new connection, on which the next streams are opened.
    assert_eq!(connections(&echo), 21, "{done}");
    assert_eq!(count(&report, "connections.opened"), 21, "{done}");
    assert_eq!(count(&report, "connections.peak"), 2, "{done}");
}

#[test]
fn a_call_that_times_out_leaves_the_streams_of_its_connection_alone() {
    let echo = Echo::start();
    let steps = "
- { open: echo.v1.Echo/Talk, as: talk, timeout: 10s }
- { grpc: echo.v1.Echo/Say, json: { sleep_ms: 600 }, timeout: 50ms, name: late, on_fail: count }
- { send: talk, json: { text: a }, timeout: 10s }
- { await: talk, match: { json: { '$.text': a } }, timeout: 10s }
- { close: talk, half: true, timeout: 10s, expect: { status: OK } }";
    let text = scenario(&url(&echo), (1, PLAIN), steps).replace("iterations: 20", "iterations: 4");
    let done = run(&text);
    let report = done.measured();
    assert_eq!(ended(&echo, "Talk"), [4, 4, 4, 0], "{done}");
    assert_eq!(received(&report, "await talk"), 4, "{done}");
    closed(&done, &report, &[("grpc OK by us", 4)]);
}

#[test]
fn messages_larger_than_the_windows_go_both_ways() {
    let echo = Echo::start();
    let service = "grpc: { proto: grpc_echo.proto, compress: true, max_message: 2MiB }";
    let steps = "
- { open: echo.v1.Echo/Talk, as: talk }
- set: { letters: '{{ alnum(60000) }}' }
- { send: talk, json: { text: '{{ letters }}{{ letters }}{{ letters }}{{ letters }}{{ letters }}',
    size: 300000 } }
- { await: talk, check: { size: '> 900000' } }
- { send: talk, name: three, json: { text: a, count: 3, size: 100000 } }
- { await: talk, name: three, count: 3 }
- { send: talk, name: large, json: { size: 3000000 } }
- { await: talk, name: large, timeout: 5s }";
    let text =
        scenario(&url(&echo), (1, service), steps).replace("iterations: 20", "iterations: 3");
    let done = run(&text);
    let report = done.measured();
    checks_hold(&done, &report);
    closed(&done, &report, &[("message_too_large", 3)]);
    assert_eq!(count(&report, "calls.failed"), 3, "{done}");
}

#[test]
fn a_stream_goes_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let echo = Echo::with(&[certificate.to_str().unwrap(), key.to_str().unwrap()]);
    let port = echo.server.address.rsplit(':').next().unwrap();
    let service = format!("tls: {{ ca: cert.pem }}, connect_to: '127.0.0.1:{port}', {PLAIN}");
    let steps = "
- { grpc: echo.v1.Echo/Watch, json: { count: 2 }, check: { messages: 2 } }
- { open: echo.v1.Echo/Talk, as: talk }
- { send: talk, json: { text: a } }
- { await: talk }
- { close: talk, half: true }";
    let url = format!("grpcs://localhost:{port}");
    let manada = Manada::run(&scenario(&url, (2, &service), steps), &[]);
    let done = with_proto(manada.file("cert.pem", made.cert.pem())).go();
    let report = done.measured();
    assert_eq!(statuses(&report), expected([("grpc OK", 80)]), "{done}");
    assert_eq!(ended(&echo, "Talk"), [40, 40, 40, 0], "{done}");
}

#[test]
fn the_health_service_is_known_without_a_file() {
    let echo = Echo::start();
    let steps = r#"
- { grpc: grpc.health.v1.Health/Check, json: { service: echo.v1.Echo },
    check: { json: { "$.status": SERVING } } }
- { grpc: grpc.health.v1.Health/Check, name: absent, json: { service: other },
    check: { status: NOT_FOUND } }
- { open: grpc.health.v1.Health/Watch, as: health, json: { service: echo.v1.Echo } }
- { await: health, match: { json: { "$.status": SERVING } }, since: open }
"#;
    let text = scenario(&url(&echo), (1, "timeout: 5s"), steps);
    let done = run(&text);
    let report = done.measured();
    checks_hold(&done, &report);
    assert_eq!(statuses(&report), expected([("grpc NOT_FOUND", 20), ("grpc OK", 20)]), "{done}");
}

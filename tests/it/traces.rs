//! Traces: spans at a receiver that others wrote, joined to requests at the target and to samples.
//!
//! Invariant: which iterations are sampled follows from the seed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::Value;

use crate::harness::Manada;
use crate::otlp_receivers::{OtlpReceiver, PythonServer, Received, attributes, whole};
use crate::peer::Server;

/// The hexadecimal form of an id of a span, which JSON of protobuf has in base64.
fn hex(value: &Value) -> String {
    let bytes = BASE64_STANDARD.decode(value.as_str().unwrap_or_default()).unwrap();
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[test]
fn spans_join_the_requests_of_a_target() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let parents = Arc::clone(&seen);
    let server = Server::start(move |peer| {
        while let Some(head) = peer.whole_request() {
            let line = head.lines().find_map(|line| line.strip_prefix("traceparent: "));
            parents.lock().unwrap().push(line.unwrap_or_default().to_owned());
            let status = if head.starts_with("GET /bad") { "500 Oh" } else { "200 OK" };
            let response = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            if !peer.send(response.as_bytes()) {
                return;
            }
        }
    });
    let receiver = OtlpReceiver::grpc(None);
    let text = format!(
        "services: {{ shop: {{ url: 'http://{}' }} }}\n\
         archetypes:\n  buyer:\n    flow:\n    - {{ get: /good, name: good }}\n    \
         - {{ get: /bad, name: bad }}\n\
         workloads:\n  shop:\n    archetypes: {{ buyer: 1 }}\n    users: 2\n    iterations: 40\n",
        server.address()
    );
    let url = format!("http://{}", receiver.address);
    let words = ["run", "s.yaml", "--json", "--ui", "none", "--seed", "7", "--shards", "1"];
    // It holds however late a busy machine is: without a rule such a run is inconclusive.
    let rule = ["--threshold", "errors < 60%"];
    let traced = ["--trace-ratio", "25%", "--otlp", &url, "--otlp-protocol", "grpc"];
    let done = Manada::new(&[&words[..], &traced, &rule].concat()).file("s.yaml", text).go();
    let report = done.report(0);
    assert_eq!(report["calls"]["failed"], 40, "{done}");
    let received = receiver.received();
    let spans: BTreeMap<String, &Value> =
        received.spans.iter().map(|span| (hex(&span["spanId"]), span)).collect();
    assert_eq!(spans.len(), received.spans.len(), "ids of spans differ");
    let (mut sampled, mut failed, mut iterations) = (0, 0, 0);
    let parents = seen.lock().unwrap().clone();
    for (id, span) in &spans {
        let (trace, parent) = (hex(&span["traceId"]), hex(&span["parentSpanId"]));
        let times = ["startTimeUnixNano", "endTimeUnixNano"].map(|name| whole(&span[name]));
        assert!(times[0] <= times[1] && times[0] > Some(1.7e18), "{span}");
        let name = span["name"].as_str().unwrap();
        if name == "iteration of shop" {
            iterations += 1;
            assert_eq!(parent, "", "{span}");
        } else if name.starts_with("attempt") {
            assert_eq!(hex(&spans[&parent]["traceId"]), trace, "{span}");
            let events = span["events"].as_array().unwrap();
            assert!(events.iter().any(|event| event["name"] == "first_byte"), "{span}");
        } else {
            let flag = if parent.is_empty() { "00" } else { "01" };
            let header = format!("00-{trace}-{id}-{flag}");
            assert_eq!(parents.iter().filter(|one| **one == header).count(), 1, "{header} {span}");
            let known = attributes(span);
            let wanted = if name == "bad" { "500" } else { "200" };
            assert_eq!(known["http.response.status_code"], wanted, "{span}");
            let code = if name == "bad" { "STATUS_CODE_ERROR" } else { "" };
            assert_eq!(span["status"]["code"].as_str().unwrap_or_default(), code, "{span}");
            failed += u32::from(name == "bad");
            if !parent.is_empty() {
                sampled += 1;
                assert_eq!(hex(&spans[&parent]["traceId"]), trace, "{span}");
            }
        }
    }
    let flagged = parents.iter().filter(|one| one.ends_with("-01")).count();
    assert_eq!((sampled, iterations * 2), (flagged, flagged), "all calls of sampled iterations");
    assert!((4..=16).contains(&iterations), "{iterations}");
    // Eight failures of a kind in an interval, also of iterations that are not sampled.
    assert!(failed >= 8, "{failed} {done}");
    assert!(done.stderr.contains("failed calls were left out"), "{done}");
    let of_failed = check_failed_calls(&received, &spans);
    assert_eq!(of_failed, (failed, 40), "{done}");
}

/// Checks the log records of failed calls against their spans. Returns how many there are, and how
/// many with those that were left out.
fn check_failed_calls(received: &Received, spans: &BTreeMap<String, &Value>) -> (u32, u32) {
    let of_event = |name: &str| -> Vec<&Value> {
        received.logs.iter().filter(|log| log["eventName"] == name).collect()
    };
    let records = of_event("manada.call.failed");
    let mut of_spans = 0;
    for log in &records {
        let (id, span) = (hex(&log["spanId"]), &spans[&hex(&log["spanId"])]);
        assert_eq!((&log["traceId"], span["name"].as_str()), (&span["traceId"], Some("bad")));
        assert_eq!(log["severityText"], "ERROR", "{log}");
        let (end, text) = (&span["endTimeUnixNano"], log["body"]["stringValue"].as_str().unwrap());
        assert_eq!(&log["timeUnixNano"], end, "{log}");
        assert!(text.starts_with("`bad` failed after "), "{log}");
        assert!(text.ends_with(": unexpected response with status 500"), "{log}");
        assert_eq!(attributes(log), attributes(span), "{id}");
        of_spans += 1;
    }
    let left_out = of_event("manada.call.left_out")
        .into_iter()
        .map(|log| whole(&log["attributes"][0]["value"]["intValue"]).unwrap() as u32);
    (of_spans, left_out.sum::<u32>() + of_spans)
}

#[test]
fn each_attempt_of_a_call_has_a_span() {
    let server = Server::start(move |peer| {
        let mut count = 0;
        while peer.whole_request().is_some() {
            count += 1;
            // Of each three requests of a connection, the third one succeeds.
            let status = if count % 3 == 0 { "200 OK" } else { "503 Busy" };
            let response = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            if !peer.send(response.as_bytes()) {
                return;
            }
        }
    });
    let receiver = OtlpReceiver::grpc(None);
    let text = format!(
        "services: {{ shop: {{ url: 'http://{}' }} }}\n\
         client: resilient\n\
         retries: {{ max: 3, budget: none, backoff: {{ base: 1ms }}, when: [503] }}\n\
         archetypes:\n  buyer:\n    flow:\n    - {{ get: /, name: one }}\n\
         workloads:\n  shop:\n    archetypes: {{ buyer: 1 }}\n    users: 1\n    iterations: 4\n",
        server.address()
    );
    let url = format!("http://{}", receiver.address);
    let words = ["run", "s.yaml", "--json", "--ui", "none", "--threshold", "errors < 60%"];
    let traced = ["--trace-ratio", "100%", "--otlp", &url, "--otlp-protocol", "grpc"];
    let done = Manada::new(&[&words[..], &traced].concat()).file("s.yaml", text).go();
    assert_eq!(done.report(0)["calls"]["ok"], 4, "{done}");
    let received = receiver.received();
    let named = |name: &str| -> Vec<&Value> {
        received.spans.iter().filter(|span| span["name"] == name).collect()
    };
    let calls = named("one");
    assert_eq!(calls.len(), 4, "{done}");
    for call in calls {
        let of_call = |name: &str| -> &Value {
            let all = named(name);
            let mut own = all.into_iter().filter(|span| span["parentSpanId"] == call["spanId"]);
            let (first, second) = (own.next(), own.next());
            assert!(second.is_none(), "{name} twice");
            first.unwrap()
        };
        let mut end = 0.0;
        for (name, code) in [
            ("attempt 1", Some("STATUS_CODE_ERROR")),
            ("attempt 2", Some("STATUS_CODE_ERROR")),
            ("attempt 3", None),
        ] {
            let span = of_call(name);
            assert_eq!(
                span["status"]["code"].as_str().filter(|code| *code != "STATUS_CODE_UNSET"),
                code,
                "{span}"
            );
            let times =
                ["startTimeUnixNano", "endTimeUnixNano"].map(|name| whole(&span[name]).unwrap());
            assert!(end <= times[0] && times[0] <= times[1], "{span}");
            end = times[1];
        }
        assert_eq!(whole(&call["endTimeUnixNano"]), Some(end), "{call}");
        assert_eq!(attributes(call)["http.request.resend_count"], "2", "{call}");
    }
}

#[test]
fn an_instrumented_server_joins_the_trace_of_its_requests() {
    let receiver = OtlpReceiver::grpc(None);
    let url = format!("http://{}", receiver.address);
    let server = PythonServer::start("wsgi_server.py", &[&receiver.address]);
    let text = format!(
        "services: {{ shop: {{ url: 'http://{}' }} }}\n\
         archetypes:\n  buyer:\n    flow:\n    - {{ get: /good, name: good }}\n    \
         - {{ get: /bad, name: bad }}\n\
         workloads:\n  shop:\n    archetypes: {{ buyer: 1 }}\n    users: 2\n    iterations: 40\n",
        server.address
    );
    let words = ["run", "s.yaml", "--json", "--ui", "none", "--seed", "7", "--shards", "1"];
    let rule = ["--threshold", "errors < 60%"];
    let traced = ["--trace-ratio", "50%", "--otlp", &url, "--otlp-protocol", "grpc"];
    let done = Manada::new(&[&words[..], &traced, &rule].concat()).file("s.yaml", text).go();
    let summary = done.report(0);
    assert_eq!(summary["calls"]["made"], 80, "{done}");
    let is_sampled =
        |span: &&&Value| span["kind"] == "SPAN_KIND_CLIENT" && !span["parentSpanId"].is_null();
    // The server sends a span when it has responded: shortly after our own.
    let (spans, servers) = receiver.eventually(|received| {
        let spans = received.spans.iter().map(|span| (hex(&span["spanId"]), span.clone()));
        let spans: BTreeMap<String, Value> = spans.collect();
        let of_server = |span: &&Value| span["kind"] == "SPAN_KIND_SERVER";
        let servers: Vec<Value> = spans.values().filter(of_server).cloned().collect();
        let sampled = received.spans.iter().collect::<Vec<_>>();
        let sampled = sampled.iter().filter(is_sampled).count();
        (sampled > 0 && servers.len() == sampled).then_some((spans, servers))
    });
    assert!((20..=60).contains(&servers.len()), "{}", servers.len());
    let mut parents = Vec::new();
    for span in &servers {
        let parent = hex(&span["parentSpanId"]);
        let call = &spans[&parent];
        assert_eq!(
            (&call["kind"], &call["traceId"]),
            (&"SPAN_KIND_CLIENT".into(), &span["traceId"])
        );
        let (own, of_call) = (attributes(span), attributes(call));
        let status = own.get("http.status_code").or_else(|| own.get("http.response.status_code"));
        assert_eq!(status, of_call.get("http.response.status_code"), "{span} {call}");
        // On one machine the server's span lies within that of the call.
        let time = |span: &Value, name: &str| whole(&span[name]).unwrap();
        let starts = [call, span].map(|span| time(span, "startTimeUnixNano"));
        assert!(starts[0] <= starts[1] + 1e7, "{span} {call}");
        // A span of the server's work is below its own.
        let is_child = |one: &&Value| one["parentSpanId"] == span["spanId"];
        assert_eq!(
            spans.values().filter(is_child).map(|one| &one["name"]).next().unwrap(),
            "query"
        );
        parents.push(parent);
    }
    parents.sort();
    parents.dedup();
    assert_eq!(parents.len(), servers.len(), "one for each call");
    // What a report names is a trace in which the server takes part, if its iteration is sampled.
    let slowest = summary["steps"].as_array().unwrap().iter();
    let slowest = slowest.flat_map(|step| step["slowest_traced_calls"].as_array().unwrap());
    let joined = slowest.filter(|call| {
        parents.binary_search(&call["span_id"].as_str().unwrap().to_owned()).is_ok()
    });
    assert!(joined.count() > 0, "{summary}");
}

//! Steps at a real broker of MQTT: counts equal to the broker's own, qualities of service,
//! deliveries by stamp, shared subscriptions, wills, logins, TLS, a restart in mid-run.

use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Manada, count};
use crate::instances::wait_until;
use crate::mosquitto::Mosquitto;

/// A scenario of devices with these steps.
fn scenario(url: &str, settings: &str, start: &str, flow: &str, load: &str) -> String {
    let lines = |text: &str| text.trim().replace('\n', "\n      ");
    format!(
        "
scenario: devices
services: {{ iot: {{ url: '{url}', mqtt: {{ {settings} }} }} }}
workloads: {{ w: {{ {load}, archetypes: {{ device: 1 }} }} }}
archetypes:
  device:
    on_start:
      {}
    flow:
      {}
thresholds: [ 'errors < 100%' ]
",
        lines(start),
        lines(flow),
    )
}

/// What a step's messages became, and their times.
fn messages<'r>(report: &'r Value, step: &str) -> &'r Value {
    let steps = report["steps"].as_array().unwrap();
    let row = steps.iter().find(|row| row["name"] == step);
    &row.unwrap_or_else(|| panic!("no step {step}"))["messages"]
}

/// The counts of a step's messages.
fn counts<'r>(report: &'r Value, step: &str) -> &'r Value {
    &messages(report, step)["counts"]
}

#[test]
fn messages_are_confirmed_and_delivered_at_each_quality_of_service() {
    for version in ["5", "3.1.1"] {
        let broker = Mosquitto::start();
        let before = broker.count("publish/messages/received");
        let start = "
- { open: true, service: iot }
- { listen: 'state/+', service: iot, qos: 2, stamp: true, channel: states, name: heard }
";
        let flow = "
- repeat:
    times: 20
    do:
      - { send: 'state/x', json: { v: 1 }, stamp: true, channel: states, name: zero }
      - { send: 'state/x', qos: 1, body: 'y', stamp: true, channel: states, name: one }
      - { send: 'state/x', qos: 2, body: 'x', stamp: true, channel: states, name: two }
";
        let settings = format!("version: '{version}'");
        let load = "users: 4, iterations: 4";
        let done = Manada::run(&scenario(&broker.url(), &settings, start, flow, load), &[]).go();
        let report = done.measured();
        for (step, confirmed) in [("zero", 0), ("one", 80), ("two", 80)] {
            let row = counts(&report, step);
            assert_eq!(count(row, "sent"), 80, "{step}: {done}");
            assert_eq!(count(row, "confirmed"), confirmed, "{step}: {done}");
            assert_eq!(count(row, "refused") + count(row, "unconfirmed"), 0, "{step}: {done}");
            let times = &messages(&report, step)["confirm_us"];
            assert_eq!(times.is_object(), confirmed > 0, "{step}: {done}");
        }
        // Who ends first is not ready for the rest: what is due is settled exactly.
        let heard = counts(&report, "heard");
        assert_eq!(count(heard, "due"), count(heard, "delivered") + count(heard, "open"), "{done}");
        assert!(count(heard, "delivered") >= 240, "{done}");
        assert_eq!(count(heard, "lost") + count(heard, "duplicated"), 0, "{done}");
        assert!(messages(&report, "heard")["delivery_us"].is_object(), "{done}");
        assert_eq!(report["status"]["mqtt OK"], 4 + 4 + 160, "{done}");
        // It publishes its counts once a second, and leaves those of quality 2 out.
        let received = || broker.count("publish/messages/received") - before;
        wait_until("all messages are counted", || received() >= 160);
        assert_eq!(received(), 160, "MQTT {version}");
        assert!(report["errors"].as_array().unwrap().is_empty(), "{done}");
    }
}

#[test]
fn sessions_over_websocket_are_those_over_tcp() {
    let own = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tls = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = certificate.signing_key.serialize_pem();
    let lines = format!(
        "allow_anonymous true\nlistener {} 127.0.0.1\nprotocol websockets\nlistener {} 127.0.0.1\n\
         protocol websockets\ncertfile DIR/cert.pem\nkeyfile DIR/key.pem",
        own.port(),
        tls.port()
    );
    let pem = certificate.cert.pem();
    let files: [(&str, &[u8]); 2] = [("cert.pem", pem.as_bytes()), ("key.pem", key.as_bytes())];
    let _broker = Mosquitto::with(&lines, &files);
    // It opens its listeners one after the other.
    wait_until("all ports listen", || [own, tls].iter().all(|at| TcpStream::connect(at).is_ok()));
    let flow = "
- { send: 'a/b', qos: 2, json: { v: '{{ alnum(3000) }}' }, stamp: true, name: said }
";
    let start = "
- { open: true, service: iot }
- { listen: 'a/b', service: iot, qos: 1, stamp: true, name: heard }
";
    for (url, settings) in [
        (format!("mqtt+ws://{own}"), "version: 5"),
        (format!("mqtt+ws://{own}/mqtt"), "version: '3.1.1'"),
        (format!("mqtt+wss://localhost:{}/mqtt", tls.port()), "version: 5"),
    ] {
        let text = scenario(&url, settings, start, flow, "users: 4, iterations: 200");
        let text = text.replace("mqtt: {", "tls: { insecure: true }, mqtt: {");
        let text =
            if url.contains("wss") { text } else { text.replace("tls: { insecure: true }, ", "") };
        let done = Manada::run(&text, &[]).go();
        let report = done.measured();
        assert_eq!(count(counts(&report, "said"), "confirmed"), 200, "{url}: {done}");
        let heard = counts(&report, "heard");
        assert_eq!(count(heard, "due"), count(heard, "delivered") + count(heard, "open"), "{done}");
        assert!(count(heard, "delivered") >= 200, "{done}");
        assert_eq!(count(heard, "lost") + count(heard, "duplicated"), 0, "{done}");
        assert!(report["errors"].as_array().unwrap().is_empty(), "{done}");
        assert_eq!(count(&report, "phases_us.login.count"), 4, "the handshake: {done}");
    }
    // A target of HTTP upgrades nothing.
    let target = Builtin::start(&[]);
    let refused = format!("mqtt+ws://{}/mqtt", target.address());
    let text = scenario(&refused, "version: 5", start, flow, "users: 1, iterations: 1");
    let done = Manada::run(&text, &[]).go();
    let report = done.report(4);
    let errors = report["errors"].as_array().unwrap();
    assert!(errors.iter().any(|error| error["phase"] == "login"), "{done}");
    assert!(done.stdout.contains("answered the WebSocket handshake with `HTTP/1.1 "), "{done}");
}

#[test]
fn shared_subscriptions_get_each_message_once() {
    let broker = Mosquitto::start();
    let text = format!(
        "
scenario: shared
services: {{ iot: {} }}
workloads:
  takers: {{ users: 3, duration: 2s, archetypes: {{ taker: 1 }} }}
  makers: {{ users: 2, duration: 1s, after: 0s, archetypes: {{ maker: 1 }} }}
archetypes:
  taker:
    on_start:
      - {{ open: true, service: iot }}
      - {{ listen: '$share/g/jobs', service: iot, qos: 1, stamp: true, channel: jobs, name: taken }}
    flow: [ {{ pause: 100ms }} ]
  maker:
    on_start: [ {{ open: true, service: iot }}, {{ pause: 300ms }} ]
    flow:
      - send: jobs
        qos: 1
        in_flight: 50
        json: {{ a: 1 }}
        stamp: true
        channel: jobs
        name: made
      - {{ pause: 5ms }}
thresholds: [ 'errors < 100%' ]
",
        broker.url()
    );
    let done = Manada::run(&text.replace(", after: 0s", ""), &[]).go();
    let report = done.measured();
    let (made, taken) = (counts(&report, "made"), counts(&report, "taken"));
    let sent = count(made, "sent");
    assert!(sent > 50, "{done}");
    assert_eq!(count(made, "confirmed"), sent, "{done}");
    assert_eq!(count(made, "expected"), sent, "one of the group is due each: {done}");
    assert_eq!(count(taken, "due"), sent, "{done}");
    assert_eq!(count(taken, "delivered"), sent, "{done}");
    assert_eq!(count(taken, "received"), sent, "{done}");
}

#[test]
fn a_retained_message_and_a_will_are_awaited() {
    let broker = Mosquitto::start();
    let start = "
- open: true
  service: iot
  client_id: 'd-{{ user.number }}'
  will: { topic: gone, body: bye, qos: 1, retain: true }
";
    let flow = "
- { send: 'config', qos: 1, retain: true, json: { rate: 7 }, headers: { x-a: b } }
- { listen: config, service: iot, qos: 1, keep: true }
- await: iot
  match: { topic: config, json: { '$.rate': 7 } }
  capture: { a: { header: x-a }, t: { header: topic } }
  timeout: 5s
  since: now
- { listen: echo, service: iot, keep: true }
- { send: echo, body: '{{ a }} {{ t }}' }
- { await: iot, match: { topic: echo }, check: { body: { equals: 'b config' } }, timeout: 5s }
";
    let done = Manada::run(
        &scenario(&broker.url(), "version: '5'", start, flow, "users: 1, iterations: 1"),
        &[],
    )
    .go();
    let report = done.measured();
    assert!(report["errors"].as_array().unwrap().is_empty(), "{done}");
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn a_denied_topic_gets_no_message_and_no_subscription() {
    let broker = Mosquitto::start();
    let url = format!("mqtt://{}", broker.address);
    for step in [
        "- { send: \"prod/{{ choice(['x']) }}\", body: x }",
        "- { listen: \"prod/{{ choice(['x']) }}\" }",
    ] {
        let text = scenario(&url, "", "- { open: true }", step, "users: 1, iterations: 2")
            + "safety: { deny: { destinations: [ 'prod/*' ] } }\n";
        let report = Manada::run(&text, &[]).go().report(6);
        assert_eq!(report["errors"][0]["kind"], "denied", "{report}");
        assert_eq!(report["stopped"], "safety: the scenario denies prod/*", "{report}");
    }
}

#[test]
fn logins_are_refused_with_the_brokers_reason() {
    let passwords = Mosquitto::passwords("ana", "correct-horse");
    let lines = "allow_anonymous false\npassword_file DIR/passwords";
    let broker = Mosquitto::with(lines, &[("passwords", &passwords)]);
    let url = |user: &str| format!("mqtt://{user}@{}", broker.address);
    for (user, version, status, code) in [
        ("ana:correct-horse", "5", "mqtt OK", 0),
        ("ana:wrong-horse-9", "5", "mqtt NOT_AUTHORIZED", 4),
        ("eve:correct-horse", "3.1.1", "mqtt NOT_AUTHORIZED", 4),
    ] {
        let settings = format!("version: '{version}'");
        let text = scenario(
            &url(user),
            &settings,
            "- { open: true }",
            "- { pause: 1ms }",
            "users: 1, iterations: 1",
        );
        let done = Manada::run(&text, &[]).go();
        let report = done.report(code);
        assert_eq!(report["status"][status], 1, "{user}: {done}");
        let everything = format!("{}{}", done.stdout, done.stderr);
        assert!(!everything.contains("horse"), "{user}: {done}");
        // A refusal that is expected is no failure.
        let word = status.trim_start_matches("mqtt ");
        let expecting = format!("- {{ open: true, expect: {{ status: {word} }} }}");
        let done = Manada::run(&text.replace("- { open: true }", &expecting), &[]).go();
        let report = done.report(0);
        assert_eq!(report["checks"][0]["failed"], 0, "{user}: {done}");
    }
}

#[test]
fn a_session_is_opened_again_after_a_restart_of_the_broker() {
    let mut broker = Mosquitto::start();
    let start = "
- { open: true, service: iot, reconnect: { max: 50, backoff: { base: 50ms, max: 100ms } } }
- { listen: 'state', service: iot, qos: 1, stamp: true, name: heard }
";
    let flow =
        "- { send: state, qos: 1, body: x, stamp: true, name: said, timeout: 5s, think: 5ms }";
    let text = scenario(&broker.url(), "", start, flow, "users: 2, duration: 4s");
    let running = Manada::telling(&text, &[]).start();
    running.hear_second(1);
    broker.kill();
    broker.start_again();
    let done = running.wait();
    let report = done.measured();
    let said = counts(&report, "said");
    let streams = &report["streams"];
    assert_eq!(count(streams, "reconnects"), 2, "{done}");
    assert_eq!(
        count(said, "confirmed") + count(said, "unconfirmed"),
        count(said, "sent"),
        "{done}"
    );
    let heard = counts(&report, "heard");
    assert_eq!(count(heard, "lost"), 0, "missed while away at most: {done}");
    assert!(count(said, "confirmed") > 100, "{done}");
}

#[test]
fn what_is_no_broker_breaks_the_protocol() {
    let target = crate::builtin::Builtin::start(&[]);
    let url = format!("mqtt://{}", target.address());
    let text = scenario(
        &url,
        "",
        "- { open: true, timeout: 2s }",
        "- { pause: 1ms }",
        "users: 1, iterations: 1",
    );
    let done = Manada::run(&text, &[]).go();
    let report = done.report(4);
    let errors = report["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{done}");
    assert!(["bad_reply", "closed"].contains(&errors[0]["kind"].as_str().unwrap()), "{done}");
    target.end();
}

#[test]
fn the_shipped_scenario_runs_against_a_real_broker() {
    let broker = Mosquitto::start();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/mqtt-devices.yaml");
    let iot = format!("services.iot={}", broker.url());
    let words = ["run", file, "--set", &iot, "--duration", "4s", "--json", "--ui", "none"];
    let done = Manada::new(&words).words(&["--out", "out"]).go();
    let code = done.code.unwrap();
    // On a busy machine times may not hold, or not be trusted.
    assert!([0, 4, 5].contains(&code), "{done}");
    let report = done.report(code);
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
    let (state, seen) = (counts(&report, "state"), counts(&report, "seen"));
    assert!(count(state, "confirmed") > 100, "{done}");
    assert_eq!(count(seen, "lost") + count(seen, "duplicated"), 0, "{done}");
}

//! Steps at a real RabbitMQ: counts equal to those of its management API, confirms, returned
//! messages, dead letters, logins, TLS, its plugin for MQTT, and a restart in mid-run.

use serde_json::Value;

use crate::harness::{Done, Manada, count};
use crate::history_postgres::Postgres;
use crate::instances::wait_until;
use crate::otlp_receivers::PythonServer;
use crate::rabbitmq::RabbitMq;

/// The counts of a step's messages.
fn counts<'r>(report: &'r Value, step: &str) -> &'r Value {
    let steps = report["steps"].as_array().unwrap();
    let row = steps.iter().find(|row| row["name"] == step);
    &row.unwrap_or_else(|| panic!("no step {step}"))["messages"]["counts"]
}

/// One user that does these steps once, after a session was opened.
fn once(url: &str, keys: &str, steps: &str) -> String {
    format!(
        "
scenario: once
services: {{ bus: {{ url: '{url}'{keys} }} }}
workloads: {{ w: {{ users: 1, iterations: 1, archetypes: {{ a: 1 }} }} }}
archetypes:
  a:
    on_start: [ {{ open: true, timeout: 10s }} ]
    flow:
      {}
thresholds: [ 'errors <= 100%' ]
",
        steps.trim().replace('\n', "\n      ")
    )
}

#[track_caller]
fn checks_hold(done: &Done, report: &Value) {
    let checks = report["checks"].as_array().unwrap();
    assert!(!checks.is_empty(), "{done}");
    assert!(checks.iter().all(|check| check["failed"] == 0), "{done}");
}

/// The number of messages of a queue.
fn depth(server: &RabbitMq, queue: &str) -> u64 {
    server.get(&format!("/api/queues/%2F/{queue}"))["messages"].as_u64().unwrap_or(u64::MAX)
}

fn orders_are_those_of_the_broker(server: &RabbitMq) {
    let text = format!(
        "
scenario: orders
services: {{ bus: '{}' }}
setup:
  - amqp: {{ declare_queue: dead }}
  - amqp: {{ declare_queue: orders, type: quorum, dead_letter: dead }}
archetypes:
  shop:
    on_start: [ {{ open: true }} ]
    flow:
      - send: orders
        persistent: true
        in_flight: 50
        json: {{ id: '{{{{ uuid() }}}}' }}
        headers: {{ x-user: '{{{{ user.number }}}}' }}
        stamp: true
        name: order
  worker:
    on_start:
      - open: true
      - listen: orders
        prefetch: 40
        ack: {{ every: 7 }}
        reject: 10%
        stamp: true
        name: taken
        check: {{ header: {{ topic: orders, content-type: application/json }} }}
    flow: [ {{ pause: 100ms }} ]
workloads:
  workers: {{ archetypes: {{ worker: 1 }}, users: 3, duration: 8s }}
  shops: {{ archetypes: {{ shop: 1 }}, users: 4, start: 1s, iterations: 2000 }}
thresholds: [ errors == 0% ]
",
        server.url()
    );
    let done = Manada::run(&text, &[]).go();
    let report = done.report(0);
    let (order, taken) = (counts(&report, "order"), counts(&report, "taken"));
    checks_hold(&done, &report);
    assert_eq!(count(order, "sent"), 2_000, "{done}");
    assert_eq!(count(order, "confirmed"), 2_000, "{done}");
    assert_eq!(count(taken, "due"), 2_000, "{done}");
    assert_eq!(count(taken, "delivered"), 2_000, "{done}");
    assert_eq!(count(taken, "duplicated") + count(taken, "lost"), 0, "{done}");
    let rejected = count(taken, "rejected");
    assert_eq!(count(taken, "acknowledged") + rejected, 2_000, "{done}");
    assert!((100..=300).contains(&rejected), "10 % of 2,000: {done}");
    wait_until("the broker has counted the dead letters", || depth(server, "dead") == rejected);
    wait_until("nothing is left of the orders", || depth(server, "orders") == 0);
    // It counts over all queues: confirmed, delivered with acknowledgement, acknowledged.
    let totals = || server.get("/api/overview")["message_stats"].clone();
    wait_until("the broker has counted all", || totals()["confirm"] == 2_000);
    assert_eq!(totals()["return_unroutable"].as_u64().unwrap_or(0), 0);
    wait_until("all acknowledgements are counted", || totals()["ack"] == 2_000 - rejected);
}

fn refusals_have_their_words(server: &RabbitMq) {
    for (steps, status) in [
        ("- { send: nowhere, body: x, name: it }", "amqp NO_ROUTE"),
        ("- { send: key, exchange: nosuch, body: x, name: it }", ""),
        ("- { listen: nowhere, name: it }", ""),
        (
            "- { amqp: { declare_queue: orders, type: classic }, name: it }",
            "amqp PRECONDITION_FAILED",
        ),
        ("- { amqp: { bind: nowhere, exchange: amq.topic, key: a }, name: it }", "amqp NOT_FOUND"),
        ("- { amqp: { declare_exchange: amq.mine }, name: it }", "amqp ACCESS_REFUSED"),
    ] {
        let done = Manada::run(&once(&server.url(), "", steps), &[]).go();
        let report = done.measured();
        if status.is_empty() {
            // The broker closes the channel, with its reason.
            let closed = report["streams"]["closed"].to_string();
            assert!(closed.contains("amqp NOT_FOUND by target"), "{steps}: {closed}");
        } else {
            assert_eq!(report["status"][status], 1, "{steps}: {done}");
        }
    }
}

fn statuses_are_expected_by_their_words(server: &RabbitMq) {
    let steps = "
- { send: nowhere, body: x, expect: { status: NO_ROUTE }, name: lost }
- amqp: { declare_queue: found }
- { send: found, body: x, check: { status: [ OK, NACK ], service: '< 10s' }, name: kept }
- { send: found, body: x, check: { status: NO_ROUTE }, name: other }
- { send: nowhere, body: x, expect: { status: OK }, name: last }
- { send: found, body: x, name: never }";
    let text = once(&server.url(), "", steps)
        .replace("timeout: 10s }", "timeout: 10s, expect: { status: OK } }");
    let done = Manada::run(&text, &[]).go();
    let report = done.measured();
    let failed = |check: &Value| (check["step"].clone(), check["failed"].clone());
    let failed: Vec<_> = report["checks"].as_array().unwrap().iter().map(failed).collect();
    let expected = |step: &str, failed: u64| (Value::from(step), Value::from(failed));
    for (step, count) in [("lost", 0), ("kept", 0), ("other", 1), ("last", 1)] {
        assert!(failed.contains(&expected(step, count)), "{step}: {done}");
    }
    assert_eq!(report["status"]["amqp NO_ROUTE"], 2, "{done}");
    assert_eq!(count(&report, "calls.failed"), 1, "{done}");
    assert_eq!(counts(&report, "kept")["confirmed"], 1, "{done}");
    let steps = report["steps"].as_array().unwrap();
    let never = steps.iter().find(|row| row["name"] == "never");
    assert_eq!(never.map_or(0, |row| count(row, "calls.made")), 0, "{done}");
}

/// The broker ends the consumer of a queue that is deleted.
fn a_deleted_queue_ends_its_listener(server: &RabbitMq) {
    let steps = "
- amqp: { declare_queue: gone }
- { listen: gone, keep: true, ack: auto }
- amqp: { delete_queue: gone }
- amqp: { declare_queue: gone }
- pause: 1s
- { send: gone, body: again }
- { await: bus, timeout: 2s, check: { body: { equals: again } }, name: heard }
- amqp: { delete_queue: gone }";
    let text = once(&server.url(), "", steps);
    let done = Manada::run(&text, &[]).go();
    let report = done.measured();
    let errors = report["errors"].to_string();
    assert!(errors.contains("subscription_ended"), "{done}");
    assert_eq!(report["status"]["amqp CONSUMER_CANCELLED"], 1, "{done}");
    assert_eq!(count(&report, "calls.timeout"), 1, "nothing listens any more: {done}");
    assert_eq!(count(&report, "streams.reconnects"), 0, "{done}");
    // With a rule it is opened again, and listens again.
    let again = "timeout: 10s, reconnect: { backoff: { base: 50ms, max: 50ms } } }";
    let done = Manada::run(&text.replace("timeout: 10s }", again), &[]).go();
    let report = done.measured();
    assert!(count(&report, "streams.reconnects") >= 1, "{done}");
    let closed = report["streams"]["closed"].to_string();
    assert!(closed.contains("amqp CONSUMER_CANCELLED by target"), "{closed}");
    assert_eq!(count(&report, "calls.timeout"), 0, "{done}");
    checks_hold(&done, &report);
}

/// What listeners of a queue have not received is counted once, however many they are.
fn slow_consumers_fall_behind(server: &RabbitMq) {
    let text = format!(
        "
scenario: behind
services: {{ bus: '{}' }}
setup: [ {{ amqp: {{ declare_queue: slow }} }} ]
teardown: [ {{ amqp: {{ delete_queue: slow }} }} ]
archetypes:
  maker:
    on_start: [ {{ open: true }} ]
    flow: [ {{ repeat: {{ times: 600, do: [ {{ send: slow, body: x, in_flight: 100 }} ] }} }} ]
  worker:
    on_start:
      - open: true
      - {{ listen: slow, prefetch: 5, ack: each, work: 5s, name: taken }}
    flow: [ {{ pause: 100ms }} ]
workloads:
  makers: {{ archetypes: {{ maker: 1 }}, users: 1, iterations: 1 }}
  workers: {{ archetypes: {{ worker: 1 }}, users: 4, start: 1s, duration: 8s }}
",
        server.url()
    );
    let done = Manada::run(&text, &[]).go();
    let report = done.measured();
    let steps = report["steps"].as_array().unwrap();
    let taken = steps.iter().find(|row| row["name"] == "taken").unwrap();
    let behind = &taken["messages"]["behind"];
    // Of 600 messages four consumers have 20: the others are shared by four listeners.
    let mean = behind["mean"].as_f64().unwrap();
    assert!(mean > 50.0 && mean <= 150.0, "{behind}: {done}");
    assert!(report["errors"].as_array().unwrap().is_empty(), "{done}");
}

fn messages_wait_for_their_steps(server: &RabbitMq) {
    let steps = "
- amqp: { declare_queue: reply, type: classic, durable: false }
  expect: { status: OK }
  check: { json: { '$.messages': 0 } }
- { amqp: { declare_exchange: events, type: topic }, expect: { status: OK } }
- { amqp: { bind: reply, exchange: events, key: 'order.*' }, expect: { status: OK } }
- { listen: reply, keep: true, ack: auto }
- send: order.eu
  exchange: events
  json: { id: 7 }
  content_type: application/vnd.order
  headers: { x-a: b }
- await: bus
  match: { json: { '$.id': 7 } }
  capture: { a: { header: x-a }, k: { header: topic }, t: { header: content-type } }
  timeout: 10s
- { send: reply, body: '{{ a }} {{ k }} {{ t }}' }
- { await: bus, check: { body: { equals: 'b order.eu application/vnd.order' } }, timeout: 10s }
- { amqp: { delete_exchange: events } }
- { amqp: { delete_queue: reply }, check: { json: { '$.messages': 0 } } }
- { close: bus }
";
    let done = Manada::run(&once(&server.url(), "", steps), &[]).go();
    let report = done.report(0);
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
    checks_hold(&done, &report);
}

fn logins_and_tls(server: &RabbitMq) {
    let at = server.address;
    for (url, kind) in [
        (format!("amqp://guest:wrong-horse-7@{at}/"), "login_refused"),
        (format!("amqp://guest:guest@{at}/nosuch"), "login_refused"),
        (format!("amqp://{}/", server.mqtt), ""),
    ] {
        let done = Manada::run(&once(&url, "", "- { pause: 1ms }"), &[]).go();
        let report = done.report(4);
        let errors = report["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{url}: {done}");
        assert!(kind.is_empty() || errors[0]["kind"] == kind, "{url}: {done}");
        let everything = format!("{}{}", done.stdout, done.stderr);
        assert!(!everything.contains("wrong-horse-7"), "{done}");
    }
    let url = format!("amqps://guest:guest@{}/", server.tls);
    let steps = "- { send: dead, body: over TLS, name: it }";
    let run = |keys: &str| {
        let text = once(&url, keys, steps);
        Manada::run(&text, &[]).file("ca.pem", server.certificate()).go()
    };
    let done = run(", tls: { ca: ca.pem }");
    assert_eq!(count(counts(&done.report(0), "it"), "confirmed"), 1, "{done}");
    let done: Done = run("");
    assert!(done.measured()["errors"].to_string().contains("certificate"), "{done}");
    // Its plugin speaks MQTT 3.1.1.
    let url = format!("mqtt://guest:guest@{}", server.mqtt);
    let steps = "
- { listen: 'a/+', qos: 1, keep: true, service: bus }
- { send: a/b, qos: 1, body: x, service: bus, name: it }
- { await: bus, timeout: 10s }
";
    let done = Manada::run(&once(&url, ", mqtt: { version: 3.1.1 }", steps), &[]).go();
    assert_eq!(count(counts(&done.report(0), "it"), "confirmed"), 1, "{done}");
}

/// The server is killed while messages are under way, and comes back with its durable queue.
fn a_restart_in_mid_run(server: &mut RabbitMq) {
    let again = "reconnect: { max: 1000, backoff: { base: 100ms, max: 200ms } }";
    let text = format!(
        "
scenario: restart
services: {{ bus: '{}' }}
setup: [ {{ amqp: {{ declare_queue: safe }} }} ]
archetypes:
  maker:
    on_start: [ {{ open: true, {again} }} ]
    flow:
      - send: safe
        persistent: true
        body: x
        stamp: true
        timeout: 30s
        think: 10ms
        name: made
  taker:
    on_start: [ {{ open: true, {again} }}, {{ listen: safe, stamp: true, name: taken }} ]
    flow: [ {{ pause: 100ms }} ]
workloads:
  takers: {{ archetypes: {{ taker: 1 }}, users: 2, duration: 30s }}
  makers: {{ archetypes: {{ maker: 1 }}, users: 2, duration: 29s }}
thresholds: [ 'errors < 100%' ]
",
        server.url()
    );
    let running = Manada::telling(&text, &[]).start();
    running.hear_second(2);
    server.kill();
    server.start_again();
    let done = running.wait();
    let report = done.measured();
    let (made, taken) = (counts(&report, "made"), counts(&report, "taken"));
    assert!(count(&report, "streams.reconnects") >= 4, "{done}");
    assert!(count(made, "confirmed") > 200, "{done}");
    let sent = count(made, "confirmed") + count(made, "refused") + count(made, "unconfirmed");
    assert_eq!(count(made, "sent"), sent, "{done}");
    // What it had confirmed it has kept: at most unconfirmed messages are lost.
    assert!(count(taken, "lost") <= count(made, "unconfirmed"), "{done}");
}

/// One iteration over HTTP, AMQP, PostgreSQL and WebSocket, with one id.
fn an_order_over_four_protocols(server: &RabbitMq) {
    let database = Postgres::start(&[]);
    let shop = PythonServer::start("order_shop.py", &[&database.url(""), &server.url()]);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/order-journey.yaml");
    let [at, bus, db] = [
        format!("services.shop=ws://{}", shop.address),
        format!("services.bus={}", server.url()),
        format!("services.db={}", database.url("")),
    ];
    let words = ["run", file, "--set", &at, "--set", &bus, "--set", &db, "--duration", "4s"];
    let done = Manada::new(&words).words(&["--json", "--ui", "none", "--out", "out"]).go();
    let code = done.code.unwrap();
    // On a busy machine times may not hold, or not be trusted.
    assert!([0, 4, 5].contains(&code), "{done}");
    let report = done.report(code);
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
    let made = |step: &str| {
        let steps = report["steps"].as_array().unwrap();
        let row = steps.iter().find(|row| row["name"] == step).unwrap();
        count(row, "calls.made")
    };
    let placed = made("place");
    assert!(placed >= 20, "{done}");
    assert_eq!([made("event"), made("row"), made("notice")], [placed; 3], "{done}");
    let rows = database.execute("").query_one("select count(*) from journey_orders", &[]);
    assert_eq!(u64::try_from(rows.unwrap().get::<_, i64>(0)).unwrap(), placed);
    let groups = report["groups"].to_string();
    assert!(groups.contains("journey"), "the time of the whole: {groups}");
}

/// The shipped scenario, for a short time.
fn the_shipped_scenario(server: &RabbitMq) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/rabbitmq-orders.yaml");
    let bus = format!("services.bus={}", server.url());
    let words = ["run", file, "--set", &bus, "--duration", "3s", "--json", "--ui", "none"];
    let done = Manada::new(&words).words(&["--out", "out"]).go();
    let code = done.code.unwrap();
    assert!([0, 4, 5].contains(&code), "{done}");
    let report = done.report(code);
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
    assert_eq!(count(counts(&report, "taken"), "lost"), 0, "{done}");
}

/// One server for all: it takes many seconds to start.
#[test]
fn a_real_broker() {
    let mut server = RabbitMq::start();
    orders_are_those_of_the_broker(&server);
    refusals_have_their_words(&server);
    messages_wait_for_their_steps(&server);
    statuses_are_expected_by_their_words(&server);
    a_deleted_queue_ends_its_listener(&server);
    slow_consumers_fall_behind(&server);
    logins_and_tls(&server);
    an_order_over_four_protocols(&server);
    the_shipped_scenario(&server);
    a_restart_in_mid_run(&mut server);
}

//! Tests of `manada plan`, `doctor` and `schema`: their output, and that `run` refuses what `plan`
//! refuses.

use std::process::Command;

use serde_json::json;

use crate::harness::{Done, MANADA, Manada};
use crate::peer::{Server, Then};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const SHOP: &str = "\
scenario: shop
seed: 5
services: { shop: 'http://127.0.0.1:9' }
archetypes:
  buyer:
    think: 1s
    data: { city: { inline: [ { name: a }, { name: b } ], pick: unique } }
    flow: [ { get: /a }, { get: '/b/{{ city.name }}', name: b } ]
workloads:
  closed: { archetypes: { buyer: 1 }, users: 10, duration: 60s }
  open:
    start: 10s
    flow: [ { get: /c } ]
    duration: 20s
    arrivals: { rate: 100/s, max_users: 1 }
";

fn plan(words: &[&str]) -> Done {
    Manada::new(&["plan", "shop.yaml"]).words(words).file("shop.yaml", SHOP).go()
}

#[test]
fn plan_forecasts_iterations_and_users() {
    let done = plan(&["--service-time", "500ms", "--json"]);
    assert_eq!(done.code, Some(0), "{done}");
    let said = done.json();
    assert_eq!(said["workloads"][1]["iterations"], 2_000.0);
    assert_eq!(said["workloads"][1]["exact"], true);
    // Two calls of 500 ms and two think times of 1 s: 20 iterations of 10 users, and half an
    // iteration each.
    assert_eq!(said["workloads"][0]["iterations"], 205.0);
    assert_eq!(said["steps"][1]["calls"], 205.0);
    // Little: 100/s for 500 ms are 50 concurrent users, and one is allowed.
    assert_eq!(said["workloads"][1]["users"], 50.0);
    let dropped = said["workloads"][1]["dropped"].as_f64().unwrap();
    assert!((dropped - 1_960.0).abs() < 10.0, "{dropped}");
    assert_eq!(said["data"][0]["out_s"], 0.0);
    assert_eq!(said["end_s"], 60.0);
    assert_eq!(said["expected"]["connections"], 11);
    assert_eq!(said["most"]["descriptors"], 11 + 64);
    assert_eq!(said["workloads"][0]["levels"].as_array().unwrap().len(), 60);
    let text = plan(&["--service-time", "500ms"]);
    for part in ["████", "205 iterations ± 10", "2 000 iterations", "max_users", "warning", "tier"]
    {
        assert!(text.stdout.contains(part), "{part}: {text}");
    }
    assert!(!text.stdout.contains('\x1b'), "{text}");
}

#[test]
fn streams_over_http2_share_the_connection_of_their_user() {
    let text = "
scenario: shared
services: { health: 'grpc://127.0.0.1:1' }
archetypes:
  a:
    flow:
      - { open: grpc.health.v1.Health/Watch, as: one }
      - { open: grpc.health.v1.Health/Watch, as: two }
      - { grpc: grpc.health.v1.Health/Check }
workloads: { w: { users: 10, duration: 1s, archetypes: { a: 1 } } }
";
    let done = Manada::new(&["plan", "shared.yaml", "--json"]).file("shared.yaml", text).go();
    let said = done.json();
    assert_eq!(said["most"]["connections"], 10, "{said}");
}

#[test]
fn plan_forecasts_connections_of_pools() {
    let client = "client: resilient\npools: { few: { match: /a, connections: 3, wait: 1s } }\n";
    let shop = format!("{SHOP}{client}");
    let with = |words: &[&str]| {
        Manada::new(&["plan", "shop.yaml"]).words(words).file("shop.yaml", &shop).go()
    };
    let said = with(&["--json", "--shards", "8"]).json();
    assert_eq!(said["client"]["kind"], "resilient");
    assert_eq!(said["client"]["parts"][1], "breakers at 3 levels");
    // Ten buyers with three connections for /a and one each for /b; the other workload's user.
    assert_eq!(said["most"]["connections"], 3 + 10 + 1);
    // Each shard has a connection of the pool.
    assert_eq!(said["generator"]["shards"], 3);
    let text = with(&["--shards", "8"]);
    // Lines are wrapped.
    let said = text.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "client resilient: 1 pool, breakers at 3 levels, adaptive timeouts, 2 retries",
        "set by --shards 8; at most one per connection of the pool `few` (3)",
    ] {
        assert!(said.contains(part), "{text}");
    }
}

const CHAT: &str = "\
scenario: chat
services: { chat: 'ws://127.0.0.1:9', feed: 'http://127.0.0.1:9' }
archetypes:
  member:
    pace: 500ms
    on_start:
      - { open: /ws, name: connect }
      - { listen: chat, stamp: true, channel: lobby, own: false, name: heard }
    flow:
      - { send: chat, json: { text: hi }, stamp: true, channel: lobby, name: say }
      - { await: chat, count: 3, timeout: 5s, name: replies }
  reader:
    on_start: [ { listen: '/news', service: feed, name: news } ]
    flow: [ { pause: 1s } ]
workloads:
  members: { archetypes: { member: 1 }, users: 20, duration: 60s }
  readers: { archetypes: { reader: 1 }, users: 30, duration: 60s }
  posts:
    flow:
      - post: /publish
        service: feed
        body: hello
        stamp: true
        channel: lobby
    arrivals: { rate: 5/s, max_users: 10 }
    duration: 60s
";

#[test]
fn plan_forecasts_streams_and_messages() {
    let with = |text: &str, words: &[&str]| {
        Manada::new(&["plan", "chat.yaml"]).words(words).file("chat.yaml", text).go()
    };
    let said = with(CHAT, &["--json"]).json();
    let held = |at: usize| (said["streams"][at]["step"].as_str(), &said["streams"][at]["most"]);
    assert_eq!(held(0), (Some("connect"), &json!(20)), "{said}");
    assert_eq!(held(1), (Some("news"), &json!(30)), "{said}");
    assert_eq!(said["streams"][0]["expected"], 20.0);
    let messages = &said["messages"];
    // 20 members each half a second, and 5 posts per second.
    assert_eq!(messages["sent_per_s"], 45.0, "{messages}");
    assert_eq!(messages["awaited_per_s"], 120.0, "{messages}");
    // Members hear the others: 40 × 19; posts reach all 20: 5 × 20.
    assert_eq!(messages["delivered_per_s"], 860.0, "{messages}");
    // A connection for each stream, and those of the users that post.
    assert_eq!(said["most"]["connections"], 20 + 30 + 10, "{said}");
    let text = with(CHAT, &[]);
    let words = text.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "streams 50 held at once: 20 by connect; 30 by news",
        "~45.0/s sent, ~120/s awaited, ~860/s delivered to listeners at full load",
    ] {
        assert!(words.contains(part), "{part}: {text}");
    }
    // Members of rooms whose names are computed: how many are due a message is not known.
    let rooms = CHAT.replace("channel: lobby", "channel: \"room-{{ user.number % 4 }}\"");
    let said = with(&rooms, &["--json"]).json();
    assert!(said["messages"]["delivered_per_s"].is_null(), "{said}");
    assert_eq!(said["messages"]["sent_per_s"], 45.0, "{said}");
    let said = plan(&["--json"]).json();
    assert!(said["messages"].is_null() && said["streams"] == json!([]), "{said}");
}

#[test]
fn service_times_come_from_an_earlier_report() {
    let report = r#"{ "service_us": { "mean": 1000000.0 }, "steps": [
        { "name": "b", "workload": "other", "archetype": "x", "service_us": { "mean": 7.0 } },
        { "name": "b", "workload": "closed", "archetype": "buyer",
          "service_us": { "mean": 2000000.0 } } ] }"#;
    let words = ["plan", "shop.yaml", "--json", "--measured", "summary.json"];
    let with =
        |text: &str| Manada::new(&words).file("shop.yaml", SHOP).file("summary.json", text).go();
    let said = with(report).json();
    // 1 s for the known step, the overall mean of 2 s for the other, and two think times: 12
    // iterations of 5 s.
    assert_eq!(said["workloads"][0]["iterations"], 125.0);
    for bad in ["no json", "{}"] {
        let done = with(bad);
        assert_eq!(done.code, Some(3), "{done}");
        assert!(done.stderr.contains("summary.json"), "{done}");
    }
}

#[test]
fn run_refuses_what_plan_refuses() {
    let server = Server::answering(OK, Then::Next);
    let folder = tempfile::tempdir().unwrap();
    let text = SHOP.replace("http://127.0.0.1:9", &format!("http://{}", server.address()));
    std::fs::write(folder.path().join("shop.yaml"), text).unwrap();
    let mut said = Vec::new();
    for command in ["plan", "run"] {
        let line =
            format!("ulimit -n 200 && exec {MANADA} {command} shop.yaml --users closed=1000");
        let output =
            Command::new("sh").args(["-c", &line]).current_dir(folder.path()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{error}");
        let why = error.lines().find(|line| line.starts_with("manada: ")).unwrap().to_owned();
        assert!(why.contains("1 064 open files") && why.contains("200"), "{why}");
        assert!(why.contains("ulimit -n 2048"), "{why}");
        said.push(why);
    }
    assert_eq!(said[0], said[1]);
    assert_eq!(server.seen(), (0, 0));
}

#[test]
fn doctor_reports_findings() {
    let done = Manada::new(&["doctor", "--json"]).go();
    assert_eq!(done.code, Some(0), "{done}");
    let said = done.json();
    let found = said["findings"].as_array().unwrap();
    let names: Vec<&str> = found.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(["descriptors", "cores", "kernel"].iter().all(|name| names.contains(name)), "{done}");
    for one in found {
        assert!(one["ok"].as_bool().unwrap() || one["cure"].is_string(), "{one}");
    }
    let text = Manada::new(&["doctor"]).go();
    assert!(text.stdout.contains("about") && text.stdout.contains("total  "), "{text}");
}

#[test]
fn schema_prints_each_kind_of_file() {
    for (words, title) in [
        (&["schema"][..], "Manada scenario"),
        (&["schema", "scenario"], "Manada scenario"),
        (&["schema", "archetype"], "Manada archetype"),
    ] {
        let done = Manada::new(words).go();
        assert_eq!(done.code, Some(0), "{done}");
        assert_eq!(done.json()["title"], title);
    }
    let done = Manada::new(&["schema", "workload"]).go();
    assert_eq!(done.code, Some(2), "{done}");
}

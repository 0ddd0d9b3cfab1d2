//! Tests of safety limits: hosts, addresses, metadata services, methods, paths; and maximum load.
//! No test leaves the machine: requests are refused before a connection.

use std::sync::{Arc, Mutex};

use crate::harness::{Done, Manada, count};
use crate::peer::{Server, Then};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn scenario(service: &str, more: &str, flow: &str) -> String {
    format!(
        "seed: 1\nscenario: safe\n{more}\nservices: {{ it: {service} }}\nworkloads:\n  \
         w: {{ users: 2, iterations: 4, flow: {flow} }}\n"
    )
}

fn run(service: &str, more: &str, flow: &str) -> Done {
    Manada::run(&scenario(service, more, flow), &["--shards", "1"]).go()
}

#[test]
fn name_and_address_have_to_be_allowed() {
    let server = Server::answering(OK, Then::Next);
    let port = server.address().port();
    let named = format!("\"http://localhost:{port}\"");
    let flow = "[ { get: / } ]";
    for (hosts, code, calls) in [
        ("[ localhost ]", 0, 4),
        ("[ 127.0.0.0/8, \"::1\" ]", 0, 4),
        ("[ 10.0.0.0/8 ]", 3, 0),
        ("[ 10.0.0.0/8, localhost ]", 0, 4),
        ("[ other.test ]", 3, 0),
    ] {
        let before = server.seen().1;
        let done = run(&named, &format!("safety: {{ hosts: {hosts} }}"), flow);
        assert_eq!(done.code, Some(code), "{hosts}: {done}");
        assert_eq!(server.seen().1 - before, calls, "{hosts}: {done}");
        assert!(code == 0 || done.stderr.contains("is not among the hosts"), "{done}");
    }
    // `connect_to` does not change the name that is checked.
    let stand_in = format!("{{ url: \"http://shop.test\", connect_to: \"127.0.0.1:{port}\" }}");
    assert_eq!(run(&stand_in, "safety: { hosts: [ shop.test ] }", flow).code, Some(3));
    assert_eq!(run(&stand_in, "safety: { hosts: [ 127.0.0.1 ] }", flow).code, Some(0));
    // Each address of a cluster of Kafka is checked.
    let further = "kafka: { bootstrap: [ '10.1.2.3:9092' ] }";
    let cluster = format!("{{ url: \"kafka://127.0.0.1:{port}\", {further} }}");
    let topic = "[ { kafka: { create_topic: a } } ]";
    let done = run(&cluster, "safety: { hosts: [ 127.0.0.1 ] }", topic);
    assert_eq!(done.code, Some(3), "{done}");
    assert!(done.stderr.contains("10.1.2.3 is not among the hosts"), "{done}");
    // A name that a proxy resolves is checked by its name.
    let proxied = format!("{{ url: \"http://shop.test\", proxy: \"http://127.0.0.1:{port}\" }}");
    assert_eq!(run(&proxied, "", flow).code, Some(0));
    let done = run(&proxied, "safety: { hosts: [ 127.0.0.1 ] }", flow);
    assert_eq!(done.code, Some(3), "{done}");
    // The built-in target is always allowed.
    assert_eq!(run("builtin", "safety: { hosts: [ shop.test ] }", flow).code, Some(0));
}

#[test]
fn metadata_services_are_refused() {
    for url in ["http://169.254.169.254/", "http://[fd00:ec2::254]/", "http://[::ffff:a9fe:a9fe]/"]
    {
        let hit = Manada::hit(url, &["-c", "1", "-n", "1", "--authorised", "*"]).go();
        assert_eq!(hit.code, Some(3), "{hit}");
        assert!(hit.stderr.contains("metadata"), "{hit}");
    }
    let text = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data\r\n\
                 Content-Length: 0\r\n\r\n";
    let server = Server::answering(&text[..], Then::Next);
    let service = format!("{{ url: \"{}\", redirects: 3 }}", server.url().trim_end_matches('/'));
    let report = run(&service, "", "[ { get: /a }, { get: /b } ]").report(6);
    assert_eq!(report["errors"][0]["phase"], "redirect", "{report}");
    assert_eq!(report["errors"][0]["kind"], "forbidden", "{report}");
    assert!(report["stopped"].as_str().unwrap().contains("metadata"), "{report}");
    assert_eq!(report["verdict"], "aborted");
}

#[test]
fn public_hosts_need_authorisation_under_load() {
    // 203.0.113.0/24 is reserved for documentation (RFC 5737): these never connect.
    let hit = Manada::hit("http://203.0.113.7/", &["-c", "50", "-n", "1"]).go();
    assert_eq!(hit.code, Some(3), "{hit}");
    assert!(hit.stderr.contains("--authorised 203.0.113.7"), "{hit}");
    let hit = Manada::hit("http://prod.shop.test/", &["-r", "11/s", "-n", "1"]).go();
    assert_eq!(hit.code, Some(3), "{hit}");
    assert!(hit.stderr.contains("looks like a production host"), "{hit}");
    let bad = Manada::hit("http://127.0.0.1/", &["--authorised", "a b"]).go();
    assert_eq!(bad.code, Some(2), "{bad}");
    // With the authorisation only the target is missing.
    let server = Server::answering(OK, Then::Next);
    let service = format!("{{ url: \"http://prod.shop.test\", proxy: \"{}\" }}", server.url());
    let text = scenario(&service, "", "[ { get: / } ]").replace("users: 2", "users: 20");
    assert_eq!(Manada::run(&text, &[]).go().code, Some(3));
    let done = Manada::run(&text, &["--authorised", "*.shop.test"]).go();
    assert_eq!(count(&done.report(0), "calls.ok"), 4);
    let own = Manada::run(&text, &[]).file("own.yaml", "authorised: [ prod.shop.test ]");
    assert_eq!(own.env("MANADA_SAFETY", "own.yaml").go().code, Some(0));
}

#[test]
fn denied_requests_are_not_made() {
    let server = Server::answering(OK, Then::Next);
    let service = format!("\"{}\"", server.url().trim_end_matches('/'));
    let deny = "safety: { deny: { paths: [ \"/admin/*\" ] } }";
    let flow = "[ { get: \"/{{ choice(['admin']) }}/x\" } ]";
    let report = run(&service, deny, flow).report(6);
    assert_eq!(report["errors"][0]["kind"], "denied", "{report}");
    assert_eq!(report["stopped"], "safety: the scenario denies /admin/*");
    assert_eq!(server.seen().1, 0);
    let static_one = run(&service, deny, "[ { get: /admin } ]");
    assert_eq!(static_one.code, Some(3), "{static_one}");
    let file = "deny: { methods: [ POST ] }";
    let hit = Manada::hit(&server.url(), &["-m", "POST", "-n", "1"]).file("own.yaml", file);
    let hit = hit.env("MANADA_SAFETY", "own.yaml").go();
    assert_eq!(hit.code, Some(3), "{hit}");
    assert!(hit.stderr.contains("own.yaml denies POST"), "{hit}");
    // A redirect to a denied path is not followed either.
    let text = b"HTTP/1.1 302 Found\r\nLocation: /x/../admin/y\r\nContent-Length: 0\r\n\r\n";
    let server = Server::answering(&text[..], Then::Next);
    let service = format!("{{ url: \"{}\", redirects: 1 }}", server.url().trim_end_matches('/'));
    let report = run(&service, deny, "[ { get: / } ]").report(6);
    assert_eq!(report["errors"][0]["kind"], "forbidden", "{report}");
}

#[test]
fn stricter_of_two_limits_holds() {
    let server = Server::answering(OK, Then::Next);
    let service = format!("\"{}\"", server.url().trim_end_matches('/'));
    let text = |limits: &str| scenario(&service, &format!("safety: {limits}"), "[ { get: / } ]");
    let go = |limits: &str, own: &str| {
        let run = Manada::run(&text(limits), &["--shards", "1"]);
        run.file(".config/manada/safety.yaml", own).go()
    };
    for (scenario, own, blamed) in [
        ("{ max_users: 1 }", "max_users: 5", "the scenario allows 1"),
        ("{ max_users: 5 }", "max_users: 1", "safety.yaml allows 1"),
        ("{ max_users: 5 }", "safety: { max_users: 1 }", "safety.yaml allows 1"),
        ("{ hosts: [ 0.0.0.0/0 ] }", "hosts: [ 10.0.0.0/8 ]", "safety.yaml allows"),
        ("{ hosts: [ 10.0.0.0/8 ] }", "hosts: [ 127.0.0.1 ]", "the scenario allows"),
        ("{ deny: { methods: [] } }", "deny: { methods: [ GET ] }", "safety.yaml denies GET"),
        ("{ max_users: 5 }", "max_user: 1", "unknown key `max_user`"),
    ] {
        let done = go(scenario, own);
        assert_eq!(done.code, Some(3), "{scenario} {own}: {done}");
        assert!(done.stderr.contains(blamed), "{scenario} {own}: {done}");
    }
    assert_eq!(go("{ hosts: [ 127.0.0.0/8 ] }", "hosts: [ 127.0.0.1 ]").code, Some(0));
    let missing = Manada::run(&text("{}"), &[]).env("MANADA_SAFETY", "none.yaml").go();
    assert_eq!(missing.code, Some(3), "{missing}");
}

#[test]
fn persistent_errors_stop_the_run() {
    let server =
        Server::answering(&b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"[..], Then::Next);
    let service = format!("\"{}\"", server.url().trim_end_matches('/'));
    let text = format!(
        "services: {{ it: {service} }}\nsafety: {{ stop_on: {{ errors: 90%, for: 1s }} }}\n\
         workloads: {{ w: {{ arrivals: {{ rate: 200/s }}, duration: 30s, \
         flow: [ {{ get: / }} ] }} }}"
    );
    let report = Manada::run(&text, &["--shards", "1"]).go().report(6);
    let why = report["stopped"].as_str().unwrap();
    assert!(
        why.contains("100 % of") && why.contains("the scenario stops the run at 90 %"),
        "{why}"
    );
    assert!(report["duration_s"].as_f64().unwrap() < 10.0, "{report}");
}

/// Heads of requests by all ways in which a run sends one.
#[test]
fn every_request_of_a_run_carries_its_header() {
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = Arc::clone(&heads);
    let server = Server::start(move |peer| {
        while let Some(head) = peer.whole_request() {
            let is_redirect = head.starts_with("GET /redirect");
            keep.lock().unwrap().push(head);
            let there = b"HTTP/1.1 302 Found\r\nLocation: /after\r\nContent-Length: 0\r\n\r\n";
            peer.send(if is_redirect { there } else { OK });
        }
    });
    let url = server.url();
    let (url, ws) = (url.trim_end_matches('/'), url.trim_end_matches('/').replace("http:", "ws:"));
    let text = format!(
        "seed: 1\nscenario: safe\n\
         services: {{ it: {{ url: \"{url}\", redirects: 1 }}, ws: \"{ws}\" }}\n\
         setup: [ {{ get: /setup }} ]\nteardown: [ {{ get: /teardown }} ]\n\
         workloads:\n  http: {{ users: 1, flow: [ {{ post: /post, json: {{ \
         simulation: \"{{{{ run.is_simulation }}}}\" }} }}, {{ get: /redirect }} ] }}\n  \
         sse: {{ users: 1, flow: [ {{ listen: /sse, as: a }} ] }}\n  \
         ws: {{ users: 1, flow: [ {{ open: /ws, service: ws, as: b }} ] }}\n"
    );
    let done = Manada::run(&text, &["--shards", "1"]).go();
    assert_eq!(done.code, Some(0), "{done}");
    let hit = ["hit", &format!("{ws}/hit"), "-c", "1", "-n", "1", "--seed", "1", "--ui", "none"];
    Manada::new(&hit).go();
    let heads = heads.lock().unwrap();
    for path in ["setup", "post", "redirect", "after", "sse", "ws", "teardown", "hit"] {
        let of_path = |head: &&String| head.split(' ').nth(1) == Some(&format!("/{path}"));
        let head = heads.iter().find(of_path).unwrap_or_else(|| panic!("{path}: {heads:?} {done}"));
        let name = if path == "hit" { "hit" } else { "safe" };
        assert_eq!(head.matches(&format!("\r\nManada-Run: {name}/1\r\n")).count(), 1, "{head}");
    }
}

#[test]
fn required_run_header_is_neither_turned_off_nor_replaced() {
    let own = "run_header: required\n";
    let run = |more: &str, flow: &str| {
        let text = scenario("\"http://127.0.0.1:1\"", more, flow);
        let run = Manada::run(&text, &[]).file("own.yaml", own);
        let path = run.path("own.yaml");
        run.env("MANADA_SAFETY", path).go()
    };
    let done = run("safety: { run_header: false }", "[ { get: / } ]");
    assert_eq!(done.code, Some(3), "{done}");
    assert!(done.stderr.contains("your safety file requires the header Manada-Run"), "{done}");
    let flow = "[ { get: /, headers: { manada-run: other } } ]";
    let done = run("", flow);
    assert_eq!(done.code, Some(3), "{done}");
    assert!(done.stderr.contains("has a header Manada-Run of its own"), "{done}");
    let done = run(&format!("setup: {flow}"), "[ { get: / } ]");
    assert_eq!(done.code, Some(3), "{done}");
    // Without that a header of the scenario's own is sent.
    let done = self::run("\"http://127.0.0.1:1\"", "", flow);
    assert_eq!(count(&done.json(), "calls.made"), 4, "{done}");
}

#[test]
fn run_header_is_sent() {
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = Arc::clone(&heads);
    let server = Server::start(move |peer| {
        while let Some(head) = peer.head() {
            keep.lock().unwrap().push(head);
            peer.send(OK);
        }
    });
    let service = format!("\"{}\"", server.url().trim_end_matches('/'));
    run(&service, "", "[ { get: / } ]").report(0);
    Manada::hit(&server.url(), &["-n", "1", "-c", "1"]).go().report(0);
    run(&service, "safety: { run_header: false }", "[ { get: / } ]").report(0);
    let heads = heads.lock().unwrap();
    assert!(heads[0].contains("\r\nManada-Run: safe/1\r\n"), "{}", heads[0]);
    assert!(heads[4].contains("\r\nManada-Run: hit/7\r\n"), "{}", heads[4]);
    assert!(!heads[5].contains("Manada-Run"), "{}", heads[5]);
}

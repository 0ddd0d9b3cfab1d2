//! Tests of `check --once`: the dry run of each archetype, and its output.

use std::fs;

use serde_json::Value;

use crate::harness::{Done, Manada};
use crate::peer::{Server, Then};

const SHOP: &str = r#"
scenario: once
seed: 5
services: { shop: builtin }
setup:
  - post: /login
    json: { user: ada, password: "{{ secret('WORD') }}" }
    capture: { token: { json: "$.token" } }
archetypes:
  reader:
    think: 1h
    flow:
      - get: /products?page=1
        name: list
        headers: { authorization: "Bearer {{ token }}", x-word: "{{ secret('WORD') }}" }
        check: { status: 200, body: { contains: items } }
        capture: { product: { json: "$.items[0].id" } }
      - pause: 1h
      - log: "product {{ product }} \u001b[2J"
      - get: "/products/{{ product }}"
workloads:
  w: { archetypes: { reader: 1, buyer: 1 }, users: 5000, duration: 1h }
teardown: [ { get: / } ]
"#;

fn check(text: &str, words: &[&str]) -> Done {
    let run = Manada::new(&["check", "scenario.yaml", "--once"]).words(words);
    let quickstart = fs::read_to_string("archetypes/buyer.yaml").unwrap();
    let run = run.file("scenario.yaml", text).file("archetypes/buyer.yaml", quickstart);
    run.env("WORD", "pass-s3cret").go()
}

fn names(report: &Value) -> Vec<&str> {
    let walks = report["walks"].as_array().unwrap();
    walks.iter().map(|walk| walk["name"].as_str().unwrap()).collect()
}

#[test]
fn each_archetype_runs_and_is_shown() {
    let done = check(SHOP, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    for text in [
        "setup\n",
        "reader\n",
        "buyer\n",
        "teardown\n",
        "  GET /products?page=1  (list)\n",
        "      authorization: ***\n",
        "      x-word: ***\n",
        "    → 200  ",
        "      ✓ status is 200\n",
        "      ✓ body contains \"items\"\n",
        "      product = ",
        "  log: product ",
        "PASS  once  ",
    ] {
        assert!(done.stdout.contains(text), "{text:?}\n{done}");
    }
    assert!(!done.stdout.contains('\u{1b}') && !done.stdout.contains("s3cret"), "{done}");

    let done = check(SHOP, &["--json", "--archetype", "reader"]);
    assert_eq!(done.code, Some(0), "{done}");
    let report = done.json();
    assert_eq!(names(&report), ["setup", "reader", "teardown"], "{done}");
    assert_eq!((&report["verdict"], &report["exit_code"]), (&"pass".into(), &0.into()));
    let seen = &report["walks"][1]["seen"];
    assert_eq!(seen[0]["step"], "list", "{done}");
    assert_eq!(seen[0]["status"], 200, "{done}");
    assert_eq!(seen[0]["checks"][1]["passed"], true, "{done}");
    assert_eq!(seen[0]["captures"][0]["name"], "product", "{done}");
    assert!(seen[1]["log"].as_str().unwrap().starts_with("product "), "{done}");
    assert!(!done.stdout.contains("s3cret"), "{done}");
    assert_eq!(check(SHOP, &["--archetype", "nobody"]).code, Some(2));
    assert_eq!(check("workloads: {}", &[]).code, Some(3));
}

fn peer(service: &str, flow: &str) -> String {
    format!("services: {{ it: {service} }}\nworkloads: {{ w: {{ users: 9, flow: {flow} }} }}")
}

#[test]
fn failed_checks_are_shown_and_fail() {
    let server = Server::start(|peer| {
        while let Some(head) = peer.head() {
            let bytes = match head.split(' ').nth(1).unwrap() {
                "/old" => &b"HTTP/1.1 302 No\r\nLocation: /new\r\nContent-Length: 0\r\n\r\n"[..],
                "/bad" => b"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\n\x1b[2",
                "/reset" => return peer.reset(),
                _ => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            };
            peer.send(bytes);
        }
    });
    let service = format!("{{ url: \"http://{}\", redirects: 2 }}", server.address());
    for (flow, code, shown) in [
        ("[ { get: /old } ]", 0, &["→ 302 to http://127.0.0.1:", "/new\n", "PASS"][..]),
        ("[ { get: /bad } ]", 4, &["→ 500", "failed: `GET /bad` failed", "FAIL"]),
        ("[ { get: /x, check: { body: { contains: no } } } ]", 4, &["→ 200", "✗ body", "FAIL"]),
        ("[ { get: /x, expect: { status: 404 } } ]", 4, &["✗ status is 404"]),
        ("[ { get: /x, capture: { v: { header: no } } } ]", 4, &["v = nothing"]),
        (
            "[ { if: \"{{ 1 > 2 }}\", do: [ { set: { v: 1 } } ] }, \
             { get: \"/{{ v }}\", name: n } ]",
            4,
            &["n: not sent: variable `v` is not set"],
        ),
        ("[ { get: /reset } ]", 4, &["→ first_byte: reset"]),
    ] {
        let done = check(&peer(&service, flow), &[]);
        assert_eq!(done.code, Some(code), "{flow}: {done}");
        for text in shown {
            assert!(done.stdout.contains(text), "{flow}: {text:?}\n{done}");
        }
        assert!(!done.stdout.contains('\u{1b}'), "{done}");
    }
    let nobody = check(&peer("\"http://127.0.0.1:1\"", "[ { get: / } ]"), &[]);
    assert_eq!(nobody.code, Some(1), "{nobody}");
    assert!(nobody.stdout.contains("UNREACHABLE"), "{nobody}");
}

const BRANCHES: &str = r#"
scenario: branches
services: { shop: builtin }
archetypes:
  a:
    vars: { n: 3 }
    flow:
      - choose:
          - { weight: 90, do: [ { get: /products?page=1, name: list } ] }
          - weight: 9
            do:
              - get: /cart
              - choose:
                  - { weight: 1, do: [ { get: /recommended } ] }
                  - { weight: 1, do: [ { get: /bargains } ] }
          - { weight: 1, do: [ { get: /search?q=x } ] }
      - { if: "{{ n > 5 }}", do: [ { get: /n/9 } ], else: [ { get: /n/1 } ] }
      - { if: "{{ n > 1 }}", do: [ { get: /n/2 } ], else: [ { get: /n/3 } ] }
      - { get: /cart, fallback: [ { get: /n/4 } ] }
      - repeat: { times: 0, do: [ { get: /n/5 } ] }
workloads: { w: { archetypes: { a: 1, browser: 1 }, users: 5, duration: 1h } }
"#;

#[test]
fn each_choice_runs_and_unreached_steps_are_named() {
    let done = check(BRANCHES, &["--json"]);
    assert_eq!(done.code, Some(0), "{done}");
    let report = done.json();
    let walks = report["walks"].as_array().unwrap();
    let steps = |name: &str| -> Vec<&str> {
        let own = walks.iter().filter(|walk| walk["name"] == name);
        let seen = own.flat_map(|walk| walk["seen"].as_array().unwrap());
        seen.map(|seen| seen["step"].as_str().unwrap()).collect()
    };
    for step in ["list", "GET /cart", "GET /recommended", "GET /bargains", "GET /search"] {
        assert!(steps("a").contains(&step), "{step}: {:?}", steps("a"));
    }
    // A Markov chain runs until each of its transitions was taken.
    for step in ["home", "catalogue", "product page", "search"] {
        assert!(steps("browser").contains(&step), "{step}: {:?}", steps("browser"));
    }
    let last = walks.iter().rfind(|walk| walk["name"] == "a").unwrap();
    let unreached: Vec<(&str, &str)> = last["unreached"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["step"].as_str().unwrap(), one["reason"].as_str().unwrap()))
        .collect();
    let expect = [
        ("GET /n/9", "the condition of its `if` or `while` was false"),
        ("GET /n/3", "it is in an `else`, and the condition was true"),
        ("GET /n/4", "it is a `fallback`, and its step did not fail"),
        ("GET /n/5", "its loop ran zero times"),
    ];
    assert_eq!(unreached, expect, "{done}");
    // Random choices: one iteration, the same with the same seed.
    let draw = |seed: &str| {
        let done =
            check(BRANCHES, &["--json", "--random", "--seed", seed, "--archetype", "browser"]);
        let walks = done.json()["walks"].as_array().unwrap().clone();
        assert_eq!(walks.len(), 1, "{done}");
        let seen = walks[0]["seen"].as_array().unwrap().clone();
        seen.iter().map(|seen| seen["request"][0].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(draw("3"), draw("3"));
    assert!((4..9).any(|seed| draw(&seed.to_string()) != draw("3")));
}

#[test]
fn responses_and_failed_checks_are_shown() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Kind: b\r\n\
                  Set-Cookie: session=abc123secret\r\nContent-Length: 36\r\n\r\n\
                  {\"id\": 7, \"password\": \"pass-s3cret\"}";
    let server = Server::answering(answer, Then::Next);
    let flow = "[ { get: /x, check: { status: 201, header: { x-kind: a, x-none: b }, \
                json: { $.id: 8, $.no: 1 }, size: \"< 10B\" } } ]";
    let done = check(&peer(&format!("\"{}\"", server.url()), flow), &[]);
    assert_eq!(done.code, Some(4), "{done}");
    for text in [
        "      X-Kind: b\n",
        "      36 B: {\"id\": 7, \"password\": \"***\"}\n",
        "✗ status is 201: found status 200\n",
        "✗ header x-kind is \"a\": found b\n",
        "✗ header x-none is \"b\": found no header `x-none`\n",
        "✗ json $.id is 8: found 7\n",
        "✗ json $.no is 1: found no value at this path\n",
        "✗ size < 10B: found 36 bytes\n",
    ] {
        assert!(done.stdout.contains(text), "{text:?}\n{done}");
    }
    assert!(!done.stdout.contains("s3cret") && !done.stdout.contains("abc123secret"), "{done}");
}

#[test]
fn safety_limits_apply_to_dry_runs() {
    let server = Server::answering(
        &b"HTTP/1.1 302 No\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"[..],
        Then::Next,
    );
    let service = format!("{{ url: \"http://{}\", redirects: 2 }}", server.address());
    let done = check(&peer(&service, "[ { get: / } ]"), &[]);
    assert_eq!(done.code, Some(6), "{done}");
    let done = check(&peer("\"http://169.254.169.254\"", "[ { get: / } ]"), &[]);
    assert_eq!(done.code, Some(3), "{done}");
    // One user may try what many users need an authorisation for.
    let proxied = format!("{{ url: \"http://prod.shop.test\", proxy: \"{}\" }}", server.url());
    let text = peer(&proxied, "[ { get: / } ]").replace("users: 9", "users: 90");
    assert_eq!(check(&text, &[]).code, Some(0));
    let herd = Manada::new(&["check", "scenario.yaml"]).file("scenario.yaml", &text).go();
    assert_eq!(herd.code, Some(3), "{herd}");
}

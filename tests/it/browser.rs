//! Tests of browser behaviour: cookies, redirects, compressed bodies.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::{Manada, count};
use crate::peer::Server;

pub(crate) type Heads = Arc<Mutex<Vec<String>>>;

/// Starts a server whose responses depend on the request line, and which records the heads.
pub(crate) fn serving(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> (Server, Heads) {
    let heads = Heads::default();
    let own = Arc::clone(&heads);
    let server = Server::start(move |peer| {
        while let Some(head) = peer.head() {
            let bytes = answer(head.lines().next().unwrap_or_default());
            own.lock().unwrap().push(head);
            peer.send(&bytes);
        }
    });
    (server, heads)
}

/// Builds a response with these headers and this body.
pub(crate) fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Runs one user through `flow` for this many iterations.
pub(crate) fn run(services: &str, flow: &str, iterations: u32) -> Value {
    let text = format!(
        "seed: 1\nservices: {{ {services} }}\nworkloads:\n  w:\n    users: 1\n    \
         iterations: {iterations}\n    flow: {flow}\n"
    );
    Manada::run(&text, &["--shards", "1"]).go().measured()
}

fn url(server: &Server) -> String {
    format!("http://{}", server.address())
}

pub(crate) fn service(server: &Server) -> String {
    format!("it: \"{}\"", url(server))
}

/// Returns the values of a header, one for each request.
fn sent(heads: &Heads, name: &str) -> Vec<String> {
    let value = |head: &String| {
        let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or("-").to_owned()
    };
    heads.lock().unwrap().iter().map(value).collect()
}

fn cookie_server() -> (Server, Heads) {
    serving(|line| match line.split(' ').nth(1).unwrap_or_default() {
        "/login" => {
            answer("200 OK", "Set-Cookie: s=abc; Path=/; HttpOnly\r\nset-cookie: t=1\r\n", "")
        }
        "/bad" => {
            let long = "x".repeat(60 << 10);
            let bad = format!(
                "Set-Cookie: long={long}\r\nSet-Cookie: o=1; Domain=other.example\r\n\
                 Set-Cookie: =\r\nSet-Cookie:\r\n"
            );
            answer("200 OK", &bad, "")
        }
        _ => answer("200 OK", "", "hello"),
    })
}

#[test]
fn a_user_keeps_its_cookies_and_a_new_one_has_none() {
    let (server, heads) = cookie_server();
    let flow = "[ { get: /a }, { get: /login, capture: { s: { cookie: s } } }, { get: /bad }, \
                { get: \"/b/{{ s }}\", capture: { again: { cookie: s } } } ]";
    let report = run(&service(&server), flow, 2);
    assert_eq!(count(&report, "calls.ok"), 8, "{report}");
    let both = "s=abc; t=1";
    assert_eq!(sent(&heads, "Cookie"), ["-", "-", both, both, both, both, both, both]);
    assert!(heads.lock().unwrap()[3].starts_with("GET /b/abc "));
    assert_eq!(report["checks"][0]["passed"], 2, "{report}");

    // Each arrival is a new user, even on a reused connection.
    heads.lock().unwrap().clear();
    let text = format!(
        "services: {{ {} }}\nworkloads: {{ w: {{ flow: [ {{ get: /login }}, {{ get: /x }} ], \
         duration: 1s, arrivals: {{ rate: 3/s, max_users: 1 }} }} }}\n",
        service(&server)
    );
    let report = Manada::run(&text, &["--shards", "1"]).go().report(0);
    assert_eq!(count(&report, "calls.ok"), 6, "{report}");
    assert_eq!(sent(&heads, "Cookie"), ["-", both, "-", both, "-", both]);
}

#[test]
fn cookies_may_be_off_and_a_steps_own_stand_alone() {
    let (server, heads) = cookie_server();
    let off = format!("it: {{ url: \"{}\", cookies: false }}", url(&server));
    run(&off, "[ { get: /login }, { get: /a } ]", 1);
    let own = "[ { get: /login }, { get: /a, headers: { cookie: mine=1 } } ]";
    run(&service(&server), own, 1);
    assert_eq!(sent(&heads, "Cookie"), ["-", "-", "-", "-"]);
    assert_eq!(sent(&heads, "cookie"), ["-", "-", "-", "mine=1"]);
    heads.lock().unwrap().clear();
    let hit = Manada::hit(&format!("{}/login", url(&server)), &["-c", "1", "-n", "3"]);
    assert_eq!(count(&hit.go().report(0), "calls.ok"), 3);
    assert_eq!(sent(&heads, "Cookie"), ["-", "-", "-"]);
}

fn redirecting() -> (Server, Heads) {
    serving(|line| match line.split(' ').nth(1).unwrap_or_default() {
        "/loop" => answer("302 Found", "Location: loop?again\r\n", ""),
        "/loop?again" => answer("301 Moved", "Location: /loop#x\r\n", ""),
        "/none" => answer("302 Found", "", "nowhere"),
        "/away" => answer("302 Found", "Location: http://elsewhere.example/\r\n", ""),
        "/empty" => answer("302 Found", "Location:\r\n", "here"),
        "/fragment" => answer("301 Moved", "Location:  #top\r\n", "here"),
        "/mail" => answer("302 Found", "Location: mailto:me\r\n", ""),
        "/broken" => answer("302 Found", "Location: http://[/\r\n", ""),
        "/a/303" => answer("303 See Other", "Location: ../end\r\nSet-Cookie: c=1; Path=/\r\n", ""),
        "/a/307" => answer("307 Again", "Location: /end\r\n", ""),
        "/a/302" => answer("302 Found", "Location: /end\r\n", ""),
        _ => answer("200 OK", "", "the end"),
    })
}

#[test]
fn redirects_are_followed_like_browsers() {
    let (server, heads) = redirecting();
    let flow = "[ { post: /a/303, redirects: 3, check: { body: { contains: end } } }, \
                { put: /a/302, redirects: 1 }, { post: /a/302, redirects: 1 }, \
                { post: /a/307, redirects: 1 }, { head: /a/303, redirects: 1 }, \
                { get: /a/302 }, { get: /none, redirects: 1 } ]";
    let report = run(&service(&server), flow, 1);
    let lines: Vec<String> =
        heads.lock().unwrap().iter().map(|head| head.lines().next().unwrap().to_owned()).collect();
    let expect = [
        "POST /a/303",
        "GET /end",
        "PUT /a/302",
        "PUT /end",
        "POST /a/302",
        "GET /end",
        "POST /a/307",
        "POST /end",
        "HEAD /a/303",
        "HEAD /end",
        "GET /a/302",
        "GET /none",
    ];
    let expect: Vec<String> = expect.iter().map(|line| format!("{line} HTTP/1.1")).collect();
    assert_eq!(lines, expect);
    assert_eq!(count(&report, "calls.ok"), 7, "{report}");
    assert_eq!(count(&report, "attempts.first"), 7);
    assert_eq!(count(&report, "attempts.redirects"), 5);
    assert_eq!(count(&report, "attempts.started"), 12);
    assert_eq!(sent(&heads, "Cookie")[1], "c=1", "a cookie of the hop before goes with the next");
    assert_eq!(sent(&heads, "Content-Length")[1], "-", "a GET that was a POST has no body");
    assert_eq!(report["checks"][0]["passed"], 1, "{report}");
    let own = "[ { get: /a/302, redirects: 1, headers: { Cookie: mine=1 } } ]";
    heads.lock().unwrap().clear();
    run(&service(&server), own, 1);
    assert_eq!(sent(&heads, "Cookie"), ["mine=1", "mine=1"], "a step's own cookie stays with it");
    assert_eq!(count(&report, "blocked_us.max"), 0, "hops are no waiting of ours: {report}");
}

#[test]
fn redirect_to_invalid_url_fails_the_call() {
    let (server, heads) = redirecting();
    for (path, kind, asked) in [
        ("/loop", "too_many_redirects", 4),
        ("/away", "redirect_not_allowed", 1),
        ("/mail", "redirect_not_allowed", 1),
        ("/broken", "malformed", 1),
    ] {
        heads.lock().unwrap().clear();
        let report = run(&service(&server), &format!("[ {{ get: {path}, redirects: 3 }} ]"), 1);
        assert_eq!(count(&report, "calls.failed"), 1, "{path} {report}");
        let error = &report["errors"][0];
        assert!(error["of"].is_string(), "{report}");
        assert_eq!(error["phase"], "redirect", "{path} {report}");
        assert_eq!(error["kind"], kind, "{path} {report}");
        assert_eq!(heads.lock().unwrap().len(), asked, "{path}");
        assert_eq!(count(&report, "attempts.redirects"), asked as u64 - 1, "{path} {report}");
    }
}

#[test]
fn location_without_redirect_is_a_response() {
    let (server, heads) = redirecting();
    let flow = "[ { get: /empty, redirects: 3, check: { status: 302, body: { contains: here } } }, \
                { get: /fragment, redirects: 3, check: { status: 301 } } ]";
    let report = run(&service(&server), flow, 1);
    assert_eq!(count(&report, "calls.ok"), 2, "{report}");
    assert_eq!(count(&report, "attempts.redirects"), 0, "{report}");
    assert_eq!(heads.lock().unwrap().len(), 2);
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["passed"], 1, "{report}");
    }
}

#[test]
fn a_redirect_that_is_not_allowed_names_the_origin() {
    let (server, _) = redirecting();
    for (path, said) in [
        ("/away", "redirect to http://elsewhere.example:80, which is not a declared service"),
        ("/mail", "the redirect's URL is not http or https"),
    ] {
        let text = format!(
            "seed: 1\nservices: {{ {} }}\nworkloads:\n  w:\n    users: 1\n    iterations: 1\n    \
             flow: [ {{ get: {path}, redirects: 1 }} ]\n",
            service(&server)
        );
        let report = Manada::run(&text, &[]).go().measured();
        assert_eq!(report["exemplars"][0]["error"]["said"], said, "{report}");
        let shown = Manada::summary(&text).go().stdout;
        assert!(shown.contains(said), "{shown}");
    }
}

#[test]
fn redirect_to_other_service_has_its_host_and_no_credentials() {
    let (end, heads) = serving(|_| answer("200 OK", "", "there"));
    let to = url(&end);
    let there = format!("Location: {to}/x?y\r\nSet-Cookie: secret=1\r\n");
    let (start, first) = serving(move |_| answer("307 Over There", &there, ""));
    let services = format!(
        "a: {{ url: \"{}/base\", redirects: 2, auth: {{ bearer: t }}, headers: {{ x-k: v }} }}, \
         b: \"{to}\"",
        url(&start).replace("127.0.0.1", "localhost")
    );
    let report = run(&services, "[ { get: /p } ]", 1);
    assert_eq!(count(&report, "calls.ok"), 1, "{report}");
    assert_eq!(sent(&first, "Authorization"), ["Bearer t"]);
    let head = heads.lock().unwrap()[0].clone();
    let host = format!("GET /x?y HTTP/1.1\r\nHost: {}\r\n", end.address());
    assert!(head.starts_with(&host) && head.contains("x-k: v"), "{head}");
    assert!(!head.contains("Authorization") && !head.contains("Cookie"), "{head}");
    assert_eq!(count(&report, "connections.opened"), 2);
}

#[test]
fn compressed_bodies_are_checked_unpacked() {
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let (small, bomb) = (gzip(b"{\"id\": 7}"), gzip(&vec![b' '; 4 << 20]));
    let cut = small[..small.len() - 4].to_vec();
    let (server, heads) = serving(move |line| {
        let body = match line.split(' ').nth(1).unwrap_or_default() {
            "/bomb" => &bomb,
            "/cut" => &cut,
            _ => &small,
        };
        answer("200 OK", "Content-Encoding: gzip\r\n", body)
    });
    let look = |path: &str| {
        let flow = format!(
            "[ {{ get: {path}, max_body: 1MiB, capture: {{ id: {{ json: \"$.id\" }} }} }} ]"
        );
        run(&format!("it: {{ url: \"{}\", compress: true }}", url(&server)), &flow, 1)
    };
    let report = look("/small");
    assert_eq!(report["checks"][0]["passed"], 1, "{report}");
    assert_eq!(sent(&heads, "Accept-Encoding"), ["gzip, deflate, br, zstd"]);
    // A body that cannot be unpacked keeps its response's status; one that is too large has none.
    for (path, kind, status) in
        [("/bomb", "body_too_large", json!({})), ("/cut", "undecodable", json!({ "200": 1 }))]
    {
        let report = look(path);
        assert_eq!(count(&report, "calls.failed"), 1, "{path} {report}");
        assert_eq!(report["errors"][0]["kind"], kind, "{path} {report}");
        assert_eq!(report["status"], status, "{path} {report}");
    }
    // Without checks nothing is unpacked, and the zip bomb is a small body.
    let report = run(&service(&server), "[ { get: /bomb } ]", 1);
    assert_eq!(count(&report, "calls.ok"), 1, "{report}");
}

//! Tests of exemplars: the first failing exchanges of each kind, and that the shell command sends
//! the same request again.

use std::io::Read;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::builtin::Builtin;
use crate::harness::{Manada, count};
use crate::peer::{Peer, Server, Then};

type Requests = Arc<Mutex<Vec<(String, Vec<String>, Vec<u8>)>>>;

/// Reads a request: its line, its headers sorted by name, its body.
fn take(peer: &mut Peer) -> Option<(String, Vec<String>, Vec<u8>)> {
    let head = peer.head()?;
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let lower = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        format!("{}: {}", name.to_lowercase(), value.trim())
    };
    let mut headers: Vec<String> = lines.filter(|line| !line.is_empty()).map(lower).collect();
    headers.sort();
    let length = headers.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    peer.stream.read_exact(&mut body).ok()?;
    Some((line, headers, body))
}

/// Starts a server that refuses everything, with control characters for terminals.
fn refusing() -> (Server, Requests) {
    let requests = Requests::default();
    let own = Arc::clone(&requests);
    let server = Server::start(move |peer| {
        while let Some(request) = take(peer) {
            let head = request.0.starts_with("HEAD");
            own.lock().unwrap().push(request);
            let body = b"no\x1b[2J\xff\xfe\"quoted\"";
            let text = format!(
                "HTTP/1.1 503 No\r\nX-Bad: \u{1b}]0;x\u{7}\r\nSet-Cookie: s=geheim\r\n\
                 Content-Length: {}\r\n\r\n",
                body.len()
            );
            let text = text.replace(['\u{1b}', '\u{7}'], "\u{9b}");
            let body = if head { &b""[..] } else { &body[..] };
            peer.send(&[text.as_bytes(), body].concat());
        }
    });
    (server, requests)
}

const FLOW: &str = r#"
      - get: "/a/../b/[1]{2}?q=%20'x'&y=$HOME`id`"
        name: plain
        check: { header: { x-bad: { equals: x } }, body: { contains: "yes" } }
      - { head: /h, name: head }
      - { post: /empty, name: empty }
      - { post: /json, name: json, json: { a: "it's \"$(id)\" \\ %s", b: "@é" } }
      - { put: /text, name: text, body: "@/etc/passwd" }
      - { post: /lines, name: lines, body: "-a\nb%d\r\n\\c'\u202e\n\n" }
      - { post: /bytes, name: bytes, file: all.bin }
      - delete: /d
        name: delete
        headers: { x-odd: "a\tb'c\"$d\\n`e`", x-none: "", accept: text/x }
"#;

#[test]
fn shell_command_sends_the_same_request() {
    let (server, requests) = refusing();
    let text = format!(
        "seed: 3\nscenario: odd\nservices: {{ it: {{ url: \"http://{}\", cookies: false }} }}\n\
         workloads:\n  w:\n    \
         users: 1\n    iterations: 2\n    flow: {FLOW}",
        server.address()
    );
    let all: Vec<u8> = (0..=255).collect();
    let run = Manada::run(&text, &["--shards", "1"]).file("all.bin", &all).go();
    let report = run.report(0);
    let sent: Vec<_> = requests.lock().unwrap().drain(..).collect();
    let exemplars = report["exemplars"].as_array().unwrap();
    assert_eq!((exemplars.len(), sent.len()), (8, 16), "{report}");
    for one in exemplars {
        assert_eq!((&one["kind"], count(one, "count")), (&"status 503".into(), 2), "{one}");
        assert_eq!(one["cut"], false, "{one}");
        let curl = one["curl"].as_str().unwrap();
        assert!(!curl.chars().any(|c| c.is_control() || c == '\u{202e}'), "{curl}");
        let done = Command::new("sh").args(["-c", curl]).env("HOME", "/nowhere").output().unwrap();
        assert!(done.status.success(), "{curl}\n{}", String::from_utf8_lossy(&done.stderr));
        let again = requests.lock().unwrap().pop().unwrap();
        let first = sent.iter().find(|request| request.0 == again.0);
        assert_eq!(first, Some(&again), "{curl}");
    }
    // The capture is shown, credentials are not, and no control character reaches a terminal.
    let plain = exemplars.iter().find(|one| one["step"] == "plain").unwrap();
    assert_eq!(plain["failed_checks"][1], "body contains \"yes\"", "{plain}");
    assert!(plain["head"].as_str().unwrap().contains("Set-Cookie: ***"), "{plain}");
    assert!(plain["body"].as_str().unwrap().contains("\\xff\\xfe\"quoted\""), "{plain}");
    assert!(!report.to_string().contains("geheim"), "{plain}");
    let words = ["run", "scenario.yaml", "--ui", "none", "--out", "out", "--shards", "1"];
    let shown = Manada::new(&words).file("scenario.yaml", &text).file("all.bin", &all).go();
    assert!(shown.stdout.contains("Failures") && shown.stdout.contains("curl -sS"), "{shown}");
    assert!(!shown.stdout.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{shown}");
}

#[test]
fn exemplars_occur_once_per_kind_and_are_short() {
    let server = Server::start(|peer| {
        while let Some((line, ..)) = take(peer) {
            if line.contains("/reset") {
                return peer.reset();
            }
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let text = format!(
        r#"
services: {{ it: "http://{}" }}
workloads:
  w:
    users: 1
    iterations: 5
    flow:
      - {{ get: /fine }}
      - {{ get: /ok, name: checked, check: {{ body: {{ contains: nothing }} }} }}
      - post: /big
        name: big
        headers: {{ authorization: "Bearer {{{{ secret('TOKEN') }}}}", cookie: a=b }}
        body: "{{{{ secret('TOKEN') }}}}{}"
        check: {{ status: 404 }}
      - {{ get: /reset, name: reset }}
"#,
        server.address(),
        "é".repeat(5_000)
    );
    let run = Manada::run(&text, &["--shards", "1"]).env("TOKEN", "t0p-s3cret").go();
    let report = run.report(0);
    let exemplars = report["exemplars"].as_array().unwrap();
    let mut kinds: Vec<&str> = exemplars.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    let (reset, nothing) = ("first_byte: reset", "check: body contains \"nothing\"");
    assert_eq!(kinds, [nothing, "check: status is 404", reset], "{report}");
    for one in exemplars {
        assert_eq!(count(one, "count"), 5, "{one}");
        assert!(one["curl"].as_str().unwrap().len() <= 4_096, "{one}");
    }
    let big = exemplars.iter().find(|one| one["step"] == "big").unwrap();
    assert_eq!((&big["cut"], &big["status"]), (&true.into(), &200.into()), "{big}");
    let curl = big["curl"].as_str().unwrap();
    assert!(curl.contains("authorization: ***") && curl.contains("cookie: ***"), "{curl}");
    assert!(curl.contains("--data-raw '***é") && !curl.contains("t0p"), "{curl}");
    let dead = Manada::hit("http://127.0.0.1:1/", &["-c", "1", "-n", "2"]).go().measured();
    assert_eq!(dead["exemplars"][0]["error"]["kind"], "refused", "{dead}");
    let good = Server::answering(&b"HTTP/1.1 204 No\r\n\r\n"[..], Then::Next);
    let good = Manada::hit(&good.url(), &["-c", "1", "-n", "2"]).go().report(0);
    assert_eq!(good["exemplars"], serde_json::json!([]), "{good}");
}

#[test]
fn a_step_that_waits_for_a_message_has_no_command() {
    let target = Builtin::start(&[]);
    let scenario = format!(
        "services: {{ chat: \"ws://{}\" }}\n\
         workloads:\n  w:\n    users: 1\n    iterations: 1\n    flow:\n\
         \x20     - {{ open: /ws/echo?drop=100%25 }}\n\
         \x20     - {{ send: chat, body: hello }}\n\
         \x20     - {{ await: chat, timeout: 50ms, name: reply }}\n",
        target.address()
    );
    let report = Manada::run(&scenario, &[]).go().report(0);
    let exemplars = report["exemplars"].as_array().unwrap();
    assert_eq!(exemplars.len(), 1, "{report}");
    let one = &exemplars[0];
    assert_eq!((&one["step"], &one["curl"]), (&json!("reply"), &json!(null)), "{one}");
    let words = ["run", "scenario.yaml", "--ui", "none", "--out", "out"];
    let shown = Manada::new(&words).file("scenario.yaml", &scenario).go();
    assert!(shown.stdout.contains("Failures") && !shown.stdout.contains("curl"), "{shown}");
    target.end();
}

//! Tests of signed requests: the target computes the signature of the received request and
//! compares.

use std::io::Read;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::{digest, hmac};

use crate::harness::{Manada, count};
use crate::peer::{Peer, Server};

/// A request: its head and body.
type Request = (String, Vec<u8>);

fn take(peer: &mut Peer) -> Option<Request> {
    let head = peer.head()?;
    let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    peer.stream.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (own, value) = line.split_once(": ")?;
        own.eq_ignore_ascii_case(name).then_some(value)
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

const SCENARIO: &str = r#"
seed: 3
services:
  it:
    url: "URL"
    headers: { x-run: "{{ run.id }}", x-digest: "{{ request.body | hash('sha1') }}" }
workloads:
  w:
    users: 2
    iterations: 6
    flow:
      - post: "/pay/{{ uuid() }}?n={{ user.number }}"
        json: { id: "{{ uuid() }}", text: "žluťoučký" }
        headers:
          x-signature: "{{ request.body | hmac(env('SIGNING_KEY')) }}"
          x-canonical: >-
            {{ hmac(request.method ~ ' ' ~ request.path ~ ' ' ~ hash(request.body),
            env('SIGNING_KEY'), 'sha1', 'base64') }}
          authorization: >-
            Bearer {{ jwt({'sub': user.number, 'run': run.id}, env('SIGNING_KEY'), 'HS256',
            {'kid': 'k1'}) }}
      - { put: /file, file: body.bin }
      - { get: /none }
"#;

#[test]
fn signatures_match_the_sent_request() {
    let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
    let own = Arc::clone(&requests);
    let server = Server::start(move |peer| {
        while let Some(request) = take(peer) {
            own.lock().unwrap().push(request);
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let url = format!("http://{}", server.address());
    let run = Manada::run(&SCENARIO.replace("URL", &url), &["--shards", "1"]);
    let run = run.file("body.bin", b"\xff\x00\xfebytes").env("SIGNING_KEY", "key of the test");
    let report = run.go().report(0);
    assert_eq!(count(&report, "calls.ok"), 18, "{report}");
    let run_id = report["run_id"].as_str().unwrap();
    let key = b"key of the test";
    let mac = |law, text: &[u8]| hmac::sign(&hmac::Key::new(law, key), text).as_ref().to_vec();
    let requests = requests.lock().unwrap();
    for (head, body) in requests.iter() {
        let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, body);
        assert_eq!(header(head, "x-digest").unwrap(), hex(sha1.as_ref()), "{head}");
        assert_eq!(header(head, "x-run").unwrap(), run_id, "{head}");
        if !head.starts_with("POST") {
            continue;
        }
        let signature = header(head, "x-signature").unwrap();
        assert_eq!(signature, hex(&mac(hmac::HMAC_SHA256, body)), "{head}");
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let sha256 = hex(digest::digest(&digest::SHA256, body).as_ref());
        let canonical = format!("{method} {path} {sha256}");
        let expected = mac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, canonical.as_bytes());
        assert_eq!(header(head, "x-canonical").unwrap(), STANDARD.encode(expected), "{head}");
        let token = header(head, "authorization").unwrap().strip_prefix("Bearer ").unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert_eq!(signature, mac(hmac::HMAC_SHA256, signed.as_bytes()));
        let part = |at: usize| -> serde_json::Value {
            let part = signed.split('.').nth(at).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(part(0), serde_json::json!({ "alg": "HS256", "typ": "JWT", "kid": "k1" }));
        assert_eq!(part(1)["run"], run_id);
    }
    let posts: Vec<&Request> =
        requests.iter().filter(|(head, _)| head.starts_with("POST")).collect();
    assert_eq!((requests.len(), posts.len()), (18, 6));
    // Each has its own body.
    let bodies: std::collections::BTreeSet<_> = posts.iter().map(|(_, body)| body).collect();
    assert_eq!(bodies.len(), 6);
}

#[test]
fn two_runs_have_two_ids() {
    let server =
        Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", crate::peer::Then::Next);
    let id = || {
        let report = Manada::hit(&server.url(), &["-n", "1"]).go().report(0);
        report["run_id"].as_str().unwrap().to_owned()
    };
    assert_ne!(id(), id());
}

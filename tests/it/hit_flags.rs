//! Tests of the flags of `hit`: each works like the key of a service, and as users of other tools
//! expect.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;

use crate::harness::{Manada, count};
use crate::nginx::Nginx;
use crate::peer::{Server, Then};
use crate::tls;
use crate::transport::{self, Heads};

fn ok(report: &Value, calls: u64) {
    assert_eq!(count(report, "calls.ok"), calls, "{report}");
}

fn first(heads: &Heads) -> String {
    heads.lock().unwrap().remove(0)
}

#[test]
fn flags_for_certificates_credentials_and_addresses_work() {
    let authority = tls::authority();
    let server =
        tls::over_tls(transport::asking_for_certificates(&authority, rustls::DEFAULT_VERSIONS));
    let (to, key) = (server.address().to_string(), KeyPair::generate().unwrap());
    let params = CertificateParams::new(vec!["user".to_owned()]).unwrap();
    let own = params.signed_by(&key, &authority).unwrap().pem();
    let with = |words: &[&str]| {
        Manada::hit("https://shop.example/", &["-n", "2", "-c", "1", "--timeout", "5s"])
            .words(words)
            .file("ca.pem", authority.pem())
            .file("me.pem", &own)
            .file("me.key", key.serialize_pem())
            .file("both.pem", format!("{own}{}", key.serialize_pem()))
            .file("other.key", KeyPair::generate().unwrap().serialize_pem())
            .go()
    };
    let there = format!("shop.example:443:{to}");
    let trusted = ["--cacert", "ca.pem", "--connect-to", &there];
    ok(&with(&[&trusted[..], &["--cert", "me.pem", "--key", "me.key"]].concat()).report(0), 2);
    ok(&with(&[&trusted[..], &["--cert", "both.pem"]].concat()).report(0), 2);
    let report = with(&trusted).measured();
    assert_eq!(count(&report, "calls.failed"), 2, "{report}");
    for (words, says) in [
        (&["--cacert", "nowhere.pem"][..], "`nowhere.pem`: No such file"),
        (&["--cacert", "me.key"], "`me.key`: no certificate in this file"),
        (&["--key", "me.key"], "`--key` without a certificate"),
        (&["--cert", "me.pem", "--key", "other.key"], "this key does not match the certificate"),
        (&["--cert", "me.pem"], "no private key in this file"),
        (&["-u", "me"], "expected USER:PASSWORD on one line"),
        (&["--connect-to", "x"], "expected HOST:PORT or HOST1:PORT1:HOST2:PORT2"),
        (&["-x", "ftp://p:pw@x"], "expected a URL such as \"http://proxy:3128\""),
        (&["--http2", "--disable-keepalive"], "HTTP/2 reuses its connection"),
        (&["-H", "Host: a", "-H", "host: b"], "duplicate `host` header"),
    ] {
        let done = with(words);
        assert!(done.code == Some(2) && done.stderr.contains(says), "{words:?}: {done}");
        assert!(!done.stderr.contains("pw"), "{done}");
    }
}

#[test]
fn requests_are_sent_as_given() {
    let (server, heads) = transport::listening();
    let address = server.address().to_string();
    let url = format!("http://{address}/");
    let once = |url: &str, words: &[&str]| {
        let report = Manada::hit(url, &["-n", "1", "-c", "1"]).words(words).go().measured();
        ok(&report, 1);
        first(&heads)
    };
    let head = once(&url, &["-m", "post", "-u", "Aladdin:open sesame", "-H", "Host: shop.test"]);
    assert!(head.starts_with("POST / HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{head}");
    assert_eq!(head.to_lowercase().matches("\r\nhost: ").count(), 1, "{head}");
    assert!(head.contains("\r\nHost: shop.test\r\n"), "{head}");
    let head = once("http://shop.test/x", &["-x", &format!("http://{address}")]);
    assert!(head.starts_with("GET http://shop.test/x HTTP/1.1\r\nHost: shop.test\r\n"), "{head}");
    let head = once("http://shop.test/x", &["--connect-to", &address]);
    assert!(head.starts_with("GET /x HTTP/1.1\r\nHost: shop.test\r\n"), "{head}");
    let report = Manada::hit(&url, &["-n", "3", "-c", "1", "--disable-keepalive"]).go().measured();
    assert_eq!(count(&report, "connections.opened"), 3, "{report}");
    assert!(first(&heads).contains("\r\nConnection: close\r\n"));
}

#[test]
fn a_unix_socket_serves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || transport::serve_unix(&listener));
    let words = ["-n", "3", "-c", "1", "--unix", path.to_str().unwrap()];
    ok(&Manada::hit("http://app/", &words).go().measured(), 3);
}

#[test]
fn redirects_are_followed_with_a_flag_and_http2_is_spoken() {
    let nginx = Nginx::start();
    let old = format!("http://{}/old", nginx.plain);
    let report = Manada::hit(&old, &["-n", "5", "-c", "1"]).go().measured();
    assert_eq!(count(&report, "status.302"), 5, "{report}");
    let report = Manada::hit(&old, &["-n", "5", "-c", "1", "-L"]).go().measured();
    assert_eq!((count(&report, "status.200"), count(&report, "attempts.redirects")), (5, 5));
    let two = format!("http://{}/page", nginx.two);
    ok(&Manada::hit(&two, &["-n", "5", "-c", "5", "--http2"]).go().measured(), 5);
}

#[test]
fn several_urls_share_the_requests_and_each_has_its_row() {
    let (server, heads) = transport::listening();
    let url = |path: &str| format!("http://{}{path}", server.address());
    let lines = format!("# of a log\n{}\n\n{}\n{}\n", url("/b"), url("/c?k=1"), url("/c?k=2"));
    let (first, words) = (url("/a"), ["-n", "200", "-c", "4", "--urls", "urls.txt"]);
    let report = Manada::hit(&first, &words).file("urls.txt", &lines).go().measured();
    let steps = report["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["GET /a", "GET /b", "GET /c"]);
    let made = |at: usize| count(&steps[at], "calls.made");
    // 200 draws, 50 expected for each URL: less than 20 or more than 80 is beyond 4.8 σ; the seed
    // is fixed.
    assert!((20..80).contains(&made(0)) && (20..80).contains(&made(1)), "{report}");
    assert_eq!(made(0) + made(1) + made(2), 200);
    let heads = heads.lock().unwrap();
    for path in ["/a", "/b", "/c?k=1", "/c?k=2"] {
        assert!(heads.iter().any(|head| head.starts_with(&format!("GET {path} "))), "{path}");
    }
    let done = Manada::hit(&first, &["--urls", "urls.txt"]).file("urls.txt", "# none\n").go();
    assert!(done.code == Some(3) && done.stderr.contains("no URL in urls.txt"), "{done}");
}

#[test]
fn a_body_comes_from_standard_input() {
    let bodies: Arc<Mutex<Vec<String>>> = Arc::default();
    let own = Arc::clone(&bodies);
    let server = Server::start(move |peer| {
        while let Some(head) = peer.head() {
            let length = head.to_lowercase();
            let length = length.split("content-length: ").nth(1).unwrap();
            let length: usize = length.split('\r').next().unwrap().parse().unwrap();
            let mut body = vec![0; length];
            std::io::Read::read_exact(&mut peer.stream, &mut body).unwrap();
            own.lock().unwrap().push(String::from_utf8(body).unwrap());
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let url = server.url();
    let mut child = Command::new(env!("CARGO_BIN_EXE_manada"))
        .env("MANADA_HISTORY", "none")
        .args(["hit", &url, "-n", "1", "-c", "1", "-m", "POST", "-b", "@-", "--ui", "none", "-qq"])
        // With a threshold that holds on any busy machine.
        .args(["--threshold", "calls > 0"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"{\"a\": 1}\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(*bodies.lock().unwrap(), ["{\"a\": 1}\n"]);
}

#[test]
fn counted_requests_are_those_after_the_warm_up() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Then::Next);
    for words in [&["-c", "3"][..], &["-r", "100/s"]] {
        let report = Manada::hit(&server.url(), &["-n", "20", "--warmup", "200ms"]);
        let report = report.words(words).go().measured();
        assert_eq!(count(&report, "response_us.count"), 20, "{words:?}: {report}");
        assert!(count(&report, "iterations.started") > 20, "{words:?}: {report}");
    }
}

#[test]
fn unchecked_body_has_no_limit() {
    // 80 MiB, above the 64 MiB of a step that checks its bodies.
    let server = Server::start(|peer| {
        let piece = vec![b'x'; 1 << 20];
        while peer.request() {
            peer.send(
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 80 << 20).as_bytes(),
            );
            (0..80).for_each(|_| assert!(peer.send(&piece)));
        }
    });
    let report = Manada::hit(&server.url(), &["-n", "1", "-c", "1"]).go().measured();
    ok(&report, 1);
    assert!(count(&report, "bytes.received") > 80 << 20, "{report}");
}

#[test]
fn spellings_of_other_tools_are_read_with_a_note() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Then::Next);
    let words = ["-z", "500ms", "-q", "100", "--latency-correction"];
    let done = Manada::hit(&server.url(), &words).go();
    assert_eq!(count(&done.measured(), "iterations.due"), 50, "{done}");
    for note in ["note: `-q 100` is read as `--rate 100/s`", "note: `--latency-correction` has no"]
    {
        assert!(done.stderr.contains(note), "{done}");
    }
    // `--watch` takes its own words and not the URL.
    let pid = std::process::id().to_string();
    let words = ["hit", "--monitor", "pid", &pid, &server.url(), "-n", "3", "--ui", "none"];
    let done = Manada::new(&words).go();
    assert!(done.stdout.contains("only this summary is kept; `--out DIR` keeps"), "{done}");
}

#[test]
fn results_come_in_the_layout_of_other_tools() {
    let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Then::Next);
    let url = server.url();
    let run = |tool| {
        let words = ["hit", &url, "-n", "40", "-c", "2", "--ui", "none", "--format", tool];
        Manada::new(&words).words(&["--threshold", "calls < 40"]).go()
    };
    // What scripts look for: the count of requests in the words of each tool.
    for (tool, wanted) in [
        ("oha", "[200] 40 responses"),
        ("wrk", "  40 requests in "),
        ("k6", "http_reqs..........................: 40 "),
    ] {
        let done = run(tool);
        assert!(done.stdout.contains(wanted) && !done.stdout.contains("PASS"), "{done}");
        assert_eq!(done.code, Some(4), "{done}");
        assert!(done.stderr.contains("threshold failed: calls < 40, observed 40"), "{done}");
    }
    let done = run("ohm");
    assert!(done.code == Some(2) && done.stderr.contains("'oha'"), "{done}");
}

//! Tests of the transport of a service: other addresses, Unix sockets, source addresses, proxies,
//! client certificates, and credentials.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{CertificateParams, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use serde_json::Value;

use crate::harness::{Manada, count};
use crate::peer::{Peer, Server, Then};
use crate::tls::{self, Authority};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

pub(crate) type Heads = Arc<Mutex<Vec<String>>>;

/// Starts a server that responds to every request and records its head.
pub(crate) fn listening() -> (Server, Heads) {
    let heads = Heads::default();
    let own = Arc::clone(&heads);
    let server = Server::start(move |peer| {
        while let Some(head) = peer.head() {
            own.lock().unwrap().push(head);
            peer.send(OK);
        }
    });
    (server, heads)
}

/// Responds to every request on a Unix socket.
pub(crate) fn serve_unix(listener: &UnixListener) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        thread::spawn(move || {
            while matches!(stream.read(&mut [0; 4096]), Ok(read) if read > 0) {
                stream.write_all(OK).unwrap();
            }
        });
    }
}

/// Prepares a run of `users` that call once, with this service.
fn scenario(service: &str, users: u32) -> Manada {
    let text = format!(
        "seed: 1\nservices:\n  it: {service}\nworkloads:\n  w:\n    users: {users}\n    \
         iterations: {users}\n    flow: [ {{ get: /a }} ]\n"
    );
    Manada::run(&text, &["--shards", "1"])
}

fn run(service: &str, users: u32) -> Value {
    scenario(service, users).go().measured()
}

fn all_ok(report: &Value, calls: u64) {
    assert_eq!(count(report, "calls.ok"), calls, "{report}");
}

#[test]
fn service_headers_and_credentials_are_sent_and_step_headers_win() {
    let (server, heads) = listening();
    let url = format!("http://{}", server.address());
    let service = format!(
        "{{ url: \"{url}\", headers: {{ x-user: \"u{{{{ user.number }}}}\" }}, compress: true, \
         auth: {{ basic: {{ user: Aladdin, password: open sesame }} }} }}"
    );
    all_ok(&run(&service, 1), 1);
    let user = "\"u{{ user.number }}\"";
    let service =
        format!("{{ url: \"{url}\", auth: {{ basic: {{ user: {user}, password: p }} }} }}");
    all_ok(&run(&service, 1), 1);
    all_ok(&run(&format!("{{ url: \"{url}\", auth: {{ bearer: t0k }} }}"), 1), 1);
    let own = "{ authorization: mine }";
    let service = format!("{{ url: \"{url}\", headers: {own}, auth: {{ bearer: t0k }} }}");
    all_ok(&run(&service, 1), 1);
    let heads = heads.lock().unwrap();
    let has = |at: usize, line: &str| assert!(heads[at].contains(line), "{line}: {}", heads[at]);
    has(0, "\r\nx-user: u0\r\n");
    has(0, "\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n");
    has(0, "\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n");
    has(1, "\r\nAuthorization: Basic dTA6cA==\r\n");
    has(2, "\r\nAuthorization: Bearer t0k\r\n");
    has(3, "\r\nauthorization: mine\r\n");
    assert!(!heads[3].contains("t0k") && !heads[1].contains("Accept-Encoding"));
}

#[test]
fn connect_to_keeps_host_and_unix_socket_works() {
    let (server, heads) = listening();
    let to = server.address();
    let service = format!("{{ url: \"http://shop.example/api\", connect_to: \"{to}\" }}");
    let report = run(&service, 2);
    all_ok(&report, 2);
    assert_eq!(count(&report, "phases_us.dns.count"), 0, "a literal address needs no look-up");
    let head = heads.lock().unwrap()[0].clone();
    assert!(head.starts_with("GET /api/a HTTP/1.1\r\nHost: shop.example\r\n"), "{head}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || serve_unix(&listener));
    let path = path.to_str().unwrap();
    let report = run(&format!("{{ url: \"http://app\", unix: \"{path}\" }}"), 3);
    all_ok(&report, 3);
    assert_eq!(count(&report, "connections.opened"), 3, "{report}");
    let report = run("{ url: \"http://app\", unix: /nowhere/app.sock }", 1);
    assert_eq!(report["errors"][0]["phase"], "connect", "{report}");
}

#[test]
fn sources_take_turns_by_user() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let own = Arc::clone(&seen);
    let server = Server::start(move |peer| {
        own.lock().unwrap().push(peer.stream.peer_addr().unwrap().ip().to_string());
        while peer.request() && peer.send(OK) {}
    });
    let url = format!("http://{}", server.address());
    let service = format!("{{ url: \"{url}\", source: [127.0.0.2, 127.0.0.3] }}");
    all_ok(&run(&service, 4), 4);
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, ["127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3"]);
}

#[test]
fn names_are_looked_up_per_ttl() {
    // It closes each time: a new connection for each call.
    let server = Server::answering(OK, Then::Close);
    let port = server.address().port();
    for (ttl, looks) in [("run", 1), ("connection", 3), ("1h", 1)] {
        let dns = format!("{{ ttl: {ttl}, pick: rotate, family: 4 }}");
        let text = format!(
            "services: {{ it: {{ url: \"http://localhost:{port}\", dns: {dns} }} }}\n\
             workloads: {{ w: {{ flow: [ {{ get: /a }} ], duration: 1s, \
             arrivals: {{ rate: 3/s, max_users: 3 }} }} }}\n"
        );
        let report = Manada::run(&text, &["--shards", "1"]).go().report(0);
        assert_eq!(count(&report, "connections.opened"), 3, "{ttl} {report}");
        assert_eq!(count(&report, "phases_us.dns.count"), looks, "{ttl} {report}");
    }
}

#[test]
fn a_proxy_gets_whole_urls_or_a_tunnel() {
    let (proxy, heads) = listening();
    let at = proxy.address();
    let service =
        format!("{{ url: \"http://shop.example/api\", proxy: \"http://me:a%40b@{at}\" }}");
    all_ok(&run(&service, 1), 1);
    let head = heads.lock().unwrap()[0].clone();
    assert!(head.starts_with("GET http://shop.example/api/a HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nProxy-Authorization: Basic bWU6YUBi\r\n"), "{head}");

    // A tunnel to a TLS server, and a proxy that refuses one.
    let target = tls::over_tls(tls::leaf(None, "127.0.0.1", (2020, 2100)));
    let to = target.address();
    let tunnel = Server::start(move |peer| {
        let head = peer.head().unwrap_or_default();
        assert!(head.starts_with(&format!("CONNECT {to} HTTP/1.1\r\n")), "{head}");
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n");
        relay(peer, TcpStream::connect(to).unwrap());
    });
    let through = |proxy: &Server, scheme: &str| {
        let at = proxy.address();
        run(
            &format!(
                "{{ url: \"https://{to}\", proxy: \"{scheme}://{at}\", \
                 tls: {{ insecure: true }} }}"
            ),
            1,
        )
    };
    all_ok(&through(&tunnel, "http"), 1);
    let socks = Server::start(move |peer| {
        let mut hello = [0; 3];
        peer.stream.read_exact(&mut hello).unwrap();
        assert_eq!(hello, [5, 1, 0]);
        peer.send(&[5, 0]);
        let mut request = [0; 10];
        peer.stream.read_exact(&mut request).unwrap();
        assert_eq!(&request[..8], [5, 1, 0, 1, 127, 0, 0, 1]);
        peer.send(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        relay(peer, TcpStream::connect(to).unwrap());
    });
    all_ok(&through(&socks, "socks5"), 1);
    let endless = Server::start(|peer| {
        peer.request();
        while peer.send(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n") {}
    });
    let deaf = Server::start(|peer| assert!(peer.send(b"\xff\xff\xff\xff")));
    for (proxy, scheme) in [(&endless, "http"), (&deaf, "socks5")] {
        refuses(&through(proxy, scheme), "proxy");
    }
}

/// Checks that the proxy refused the tunnel with this error.
fn refuses(report: &Value, kind: &str) {
    assert_eq!(report["errors"][0]["phase"], "connect", "{kind}: {report}");
    assert_eq!(report["errors"][0]["kind"], kind, "{report}");
    assert!(!report["errors"][0]["hint"].as_str().unwrap().is_empty(), "{report}");
    assert_eq!(count(report, "attempts.sent"), 0, "{kind}: {report}");
}

#[test]
fn proxy_refusals_are_named() {
    let target = tls::over_tls(tls::leaf(None, "127.0.0.1", (2020, 2100)));
    let to = target.address();
    let through = |proxy: &Server, scheme: &str, login: &str| {
        run(
            &format!(
                "{{ url: \"https://{to}\", proxy: \"{scheme}://{login}{}\", \
                 tls: {{ insecure: true }} }}",
                proxy.address()
            ),
            1,
        )
    };
    for (status, kind) in [
        ("407 Proxy Authentication Required", "proxy_login"),
        ("403 Forbidden", "proxy_forbidden"),
        ("502 Bad Gateway", "proxy_cannot_reach"),
        ("503 Service Unavailable", "proxy_cannot_reach"),
        ("504 Gateway Timeout", "proxy_cannot_reach"),
        ("500 Internal Server Error", "proxy"),
        ("101 Switching Protocols", "proxy"),
        ("302 Found", "proxy"),
    ] {
        let bytes = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        refuses(&through(&Server::answering(bytes, Then::Next), "http", ""), kind);
    }
    // Interim responses come before the final one, up to a limit.
    let early = |count: usize| {
        Server::start(move |peer| {
            peer.request();
            peer.send("HTTP/1.1 102 Processing\r\nX: y\r\n\r\n".repeat(count).as_bytes());
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n");
            relay(peer, TcpStream::connect(to).unwrap());
        })
    };
    all_ok(&through(&early(16), "http", ""), 1);
    refuses(&through(&early(17), "http", ""), "proxy");
    // SOCKS 5 reports it with a byte (RFC 1928 §3, §6; RFC 1929 §2).
    let socks = |method: u8, login: u8, reply: u8| {
        Server::start(move |peer| {
            let mut hello = [0; 3];
            peer.stream.read_exact(&mut hello).unwrap();
            peer.send(&[5, method]);
            if method == 2 {
                peer.stream.read_exact(&mut [0; 7]).unwrap();
                peer.send(&[1, login]);
            }
            if method != 255 && login == 0 {
                peer.stream.read_exact(&mut [0; 10]).unwrap();
                peer.send(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]);
            }
            peer.hold();
        })
    };
    for (server, login, kind) in [
        (socks(255, 0, 0), "", "proxy_login"),
        (socks(2, 1, 0), "me:pw@", "proxy_login"),
        (socks(0, 0, 2), "", "proxy_forbidden"),
        (socks(0, 0, 3), "", "proxy_cannot_reach"),
        (socks(0, 0, 4), "", "proxy_cannot_reach"),
        (socks(2, 0, 5), "me:pw@", "proxy_cannot_reach"),
        (socks(0, 0, 6), "", "proxy_cannot_reach"),
        (socks(0, 0, 1), "", "proxy"),
        (socks(0, 0, 7), "", "proxy"),
        (socks(7, 0, 0), "", "proxy"),
    ] {
        refuses(&through(&server, "socks5", login), kind);
    }
}

/// Relays bytes in both directions until one side ends.
fn relay(peer: &Peer, to: TcpStream) {
    let (mut from, mut back) = (peer.stream.try_clone().unwrap(), to.try_clone().unwrap());
    let mut there = to;
    let mut here = peer.stream.try_clone().unwrap();
    thread::spawn(move || std::io::copy(&mut back, &mut here));
    let _ = std::io::copy(&mut from, &mut there);
}

#[test]
fn a_client_certificate_is_shown_and_a_private_root_trusted() {
    let authority = tls::authority();
    let config = asking_for_certificates(&authority, rustls::DEFAULT_VERSIONS);
    let server = tls::over_tls(config);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["user".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let (url, ca) = (format!("https://{}", server.address()), authority.pem());
    let with = |tls: &str| {
        scenario(&format!("{{ url: \"{url}\", tls: {{ server_name: shop.example, {tls} }} }}"), 2)
            .file("ca.pem", &ca)
            .file("me.pem", certificate.pem())
            .file("me.key", key.serialize_pem())
            .file("other.key", KeyPair::generate().unwrap().serialize_pem())
            .go()
    };
    let report = with("ca: ca.pem, cert: me.pem, key: me.key").report(0);
    all_ok(&report, 2);
    let done = with("ca: nowhere.pem, cert: me.pem, key: other.key");
    assert_eq!(done.code, Some(3), "{done}");
    for text in ["file `nowhere.pem` not found", "this key does not match"] {
        assert!(done.stderr.contains(text), "{done}");
    }
}

#[test]
fn required_or_refused_client_certificate_is_named() {
    let (authority, stranger) = (tls::authority(), tls::authority());
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["user".to_owned()]).unwrap();
    let strange = params.signed_by(&key, &stranger).unwrap();
    let tls12 = ServerConfig::clone(&asking_for_certificates(&authority, &[&TLS12]));
    let mut offering = ServerConfig::clone(&asking_for_certificates(&authority, &[&TLS13]));
    offering.alpn_protocols = vec![b"h2".to_vec()];
    for (config, version) in [
        (asking_for_certificates(&authority, &[&TLS13]), "1.1"),
        (Arc::new(offering), "2"),
        (Arc::new(tls12), "1.1"),
    ] {
        let server = tls::over_tls(config);
        for (own, kind) in [
            ("", "client_certificate_wanted"),
            (", cert: me.pem, key: me.key", "client_certificate_refused"),
        ] {
            let service = format!(
                "{{ url: \"https://{}\", http: {{ version: {version} }}, \
                 tls: {{ server_name: shop.example, ca: ca.pem{own} }} }}",
                server.address()
            );
            let run = scenario(&service, 2).file("ca.pem", authority.pem());
            let run = run.file("me.pem", strange.pem()).file("me.key", key.serialize_pem());
            let report = run.go().measured();
            assert_eq!(count(&report, "calls.failed"), 2, "{version} {report}");
            assert_eq!(report["errors"][0]["kind"], kind, "{version} {report}");
        }
    }
}

/// Starts a server for shop.example that requires a certificate of the same authority.
pub(crate) fn asking_for_certificates(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let clients = Arc::new(roots);
    let verifier =
        WebPkiClientVerifier::builder_with_provider(clients, Arc::clone(&provider)).build();
    let (chain, key) = tls::certificate(Some(authority), "shop.example", (2020, 2100));
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(verifier.unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

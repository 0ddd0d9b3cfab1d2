//! Tests of certificates: valid ones pass, invalid ones get a named error, and `-k` accepts any.
//!
//! The trusted CA is the test's own, through `SSL_CERT_FILE`.

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::harness::{Manada, count};
use crate::peer::{Peer, Server};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// The test's own certificate authority.
pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn authority() -> Authority {
    named_authority("authority")
}

fn named_authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate with its key.
pub(crate) type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Makes a server certificate: issuer, name, and years of validity.
pub(crate) fn certificate(authority: Option<&Authority>, name: &str, years: (i32, i32)) -> Shown {
    made(authority, name, years, IsCa::NoCa)
}

/// Makes a certificate that may sign others, as a CA has.
fn signing_others(authority: Option<&Authority>, name: &str, years: (i32, i32)) -> Shown {
    made(authority, name, years, IsCa::Ca(BasicConstraints::Unconstrained))
}

fn made(authority: Option<&Authority>, name: &str, years: (i32, i32), is_ca: IsCa) -> Shown {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    params.is_ca = is_ca;
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let certificate = match authority {
        Some(authority) => params.signed_by(&key, authority).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    (chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

/// Makes a server configuration with such a certificate.
pub(crate) fn leaf(
    authority: Option<&Authority>,
    name: &str,
    years: (i32, i32),
) -> Arc<ServerConfig> {
    with_key(certificate(authority, name, years))
}

fn with_key((chain, key): Shown) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

/// Responds to every request, over TLS.
fn serve(peer: &mut Peer, config: &Arc<ServerConfig>) {
    use std::io::{Read, Write};
    let session = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = StreamOwned::new(session, peer.stream.try_clone().unwrap());
    let mut head = Vec::new();
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte) {
        head.push(byte[0]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            if stream.write_all(OK).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
    }
}

pub(crate) fn over_tls(config: Arc<ServerConfig>) -> Server {
    Server::start(move |peer| serve(peer, &config))
}

fn hit(url: &str, words: &[&str], trust: &str) -> Value {
    let hit = Manada::hit(url, &["-n", "4", "-c", "2", "--timeout", "5s"]);
    hit.words(words).env("SSL_CERT_FILE", trust).go().measured()
}

#[test]
fn certificates_are_verified_unless_asked_otherwise() {
    let (authority, stranger, made_anew) = (authority(), named_authority("other"), authority());
    let folder = tempfile::tempdir().unwrap();
    let trust = folder.path().join("ca.pem");
    std::fs::write(&trust, authority.pem()).unwrap();
    let trust = trust.to_str().unwrap();
    let now = (2020, 2100);
    let of_ca = with_key(signing_others(Some(&authority), "127.0.0.1", now));
    for (config, kind, said) in [
        (leaf(Some(&authority), "127.0.0.1", now), None, ""),
        (leaf(Some(&authority), "127.0.0.1", (2000, 2001)), Some("certificate_expired"), "expired"),
        (
            leaf(Some(&authority), "127.0.0.1", (2090, 2100)),
            Some("certificate_not_yet_valid"),
            "not valid yet",
        ),
        (
            leaf(Some(&authority), "shop.example", now),
            Some("certificate_wrong_host"),
            "shop.example",
        ),
        (
            leaf(Some(&stranger), "127.0.0.1", now),
            Some("certificate_unknown_issuer"),
            "UnknownIssuer",
        ),
        (
            leaf(Some(&made_anew), "127.0.0.1", now),
            Some("certificate_unknown_issuer"),
            "BadSignature",
        ),
        (leaf(None, "127.0.0.1", now), Some("certificate_self_signed"), "self-signed"),
        (of_ca, Some("certificate_of_ca"), "CaUsedAsEndEntity"),
    ] {
        let server = over_tls(config);
        let url = format!("https://{}/", server.address());
        let report = hit(&url, &[], trust);
        if let Some(kind) = kind {
            assert_eq!(count(&report, "calls.failed"), 4, "{report}");
            let error = &report["errors"][0];
            assert_eq!(error["phase"], "tls", "{report}");
            assert_eq!(error["kind"], kind, "{report}");
            assert_eq!(count(error, "count"), 4, "{report}");
            assert_eq!(count(&report, "attempts.sent"), 0, "{report}");
            let words = report["exemplars"][0]["error"]["said"].as_str().unwrap();
            assert!(words.contains(said), "{words}");
        } else {
            assert_eq!(count(&report, "calls.ok"), 4, "{report}");
            assert_eq!(count(&report, "phases_us.tls.count"), 2, "{report}");
        }
        let report = hit(&url, &["-k"], trust);
        assert_eq!(count(&report, "calls.ok"), 4, "{kind:?} -k: {report}");
        let remarks = report["generator"]["remarks"].to_string();
        assert!(remarks.contains("certificates are not verified"), "{kind:?}: {remarks}");
    }
}

#[test]
fn the_systems_roots_are_read_once_before_the_run_starts() {
    let authority = authority();
    let server = over_tls(leaf(Some(&authority), "127.0.0.1", (2020, 2100)));
    let text = format!(
        "services: {{ it: {{ url: \"https://{}\", timeout: 5s }} }}\n\
         workloads: {{ w: {{ users: 2, iterations: 4, flow: [ {{ get: /a }} ] }} }}\n",
        server.address()
    );
    let run = Manada::run(&text, &["--shards", "2"]).env("SSL_CERT_FILE", "pipe");
    let pipe = run.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let running = run.start();
    // A pipe opens for writing when it is read, and a second reader finds no writer.
    let mut writer = File::options().write(true).open(&pipe).unwrap();
    let written_at = manada::clock::wall().duration_since(UNIX_EPOCH).unwrap();
    writer.write_all(authority.pem().as_bytes()).unwrap();
    drop(writer);
    let done = running.wait();
    assert_eq!(count(&done.measured(), "calls.ok"), 4);
    let log = done.read("out/latency.hlog");
    let (_, start) = log.split_once("[StartTime: ").expect("a log has its start");
    let seconds: f64 = start.split(' ').next().unwrap().parse().unwrap();
    // The log has whole ms.
    assert!(seconds + 0.001 >= written_at.as_secs_f64(), "{seconds} {written_at:?}");
}

/// Runs four calls against a server with this certificate, and trusts the one in `ca`.
fn trusting(server: &Server, ca: &CertificateDer<'static>) -> Value {
    let text = format!(
        "services: {{ it: {{ url: \"https://{}\", timeout: 5s, tls: {{ ca: ca.pem }} }} }}\n\
         workloads: {{ w: {{ users: 2, iterations: 4, flow: [ {{ get: /a }} ] }} }}\n",
        server.address()
    );
    let run = Manada::run(&text, &["--shards", "1"]).file("ca.pem", pem(ca));
    run.go().measured()
}

fn pem(certificate: &CertificateDer<'static>) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

#[test]
fn a_certificate_given_as_ca_is_trusted_also_as_the_targets_own() {
    let stranger = named_authority("stranger");
    let now = (2020, 2100);
    // A certificate of `openssl req -x509` may sign others as well.
    for (made, kind) in [
        (signing_others(None, "127.0.0.1", now), None),
        (certificate(None, "127.0.0.1", now), None),
        (certificate(Some(&stranger), "127.0.0.1", now), None),
        (signing_others(None, "shop.example", now), Some("certificate_wrong_host")),
        (certificate(Some(&stranger), "shop.example", now), Some("certificate_wrong_host")),
        (signing_others(None, "127.0.0.1", (2000, 2001)), Some("certificate_expired")),
        (certificate(Some(&stranger), "127.0.0.1", (2000, 2001)), Some("certificate_expired")),
    ] {
        let given = made.0[0].clone();
        let server = over_tls(with_key(made));
        let report = trusting(&server, &given);
        match kind {
            None => assert_eq!(count(&report, "calls.ok"), 4, "{report}"),
            Some(kind) => assert_eq!(report["errors"][0]["kind"], kind, "{report}"),
        }
    }
    // Another certificate of the same name is not trusted.
    let server = over_tls(with_key(signing_others(None, "127.0.0.1", now)));
    let other = signing_others(None, "127.0.0.1", now).0[0].clone();
    let report = trusting(&server, &other);
    assert_eq!(report["errors"][0]["kind"], "certificate_self_signed", "{report}");
}

#[test]
fn verbose_shows_library_errors() {
    let server = over_tls(leaf(None, "127.0.0.1", (2020, 2100)));
    let url = format!("https://{}/", server.address());
    for (words, shown) in [(&["-v"][..], true), (&[], false)] {
        let hit = Manada::new(&["hit", &url, "-n", "1"]).words(words).go();
        let said = hit.stdout.contains("self-signed and not trusted");
        assert_eq!(said, shown, "{hit}");
        assert!(hit.stdout.contains("set it as `ca`"), "{hit}");
    }
}

/// Starts a server that answers a ClientHello with an alert, by its number in RFC 8446 §6.
fn alerting(number: u8) -> Server {
    Server::start(move |peer| {
        use std::io::Read;
        let mut head = [0; 5];
        if peer.stream.read_exact(&mut head).is_ok() {
            let mut hello = vec![0; usize::from(head[3]) << 8 | usize::from(head[4])];
            peer.stream.read_exact(&mut hello).unwrap();
            peer.send(&[21, 3, 3, 0, 2, 2, number]);
            peer.hold();
        }
    })
}

#[test]
fn alerts_of_the_target_are_named() {
    for (number, kind) in [
        (40, "tls_cipher"),
        (42, "tls_protocol"),
        (70, "tls_version"),
        (71, "tls_cipher"),
        (80, "tls_protocol"),
        (112, "tls_unknown_name"),
        (120, "no_http2"),
    ] {
        let server = alerting(number);
        let report = hit(&format!("https://{}/", server.address()), &[], "/dev/null");
        assert_eq!(report["errors"][0]["phase"], "tls", "{number}: {report}");
        assert_eq!(report["errors"][0]["kind"], kind, "{number}: {report}");
    }
    // A ServerHello of TLS 1.1, which the client did not offer.
    let server = Server::start(|peer| {
        use std::io::Read;
        let mut head = [0; 5];
        if peer.stream.read_exact(&mut head).is_ok() {
            let random = [7; 32];
            let hello = [&[2, 0, 0, 38, 3, 2], &random[..], &[0, 0, 0x2f, 0]].concat();
            peer.send(&[&[22, 3, 2, 0, 42], &hello[..]].concat());
            peer.hold();
        }
    });
    let report = hit(&format!("https://{}/", server.address()), &[], "/dev/null");
    assert_eq!(report["errors"][0]["kind"], "tls_version", "{report}");
}

#[test]
fn plain_and_tls_mismatch_is_named() {
    let plain = Server::start(|peer| {
        peer.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        peer.hold();
    });
    let report = hit(&format!("https://{}/", plain.address()), &["-k"], "/dev/null");
    assert_eq!(count(&report, "calls.failed"), 4, "{report}");
    assert_eq!(report["errors"][0]["phase"], "tls", "{report}");
    assert_eq!(report["errors"][0]["kind"], "tls_protocol", "{report}");

    // The server responds with a TLS alert, which is not HTTP, and closes.
    let tls = over_tls(leaf(None, "127.0.0.1", (2020, 2100)));
    let report = hit(&tls.url(), &[], "/dev/null");
    assert_eq!(count(&report, "calls.failed"), 4, "{report}");
    assert_eq!(report["errors"][0]["phase"], "first_byte", "{report}");
}

#[test]
fn a_handshake_that_never_ends_runs_out_of_time() {
    let server = Server::start(Peer::hold);
    let url = format!("https://{}/", server.address());
    let words = ["-n", "2", "-c", "2", "--timeout", "300ms", "-k"];
    let report = Manada::hit(&url, &words).go().measured();
    assert_eq!(count(&report, "calls.timeout"), 2, "{report}");
    assert_eq!(report["errors"][0]["phase"], "tls", "{report}");
    assert_eq!(count(&report, "attempts.sent"), 0, "{report}");
}

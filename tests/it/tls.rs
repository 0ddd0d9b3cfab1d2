//! Certificates: one that holds passes, one that does not is named, and `-k` takes any.
//!
//! Trust comes from a CA of the test's own, through `SSL_CERT_FILE`.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::harness::{Manada, count};
use crate::peer::{Peer, Server};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// A certificate authority of the test's own.
pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate with its key: for which years it is good, and for whom.
pub(crate) fn certificate(
    authority: Option<&Authority>,
    name: &str,
    years: (i32, i32),
) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = match authority {
        Some(authority) => params.signed_by(&key, authority).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    (chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

/// A server with such a certificate.
pub(crate) fn leaf(
    authority: Option<&Authority>,
    name: &str,
    years: (i32, i32),
) -> Arc<ServerConfig> {
    let (chain, key) = certificate(authority, name, years);
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

/// Answers every request, over TLS.
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
    let (authority, stranger) = (authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    let trust = folder.path().join("ca.pem");
    std::fs::write(&trust, authority.pem()).unwrap();
    let trust = trust.to_str().unwrap();
    let now = (2020, 2100);
    for (name, config, good) in [
        ("good", leaf(Some(&authority), "127.0.0.1", now), true),
        ("expired", leaf(Some(&authority), "127.0.0.1", (2000, 2001)), false),
        ("not yet", leaf(Some(&authority), "127.0.0.1", (2090, 2100)), false),
        ("for another name", leaf(Some(&authority), "shop.example", now), false),
        ("from a stranger", leaf(Some(&stranger), "127.0.0.1", now), false),
        ("self-signed", leaf(None, "127.0.0.1", now), false),
    ] {
        let server = over_tls(config);
        let url = format!("https://{}/", server.address());
        let report = hit(&url, &[], trust);
        if good {
            assert_eq!(count(&report, "calls.ok"), 4, "{name}: {report}");
            assert_eq!(count(&report, "phases_us.tls.count"), 2, "{name}: {report}");
        } else {
            assert_eq!(count(&report, "calls.failed"), 4, "{name}: {report}");
            let error = &report["errors"][0];
            assert_eq!(error["phase"], "tls", "{name}: {report}");
            assert_eq!(error["kind"], "certificate", "{name}: {report}");
            assert_eq!(count(error, "count"), 4, "{name}: {report}");
            assert!(error["hint"].as_str().unwrap().contains("-k"), "{name}: {report}");
            assert_eq!(count(&report, "attempts.sent"), 0, "{name}: {report}");
        }
        let report = hit(&url, &["-k"], trust);
        assert_eq!(count(&report, "calls.ok"), 4, "{name} -k: {report}");
        let remarks = report["generator"]["remarks"].to_string();
        assert!(remarks.contains("certificates are not verified"), "{name}: {remarks}");
    }
}

#[test]
fn plain_where_tls_was_meant_and_the_other_way_round() {
    let plain = Server::start(|peer| {
        peer.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        peer.hold();
    });
    let report = hit(&format!("https://{}/", plain.address()), &["-k"], "/dev/null");
    assert_eq!(count(&report, "calls.failed"), 4, "{report}");
    assert_eq!(report["errors"][0]["phase"], "tls", "{report}");
    assert_eq!(report["errors"][0]["kind"], "tls_protocol", "{report}");

    // The server answers with a TLS alert, which is no HTTP, and closes.
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

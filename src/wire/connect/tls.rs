//! TLS settings, made once per run and shared by all shards.
//!
//! `endpoint` creates them for a service, `connection` uses them.
//! Invariant: certificates are verified unless a service says `insecure`, which the report states.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::plan::transport::{ClientIdentity, HttpVersion, TlsConfig};
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::connect::fault;
use crate::wire::connect::verifier::CertificateVerifier;

/// The TLS client of a service.
#[derive(Clone, Debug)]
pub(in crate::wire) struct TlsClient {
    pub(in crate::wire) config: Arc<ClientConfig>,
    /// Server name to request and verify.
    pub(in crate::wire) name: ServerName<'static>,
    /// Whether the target has requested a certificate; `None` if the service has one to present.
    wanted: Option<Arc<RequestedCertificate>>,
}

/// A resolver without a certificate that remembers whether one was requested.
#[derive(Debug, Default)]
struct RequestedCertificate(AtomicBool);

impl TlsClient {
    /// Creates the client of a service with these settings and this server name.
    ///
    /// # Errors
    /// If the system's trust store cannot be read, or a configured root is not a valid certificate.
    pub(in crate::wire) fn new(
        tls: &TlsConfig,
        version: HttpVersion,
        name: ServerName<'static>,
    ) -> Result<Self, Error> {
        let wanted = tls.identity.is_none().then(Arc::<RequestedCertificate>::default);
        let config = build_config(tls, version, wanted.clone())?;
        Ok(Self { config, name, wanted })
    }

    /// Returns the outcome of a failed handshake. A target that requested a certificate and got
    /// none may fail with any alert: TLS 1.2 has none for it.
    pub(in crate::wire) fn failure(&self, error: &io::Error) -> AttemptOutcome {
        let outcome = fault::outcome(AttemptPhase::Tls, error);
        let Some(wanted) = &self.wanted else { return outcome };
        match (outcome, wanted.0.load(Relaxed)) {
            (
                AttemptOutcome::Failed(
                    phase,
                    FailureKind::TlsCipher | FailureKind::ClientCertificateRefused,
                ),
                true,
            ) => AttemptOutcome::Failed(phase, FailureKind::ClientCertificateWanted),
            // There was no certificate to refuse.
            (AttemptOutcome::Failed(phase, FailureKind::ClientCertificateRefused), false) => {
                AttemptOutcome::Failed(phase, FailureKind::TlsProtocol)
            }
            (outcome, _) => outcome,
        }
    }
}

impl ResolvesClientCert for RequestedCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

fn build_config(
    tls: &TlsConfig,
    version: HttpVersion,
    wanted: Option<Arc<RequestedCertificate>>,
) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let verifier: Arc<dyn ServerCertVerifier> = if tls.insecure {
        Arc::new(AcceptAny(provider))
    } else {
        Arc::new(CertificateVerifier {
            inner: build_verifier(tls, provider)?,
            trusted: tls.roots.clone(),
        })
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match (&tls.identity, wanted) {
        (Some(ClientIdentity { chain, key }), _) => {
            builder.with_client_auth_cert(chain.clone(), key.clone_key())?
        }
        (None, Some(wanted)) => builder.with_client_cert_resolver(wanted),
        (None, None) => builder.with_no_client_auth(),
    };
    let offered: &[&[u8]] = match version {
        HttpVersion::Http1 => &[],
        HttpVersion::Http2 => &[b"h2"],
        HttpVersion::Auto => &[b"h2", b"http/1.1"],
    };
    config.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

/// Builds the verifier of the service's own roots, or of the system's if it has none.
fn build_verifier(
    tls: &TlsConfig,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    if tls.roots.is_empty() {
        return system_verifier(provider);
    }
    let mut roots = RootCertStore::empty();
    for root in &tls.roots {
        roots.add(root.clone())?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    Ok(verifier.build().map_err(|error| Error::General(error.to_string()))?)
}

/// Returns the verifier of the system's roots. They are read once per process, since reading a
/// hundred certificates takes tens of milliseconds: a shard that read them itself would begin late.
fn system_verifier(provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    static SYSTEM: OnceLock<Result<Arc<dyn ServerCertVerifier>, Error>> = OnceLock::new();
    let verifier =
        SYSTEM.get_or_init(|| Ok(Arc::new(rustls_platform_verifier::Verifier::new(provider)?)));
    verifier.clone()
}

/// Accepts any certificate; signatures are still checked, so a broken peer is detected.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

//! Verifies a target's certificate, and classifies one that fails.
//!
//! `tls` installs it in a service's settings, unless the service accepts any certificate.
//! Invariant: a certificate is accepted only if its dates and its names are valid, and if a trusted
//! issuer signed it or it was itself configured as trusted.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use crate::wire::connect::tls_fault::{self, SelfSigned};

/// A verifier that also trusts configured certificates as they are.
#[derive(Debug)]
pub(in crate::wire) struct CertificateVerifier {
    /// The rules of the web's PKI.
    pub(in crate::wire) inner: Arc<dyn ServerCertVerifier>,
    /// Certificates configured as `ca`: trusted even if one is the target's own, as curl does.
    pub(in crate::wire) trusted: Vec<CertificateDer<'static>>,
}

impl CertificateVerifier {
    /// Accepts a certificate that is byte for byte a configured one, if its names are valid, too;
    /// else classifies the failure.
    fn reconsider(
        &self,
        error: Error,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
    ) -> Result<ServerCertVerified, Error> {
        if !tls_fault::is_untrusted(&error) {
            return Err(error);
        }
        if self.trusted.contains(certificate) {
            verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let signs_itself = webpki::EndEntityCert::try_from(certificate)
            .is_ok_and(|parsed| parsed.issuer() == parsed.subject());
        if signs_itself {
            let why = CertificateError::Other(OtherError(Arc::new(SelfSigned)));
            return Err(Error::InvalidCertificate(why));
        }
        Err(error)
    }
}

impl ServerCertVerifier for CertificateVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp, now);
        verified.or_else(|error| self.reconsider(error, end_entity, server_name))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.inner.root_hint_subjects()
    }
}

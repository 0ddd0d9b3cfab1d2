//! Classifies TLS errors: why a certificate or a handshake failed.
//!
//! `fault` calls it for each rustls error; `verifier` creates some of the certificate errors.
//! Invariant: each kind has one remedy; errors without a specific one are `certificate` or
//! `tls_protocol`.

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::stats::FailureKind;

/// The certificate is its own issuer.
#[derive(Debug, thiserror::Error)]
#[error("the certificate is self-signed and not trusted")]
pub(in crate::wire) struct SelfSigned;

/// Returns the kind of an error.
pub(in crate::wire) fn kind(error: &Error) -> FailureKind {
    match error {
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::PeerIncompatible(why) => of_offer(why),
        Error::NoApplicationProtocol => FailureKind::NoHttp2,
        _ => FailureKind::TlsProtocol,
    }
}

/// Whether the certificate's issuer was not found, and everything checked before it is valid: the
/// dates are checked before the issuer.
pub(in crate::wire) fn is_untrusted(error: &Error) -> bool {
    let Error::InvalidCertificate(why) = error else { return false };
    matches!(why, CertificateError::UnknownIssuer | CertificateError::BadSignature) || is_of_ca(why)
}

fn is_of_ca(why: &CertificateError) -> bool {
    let CertificateError::Other(other) = why else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Returns the text of a rustls error; of an error that rustls passes on, the text of its source.
pub(in crate::wire) fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => other.0.to_string(),
        error => error.to_string(),
    }
}

fn of_certificate(why: &CertificateError) -> FailureKind {
    use CertificateError as Why;
    match why {
        Why::Expired | Why::ExpiredContext { .. } => FailureKind::CertificateExpired,
        Why::NotValidYet | Why::NotValidYetContext { .. } => FailureKind::CertificateNotYetValid,
        Why::NotValidForName | Why::NotValidForNameContext { .. } => {
            FailureKind::CertificateWrongHost
        }
        // A CA that was created anew has the name of the old one, and another key.
        Why::UnknownIssuer | Why::BadSignature => FailureKind::CertificateUnknownIssuer,
        Why::Revoked => FailureKind::CertificateRevoked,
        Why::Other(other) if other.0.is::<SelfSigned>() => FailureKind::CertificateSelfSigned,
        why if is_of_ca(why) => FailureKind::CertificateOfCa,
        _ => FailureKind::Certificate,
    }
}

/// Classifies the alert that a target sent before it gave up (RFC 8446 §6.2).
fn of_alert(alert: AlertDescription) -> FailureKind {
    use AlertDescription as Alert;
    match alert {
        Alert::ProtocolVersion => FailureKind::TlsVersion,
        Alert::HandshakeFailure | Alert::InsufficientSecurity => FailureKind::TlsCipher,
        Alert::NoApplicationProtocol => FailureKind::NoHttp2,
        Alert::UnrecognisedName => FailureKind::TlsUnknownName,
        Alert::CertificateRequired | Alert::NoCertificate => FailureKind::ClientCertificateWanted,
        // The certificates that the target rejected are ours.
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied
        | Alert::DecryptError => FailureKind::ClientCertificateRefused,
        _ => FailureKind::TlsProtocol,
    }
}

fn of_offer(why: &PeerIncompatible) -> FailureKind {
    match why {
        PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::SupportedVersionsExtensionRequired => FailureKind::TlsVersion,
        _ => FailureKind::TlsCipher,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::OtherError;

    use super::*;

    /// An error of webpki that has no variant of its own in rustls.
    fn other(error: impl std::error::Error + Send + Sync + 'static) -> CertificateError {
        CertificateError::Other(OtherError(Arc::new(error)))
    }

    #[test]
    fn each_certificate_error_has_a_kind() {
        for (why, expected) in [
            (CertificateError::Expired, "certificate_expired"),
            (CertificateError::NotValidYet, "certificate_not_yet_valid"),
            (CertificateError::NotValidForName, "certificate_wrong_host"),
            (CertificateError::UnknownIssuer, "certificate_unknown_issuer"),
            (CertificateError::Revoked, "certificate_revoked"),
            (CertificateError::BadSignature, "certificate_unknown_issuer"),
            (CertificateError::BadEncoding, "certificate"),
            (CertificateError::InvalidPurpose, "certificate"),
            (other(SelfSigned), "certificate_self_signed"),
            (other(webpki::Error::CaUsedAsEndEntity), "certificate_of_ca"),
            (other(webpki::Error::BadDer), "certificate"),
        ] {
            let error = Error::InvalidCertificate(why);
            assert_eq!(kind(&error).name(), expected, "{error}");
        }
    }

    #[test]
    fn each_alert_number_has_a_kind() {
        // The numbers of RFC 8446 §6.
        for (number, expected) in [
            (10, "tls_protocol"),
            (20, "tls_protocol"),
            (40, "tls_cipher"),
            (42, "client_certificate_refused"),
            (43, "client_certificate_refused"),
            (44, "client_certificate_refused"),
            (45, "client_certificate_refused"),
            (46, "client_certificate_refused"),
            (48, "client_certificate_refused"),
            (49, "client_certificate_refused"),
            (51, "client_certificate_refused"),
            (70, "tls_version"),
            (71, "tls_cipher"),
            (80, "tls_protocol"),
            (112, "tls_unknown_name"),
            (116, "client_certificate_wanted"),
            (120, "no_http2"),
        ] {
            let error = Error::AlertReceived(AlertDescription::from(number));
            assert_eq!(kind(&error).name(), expected, "{number}");
        }
    }

    #[test]
    fn only_unknown_issuers_are_untrusted() {
        let error = |why| Error::InvalidCertificate(why);
        assert!(is_untrusted(&error(CertificateError::UnknownIssuer)));
        assert!(is_untrusted(&error(other(webpki::Error::CaUsedAsEndEntity))));
        for why in [CertificateError::Expired, CertificateError::NotValidForName, other(SelfSigned)]
        {
            assert!(!is_untrusted(&error(why)));
        }
    }
}

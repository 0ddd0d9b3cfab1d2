//! What an error of TLS is called: why a certificate or a handshake did not hold.
//!
//! `fault` asks it for each error that rustls made, `verifier` makes those of certificates.
//! Invariant: each kind has one cure; what has none of its own is `certificate` or `tls_protocol`.

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::verifier::SelfSigned;
use crate::stats::FailureKind;

/// The kind of an error.
pub(super) fn kind(error: &Error) -> FailureKind {
    match error {
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::PeerIncompatible(why) => of_offer(why),
        Error::NoApplicationProtocol => FailureKind::NoHttp2,
        _ => FailureKind::TlsProtocol,
    }
}

/// Whether no issuer of the certificate was found, and all else that was looked at held: its dates
/// are looked at before.
pub(super) fn is_untrusted(error: &Error) -> bool {
    let Error::InvalidCertificate(why) = error else { return false };
    matches!(why, CertificateError::UnknownIssuer | CertificateError::BadSignature) || is_of_ca(why)
}

fn is_of_ca(why: &CertificateError) -> bool {
    let CertificateError::Other(other) = why else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// What rustls says of an error; of one that it passes on, what its maker says.
pub(super) fn words(error: &Error) -> String {
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
        // A CA that was made anew has the name of the old one, and another key.
        Why::UnknownIssuer | Why::BadSignature => FailureKind::CertificateUnknownIssuer,
        Why::Revoked => FailureKind::CertificateRevoked,
        Why::Other(other) if other.0.is::<SelfSigned>() => FailureKind::CertificateSelfSigned,
        why if is_of_ca(why) => FailureKind::CertificateOfCa,
        _ => FailureKind::Certificate,
    }
}

/// What the target said before it gave up (RFC 8446 §6.2).
fn of_alert(alert: AlertDescription) -> FailureKind {
    use AlertDescription as Alert;
    match alert {
        Alert::ProtocolVersion => FailureKind::TlsVersion,
        Alert::HandshakeFailure | Alert::InsufficientSecurity => FailureKind::TlsCipher,
        Alert::NoApplicationProtocol => FailureKind::NoHttp2,
        Alert::UnrecognisedName => FailureKind::TlsUnknownName,
        Alert::CertificateRequired | Alert::NoCertificate => FailureKind::ClientCertificateWanted,
        // Certificates that the target did not accept are ours.
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

    /// What webpki says that has no name of its own in rustls.
    fn other(error: impl std::error::Error + Send + Sync + 'static) -> CertificateError {
        CertificateError::Other(OtherError(Arc::new(error)))
    }

    #[test]
    fn certificates_have_a_kind_by_their_fault() {
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
    fn alerts_have_a_kind_by_their_number() {
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
    fn only_a_missing_issuer_is_cured_by_trust() {
        let error = |why| Error::InvalidCertificate(why);
        assert!(is_untrusted(&error(CertificateError::UnknownIssuer)));
        assert!(is_untrusted(&error(other(webpki::Error::CaUsedAsEndEntity))));
        for why in [CertificateError::Expired, CertificateError::NotValidForName, other(SelfSigned)]
        {
            assert!(!is_untrusted(&error(why)));
        }
    }
}

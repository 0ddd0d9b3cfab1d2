//! Parses PEM certificates and private keys, for `tls:` of a service and the flags of `hit`.
//!
//! Invariant: the chain and the key of an identity match.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::plan::transport::ClientIdentity;

/// The expected content of a certificate file.
pub(crate) const CERTIFICATES: &str = "a PEM file of certificates";

/// The expected content of a key file.
pub(crate) const KEY: &str = "a PEM file with one private key, not encrypted";

/// Parses the certificates of a file; the error is a message about the file.
pub(crate) fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("no certificate in this file".to_owned()),
        Err(error) => Err(format!("not a PEM file: {error}")),
    }
}

/// Parses the private key of a file; the error is a message about the file.
pub(crate) fn key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|_| "no private key in this file".to_owned())
}

/// Combines a client certificate and its key; the error says why they do not match.
pub(crate) fn identity(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientIdentity, String> {
    let provider = rustls::crypto::ring::default_provider();
    match CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider) {
        Ok(_) => Ok(ClientIdentity { chain, key: Arc::new(key) }),
        Err(error) => Err(format!("this key does not match the certificate: {error}")),
    }
}

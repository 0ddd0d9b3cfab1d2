//! Certificates and private keys in PEM, as `tls:` of a service and the flags of `hit` name them.
//!
//! Invariant: a chain and a key that come out as an identity fit each other.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::plan::transport::ClientIdentity;

/// What a file of certificates is.
pub(super) const CERTIFICATES: &str = "a PEM file of certificates";

/// What a file with a private key is.
pub(super) const KEY: &str = "a PEM file with one private key, not encrypted";

/// The certificates in a file; the error says what is wrong with it.
pub(super) fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err("there is no certificate in this file".to_owned()),
        Err(error) => Err(format!("no PEM file: {error}")),
    }
}

/// The private key in a file; the error says what is wrong with it.
pub(super) fn key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(bytes)
        .map_err(|_| "there is no private key in this file".to_owned())
}

/// A client certificate with its key; the error says why they do not fit each other.
pub(super) fn identity(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientIdentity, String> {
    let provider = rustls::crypto::ring::default_provider();
    match CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider) {
        Ok(_) => Ok(ClientIdentity { chain, key: Arc::new(key) }),
        Err(error) => Err(format!("this key does not fit the certificate: {error}")),
    }
}

//! The HTTP client of what goes on beside the load: monitors, and receivers of metrics.
//!
//! `run::monitors` and `sinks::metrics` use it; requests of the load go through `wire`.
//! Invariant: a request takes a bounded time, follows no redirect and uses no proxy.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

/// A client of this URL whose requests end within `timeout`. It trusts the roots of the system;
/// they are read only if the URL needs them, since that takes tens of milliseconds.
///
/// # Errors
/// If the roots cannot be read, as text.
pub fn side_client(url: &str, timeout: Duration) -> Result<reqwest::Client, String> {
    let config = tls_config(url)?;
    let client = builder(timeout).tls_backend_preconfigured(config);
    client.build().map_err(|error| cause(&error))
}

/// As [`side_client`], but all requests use HTTP/2, as gRPC does.
///
/// # Errors
/// If the roots cannot be read, as text.
#[cfg(feature = "metrics")]
pub fn side_client_http2(url: &str, timeout: Duration) -> Result<reqwest::Client, String> {
    let mut config = tls_config(url)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let client = builder(timeout).tls_backend_preconfigured(config).http2_prior_knowledge();
    client.build().map_err(|error| cause(&error))
}

fn builder(timeout: Duration) -> reqwest::ClientBuilder {
    let client = reqwest::Client::builder().timeout(timeout).no_proxy();
    client.redirect(reqwest::redirect::Policy::none())
}

fn tls_config(url: &str) -> Result<ClientConfig, String> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions();
    let scheme = url.split(':').next().unwrap_or_default();
    let config = if scheme.eq_ignore_ascii_case("https") {
        config.and_then(BuilderVerifierExt::with_platform_verifier)
    } else {
        config.map(|config| config.with_root_certificates(RootCertStore::empty()))
    };
    Ok(config.map_err(|error| error.to_string())?.with_no_client_auth())
}

/// An error with its cause: `reqwest` says only that something failed.
pub fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

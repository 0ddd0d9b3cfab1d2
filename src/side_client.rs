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
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions();
    let scheme = url.split(':').next().unwrap_or_default();
    let config = if scheme.eq_ignore_ascii_case("https") {
        config.and_then(BuilderVerifierExt::with_platform_verifier)
    } else {
        config.map(|config| config.with_root_certificates(RootCertStore::empty()))
    };
    let config = config.map_err(|error| error.to_string())?;
    reqwest::Client::builder()
        .timeout(timeout)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .tls_backend_preconfigured(config.with_no_client_auth())
        .build()
        .map_err(|error| cause(&error))
}

/// An error with its cause: `reqwest` says only that something failed.
pub fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

//! Transport options of `hit`: TLS, proxy, other addresses, HTTP version, login.
//!
//! Invariant: each flag means the same as the corresponding key of a service.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::files::{FileRole, Files};
use crate::plan::Address;
use crate::plan::transport::{Auth, HttpVersion, TlsConfig, TransportConfig};
use crate::scenario::service::{pem, transport_text};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::header;
use crate::scenario::syntax::mistake::truncate;
use crate::template::Template;

/// Maximum size of a file of certificates or keys, bytes.
const MAX_PEM: u64 = 16 << 20;

/// Maximum path of a socket, bytes: the kernel's limit.
const MAX_SOCKET_PATH: usize = 107;

/// Client options of `hit`.
#[derive(Clone, Debug)]
pub struct HitClient {
    /// Whether to use HTTP/2: prior knowledge over plain TCP, ALPN over TLS.
    pub http2: bool,
    /// Whether to accept certificates that cannot be verified.
    pub insecure: bool,
    /// A PEM file of trusted certificates, instead of the system's.
    pub ca: Option<PathBuf>,
    /// A PEM file with the client certificate.
    pub cert: Option<PathBuf>,
    /// A PEM file with its private key; `None`: the same file.
    pub key: Option<PathBuf>,
    /// `user:password` for Basic authentication (RFC 7617).
    pub login: Option<String>,
    /// Maximum redirects to follow; `None`: a redirect is a final response.
    pub redirects: Option<u32>,
    /// Whether a connection carries more than one request.
    pub keep_alive: bool,
    /// Addresses to connect to instead: `HOST:PORT`, or curl's `HOST1:PORT1:HOST2:PORT2`.
    pub connect_to: Vec<String>,
    /// A Unix socket to connect to instead.
    pub unix: Option<PathBuf>,
    /// The URL of a proxy.
    pub proxy: Option<String>,
}

impl Default for HitClient {
    fn default() -> Self {
        Self {
            http2: false,
            insecure: false,
            ca: None,
            cert: None,
            key: None,
            login: None,
            redirects: None,
            keep_alive: true,
            connect_to: Vec::new(),
            unix: None,
            proxy: None,
        }
    }
}

/// Builds the transport of all origins; `None` if a flag is wrong, which is reported.
pub(crate) fn transport(
    diagnostics: &mut Diagnostics,
    client: &HitClient,
) -> Option<TransportConfig> {
    let before = diagnostics.count();
    let tls = tls(diagnostics, client);
    let mut report = |flag: &str, message: String, expected: &str| {
        diagnostics.global_mistake(flag, message).expected(expected);
    };
    let auth = client.login.as_ref().and_then(|login| {
        if !login.contains(':') || !header::is_value(login) {
            report("--user", "invalid credentials".to_owned(), "USER:PASSWORD on one line");
            return None;
        }
        Some(Auth::Basic(Template::literal(login.as_bytes())))
    });
    for text in &client.connect_to {
        if connect_to(text).is_none() {
            let message = format!("invalid address `{}`", truncate(text));
            report("--connect-to", message, "HOST:PORT or HOST1:PORT1:HOST2:PORT2");
        }
    }
    let fits = |path: &&PathBuf| (1..=MAX_SOCKET_PATH).contains(&path.as_os_str().len());
    if client.unix.as_ref().is_some_and(|path| !fits(&path)) {
        let message = "invalid socket path".to_owned();
        report("--unix", message, "a path of 1 to 107 bytes, such as /run/app.sock");
    }
    let proxy = client.proxy.as_ref().and_then(|text| {
        let proxy = transport_text::proxy(text);
        if proxy.is_none() {
            // Without the text, because it may contain a password.
            report("--proxy", "invalid proxy".to_owned(), transport_text::PROXY);
        }
        proxy
    });
    if client.unix.is_some() && client.proxy.is_some() {
        let message = "conflicts with `--unix`".to_owned();
        report("--proxy", message, "only one of them");
    }
    if client.http2 && !client.keep_alive {
        let message = "conflicts with `--http2`".to_owned();
        report(
            "--disable-keepalive",
            message,
            "only one of them, since HTTP/2 reuses its connection",
        );
    }
    (diagnostics.count() == before).then(|| TransportConfig {
        auth,
        tls,
        unix: client.unix.clone(),
        proxy,
        version: if client.http2 { HttpVersion::Http2 } else { HttpVersion::Http1 },
        ..TransportConfig::default()
    })
}

/// Returns the transport for one origin, because `--connect-to` may be limited to an origin.
pub(crate) fn for_origin(
    transport: &TransportConfig,
    client: &HitClient,
    address: &Address,
) -> TransportConfig {
    let found = client.connect_to.iter().find_map(|text| {
        let (only, to) = connect_to(text)?;
        let is_for = only.is_none_or(|(host, port)| {
            (host.is_empty() || host.eq_ignore_ascii_case(&address.host))
                && (port.is_empty() || port.parse() == Ok(address.port))
        });
        is_for.then_some(to)
    });
    TransportConfig { connect_to: found, ..transport.clone() }
}

/// Host and port of the origin it applies to, empty for any; and the address to connect to.
type ConnectTo<'t> = (Option<(&'t str, &'t str)>, (String, u16));

/// Parses `HOST:PORT`, or `HOST1:PORT1:HOST2:PORT2` in which HOST1 and PORT1 may be empty.
fn connect_to(text: &str) -> Option<ConnectTo<'_>> {
    if let Some(address) = transport_text::address(text) {
        return Some((None, address));
    }
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => inner.split_once("]:")?,
        None => text.split_once(':')?,
    };
    let (port, address) = rest.split_once(':')?;
    let is_port = port.is_empty() || port.parse::<u16>().is_ok();
    is_port.then_some(())?;
    Some((Some((host, port)), transport_text::address(address)?))
}

fn tls(diagnostics: &mut Diagnostics, client: &HitClient) -> TlsConfig {
    let files = diagnostics.files.clone();
    let mut report = |flag: &str, path: &Path, problem: &str, expected: &str| {
        diagnostics
            .global_mistake(flag, format!("`{}`: {problem}", path.display()))
            .expected(expected);
    };
    let mut read = |flag: &str, path: &Path, role, expected: &str| match bytes(&files, path, role) {
        Ok(bytes) => Some(bytes),
        Err(problem) => {
            report(flag, path, &problem, expected);
            None
        }
    };
    let ca = client
        .ca
        .as_deref()
        .map(|path| (path, read("--cacert", path, FileRole::Certificates, pem::CERTIFICATES)));
    let cert = client
        .cert
        .as_deref()
        .map(|path| (path, read("--cert", path, FileRole::ClientCertificate, pem::CERTIFICATES)));
    let key_path = client.key.as_deref().or(client.cert.as_deref());
    let key = key_path.map(|path| (path, read("--key", path, FileRole::PrivateKey, pem::KEY)));
    let roots = ca.and_then(|(path, bytes)| {
        let found = pem::certificates(&bytes?);
        found.map_err(|problem| report("--cacert", path, &problem, pem::CERTIFICATES)).ok()
    });
    let identity = match (cert, key) {
        (Some((cert_path, cert)), Some((key_path, key))) => {
            let (cert, key) = (cert.map(|b| pem::certificates(&b)), key.map(|b| pem::key(&b)));
            match (cert, key) {
                (Some(Ok(chain)), Some(Ok(key))) => pem::identity(chain, key)
                    .map_err(|problem| report("--key", key_path, &problem, pem::KEY))
                    .ok(),
                (cert, key) => {
                    if let Some(Err(problem)) = cert {
                        report("--cert", cert_path, &problem, pem::CERTIFICATES);
                    }
                    if let Some(Err(problem)) = key {
                        report("--key", key_path, &problem, pem::KEY);
                    }
                    None
                }
            }
        }
        (None, Some((path, _))) => {
            report("--key", path, "`--key` without a certificate", "`--cert FILE`");
            None
        }
        _ => None,
    };
    let roots = roots.unwrap_or_default();
    TlsConfig { insecure: client.insecure, roots, identity, server_name: None }
}

/// Reads a regular file of at most [`MAX_PEM`] bytes.
fn bytes(files: &Files, path: &Path, role: FileRole) -> Result<Vec<u8>, String> {
    let file = files.open(path, role).map_err(|error| error.to_string())?;
    if !file.metadata().is_ok_and(|about| about.is_file()) {
        return Err("not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(MAX_PEM + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_PEM {
        return Err(format!("larger than {} MiB", MAX_PEM >> 20));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_to_names_an_address_and_the_origin_that_it_is_for() {
        let to = |host: &str, port| (host.to_owned(), port);
        for (text, expect) in [
            ("127.0.0.1:81", Some((None, to("127.0.0.1", 81)))),
            ("[::1]:81", Some((None, to("::1", 81)))),
            ("a.test:80:127.0.0.1:81", Some((Some(("a.test", "80")), to("127.0.0.1", 81)))),
            ("::127.0.0.1:81", Some((Some(("", "")), to("127.0.0.1", 81)))),
            ("a.test::[::1]:81", Some((Some(("a.test", "")), to("::1", 81)))),
            ("[::2]:80:[::1]:81", Some((Some(("::2", "80")), to("::1", 81)))),
            ("a.test", None),
            ("a.test:x:b.test:1", None),
            ("a.test:1:b.test", None),
        ] {
            assert_eq!(connect_to(text), expect, "{text}");
        }
        let client = HitClient {
            connect_to: vec!["a.test::[::1]:81".to_owned(), "127.0.0.1:82".to_owned()],
            ..HitClient::default()
        };
        let of = |host: &str| {
            let address = Address { host: host.to_owned(), port: 80, ..Address::default() };
            for_origin(&TransportConfig::default(), &client, &address).connect_to
        };
        assert_eq!(of("A.test"), Some(to("::1", 81)));
        assert_eq!(of("b.test"), Some(to("127.0.0.1", 82)));
    }
}

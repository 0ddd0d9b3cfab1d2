//! The address of a bus: its URL, certificates, and whether it may be used without encryption.
//!
//! `cli` parses it from the command line; `connection` connects to it.
//! Invariant: no text made of an address has its password; a connection that is not encrypted does
//! not leave this machine unless it was permitted.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates,
};

use super::error::{BusError, one_line};

/// The environment variable with the password: a command line can be read by other users of a
/// machine.
pub use crate::template::OWN_VARIABLE as PASSWORD_VARIABLE;

/// The longest file of certificates, bytes.
const MAX_FILE: u64 = 1 << 20;

/// What the command line says besides the URL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BusOptions {
    /// Certificates that the server's has to lead to, in place of the system's.
    pub ca: Option<PathBuf>,
    /// The client's certificate.
    pub cert: Option<PathBuf>,
    /// The key of the client's certificate.
    pub key: Option<PathBuf>,
    /// Whether a connection to another machine may be without encryption.
    pub allow_plaintext: bool,
}

/// The address of a bus, checked.
#[derive(Clone)]
pub struct BusAddress {
    client: Client,
    /// As it is shown: without the password.
    shown: String,
    port: u16,
    is_loopback: bool,
    is_encrypted: bool,
}

impl BusAddress {
    /// Parses a URL, `redis://[user[:password]@]host[:port][/database]` or `rediss://…`, and reads
    /// the files of certificates. A password that is not in the URL is taken from the environment
    /// ([`PASSWORD_VARIABLE`]).
    ///
    /// # Errors
    /// If the URL or a file is not valid, or the connection would leave this machine without
    /// encryption and that is not permitted.
    pub fn parse(url: &str, options: &BusOptions) -> Result<Self, BusError> {
        let password = std::env::var(PASSWORD_VARIABLE).ok().filter(|text| !text.is_empty());
        Self::parse_with(url, options, password.as_deref())
    }

    /// Parses a URL as [`BusAddress::parse`], whose password is in the URL alone: that of the bus
    /// is for no other server.
    ///
    /// # Errors
    /// As above.
    pub fn parse_alone(url: &str, options: &BusOptions) -> Result<Self, BusError> {
        Self::parse_with(url, options, None)
    }

    fn parse_with(
        url: &str,
        options: &BusOptions,
        password: Option<&str>,
    ) -> Result<Self, BusError> {
        let invalid = |why: &str| BusError::InvalidUrl { why: why.to_owned() };
        let is_encrypted = match url.split_once("://") {
            Some(("redis", _)) => false,
            Some(("rediss", _)) => true,
            _ => return Err(invalid("it begins with neither rediss:// nor redis://")),
        };
        if url.contains(['?', '#']) {
            return Err(invalid("it has a `?` or `#`; write those of a password as %3F and %23"));
        }
        // Errors of the library do not contain the URL.
        let info =
            url.into_connection_info().map_err(|error| invalid(&one_line(&error.to_string())))?;
        let (host, port) = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                (host.clone(), *port)
            }
            _ => return Err(invalid("it has no host")),
        };
        let settings = info.redis_settings().clone();
        let database = settings.db();
        if database < 0 {
            return Err(invalid("the database is negative"));
        }
        let user = settings.username().map(|user| format!("{}@", one_line(user)));
        let place =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let scheme = if is_encrypted { "rediss" } else { "redis" };
        let path = if database == 0 { String::new() } else { format!("/{database}") };
        let shown = format!("{scheme}://{}{place}{path}", user.unwrap_or_default());
        if !is_encrypted && !options.allow_plaintext && !is_loopback(&host) {
            return Err(BusError::Plaintext { address: shown });
        }
        let settings = match password.filter(|_| settings.password().is_none()) {
            Some(password) => settings.set_password(password),
            None => settings,
        };
        // Users of least privilege may not name their library.
        let info = info.set_redis_settings(settings.set_skip_set_lib_name());
        let client = client_of(info, is_encrypted, options)?;
        Ok(Self { client, shown, port, is_loopback: is_loopback(&host), is_encrypted })
    }

    /// The port of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The client of the library.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the bus is on this machine.
    pub fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }
}

impl fmt::Display for BusAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for BusAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BusAddress({})", self.shown)
    }
}

/// Whether a host is this machine. Names other than `localhost` may lead anywhere.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}

fn client_of(
    info: ConnectionInfo,
    is_encrypted: bool,
    options: &BusOptions,
) -> Result<Client, BusError> {
    let BusOptions { ca, cert, key, .. } = options;
    let has_files = ca.is_some() || cert.is_some() || key.is_some();
    let invalid =
        |error: redis::RedisError| BusError::InvalidUrl { why: one_line(&error.to_string()) };
    if !is_encrypted {
        let unused = "certificates are of no use with redis://; use rediss://";
        return if has_files {
            Err(BusError::Options(unused))
        } else {
            Client::open(info).map_err(invalid)
        };
    }
    let client_tls = match (cert, key) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig {
            client_cert: pem(cert, "CERTIFICATE", "the certificate of this client")?,
            client_key: pem(key, "PRIVATE KEY", "the key of this client's certificate")?,
        }),
        (None, None) => None,
        _ => {
            return Err(BusError::Options(
                "a client certificate for the bus needs both its certificate and its key",
            ));
        }
    };
    let root_cert = ca
        .as_deref()
        .map(|ca| pem(ca, "CERTIFICATE", "certificates of authorities"))
        .transpose()?;
    // Files that look like PEM and are not are the only mistake left here.
    let path = ca.iter().chain(cert).next().cloned().unwrap_or_default();
    let certificates = TlsCertificates { client_tls, root_cert };
    Client::build_with_tls(info, certificates).map_err(|error| {
        let why = one_line(&error.to_string());
        BusError::File { path, why, expected: "certificates and keys" }
    })
}

/// Reads a file that has a block of this label.
fn pem(path: &Path, label: &str, expected: &'static str) -> Result<Vec<u8>, BusError> {
    use std::io::Read;
    let failed = |why: String| BusError::File { path: path.to_owned(), why, expected };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(failed(format!("longer than {MAX_FILE} bytes")));
    }
    let label = format!("{label}-----");
    if !String::from_utf8_lossy(&bytes).contains(&label) {
        return Err(failed("no such block in it".to_owned()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::ExitStatus;

    fn parsed(url: &str, options: &BusOptions) -> Result<BusAddress, BusError> {
        BusAddress::parse_with(url, options, Some("from-environment"))
    }

    fn password(address: &BusAddress) -> Option<String> {
        let settings = address.client.get_connection_info().redis_settings();
        settings.password().map(str::to_owned)
    }

    #[test]
    fn urls_are_shown_without_their_password() {
        let cases = [
            ("redis://127.0.0.1", "redis://127.0.0.1:6379", "from-environment"),
            ("redis://[::1]:7000/2", "redis://[::1]:7000/2", "from-environment"),
            ("redis://:pa%3Fss@localhost:1", "redis://localhost:1", "pa?ss"),
            ("rediss://me:secret@h.example/0", "rediss://me@h.example:6379", "secret"),
            ("rediss://me@h.example", "rediss://me@h.example:6379", "from-environment"),
        ];
        for (url, shown, secret) in cases {
            let address = parsed(url, &BusOptions::default()).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(format!("{address:?}"), format!("BusAddress({shown})"));
            assert_eq!(password(&address).as_deref(), Some(secret), "{url}");
        }
    }

    #[test]
    fn urls_that_are_none_of_a_bus_are_refused_without_their_password() {
        for url in [
            "",
            "host:6379",
            "http://host",
            "redis+unix:///run/redis.sock",
            "redis://",
            "redis://me:hidden@h:notaport",
            "rediss://me:hidden@host/x",
            "rediss://me:hidden@host/-1",
            "rediss://host/#insecure",
            "rediss://host?protocol=resp3",
            "redis://0.0.0.0",
        ] {
            let error = parsed(url, &BusOptions::default()).unwrap_err();
            assert!(matches!(error, BusError::InvalidUrl { .. }), "{url}: {error}");
            assert_eq!(error.ending(), ExitStatus::Usage);
            let text = error.to_string();
            assert!(!text.contains("hidden") && text.contains("expected rediss://"), "{text}");
        }
    }

    #[test]
    fn plaintext_leaves_this_machine_only_if_permitted() {
        for url in ["redis://10.0.0.7", "redis://a:hidden@bus.example:1/3", "redis://[fe80::1]"] {
            let error = parsed(url, &BusOptions::default()).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("--insecure-bus") && !text.contains("hidden"), "{text}");
            let permitted = BusOptions { allow_plaintext: true, ..BusOptions::default() };
            assert!(parsed(url, &permitted).is_ok());
        }
        for url in ["redis://127.8.9.1", "redis://[::ffff:127.0.0.1]", "redis://LOCALHOST:9"] {
            assert!(parsed(url, &BusOptions::default()).is_ok(), "{url}");
        }
    }

    #[test]
    fn files_of_certificates_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.pem");
        std::fs::write(&file, "hello").unwrap();
        let ca = |path: &Path| BusOptions { ca: Some(path.to_owned()), ..BusOptions::default() };
        for path in [file.as_path(), &folder.path().join("none"), folder.path()] {
            let error = parsed("rediss://h", &ca(path)).unwrap_err();
            assert!(matches!(error, BusError::File { .. }), "{error}");
        }
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----").unwrap();
        assert!(matches!(parsed("rediss://h", &ca(&file)), Err(BusError::File { .. })));
        let half = BusOptions { cert: Some(file.clone()), ..BusOptions::default() };
        assert!(matches!(parsed("rediss://h", &half), Err(BusError::Options(_))));
        assert!(matches!(parsed("redis://localhost", &ca(&file)), Err(BusError::Options(_))));
    }
}

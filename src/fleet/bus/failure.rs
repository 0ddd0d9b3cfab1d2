//! Errors of the Redis library as those of the bus.
//!
//! `connection` and `hints` use it.
//! Invariant: a cure is named where the kind of error tells one.

use std::error::Error;
use std::io;

use redis::{ErrorKind, RedisError};

use super::address::BusAddress;
use super::error::{BusError, one_line};

/// Tells what an error of the library means.
pub(super) fn error_of(address: &BusAddress, error: &RedisError) -> BusError {
    let (shown, why) = (address.to_string(), one_line(&error.to_string()));
    if let Some(failed) = io_error(error) {
        return of_io(address, failed, why);
    }
    let why = match (error.code(), error.detail()) {
        // A sentence goes on after it.
        (Some(code), Some(detail)) => one_line(&format!("{code} {}", detail.trim_end_matches('.'))),
        _ => why,
    };
    if error.kind() == ErrorKind::AuthenticationFailed {
        return BusError::WrongPassword { address: shown, why: "WRONGPASS".to_owned() };
    }
    match error.code() {
        Some("WRONGPASS" | "NOAUTH") => BusError::WrongPassword { address: shown, why },
        Some("NOPERM") => BusError::NoPermission { address: shown, why },
        Some("DENIED") => {
            let cure = "give the server a password, or let it listen to this machine alone";
            BusError::Refused { address: shown, why, cure }
        }
        Some(code) => BusError::Refused { address: shown, cure: cure_of(code), why },
        None if error.kind() == ErrorKind::Parse => {
            BusError::OtherServer { address: shown, why: "it does not speak RESP".to_owned() }
        }
        None => {
            let cure = "check its URL, and whether it runs";
            BusError::Unreachable { address: shown, why, cure }
        }
    }
}

/// What to do about an error of the server.
fn cure_of(code: &str) -> &'static str {
    match code {
        "OOM" => "give it more memory, or remove keys of former runs",
        "READONLY" => "connect to the primary, not to a replica",
        "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" => "wait until it is ready",
        "MISCONF" => "it cannot save to its disk: free some of it, or turn saving off",
        "NOREPLICAS" => "its replicas are away: start them, or require fewer",
        "MOVED" | "ASK" => "connect to the node of the cluster that has the keys of the run",
        "BUSY" => "another client blocks it with a script",
        "WRONGTYPE" => "another program uses the same keys: use another id for the run",
        "NOSCRIPT" | "ERR" => "check that it permits all commands that docs/fleet.md names",
        _ => "look into its log",
    }
}

fn io_error(error: &RedisError) -> Option<&io::Error> {
    // The library wraps what it got in a shared pointer.
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(failed) = inner.downcast_ref::<io::Error>() {
            return Some(failed);
        }
        if let Some(failed) = inner.downcast_ref::<std::sync::Arc<dyn Error + Send + Sync>>() {
            return failed.downcast_ref();
        }
        source = inner.source();
    }
    None
}

fn of_io(address: &BusAddress, failed: &io::Error, why: String) -> BusError {
    let shown = address.to_string();
    let tls = failed.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(tls) = tls {
        return BusError::Tls {
            address: shown,
            why: one_line(&tls.to_string()),
            cure: tls_cure(tls),
        };
    }
    let (why, cure) = match failed.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            ("it does not answer in time".to_owned(), "check that it runs and is not overloaded")
        }
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => {
            let cure = if address.is_encrypted() {
                "check that it runs, and that this port is encrypted (redis:// is not)"
            } else {
                "check that it runs, and that this port is not encrypted (rediss:// is)"
            };
            ("it closed the connection".to_owned(), cure)
        }
        _ => (why, "check its URL, and whether it runs"),
    };
    BusError::Unreachable { address: shown, why, cure }
}

fn tls_cure(error: &rustls::Error) -> &'static str {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error as Tls};
    match error {
        // Another authority may have the same name: then the signature is wrong.
        Tls::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
            "name the authority of its certificate with --bus-ca"
        }
        Tls::InvalidCertificate(_) => "check the names and dates of its certificate",
        Tls::AlertReceived(Alert::CertificateRequired) => {
            "it requires a client certificate: --bus-cert and --bus-key"
        }
        Tls::AlertReceived(_) => "it may not accept the client certificate",
        Tls::InvalidMessage(_) => "the server may not be encrypted at this port: redis://",
        _ => "check that the server speaks TLS 1.2 or 1.3 at this port",
    }
}

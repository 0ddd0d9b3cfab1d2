//! Classifies system errors: whose fault they are, and their name.
//!
//! The files of this module that do I/O call it.
//! Invariant: a shortage in the generator (descriptors, ports, memory) is never counted against the
//! target.

use std::io;

use rustix::io::Errno;

use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind, GeneratorError};
use crate::wire::connect::tls_fault;
use crate::wire::websocket::byte_pipe::BadPipe;

/// Returns the outcome of an attempt that ended in `phase` with `error`.
pub(in crate::wire) fn outcome(phase: AttemptPhase, error: &io::Error) -> AttemptOutcome {
    if let Some(errno) = Errno::from_io_error(error) {
        return match errno {
            Errno::MFILE | Errno::NFILE => AttemptOutcome::Own(GeneratorError::NoDescriptor),
            Errno::ADDRNOTAVAIL => AttemptOutcome::Own(GeneratorError::NoPort),
            Errno::NOBUFS | Errno::NOMEM => AttemptOutcome::Own(GeneratorError::NoMemory),
            Errno::CONNREFUSED => AttemptOutcome::Failed(phase, FailureKind::Refused),
            Errno::CONNRESET | Errno::PIPE | Errno::CONNABORTED => {
                AttemptOutcome::Failed(phase, FailureKind::Reset)
            }
            Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::NETDOWN | Errno::TIMEDOUT => {
                AttemptOutcome::Failed(phase, FailureKind::Unreachable)
            }
            Errno::ACCESS | Errno::PERM => AttemptOutcome::Own(GeneratorError::NotPermitted),
            _ => AttemptOutcome::Failed(phase, FailureKind::Other),
        };
    }
    let kind = match (of_tls(error).or_else(|| of_pipe(error)), error.kind()) {
        (Some(kind), _) => kind,
        (None, io::ErrorKind::UnexpectedEof) => FailureKind::Closed,
        _ if phase == AttemptPhase::Tls => FailureKind::TlsProtocol,
        _ => FailureKind::Other,
    };
    AttemptOutcome::Failed(phase, kind)
}

/// Returns the library's or the system's text of an error.
pub(in crate::wire) fn words(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner.map_or_else(|| error.to_string(), tls_fault::words)
}

/// Returns the kind of a TLS error; `None` for any other.
pub(in crate::wire) fn of_tls(error: &io::Error) -> Option<FailureKind> {
    error.get_ref().and_then(|inner| inner.downcast_ref()).map(tls_fault::kind)
}

/// Returns what is wrong with the frames of WebSocket that carry a connection; `None` for any other
/// error.
fn of_pipe(error: &io::Error) -> Option<FailureKind> {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<BadPipe>());
    inner.map(|bad| bad.0)
}

/// Whether the target has reset the connection: nothing more can be written, and the end of the
/// input is near.
pub(in crate::wire) fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// Whether a kind is one that a target's alert after the handshake can have.
pub(in crate::wire) const fn is_alert(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::ClientCertificateWanted
            | FailureKind::ClientCertificateRefused
            | FailureKind::TlsProtocol
    )
}
/// The kind of an error of an open connection that a stream has taken over.
pub(in crate::wire) fn kind_of(error: &io::Error) -> FailureKind {
    match outcome(AttemptPhase::Body, error) {
        AttemptOutcome::Failed(_, kind) => kind,
        _ => FailureKind::Other,
    }
}

//! What an error of the system means: whose fault it is, and its name.
//!
//! Invariant: a lack of our own (descriptors, ports, memory) is never charged to the target.

use std::io;

use rustix::io::Errno;

use crate::stats::{Kind, Outcome, OwnFault, Phase};

/// The outcome of an attempt that ended in `phase` with `error`.
pub(super) fn outcome(phase: Phase, error: &io::Error) -> Outcome {
    if let Some(errno) = Errno::from_io_error(error) {
        return match errno {
            Errno::MFILE | Errno::NFILE => Outcome::Own(OwnFault::NoDescriptor),
            Errno::ADDRNOTAVAIL => Outcome::Own(OwnFault::NoPort),
            Errno::NOBUFS | Errno::NOMEM => Outcome::Own(OwnFault::NoMemory),
            Errno::CONNREFUSED => Outcome::Failed(phase, Kind::Refused),
            Errno::CONNRESET | Errno::PIPE | Errno::CONNABORTED => {
                Outcome::Failed(phase, Kind::Reset)
            }
            Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::NETDOWN | Errno::TIMEDOUT => {
                Outcome::Failed(phase, Kind::Unreachable)
            }
            _ => Outcome::Failed(phase, Kind::Other),
        };
    }
    if phase == Phase::Dns {
        return Outcome::Failed(phase, Kind::NoSuchName);
    }
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let kind = match (inner, error.kind()) {
        (Some(rustls::Error::InvalidCertificate(_)), _) => Kind::Certificate,
        (Some(_), _) => Kind::TlsProtocol,
        (None, io::ErrorKind::UnexpectedEof) => Kind::Closed,
        _ if phase == Phase::Tls => Kind::TlsProtocol,
        _ => Kind::Other,
    };
    Outcome::Failed(phase, kind)
}

//! What an agent tells the coordinator of its machine.
//!
//! `agent` and `telling` put it into heartbeats.
//! Invariant: it is read once, and bounded.

use crate::fleet::protocol::MemberFacts;
use crate::host;

/// The name of this machine, and its cores.
pub(super) fn machine_facts() -> MemberFacts {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let cores = u16::try_from(host::cores().len()).unwrap_or(u16::MAX);
    let host = host.chars().take(64).collect();
    MemberFacts { host, cores, reason: Vec::new() }
}

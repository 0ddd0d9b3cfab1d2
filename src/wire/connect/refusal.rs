//! Why an endpoint may not be connected to, by the safety limits.
//!
//! `endpoint` asks before it resolves names, and for each address that it finds.
//! Invariant: load goes nowhere else, whatever is resolved.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::plan::Safety;
use crate::plan::transport::TransportConfig;

/// Returns the addresses of a name that may be connected to.
///
/// # Errors
/// Why none of them may be connected to.
pub(super) fn allowed(
    safety: &Safety,
    name: &str,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Arc<[SocketAddr]>, String> {
    let (mut allowed, mut refusal) = (Vec::new(), None);
    for address in found {
        let ip = address.ip();
        let targets = safety.allowed.as_ref();
        let by_allowed = || targets?.refusal(name, Some(ip), address.port(), false);
        match safety.refusal(name, ip).or_else(by_allowed) {
            None => allowed.push(address),
            Some(why) => refusal = Some(why),
        }
    }
    match refusal {
        Some(why) if allowed.is_empty() => Err(why),
        _ => Ok(allowed.into()),
    }
}

/// Returns why a service may not be reached, as far as names tell: its own name, which only a proxy
/// resolves, and the name of the next hop.
pub(super) fn by_names(
    transport: &TransportConfig,
    (host, port): (&str, u16),
    next_hop: &(String, u16),
    safety: &Safety,
) -> Option<String> {
    let allowed = safety.allowed.as_ref();
    if let Some(path) = &transport.unix {
        return allowed?.socket_refusal(path);
    }
    let refusal = |host: &str, port: u16, is_final: bool| {
        let by_allowed = || allowed?.refusal(host, None, port, is_final);
        safety.refusal_by_name(host, is_final).or_else(by_allowed)
    };
    let behind_proxy = transport.proxy.as_ref().and_then(|_| refusal(host, port, true));
    behind_proxy.or_else(|| refusal(&next_hop.0, next_hop.1, false))
}

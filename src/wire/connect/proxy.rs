//! Requests a tunnel from a proxy: CONNECT (RFC 9110 §9.3.6) and SOCKS 5 (RFC 1928, 1929).
//!
//! `connection` calls it after it has connected to the proxy.
//! Invariant: a proxy is as hostile as a target: its replies are bounded, and no byte beyond them
//! is read, because that belongs to the target.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::plan::transport::{Proxy, ProxyKind};
use crate::stats::FailureKind;
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::http1::limits::MAX_INTERIM;

/// Maximum bytes of responses to CONNECT, interim ones included.
const MAX_HEAD: usize = 8 << 10;

/// Why there is no tunnel: the connection failed, or the proxy refused.
#[derive(Debug)]
pub(in crate::wire) enum ProxyError {
    /// The connection to the proxy failed.
    Io(io::Error),
    /// The proxy refused, or sent no valid reply.
    Refused(FailureKind),
}

/// A refusal without a reason that has a kind of its own, or no proxy at all.
const REFUSED_OTHER: ProxyError = ProxyError::Refused(FailureKind::Proxy);

impl From<io::Error> for ProxyError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Requests a tunnel to `endpoint`, if this kind of proxy needs one.
pub(in crate::wire) async fn tunnel(
    endpoint: &ServiceEndpoint,
    proxy: &Proxy,
    tcp: &mut TcpStream,
) -> Result<(), ProxyError> {
    match proxy.kind {
        ProxyKind::Http if endpoint.tls.is_some() => connect(endpoint, proxy, tcp).await,
        // A plain HTTP request carries its whole URL.
        ProxyKind::Http => Ok(()),
        ProxyKind::Socks5 => socks(endpoint, proxy, tcp).await,
    }
}

async fn connect(
    endpoint: &ServiceEndpoint,
    proxy: &Proxy,
    tcp: &mut TcpStream,
) -> Result<(), ProxyError> {
    let authority = endpoint.authority();
    let login = proxy
        .authorization()
        .map(|value| format!("Proxy-Authorization: {value}\r\n"))
        .unwrap_or_default();
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{login}\r\n");
    tcp.write_all(request.as_bytes()).await?;
    let mut read = 0;
    for _ in 0..=MAX_INTERIM {
        let head = head(tcp, &mut read).await?;
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        if !response.parse(&head).is_ok_and(|status| status.is_complete()) {
            return Err(REFUSED_OTHER);
        }
        return match response.code {
            Some(200..=299) => Ok(()),
            // An interim response decides nothing yet; 101 would be another protocol.
            Some(100 | 102..=199) => continue,
            Some(407) => Err(ProxyError::Refused(FailureKind::ProxyLogin)),
            Some(403) => Err(ProxyError::Refused(FailureKind::ProxyForbidden)),
            Some(502..=504) => Err(ProxyError::Refused(FailureKind::ProxyCannotReach)),
            _ => Err(REFUSED_OTHER),
        };
    }
    Err(REFUSED_OTHER)
}

/// Reads the next head; `read` counts the bytes of all heads.
async fn head(tcp: &mut TcpStream, read: &mut usize) -> Result<Vec<u8>, ProxyError> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if *read == MAX_HEAD {
            return Err(REFUSED_OTHER);
        }
        *read += 1;
        // Byte by byte: the first byte after the head is the target's. Heads are rare and short.
        head.push(tcp.read_u8().await?);
    }
    Ok(head)
}

async fn socks(
    endpoint: &ServiceEndpoint,
    proxy: &Proxy,
    tcp: &mut TcpStream,
) -> Result<(), ProxyError> {
    let method = if proxy.login.is_some() { 2 } else { 0 };
    tcp.write_all(&[5, 1, method]).await?;
    let mut reply = [0; 2];
    tcp.read_exact(&mut reply).await?;
    match reply {
        [5, chosen] if chosen == method => {}
        // The proxy accepts none of the offered methods (RFC 1928 §3): it requires a login.
        [5, 255] => return Err(ProxyError::Refused(FailureKind::ProxyLogin)),
        _ => return Err(REFUSED_OTHER),
    }
    if let Some((user, password)) = &proxy.login {
        let mut login = vec![1];
        for part in [user, password] {
            login.push(u8::try_from(part.len()).map_err(|_| REFUSED_OTHER)?);
            login.extend_from_slice(part.as_bytes());
        }
        tcp.write_all(&login).await?;
        tcp.read_exact(&mut reply).await?;
        if reply[1] != 0 {
            return Err(ProxyError::Refused(FailureKind::ProxyLogin));
        }
    }
    let mut request = vec![5, 1, 0];
    match endpoint.host.parse() {
        Ok(std::net::IpAddr::V4(ip)) => {
            request.push(1);
            request.extend_from_slice(&ip.octets());
        }
        Ok(std::net::IpAddr::V6(ip)) => {
            request.push(4);
            request.extend_from_slice(&ip.octets());
        }
        Err(_) => {
            request.push(3);
            request.push(u8::try_from(endpoint.host.len()).map_err(|_| REFUSED_OTHER)?);
            request.extend_from_slice(endpoint.host.as_bytes());
        }
    }
    request.extend_from_slice(&endpoint.port.to_be_bytes());
    tcp.write_all(&request).await?;
    let mut head = [0; 4];
    tcp.read_exact(&mut head).await?;
    match head {
        [5, 0, ..] => {}
        // RFC 1928 §6: not allowed by ruleset; network or host unreachable, refused, TTL expired.
        [5, 2, ..] => return Err(ProxyError::Refused(FailureKind::ProxyForbidden)),
        [5, 3..=6, ..] => return Err(ProxyError::Refused(FailureKind::ProxyCannotReach)),
        _ => return Err(REFUSED_OTHER),
    }
    // The proxy's bound address, which is not used.
    let length = match head[3] {
        1 => 4,
        3 => usize::from(tcp.read_u8().await?),
        4 => 16,
        _ => return Err(REFUSED_OTHER),
    };
    let mut rest = [0; 257];
    tcp.read_exact(&mut rest[..length + 2]).await?;
    Ok(())
}

//! Asking a proxy for a way through: CONNECT (RFC 9110 §9.3.6) and SOCKS 5 (RFC 1928, 1929).
//!
//! `connection` calls it after it has connected to the proxy.
//! Invariant: a proxy is as hostile as a target: what it says is bounded, and no byte beyond its
//! answer is read, for that is the target's.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::endpoint::Endpoint;
use crate::plan::reach::{Proxy, ProxyKind};

/// The longest answer to CONNECT.
const MAX_HEAD: usize = 8 << 10;

/// Why there is no way through: the connection failed, or the proxy refused.
#[derive(Debug)]
pub(super) enum NoWay {
    /// The connection to the proxy failed.
    Io(io::Error),
    /// It said no, or something that is no answer.
    Refused,
}

impl From<io::Error> for NoWay {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Asks for the way to `endpoint`, where one has to be asked for.
pub(super) async fn tunnel(
    endpoint: &Endpoint,
    proxy: &Proxy,
    tcp: &mut TcpStream,
) -> Result<(), NoWay> {
    match proxy.kind {
        ProxyKind::Http if endpoint.tls.is_some() => connect(endpoint, proxy, tcp).await,
        // A plain request carries its whole URL.
        ProxyKind::Http => Ok(()),
        ProxyKind::Socks5 => socks(endpoint, proxy, tcp).await,
    }
}

async fn connect(endpoint: &Endpoint, proxy: &Proxy, tcp: &mut TcpStream) -> Result<(), NoWay> {
    let authority = endpoint.authority();
    let login = proxy
        .authorization()
        .map(|value| format!("Proxy-Authorization: {value}\r\n"))
        .unwrap_or_default();
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{login}\r\n");
    tcp.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(NoWay::Refused);
        }
        // Byte by byte: the next one after the head is the target's. It is rare and short.
        head.push(tcp.read_u8().await?);
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(&head).is_ok_and(|status| status.is_complete());
    match response.code {
        Some(200..=299) if parsed => Ok(()),
        _ => Err(NoWay::Refused),
    }
}

async fn socks(endpoint: &Endpoint, proxy: &Proxy, tcp: &mut TcpStream) -> Result<(), NoWay> {
    let method = if proxy.login.is_some() { 2 } else { 0 };
    tcp.write_all(&[5, 1, method]).await?;
    let mut answer = [0; 2];
    tcp.read_exact(&mut answer).await?;
    if answer != [5, method] {
        return Err(NoWay::Refused);
    }
    if let Some((user, password)) = &proxy.login {
        let mut login = vec![1];
        for part in [user, password] {
            login.push(u8::try_from(part.len()).map_err(|_| NoWay::Refused)?);
            login.extend_from_slice(part.as_bytes());
        }
        tcp.write_all(&login).await?;
        tcp.read_exact(&mut answer).await?;
        if answer[1] != 0 {
            return Err(NoWay::Refused);
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
            request.push(u8::try_from(endpoint.host.len()).map_err(|_| NoWay::Refused)?);
            request.extend_from_slice(endpoint.host.as_bytes());
        }
    }
    request.extend_from_slice(&endpoint.port.to_be_bytes());
    tcp.write_all(&request).await?;
    let mut head = [0; 4];
    tcp.read_exact(&mut head).await?;
    if head[..2] != [5, 0] {
        return Err(NoWay::Refused);
    }
    // The address it went out from, which nobody needs.
    let length = match head[3] {
        1 => 4,
        3 => usize::from(tcp.read_u8().await?),
        4 => 16,
        _ => return Err(NoWay::Refused),
    };
    let mut rest = [0; 257];
    tcp.read_exact(&mut rest[..length + 2]).await?;
    Ok(())
}

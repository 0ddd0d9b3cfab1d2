//! Resolves names as the system does, and finds out why that failed.
//!
//! `endpoint` calls it for addresses.
//! Invariant: addresses come only from the system's resolver (files, name servers, whatever it is
//! configured with); a query of our own only explains a failure.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;

use dns_lookup::{AddrInfoHints, LookupError, LookupErrorKind, SockType};
use tokio::net::UdpSocket;

use crate::clock::{self, Timer};
use crate::plan::transport::AddressFamily;
use crate::stats::FailureKind;

/// How long a name server may take to explain a failure, ns.
const EXPLAIN_NS: u64 = 500_000_000;

/// Maximum name servers that the system's resolver queries (resolv.conf(5), `MAXNS`).
const SERVERS: usize = 3;

/// The file that lists the system's name servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// A look-up that found no address.
#[derive(Debug)]
pub(in crate::wire) struct ResolveError {
    pub(in crate::wire) kind: FailureKind,
    /// The system's error.
    pub(in crate::wire) error: io::Error,
    /// The system's error does not tell why; a name server may.
    pub(in crate::wire) is_vague: bool,
}

/// Returns the addresses of a name, in the order in which the system would use them.
pub(in crate::wire) async fn look_up(
    host: &str,
    port: u16,
    family: AddressFamily,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let host = host.to_owned();
    let found = tokio::task::spawn_blocking(move || system(&host, port));
    let found = match found.await {
        Ok(found) => found?,
        Err(error) => {
            let error = io::Error::other(error);
            return Err(ResolveError { kind: FailureKind::Other, error, is_vague: false });
        }
    };
    let wanted = |address: &SocketAddr| match family {
        AddressFamily::Any => true,
        AddressFamily::V4 => address.is_ipv4(),
        AddressFamily::V6 => address.is_ipv6(),
    };
    let of_family: Vec<SocketAddr> = found.iter().copied().filter(wanted).collect();
    if of_family.is_empty() {
        let error = io::Error::other("the name has only addresses of the other family");
        return Err(ResolveError { kind: FailureKind::NoAddressOfFamily, error, is_vague: false });
    }
    Ok(of_family)
}

fn system(host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
    let hints = AddrInfoHints { socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    let found = dns_lookup::getaddrinfo(Some(host), None, Some(hints)).map_err(resolve_error)?;
    let found = found.filter_map(Result::ok).map(|info| {
        let mut address = info.sockaddr;
        address.set_port(port);
        address
    });
    Ok(found.collect())
}

/// Classifies an error of getaddrinfo(3). glibc returns `EAI_AGAIN` both for a name server's error
/// response and for none at all.
fn resolve_error(error: LookupError) -> ResolveError {
    let kind = match error.kind() {
        LookupErrorKind::NoName => FailureKind::NoSuchName,
        LookupErrorKind::NoData | LookupErrorKind::Family => FailureKind::NoAddress,
        LookupErrorKind::Again | LookupErrorKind::Fail => FailureKind::DnsFailed,
        LookupErrorKind::Memory | LookupErrorKind::System => FailureKind::Other,
        _ => FailureKind::NoSuchName,
    };
    ResolveError { kind, is_vague: kind == FailureKind::DnsFailed, error: error.into() }
}

/// Returns why the system's name servers have no address for a name; the first server that replies
/// decides.
pub(in crate::wire) async fn explain(host: &str) -> FailureKind {
    let servers = servers(&std::fs::read_to_string(RESOLV_CONF).unwrap_or_default());
    let mut kind = FailureKind::DnsTimeout;
    for server in servers {
        match ask(host, SocketAddr::new(server, 53)).await {
            Some(FailureKind::DnsTimeout) => {}
            // This server has an address by now; the next one may have none.
            None => kind = FailureKind::DnsFailed,
            Some(reply) => return reply,
        }
    }
    kind
}

/// Parses the name servers of a resolv.conf(5).
fn servers(text: &str) -> Vec<IpAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| *word == "nameserver")?;
        words.next()?.parse().ok()
    };
    text.lines().filter_map(server).take(SERVERS).collect()
}

/// Returns a name server's reason for having no address; `None` if the name cannot be queried, or
/// the server did return an address.
async fn ask(host: &str, server: SocketAddr) -> Option<FailureKind> {
    let question = question(host)?;
    let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let timer = Timer::new();
    timer.set(clock::now().after(EXPLAIN_NS));
    let asking = async {
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
        socket.connect(server).await?;
        socket.send(&question).await?;
        let mut reply = [0; 512];
        loop {
            let length = socket.recv(&mut reply).await?;
            if let Some(code) = code(&question, &reply[..length]) {
                return io::Result::Ok(code);
            }
        }
    };
    let mut asking = std::pin::pin!(asking);
    let reply = poll_fn(|cx| match asking.as_mut().poll(cx) {
        Poll::Ready(reply) => Poll::Ready(reply.ok()),
        Poll::Pending => timer.poll(cx).map(|()| None),
    });
    match reply.await {
        None => Some(FailureKind::DnsTimeout),
        Some(2) => Some(FailureKind::DnsServfail),
        Some(3) => Some(FailureKind::NoSuchName),
        Some(5) => Some(FailureKind::DnsRefused),
        Some(0) => None,
        Some(NO_RECORDS) => Some(FailureKind::NoAddress),
        Some(_) => Some(FailureKind::DnsFailed),
    }
}

/// Builds a query for a name's IPv4 addresses (RFC 1035 §4.1), with an id of its own; `None` if the
/// name is not valid in DNS.
fn question(host: &str) -> Option<Vec<u8>> {
    let id = clock::now().0 as u16;
    let mut question = id.to_be_bytes().to_vec();
    // Recursion desired; one question.
    question.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in host.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        question.push(length);
        question.extend_from_slice(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    (question.len() <= 12 + 255 + 4).then_some(question)
}

/// In place of code 0 where there are no records: real codes have four bits.
const NO_RECORDS: u8 = 16;

/// Returns the code of a reply (RFC 1035 §4.1.1); `None` if it is no reply to the question.
fn code(question: &[u8], reply: &[u8]) -> Option<u8> {
    let is_reply = reply.len() >= 12 && reply[..2] == question[..2] && reply[2] & 0x80 != 0;
    is_reply.then(|| match reply[3] & 0x0f {
        0 if reply[6..8] == [0, 0] => NO_RECORDS,
        code => code,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_follow_rfc_1035() {
        let question = question("shop.example.").unwrap();
        assert_eq!(question[2..12], [1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&question[12..], b"\x04shop\x07example\x00\x00\x01\x00\x01");
        assert!(super::question("a..b").is_none());
        assert!(super::question(&"x".repeat(64)).is_none());
        assert!(super::question(&["x".repeat(63).as_str(); 5].join(".")).is_none());
    }

    #[test]
    fn replies_need_the_id_of_their_query() {
        let question = [7, 8, 1, 0];
        let reply =
            |id: u8, flags: u8, code: u8| [&[id, 8, flags, 0x80 | code], &[0; 8][..]].concat();
        assert_eq!(code(&question, &reply(7, 0x81, 5)), Some(5));
        assert_eq!(code(&question, &reply(6, 0x81, 5)), None);
        assert_eq!(code(&question, &reply(7, 0x81, 0)), Some(NO_RECORDS));
        let mut full = reply(7, 0x81, 0);
        full[7] = 1;
        assert_eq!(code(&question, &full), Some(0));
        assert_eq!(code(&question, &reply(7, 0x01, 5)), None);
        assert_eq!(code(&question, &reply(7, 0x81, 2)[..11]), None);
    }

    #[test]
    fn only_the_first_three_name_servers_are_read() {
        let text = "# nameserver 1.1.1.1\nsearch a\nnameserver 10.0.0.1\n nameserver ::1 # x\n\
            nameserver x\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        let expected: Vec<IpAddr> =
            ["10.0.0.1", "::1", "10.0.0.3"].map(|text| text.parse().unwrap()).into();
        assert_eq!(servers(text), expected);
    }

    #[test]
    fn each_reply_code_has_a_kind() {
        for (reply_code, expected) in [
            (Some(0), Some(FailureKind::NoAddress)),
            (Some(1), Some(FailureKind::DnsFailed)),
            (Some(2), Some(FailureKind::DnsServfail)),
            (Some(3), Some(FailureKind::NoSuchName)),
            (Some(5), Some(FailureKind::DnsRefused)),
            (None, Some(FailureKind::DnsTimeout)),
        ] {
            let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let at = server.local_addr().unwrap();
            let answering = std::thread::spawn(move || {
                let mut question = [0; 512];
                let (length, from) = server.recv_from(&mut question).unwrap();
                let Some(code) = reply_code else { return };
                // A datagram with another id, then the reply.
                for id in [question[0] ^ 1, question[0]] {
                    question[0] = id;
                    question[2] |= 0x80;
                    question[3] = code;
                    server.send_to(&question[..length], from).unwrap();
                }
            });
            let reply = clock::block_on(ask("shop.example", at)).unwrap();
            answering.join().unwrap();
            assert_eq!(reply, expected, "{reply_code:?}");
        }
    }
}

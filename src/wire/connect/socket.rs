//! Sockets: bound to a local address, connected, and the one option that no safe crate offers.
//!
//! `race` opens connections through it.
//! Invariant: a chosen local address does not use up one of its ports for each connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use tokio::net::{TcpSocket, TcpStream};

/// Connects to `address`, from `source` if given, with a receive buffer of `buffer` bytes if given.
pub(in crate::wire) async fn connect(
    address: SocketAddr,
    source: Option<IpAddr>,
    buffer: Option<u32>,
) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if let Some(source) = source {
        // A kernel without this option picks a port at once: fewer connections, but correct.
        let _ = bind_address_no_port(&socket);
        socket.bind(SocketAddr::new(source, 0))?;
    }
    if let Some(bytes) = buffer {
        // Before connecting: the TCP window follows from it.
        socket.set_recv_buffer_size(bytes)?;
    }
    let tcp = socket.connect(address).await?;
    // One write per request: waiting to fill a segment would only delay it. A socket that rejects
    // the option is closed already, and the write will report it.
    let _ = tcp.set_nodelay(true);
    Ok(tcp)
}

/// Leaves the choice of a port to `connect`, which may give the same port to connections with other
/// destinations (ip(7), `IP_BIND_ADDRESS_NO_PORT`, since Linux 4.2; it holds for IPv6 too).
#[expect(unsafe_code, reason = "neither socket2 nor rustix has this option")]
fn bind_address_no_port(socket: &TcpSocket) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open as long as `socket` lives; the kernel reads `size` bytes from
    // `on`, which is a `c_int` of that size, and keeps no pointer to it.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

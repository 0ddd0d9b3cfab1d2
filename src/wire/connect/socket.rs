//! Sockets: bound to a local address, connecting, and the one option that no safe crate offers.
//!
//! `race` opens connections through it.
//! Invariant: a chosen local address does not use up one of its ports for each connection.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream as StdStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::net::TcpStream;

/// A socket that is being connected. It is what a connection is afterwards, so a pending one takes
/// no more memory.
pub(super) struct PendingConnect(TcpStream);

impl PendingConnect {
    /// Begins to connect to `address`, from `source` if given, with a receive buffer of `buffer`
    /// bytes if given.
    pub(super) fn begin(
        address: SocketAddr,
        source: Option<IpAddr>,
        buffer: Option<u32>,
    ) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
        if let Some(source) = source {
            // A kernel without this option picks a port at once: fewer connections, but correct.
            let _ = bind_address_no_port(&socket);
            net::bind(&socket, &SocketAddr::new(source, 0))?;
        }
        if let Some(bytes) = buffer {
            // Before connecting: the TCP window follows from it.
            sockopt::set_socket_recv_buffer_size(&socket, bytes as usize)?;
        }
        // One write per request: waiting to fill a segment would only delay it.
        sockopt::set_tcp_nodelay(&socket, true)?;
        match net::connect(socket.as_fd(), &address) {
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {
                TcpStream::from_std(StdStream::from(socket)).map(Self)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Ready when the socket is connected, or with why it could not connect.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.0.poll_write_ready(cx))?;
        Poll::Ready(self.0.take_error()?.map_or(Ok(()), Err))
    }

    /// The socket, once it is connected.
    pub(super) fn connected(self) -> TcpStream {
        self.0
    }
}

/// Leaves the choice of a port to `connect`, which may give the same port to connections with other
/// destinations (ip(7), `IP_BIND_ADDRESS_NO_PORT`, since Linux 4.2; it holds for IPv6 too).
#[expect(unsafe_code, reason = "neither socket2 nor rustix has this option")]
fn bind_address_no_port(socket: &OwnedFd) -> io::Result<()> {
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

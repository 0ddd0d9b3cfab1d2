//! Sockets for datagrams to one peer.
//!
//! `framed::client` opens one in the place of a connection.
//! Invariant: an address that a safety limit forbids gets no datagram.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;

use crate::clock;
use crate::stats::sample::ConnectTimings;
use crate::stats::{AddressUse, AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::connect::connection::{OpenConnection, Transport};
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::connect::fault;
use crate::wire::exchange_context::ExchangeContext;

/// Opens a socket for one user. Nothing is sent; the kernel only notes the peer.
pub(in crate::wire) async fn open(
    endpoint: &ServiceEndpoint,
    context: &mut ExchangeContext<'_>,
) -> Result<OpenConnection, AttemptOutcome> {
    context.exchange.connect = Some(ConnectTimings::default());
    if endpoint.refusal().is_some() {
        return Err(AttemptOutcome::Failed(AttemptPhase::Connect, FailureKind::Forbidden));
    }
    let begun = clock::now();
    let addresses = match endpoint.addresses() {
        Some(addresses) => addresses,
        None => {
            let found = endpoint.look_up(context.deadline).await?;
            let timings = context.exchange.connect.get_or_insert_default();
            timings.dns_ns = ConnectTimings::took(clock::now().since(begun));
            found
        }
    };
    let user = context.outgoing.user;
    let address = addresses.get(endpoint.first_of(&addresses, user)).copied();
    let none = AttemptOutcome::Failed(AttemptPhase::Dns, FailureKind::NoAddress);
    let address = address.ok_or(none)?;
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = endpoint.source(user, address).unwrap_or(any);
    let socket = async {
        let socket = UdpSocket::bind(SocketAddr::new(source, 0)).await?;
        socket.connect(address).await.map(|()| socket)
    };
    match socket.await {
        Ok(socket) => {
            endpoint.count(address, &AddressUse { connected: 1, ..AddressUse::default() });
            context.exchange.connect.get_or_insert_default().open = true;
            Ok(OpenConnection::new(Transport::Udp(socket)))
        }
        Err(error) => {
            let outcome = fault::outcome(AttemptPhase::Connect, &error);
            Err(endpoint.remember_error(outcome, &error))
        }
    }
}

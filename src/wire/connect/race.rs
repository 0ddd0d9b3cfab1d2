//! Connects to the first of a name's addresses that accepts (RFC 8305, Happy Eyeballs).
//!
//! `open` passes it the resolved addresses.
//! Invariant: at most [`AT_ONCE`] attempts of one connection run at once; when one has connected,
//! the others are closed.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use tokio::net::TcpStream;

use crate::clock::{self, Timer};
use crate::stats::{AddressUse, AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::connect::fault;
use crate::wire::connect::socket::PendingConnect;
use crate::wire::deadline::{CallDeadline, WaitEnded};
use crate::wire::{Outgoing, ServiceEndpoint};

/// How long an address is tried before the next one is tried beside it, ns (RFC 8305 §5: 250 ms).
const DELAY_NS: u64 = 250_000_000;

/// Maximum attempts at once. When one more is due the oldest is dropped; it has had a second.
const AT_ONCE: usize = 4;

/// Results of one attempt to connect.
const CONNECTED: AddressUse = AddressUse { connected: 1, failed: 0, slower: 0 };
const FAILED: AddressUse = AddressUse { connected: 0, failed: 1, slower: 0 };
const SLOWER: AddressUse = AddressUse { connected: 0, failed: 0, slower: 1 };

/// Connects to the only address of a name, for a user without an emulated link: a race without a
/// competitor. Of many users that connect at once, each holds little more than its socket.
pub(in crate::wire) fn connect_to_one(
    endpoint: &ServiceEndpoint,
    address: SocketAddr,
    outgoing: &Outgoing<'_>,
    deadline: &CallDeadline,
) -> impl Future<Output = Result<TcpStream, AttemptOutcome>> {
    let mut attempt = ConnectAttempt::begin(endpoint, address, outgoing);
    poll_fn(move |cx| {
        let connected = attempt.poll(cx);
        deadline.poll(cx, connected).map(|ended| {
            let result = match ended {
                Ok(connected) => connected.map_err(|error| failure(endpoint, &error)),
                Err(why) => Err(why.outcome(AttemptPhase::Connect)),
            };
            match result {
                Ok(_) => {
                    endpoint.count(attempt.address, &CONNECTED);
                    endpoint.prefer(attempt.address);
                }
                // A resource that the generator lacks says nothing about the address.
                Err(AttemptOutcome::Own(_)) => {}
                Err(AttemptOutcome::Unfinished(_)) => endpoint.count(attempt.address, &SLOWER),
                Err(_) => endpoint.count(attempt.address, &FAILED),
            }
            result
        })
    })
}

/// Connects to the first of these addresses that accepts.
pub(in crate::wire) async fn connect(
    endpoint: &ServiceEndpoint,
    addresses: &[SocketAddr],
    outgoing: &Outgoing<'_>,
    deadline: &CallDeadline,
) -> Result<TcpStream, AttemptOutcome> {
    let mut race = Race {
        endpoint,
        outgoing,
        waiting: alternate_families(addresses, endpoint.first_of(addresses, outgoing.user)),
        running: VecDeque::new(),
        is_due: true,
        timer: Timer::new(),
    };
    let mut last = AttemptOutcome::Failed(AttemptPhase::Connect, FailureKind::Other);
    while race.is_open() {
        let (address, connected) = match deadline.wait(poll_fn(|cx| race.poll(cx))).await {
            Ok(end) => end,
            Err(why) => {
                race.end(if why == WaitEnded::Timeout { &FAILED } else { &SLOWER });
                return Err(why.outcome(AttemptPhase::Connect));
            }
        };
        if connected.is_ok() {
            endpoint.count(address, &CONNECTED);
            endpoint.prefer(address);
            race.end(&SLOWER);
        }
        let tried = connected.map_err(|error| failure(endpoint, &error));
        // A resource that the generator lacks is also lacking for the next address.
        if let Err(AttemptOutcome::Own(_)) = tried
            && race.running.is_empty()
        {
            return tried;
        }
        // A refusal takes as long to arrive as a connection does.
        outgoing.extra_round_trip(AttemptPhase::Connect, deadline).await?;
        match tried {
            Ok(tcp) => return Ok(tcp),
            Err(outcome) => {
                endpoint.count(address, &FAILED);
                (last, race.is_due) = (outcome, true);
            }
        }
    }
    Err(last)
}

/// The outcome of an attempt that could not connect; its text is kept.
fn failure(endpoint: &ServiceEndpoint, error: &io::Error) -> AttemptOutcome {
    endpoint.remember_error(fault::outcome(AttemptPhase::Connect, error), error)
}

/// Concurrent attempts to connect.
struct Race<'a> {
    endpoint: &'a ServiceEndpoint,
    outgoing: &'a Outgoing<'a>,
    /// Addresses not tried yet.
    waiting: VecDeque<SocketAddr>,
    /// Running attempts, the oldest first.
    running: VecDeque<ConnectAttempt>,
    /// Whether the next address is to be tried now.
    is_due: bool,
    timer: Timer,
}

/// An attempt to connect to one address.
struct ConnectAttempt {
    address: SocketAddr,
    /// `None` once it has ended.
    pending: Option<io::Result<PendingConnect>>,
}

impl ConnectAttempt {
    /// Begins to connect, from the address and with the receive buffer of the request's user.
    fn begin(endpoint: &ServiceEndpoint, address: SocketAddr, outgoing: &Outgoing<'_>) -> Self {
        let source = endpoint.source(outgoing.user, address);
        let buffer = outgoing.link.and_then(|link| link.buffer());
        Self { address, pending: Some(PendingConnect::begin(address, source, buffer)) }
    }

    /// Ready once, when the attempt ends.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        if let Some(Ok(pending)) = &self.pending {
            ready!(pending.poll(cx))?;
        }
        let ended = self.pending.take().unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()));
        Poll::Ready(ended.map(PendingConnect::connected))
    }
}

impl Race<'_> {
    /// Whether an address can still accept.
    fn is_open(&self) -> bool {
        !self.waiting.is_empty() || !self.running.is_empty()
    }

    /// Ready with the next attempt that has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(SocketAddr, io::Result<TcpStream>)> {
        loop {
            if self.is_due
                && let Some(address) = self.waiting.pop_front()
            {
                self.begin(address);
            }
            self.is_due = false;
            for at in 0..self.running.len() {
                let attempt = &mut self.running[at];
                if let Poll::Ready(connected) = attempt.poll(cx) {
                    let address = attempt.address;
                    self.running.remove(at);
                    return Poll::Ready((address, connected));
                }
            }
            if self.waiting.is_empty() || self.timer.poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.is_due = true;
        }
    }

    fn begin(&mut self, address: SocketAddr) {
        if self.running.len() == AT_ONCE
            && let Some(oldest) = self.running.pop_front()
        {
            self.endpoint.count(oldest.address, &FAILED);
        }
        self.running.push_back(ConnectAttempt::begin(self.endpoint, address, self.outgoing));
        if self.waiting.is_empty() {
            self.timer.clear();
        } else {
            self.timer.set(clock::now().after(DELAY_NS));
        }
    }

    /// Drops all running attempts and counts them as `used`.
    fn end(&mut self, used: &AddressUse) {
        for attempt in self.running.drain(..) {
            self.endpoint.count(attempt.address, used);
        }
        self.waiting.clear();
        self.timer.clear();
    }
}

/// The addresses from position `first` on, IPv6 and IPv4 alternating (RFC 8305 §4).
fn alternate_families(addresses: &[SocketAddr], first: usize) -> VecDeque<SocketAddr> {
    let (behind, from) = addresses.split_at(first.min(addresses.len()));
    let all = || from.iter().chain(behind).copied();
    let is_v4 = from.first().is_some_and(SocketAddr::is_ipv4);
    let mut own = all().filter(|address| address.is_ipv4() == is_v4);
    let mut other = all().filter(|address| address.is_ipv4() != is_v4);
    let mut alternating = VecDeque::with_capacity(addresses.len());
    while alternating.len() < addresses.len() {
        alternating.extend(own.next());
        alternating.extend(other.next());
    }
    alternating
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_from_the_first_address() {
        let of = |text: &str| -> Vec<SocketAddr> {
            let parse = |name: &str| match name.as_bytes() {
                [b'6', n] => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, u16::from(n - b'0')], 80)),
                [_, n] => SocketAddr::from(([10, 0, 0, n - b'0'], 80)),
                _ => unreachable!(),
            };
            text.split_whitespace().map(parse).collect()
        };
        for (addresses, first, expected) in [
            ("61", 0, "61"),
            ("61 62 41 42", 0, "61 41 62 42"),
            ("61 62 41 42", 2, "41 61 42 62"),
            ("41 42 43", 1, "42 43 41"),
            ("61 62 63 41", 1, "62 41 63 61"),
            ("41 61", 1, "61 41"),
        ] {
            let alternating = Vec::from(alternate_families(&of(addresses), first));
            assert_eq!(alternating, of(expected), "{addresses} from {first}");
        }
        assert!(alternate_families(&[], 0).is_empty());
    }
}

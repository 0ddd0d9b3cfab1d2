//! `--statsd ADDR`: metrics sent to StatsD or DogStatsD, in datagrams.
//!
//! `cli` opens it, adds its sink, and prints what was lost after the run.
//! Invariant: sending never waits; a datagram that the system does not take is dropped and counted.

mod datagrams;

use std::io;
use std::net::{ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use datagrams::StatsdTags;

use super::catalog;
use super::interval::IntervalStart;
use crate::event::{Report, RunEvent};
use crate::sinks::Sink;
use crate::sinks::push::delivery::{DeliveryCounts, DeliveryItem};
use crate::sinks::push::http_push::wrong;

/// A receiver.
#[derive(Debug)]
pub struct Statsd {
    shared: Arc<StatsdState>,
    address: String,
    tags: StatsdTags,
}

#[derive(Debug)]
struct StatsdState {
    socket: StatsdSocket,
    counts: Mutex<DeliveryCounts>,
}

#[derive(Debug)]
enum StatsdSocket {
    /// Connected, so that a receiver that is not there becomes an error.
    Udp(UdpSocket),
    /// The path is looked up each time: a receiver may come later.
    Unix(UnixDatagram, PathBuf),
}

impl Statsd {
    /// Prepares datagrams to `address`: `HOST:PORT`, `udp://HOST:PORT` or `unix:PATH`.
    ///
    /// # Errors
    /// If the address is wrong, its name is not known, or the system provides no socket.
    pub fn open(address: &str, tags: StatsdTags) -> io::Result<Self> {
        let socket = if let Some(path) = address.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            StatsdSocket::Unix(socket, path.into())
        } else {
            StatsdSocket::Udp(udp(address.strip_prefix("udp://").unwrap_or(address))?)
        };
        let shared = Arc::new(StatsdState { socket, counts: Mutex::default() });
        Ok(Self { shared, address: address.to_owned(), tags })
    }

    /// The sink to be added to the run's sinks.
    pub fn sink(&self) -> StatsdSink {
        StatsdSink { shared: Arc::clone(&self.shared), tags: self.tags, before: None }
    }

    /// What was lost as far as the system tells, for the user.
    pub fn finish(self) -> Option<String> {
        self.shared.note_earlier_loss();
        let receiver = format!("--statsd {}", self.address);
        self.shared.lock().loss(&receiver, DeliveryItem::Datagram)
    }
}

/// A socket that is connected to the first address of a name.
fn udp(address: &str) -> io::Result<UdpSocket> {
    let expected = |why: &dyn std::fmt::Display| {
        wrong(format!(
            "--statsd expects HOST:PORT, such as 127.0.0.1:8125, or unix:PATH: `{address}`: {why}"
        ))
    };
    let mut known = address.to_socket_addrs().map_err(|error| expected(&error))?;
    let to = known.next().ok_or_else(|| expected(&"the name has no address"))?;
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(to).map_err(|error| expected(&error))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl StatsdState {
    fn lock(&self) -> MutexGuard<'_, DeliveryCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, datagram: &[u8]) {
        let mut sent = self.socket.send(datagram);
        // The error of a datagram that was sent earlier and not received; this one was not sent.
        if let (StatsdSocket::Udp(_), Err(error)) = (&self.socket, &sent)
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            self.lose_earlier(error);
            sent = self.socket.send(datagram);
        }
        let mut counts = self.lock();
        match sent {
            Ok(_) => counts.delivered += 1,
            Err(error) => {
                counts.dropped += 1;
                counts.why = Some(why(&error));
            }
        }
    }

    /// Notes that a datagram that was counted as sent was lost.
    fn lose_earlier(&self, error: &io::Error) {
        let mut counts = self.lock();
        if counts.delivered > 0 {
            counts.delivered -= 1;
            counts.dropped += 1;
            counts.why = Some(why(error));
        }
    }

    fn note_earlier_loss(&self) {
        if let StatsdSocket::Udp(socket) = &self.socket
            && let Ok(Some(error)) = socket.take_error()
        {
            self.lose_earlier(&error);
        }
    }
}

impl StatsdSocket {
    fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.send(datagram),
            Self::Unix(socket, path) => socket.send_to(datagram, path),
        }
    }
}

/// An error of a socket, for messages.
fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock => "the receiver does not read fast enough".to_owned(),
        _ => error.to_string(),
    }
}

/// The sink that sends reports.
#[derive(Debug)]
pub struct StatsdSink {
    shared: Arc<StatsdState>,
    tags: StatsdTags,
    /// The report that was sent last.
    before: Option<Arc<Report>>,
}

impl Sink for StatsdSink {
    fn wants(event: &RunEvent) -> bool {
        matches!(event, RunEvent::Tick(_) | RunEvent::Ended(_))
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        if let RunEvent::Tick(report) | RunEvent::Ended(report) = event {
            let before = self.before.as_deref().map(catalog::families).unwrap_or_default();
            let families = catalog::families(report);
            let all = datagrams::encode(&families, &IntervalStart::at(&before), self.tags);
            all.sent.iter().for_each(|datagram| self.shared.send(datagram));
            if all.too_long > 0 {
                let mut counts = self.shared.lock();
                counts.dropped += all.too_long;
                counts.why = Some("a name with its tags is too long for a datagram".to_owned());
            }
            self.before = Some(Arc::clone(report));
        }
        Ok(())
    }
}

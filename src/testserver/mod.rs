//! The built-in target: an HTTP/1.1 server of known truth, with programmable latency, queueing,
//! faults and stalls.
//!
//! `cli` runs it for `manada target`, `process` starts it beside a run, tests ask it what it saw.
//! Invariant: what it counted is exact, and its latency is a law of [`crate::curve`], kept to by
//! the clock of the shards.
//!
//! Latency, faults and stalls are applied to each request once all of it has been read. A fault
//! takes the place of the answer, and comes when the answer would have come. Stalls count from
//! the first request, so that a run's zero is near theirs. A client that closes while its request
//! is held is gone: the request is dropped, and counted as such.

mod body;
mod connection;
mod counts;
mod fault;
mod head;
mod log;
pub mod process;
mod reply;
mod shared;
mod shop;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock;
use crate::curve::Distribution;
use crate::seed::Seed;
use connection::ThreadContext;
use shared::ServerShared;

pub use fault::{FaultShare, InjectedFault, ServerStall, WordError};

/// What a target is to do.
#[derive(Clone, Debug)]
pub struct TestServerConfig {
    /// The law of its service time; none: it answers at once.
    pub latency: Option<Distribution>,
    /// How many requests it serves at once; none: as many as come.
    pub servers: Option<u32>,
    /// What goes wrong, and how often; the shares exclude each other, and add up to at most 1.
    pub fail: Vec<FaultShare>,
    /// When it does nothing, from the first request on.
    pub stalls: Vec<ServerStall>,
    /// Where to log arrivals.
    pub log: Option<PathBuf>,
    /// Of latencies and faults.
    pub seed: Seed,
    /// How many threads serve; they share one queue law and one set of counts.
    pub threads: usize,
}

impl TestServerConfig {
    /// A target that answers at once and never fails, on one thread.
    pub const fn new(seed: Seed) -> Self {
        Self {
            latency: None,
            servers: None,
            fail: Vec::new(),
            stalls: Vec::new(),
            log: None,
            seed,
            threads: 1,
        }
    }
}

/// Connections that may wait to be accepted; the system may cut it (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;
/// How often the log is written when little happens.
const LOG_EVERY: Duration = Duration::from_millis(200);
/// The wait after an accept that failed; out of descriptors, asking at once would only spin.
const ACCEPT_AGAIN: Duration = Duration::from_millis(10);

/// Binds the address to listen on.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves until `shutdown` is ready; then open connections are cut and the log is written out.
/// Runs inside [`clock::block_on`].
///
/// # Errors
/// When the log cannot be created or written, or a thread cannot be started.
pub async fn serve(
    listener: TcpListener,
    config: TestServerConfig,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    // Accepted sockets inherit it, which saves a call for each.
    socket2::SockRef::from(&listener).set_tcp_nodelay(true)?;
    let shared = Arc::new(ServerShared::new(&config)?);
    let (stop, stopped) = watch::channel(false);
    let mut threads = Vec::new();
    for number in 1..config.threads {
        let (listener, shared) = (listener.try_clone()?, Arc::clone(&shared));
        let stopped = stopped.clone();
        let thread = std::thread::Builder::new().name(format!("target-{number}"));
        threads.push(thread.spawn(move || clock::block_on(accept(listener, shared, stopped)))?);
    }
    let own = tokio::task::spawn_local(accept(listener, Arc::clone(&shared), stopped));
    let writer = tokio::task::spawn_local(nudge_log(Arc::clone(&shared)));
    shutdown.await;
    writer.abort();
    // Refused only when every acceptor is gone already.
    let _ = stop.send(true);
    let mut result = own.await.map_err(io::Error::other).flatten();
    for thread in threads {
        let ended = thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")));
        result = result.and(ended.flatten());
    }
    result.and(shared.log.as_ref().map_or(Ok(()), log::ArrivalLog::finish))
}

/// One thread's share of the connections.
async fn accept(
    listener: TcpListener,
    shared: Arc<ServerShared>,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let local = Rc::new(ThreadContext::new(Arc::clone(&shared)));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // An error means that nobody is left who could say stop.
            _ = stopped.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn_local(connection::serve(stream, Rc::clone(&local)));
            } else {
                shared.counts.refused();
                clock::sleep_until(clock::now() + ACCEPT_AGAIN).await;
            },
        }
    }
    // All of them must have let go of their requests before the log is closed.
    connections.shutdown().await;
    Ok(())
}

async fn nudge_log(shared: Arc<ServerShared>) {
    let Some(log) = &shared.log else { return };
    loop {
        clock::sleep_until(clock::now() + LOG_EVERY).await;
        log.nudge();
    }
}

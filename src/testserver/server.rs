//! Listens, and serves connections on a number of threads.
//!
//! `cli` runs it for `manada target`.
//! Invariant: when it returns, all connections are closed and the log is written out.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::bus::{self, BusMessage};
use super::config::TestServerConfig;
use super::connection;
use super::log;
#[cfg(feature = "redis")]
use super::redis_bus::RedisBus;
use super::shared::ServerShared;
use super::socket::ThreadContext;
use crate::clock;

/// Connections that may wait to be accepted; the system may limit it (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;
/// How often the log is written if there are few arrivals.
const LOG_EVERY: Duration = Duration::from_millis(200);
/// The wait after a failed accept; without descriptors, retrying at once would only spin.
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

/// Serves until `shutdown` is ready; then closes open connections and writes out the log. Runs
/// inside [`clock::block_on`].
///
/// # Errors
/// If the log cannot be created or written, or a thread cannot be started.
pub async fn serve(
    listener: TcpListener,
    config: TestServerConfig,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    // Accepted sockets inherit it, which saves a call for each.
    socket2::SockRef::from(&listener).set_tcp_nodelay(true)?;
    let (bus, messages) = config.redis.is_some().then(bus::bus).unzip();
    let shared = Arc::new(ServerShared::new(&config, bus)?);
    let redis = share(&config, &shared, messages)?;
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
    drop(redis);
    // Fails only if every acceptor has ended already.
    let _ = stop.send(true);
    let mut result = own.await.map_err(io::Error::other).flatten();
    for thread in threads {
        let ended = thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")));
        result = result.and(ended.flatten());
    }
    result.and(shared.log.as_ref().map_or(Ok(()), log::ArrivalLog::finish))
}

/// Connects to the other instances, if the configuration names a Redis.
#[cfg(feature = "redis")]
fn share(
    config: &TestServerConfig,
    shared: &Arc<ServerShared>,
    messages: Option<Receiver<BusMessage>>,
) -> io::Result<Option<RedisBus>> {
    let (Some(url), Some(messages)) = (&config.redis, messages) else { return Ok(None) };
    RedisBus::start(url, Arc::clone(shared), messages).map(Some)
}

/// Without the feature, no Redis can be used.
#[cfg(not(feature = "redis"))]
fn share(
    config: &TestServerConfig,
    _: &Arc<ServerShared>,
    messages: Option<Receiver<BusMessage>>,
) -> io::Result<Option<Receiver<BusMessage>>> {
    match config.redis {
        None => Ok(messages),
        Some(_) => Err(io::Error::other("built without the feature `redis`")),
    }
}

/// Accepts one thread's share of the connections.
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
            // An error means that the sender is gone.
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
    // All connections must have ended their requests before the log is closed.
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

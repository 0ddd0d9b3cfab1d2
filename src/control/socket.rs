//! The control socket of a run: it reads a command per line, and replies with a line of JSON.
//!
//! `cli` opens it on the dispatcher's thread; `manada control` connects to it.
//! Invariant: only processes of this user are served, and no client can block the run.

use std::cell::Cell;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rustix::process::getuid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::registry;
use crate::clock::{self, Timer};
use crate::event::control::MAX_LINE;
use crate::event::{ControlCommand, ControlError, ControlReply, ControlRequest};
use crate::stats::ControlOrigin;

/// Maximum concurrent clients; further ones are disconnected.
const MAX_CLIENTS: usize = 8;

/// Maximum time in which a client sends its next command, and in which it reads a reply.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause after a failed accept.
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// An open control socket; it is closed and its file removed when it is dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket(PathBuf);

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Opens the control socket of the run of `scenario`.
///
/// # Errors
/// If other users can access the folder, or the socket cannot be created.
pub(crate) fn open(
    scenario: &str,
    commands: &mpsc::Sender<ControlRequest>,
) -> io::Result<ControlSocket> {
    let folder = registry::folder();
    registry::ensure_private(&folder).map_err(|error| with_path(&folder, &error))?;
    // Listing the runs removes sockets of ended ones.
    registry::active_runs(&folder);
    let place = registry::own_socket(&folder, scenario);
    // A socket of an earlier process with our id.
    let _ = fs::remove_file(&place);
    let listener = UnixListener::bind(&place).map_err(|error| with_path(&place, &error))?;
    let socket = ControlSocket(place);
    fs::set_permissions(&socket.0, fs::Permissions::from_mode(0o600))?;
    tokio::task::spawn_local(serve(listener, commands.clone()));
    Ok(socket)
}

fn with_path(place: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", place.display()))
}

async fn serve(listener: UnixListener, commands: mpsc::Sender<ControlRequest>) {
    let clients = Rc::new(Cell::new(0));
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // No file descriptor is available: wait instead of spinning, because some may be
            // released.
            clock::sleep_until(clock::now() + ACCEPT_RETRY).await;
            continue;
        };
        let is_ours = client.peer_cred().is_ok_and(|peer| peer.uid() == getuid().as_raw());
        if !is_ours || clients.get() == MAX_CLIENTS {
            continue;
        }
        clients.set(clients.get() + 1);
        let (clients, commands) = (Rc::clone(&clients), commands.clone());
        tokio::task::spawn_local(async move {
            // The client is gone, with or without an error.
            let _ = serve_client(client, &commands).await;
            clients.set(clients.get() - 1);
        });
    }
}

/// Serves one client.
async fn serve_client(
    client: UnixStream,
    commands: &mpsc::Sender<ControlRequest>,
) -> io::Result<()> {
    let mut client = BufReader::with_capacity(1 << 10, client);
    loop {
        let mut line = Vec::new();
        let mut start = (&mut client).take(MAX_LINE as u64 + 1);
        with_timeout(start.read_until(b'\n', &mut line)).await?;
        if line.pop() != Some(b'\n') {
            // The client is done, or its line is too long.
            if line.len() < MAX_LINE {
                return Ok(());
            }
            let reply = Err(ControlError::LongLine);
            return write_reply(&mut client, &reply, false).await;
        }
        let command = match String::from_utf8(line) {
            Ok(text) => ControlCommand::parse(&text).map_err(ControlError::from),
            Err(_) => Err(ControlError::NotUtf8),
        };
        let is_data = command == Ok(ControlCommand::Status);
        let reply = match command {
            Ok(command) => send_command(command, commands).await,
            Err(why) => Err(why),
        };
        write_reply(&mut client, &reply, is_data).await?;
    }
}

async fn send_command(
    command: ControlCommand,
    commands: &mpsc::Sender<ControlRequest>,
) -> ControlReply {
    let (reply, result) = oneshot::channel();
    let request = ControlRequest { command, origin: ControlOrigin::Socket, reply: Some(reply) };
    commands.send(request).await.map_err(|_| ControlError::Over)?;
    result.await.map_err(|_| ControlError::Over)?
}

async fn write_reply(
    client: &mut BufReader<UnixStream>,
    reply: &ControlReply,
    is_data: bool,
) -> io::Result<()> {
    let mut line = match reply {
        Ok(words) if is_data => {
            json!({ "ok": serde_json::from_str::<Value>(words).unwrap_or_default() })
        }
        Ok(words) => json!({ "ok": words }),
        Err(why) => json!({ "error": why.to_string() }),
    }
    .to_string();
    line.push('\n');
    with_timeout(client.write_all(line.as_bytes())).await
}

/// Waits for a client, at most for the timeout.
async fn with_timeout<T>(act: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let timer = Timer::new();
    tokio::select! {
        done = act => done,
        () = timer.wait_until(clock::now() + CLIENT_TIMEOUT) => Err(io::ErrorKind::TimedOut.into()),
    }
}

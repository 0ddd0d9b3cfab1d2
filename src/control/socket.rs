//! The control socket of a run: a line with a command in, a line of JSON out.
//!
//! `launch` opens it beside the run, on the dispatcher's thread; `manada control` knocks.
//! Invariant: whoever is not this user is not heard; nobody can make a run wait.

use std::cell::Cell;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rustix::process::getuid;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use super::registry;
use crate::clock::{self, Timer};
use crate::event::control::MAX_LINE;
use crate::event::{ControlCommand, ControlReply, ControlRequest};

/// Clients at once; more are sent away.
const CLIENTS: usize = 8;

/// How long a client may say nothing, or take nothing in.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long nobody is heard after one could not be.
const PAUSE: Duration = Duration::from_secs(1);

/// The origin of its commands, as the report names it.
const BY: &str = "control socket";

/// An open door; it closes, and its file goes, when this is dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket(PathBuf);

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Opens the door of the run of `scenario`.
///
/// # Errors
/// When the folder is not ours alone, or the socket cannot be made.
pub(crate) fn open(
    scenario: &str,
    commands: &mpsc::Sender<ControlRequest>,
) -> io::Result<ControlSocket> {
    let folder = registry::folder();
    registry::secure(&folder).map_err(|error| placed(&folder, &error))?;
    // What dead runs left goes with a look at it.
    registry::all(&folder);
    let place = registry::own(&folder, scenario);
    // Of an earlier process that had our number.
    let _ = fs::remove_file(&place);
    let listener = UnixListener::bind(&place).map_err(|error| placed(&place, &error))?;
    let door = ControlSocket(place);
    fs::set_permissions(&door.0, fs::Permissions::from_mode(0o600))?;
    tokio::task::spawn_local(serve(listener, commands.clone()));
    Ok(door)
}

fn placed(place: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", place.display()))
}

async fn serve(listener: UnixListener, commands: mpsc::Sender<ControlRequest>) {
    let clients = Rc::new(Cell::new(0));
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // No descriptor is left for one more: no reason to spin, and some may come back.
            clock::sleep_until(clock::now() + PAUSE).await;
            continue;
        };
        let ours = client.peer_cred().is_ok_and(|peer| peer.uid() == getuid().as_raw());
        if !ours || clients.get() == CLIENTS {
            continue;
        }
        clients.set(clients.get() + 1);
        let (clients, commands) = (Rc::clone(&clients), commands.clone());
        tokio::task::spawn_local(async move {
            // Whatever ended it, it is gone.
            let _ = attend(client, &commands).await;
            clients.set(clients.get() - 1);
        });
    }
}

/// Hears one client out.
async fn attend(mut client: UnixStream, commands: &mpsc::Sender<ControlRequest>) -> io::Result<()> {
    let mut heard = Vec::new();
    loop {
        let line = match line(&mut client, &mut heard).await? {
            Some(line) => line,
            None if heard.len() > MAX_LINE => {
                let answer = Err(format!("a command has at most {MAX_LINE} bytes"));
                return say(&mut client, &answer, false).await;
            }
            None => return Ok(()),
        };
        let command = match String::from_utf8(line) {
            Ok(text) => ControlCommand::parse(&text),
            Err(_) => Err("a command is UTF-8".to_owned()),
        };
        let is_data = command == Ok(ControlCommand::Status);
        let answer = match command {
            Ok(command) => ask(command, commands).await,
            Err(why) => Err(why),
        };
        say(&mut client, &answer, is_data).await?;
    }
}

async fn ask(command: ControlCommand, commands: &mpsc::Sender<ControlRequest>) -> ControlReply {
    let gone = || "the run is over".to_owned();
    let (reply, answer) = oneshot::channel();
    let asked = ControlRequest { command, origin: BY, reply: Some(reply) };
    commands.send(asked).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

/// The next line, without its end; none when it has said all, or too much.
async fn line(client: &mut UnixStream, heard: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(end) =
            heard.iter().position(|byte| *byte == b'\n').filter(|end| *end <= MAX_LINE)
        {
            let rest = heard.split_off(end + 1);
            let mut line = std::mem::replace(heard, rest);
            line.pop();
            return Ok(Some(line));
        }
        if heard.len() > MAX_LINE {
            return Ok(None);
        }
        let mut bytes = [0; 1_024];
        match in_time(client.read(&mut bytes)).await? {
            0 => return Ok(None),
            count => heard.extend_from_slice(&bytes[..count]),
        }
    }
}

async fn say(client: &mut UnixStream, answer: &ControlReply, is_data: bool) -> io::Result<()> {
    let mut line = match answer {
        Ok(words) if is_data => {
            json!({ "ok": serde_json::from_str::<Value>(words).unwrap_or_default() })
        }
        Ok(words) => json!({ "ok": words }),
        Err(words) => json!({ "error": words }),
    }
    .to_string();
    line.push('\n');
    in_time(client.write_all(line.as_bytes())).await
}

/// Waits for a client no longer than our patience.
async fn in_time<T>(act: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let timer = Timer::new();
    tokio::select! {
        done = act => done,
        () = timer.wait_until(clock::now() + PATIENCE) => Err(io::ErrorKind::TimedOut.into()),
    }
}

//! The built-in test server as a separate process, beside the run that uses it.
//!
//! `run` starts and stops it.
//! Invariant: it never outlives its parent: it ends when its standard input does, and only this
//! process holds the other end.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use crate::plan::service::Builtin;
use crate::seed::Seed;

/// The server's first output, before its address.
pub const LISTENING: &str = "listening on http://";
/// How long the server may take until it listens.
const START: Duration = Duration::from_secs(10);
/// How long the server may take to end by itself.
const STOP: Duration = Duration::from_secs(2);

/// A running test server. Dropping it stops it.
#[derive(Debug)]
pub struct TestServerProcess {
    child: Child,
    /// Kept open: the child ends when it is closed.
    stdin: Option<ChildStdin>,
    /// Receives the address line; disconnects when the child's output ends.
    output: Receiver<String>,
    address: SocketAddr,
}

impl TestServerProcess {
    /// Starts `program` (`None`: this executable) as a test server on a free loopback port.
    ///
    /// # Errors
    /// If it cannot be started, or does not listen within 10 s.
    pub fn start(program: Option<&Path>, settings: &Builtin, seed: Seed) -> io::Result<Self> {
        let program = program.map_or_else(std::env::current_exe, |path| Ok(path.to_owned()))?;
        let mut command = Command::new(program);
        command
            .args(arguments(settings, seed))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A separate process group: Ctrl-C must let the run drain before its target ends.
            .process_group(0);
        let mut child = command.spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (sender, output) = sync_channel(1);
        let mut process = Self { child, stdin, output, address: SocketAddr::from(([0; 4], 0)) };
        if let Some(stdout) = stdout {
            let reader = std::thread::Builder::new().name("target-output".to_owned());
            reader.spawn(move || follow(stdout, &sender))?;
        }
        // From here on, an error drops the process and so stops it.
        let line = process.output.recv_timeout(START).map_err(|_| {
            io::Error::other("the built-in target did not print its address; see its error")
        })?;
        process.address = line
            .trim()
            .strip_prefix(LISTENING)
            .and_then(|address| address.parse().ok())
            .ok_or_else(|| {
                io::Error::other(format!("unexpected first line of the target: {line:?}"))
            })?;
        Ok(process)
    }

    /// The address that the server listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Process id of the test server.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops the server: closes its input, and kills the process after 2 s.
    ///
    /// # Errors
    /// If the system cannot confirm that it ended.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        drop(self.stdin.take());
        // Its output ends when it does: a bounded wait without polling.
        while self.output.recv_timeout(STOP).is_ok() {}
        if self.child.try_wait()?.is_none() {
            // There is a moment between the end of its output and its exit; a kill in that moment
            // is harmless.
            self.child.kill()?;
        }
        self.child.wait().map(drop)
    }
}

impl Drop for TestServerProcess {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Sends the first line, and disconnects at the end of the output. Other output is discarded.
fn follow(stdout: impl Read, sender: &SyncSender<String>) {
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    if stdout.by_ref().take(1_024).read_line(&mut line).is_ok() && !line.is_empty() {
        let _ = sender.send(line);
    }
    let _ = io::copy(&mut stdout, &mut io::sink());
}

fn arguments(settings: &Builtin, seed: Seed) -> Vec<String> {
    let mut words = vec![
        "target".to_owned(),
        "--listen=127.0.0.1:0".to_owned(),
        "--until-stdin-closes".to_owned(),
        format!("--seed={}", seed.value()),
    ];
    words.extend(settings.latency.as_ref().map(|model| format!("--latency={model}")));
    words.extend(settings.servers.map(|servers| format!("--servers={servers}")));
    words
}

//! `manada target` as a child process of a test, and its counts.
//!
//! Invariant: the process ends with its handle, even if it was stopped by a signal.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use manada::testserver::process::LISTENING;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{MANADA, Tied};

/// A running target.
pub(crate) struct Builtin {
    child: Tied,
    address: String,
}

impl Builtin {
    /// Starts a target with these arguments.
    pub(crate) fn start(words: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", words)
    }

    /// Starts a target at an address, such as that of a killed one.
    pub(crate) fn start_at(address: &str, words: &[&str]) -> Self {
        let mut child = Command::new(MANADA)
            .args(["target", "--listen", address, "--until-stdin-closes", "--seed=11"])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix(LISTENING).unwrap().to_owned();
        Self { child: Tied(child), address }
    }

    /// Returns its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Returns its address.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.child.signal(signal);
    }

    /// Returns a URL of it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns its counts.
    pub(crate) fn stats(&self) -> Value {
        serde_json::from_str(&self.ask("GET", "/stats")).unwrap()
    }

    /// Returns the requests of a route; 0 if there were none.
    pub(crate) fn count(&self, route: &str) -> u64 {
        self.stats()["routes"][route].as_u64().unwrap_or(0)
    }

    /// Ends it, so that its log is complete.
    pub(crate) fn end(mut self) {
        drop(self.child.0.stdin.take());
        assert!(self.child.0.wait().unwrap().success());
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "{method} {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        body.to_owned()
    }
}

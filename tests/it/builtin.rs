//! `manada target` as a process of the test, and what it counted.
//!
//! Invariant: it ends when its handle does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use manada::target::process::LISTENING;
use serde_json::Value;

use crate::harness::MANADA;

/// A running target.
pub(crate) struct Builtin {
    child: Child,
    address: String,
}

impl Builtin {
    /// Starts one with these words.
    pub(crate) fn start(words: &[&str]) -> Self {
        let mut child = Command::new(MANADA)
            .args(["target", "--listen=127.0.0.1:0", "--until-stdin-closes", "--seed=11"])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix(LISTENING).unwrap().to_owned();
        Self { child, address }
    }

    /// A URL of it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it counted.
    pub(crate) fn stats(&self) -> Value {
        serde_json::from_str(&self.get("/stats")).unwrap()
    }

    /// Ends it, so that its log is complete.
    pub(crate) fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        body.to_owned()
    }
}

impl Drop for Builtin {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
